"""The made-up telescope, and a report of it with hostile strings wherever text can appear."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from devtools import Page, browser
from made_telescope import HOSTILE, Telescope, build_telescope

from telescope_transformer.analysis.tables import every_source, sources_table
from telescope_transformer.report import (
    ReportData,
    all_sources,
    name_clusters,
    profile_clusters,
    write_report,
)
from telescope_transformer.report.counting import codes_of
from telescope_transformer.report.days import days_of_groups
from telescope_transformer.report.services import with_services


@pytest.fixture
def telescope(rng: np.random.Generator) -> Telescope:
    return build_telescope(30, rng)


@pytest.fixture
def report_data(telescope: Telescope) -> ReportData:
    profiles = profile_clusters(telescope.records, telescope.windows)
    name_clusters(profiles)
    times, sources = telescope.records["timestamp"].to_numpy(), codes_of(telescope.records["src_ip"])[0]
    everything = np.zeros(len(times), dtype=np.int64)
    windows = with_services(telescope.windows, telescope.records)
    rejects = {"file": [HOSTILE], "row": [3], "field": ["src_ip"], "value": [HOSTILE], "reason": [HOSTILE]}
    return ReportData(
        windows=windows,
        profiles=profiles,
        sources=every_source(sources_table(windows), all_sources(telescope.records)),
        traffic=days_of_groups(everything, times, sources, 1)[0],
        solution={"threshold": 0.5, "cost": 2.0, "lower_bound": 1.5, "gap": 0.25, "solver": "greedy", "n_clusters": 3},
        counts={"read": 242, "kept": 241, "rejected": 1},
        rejects=pa.table(rejects),
        title=HOSTILE,
    )


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One headless browser for all tests."""
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def chromium(shared_browser: Page) -> Iterator[Page]:
    """The shared browser on an empty page. A test fails if its pages threw an exception or opened a dialog."""
    shared_browser.leave()
    shared_browser.problems.clear()
    yield shared_browser
    shared_browser.leave()
    assert shared_browser.problems == []


@pytest.fixture
def page(chromium: Page, report_data: ReportData, tmp_path: Path) -> Page:
    """The report of the made-up telescope, open and drawn."""
    write_report(tmp_path / "report.html", report_data)
    return chromium.open((tmp_path / "report.html").as_uri())
