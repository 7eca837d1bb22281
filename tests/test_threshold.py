"""The threshold that is chosen without labels."""

import numpy as np

from telescope_transformer.arrays import unit_rows
from telescope_transformer.threshold import GRID, reproducible_threshold


def groups_at(cosine: float, sources: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Two windows of each source, in two tight groups of sources whose cosine is `cosine`."""
    random = np.random.default_rng(0)
    centres = np.zeros((2, 16))
    centres[0, 0] = 1.0
    centres[1, :2] = cosine, np.sqrt(1 - cosine**2)
    names = np.repeat(np.arange(sources), 2)
    vectors = centres[names % 2] + 0.02 * random.standard_normal((len(names), 16))
    return unit_rows(vectors.astype(np.float32)), names


def test_a_threshold_beside_a_jump_is_not_taken() -> None:
    # Just above .48 the two groups are separate; below it they are one.
    found = reproducible_threshold(*groups_at(0.48))
    assert found is not None
    assert found.threshold not in (0.45, 0.5)
    assert found.threshold in GRID


def test_without_a_jump_nearby_the_default_is_taken() -> None:
    found = reproducible_threshold(*groups_at(0.0))
    assert found is not None
    assert found.threshold == 0.5
