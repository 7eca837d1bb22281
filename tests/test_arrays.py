"""Offsets and unit rows, including empty input."""

from pathlib import Path

import numpy as np
import pytest

from telescope_transformer.arrays import create_array, offsets_of, positions_in_runs, unit_rows


@pytest.mark.parametrize(
    ("sizes", "offsets", "positions"),
    [([], [0], []), ([2, 0, 3], [0, 2, 2, 5], [0, 1, 0, 1, 2])],
)
def test_offsets_and_positions(sizes: list[int], offsets: list[int], positions: list[int]) -> None:
    counts = np.array(sizes, dtype=np.int32)
    assert offsets_of(counts).tolist() == offsets
    assert offsets_of(counts).dtype == np.int64
    assert positions_in_runs(counts).tolist() == positions


def test_rows_have_length_one_and_zeros_stay_zeros() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [0.3, -0.4]]))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0.6, -0.8]], rtol=1e-6)


def test_an_array_in_a_file_has_its_space_on_the_disk(tmp_path: Path) -> None:
    """If it were a file with a hole, a full disk would kill the process while it fills the array."""
    array = create_array(tmp_path / "array.npy", np.float32, (1000, 100))
    file = (tmp_path / "array.npy").stat()
    assert file.st_blocks * 512 >= file.st_size
    array[:] = 1
    array.flush()
    assert np.load(tmp_path / "array.npy").sum() == 100_000
