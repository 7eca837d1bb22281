"""The threshold that is chosen without labels."""

import numpy as np
import pytest

from telescope_transformer.arrays import unit_rows
from telescope_transformer.threshold import DEFAULT_THRESHOLD, GRID, reproducible_threshold


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
    assert found.threshold == DEFAULT_THRESHOLD


def vague_groups(seed: int, noise: float = 0.9, sources: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Two windows of each source, in eight groups that overlap."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((8, 16))
    names = np.repeat(np.arange(sources), 2)
    vectors = centres[names % 8] + noise * random.standard_normal((len(names), 16))
    return unit_rows(vectors.astype(np.float32)), np.array([f"192.0.2.{name}" for name in names])


def test_other_sources_hardly_change_what_is_drawn_of_a_source() -> None:
    vectors, names = vague_groups(0)
    before = reproducible_threshold(vectors, names)
    rows = np.arange(2, len(names)).reshape(-1, 2)[::-1].ravel()
    # One source fewer, one more whose name is the first in the order of text, and all in another order.
    vectors, names = np.vstack([vectors[rows], vectors[2:4]]), np.append(names[rows], ["0.0.0.0"] * 2)
    after = reproducible_threshold(vectors, names)
    assert before is not None
    assert after is not None
    # At the highest thresholds, hardly any window has company, and a single pair changes the agreement.
    agreements = [[row["agreement"] for row in found.agreement[:-2]] for found in (before, after)]
    np.testing.assert_allclose(*agreements, atol=0.04)
    assert before.threshold == after.threshold


@pytest.mark.parametrize("seed", [0, 1])
def test_windows_without_groups_hardly_move_the_default(seed: int) -> None:
    """At high thresholds every window is alone, or chance joins a few."""
    found = reproducible_threshold(*vague_groups(seed, noise=1.8))
    assert found is not None
    assert abs(found.threshold - DEFAULT_THRESHOLD) < 0.06
