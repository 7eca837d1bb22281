"""The made telescope, and a report of it with hostile strings wherever text can stand."""

import numpy as np
import pyarrow as pa
import pytest
from made_telescope import HOSTILE, Telescope, build_telescope

from telescope_transformer.report import ReportData, profile_clusters


@pytest.fixture
def telescope(rng: np.random.Generator) -> Telescope:
    return build_telescope(30, rng)


@pytest.fixture
def report_data(telescope: Telescope) -> ReportData:
    rejects = {"file": [HOSTILE], "row": [3], "field": ["src_ip"], "value": [HOSTILE], "reason": [HOSTILE]}
    return ReportData(
        windows=telescope.windows,
        profiles=profile_clusters(telescope.records, telescope.windows),
        solution={"threshold": 0.5, "cost": 2.0, "lower_bound": 1.5, "gap": 0.25, "solver": "greedy", "n_clusters": 3},
        counts={"read": 242, "kept": 241, "rejected": 1},
        records=telescope.records,
        rejects=pa.table(rejects),
        title=HOSTILE,
    )
