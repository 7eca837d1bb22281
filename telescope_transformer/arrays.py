"""Small operations on arrays and tables that several stages share."""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import DTypeLike

from telescope_transformer.files import check_regular

if TYPE_CHECKING:
    # Only for types: `correlation_clustering` does without Arrow.
    import pyarrow as pa

# The file system cannot reserve space.
_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def offsets_of(sizes: np.ndarray) -> np.ndarray:
    """Offsets of consecutive runs with the given sizes.

    Args:
        sizes: (n,) integers, at least 0.

    Returns:
        int64 (n + 1,): run i covers `offsets[i]` to `offsets[i + 1]`, and the last offset is the total.
    """
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to Euclidean length 1, float32 (n, d); a row of zeros is unchanged."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32, copy=False)


def positions_in_runs(sizes: np.ndarray) -> np.ndarray:
    """Position of each element within its run, for consecutive runs with the given sizes.

    Example:
        >>> positions_in_runs(np.array([3, 1, 2])).tolist()
        [0, 1, 2, 0, 0, 1]
    """
    offsets = offsets_of(sizes)
    positions: np.ndarray = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    return positions


def positions_in_equal_runs(values: np.ndarray) -> np.ndarray:
    """Position of each element within its run of equal neighbours.

    Example:
        >>> positions_in_equal_runs(np.array([7, 7, 5, 7])).tolist()
        [0, 1, 0, 0]
    """
    begins = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    return positions_in_runs(np.diff(np.append(begins, len(values))))


def with_column(table: "pa.Table", name: str, values: "pa.Array | pa.ChunkedArray") -> "pa.Table":
    """The table with this column, in the place of the column of the same name, or at the end if there is none."""
    place = table.schema.get_field_index(name)
    return table.append_column(name, values) if place < 0 else table.set_column(place, name, values)


def create_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """Create an array in a file (.npy), mapped into memory.

    Its space on the disk is reserved first. Otherwise a disk that becomes full would kill the process with SIGBUS.

    Raises:
        OSError: if the disk has too little room; the error names the file.
    """
    array: np.memmap = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise OSError(error.errno, error.strerror, str(path)) from error
    return array


def load_array(path: str | os.PathLike[str], mode: Literal["r", "r+", "c"] | None = None) -> np.ndarray:
    """Load the array of a .npy file, or memory-map it in a mode of `numpy.memmap`.

    Raises:
        OSError, ValueError: if there is no such file, or it holds anything else.
    """
    try:
        check_regular(path)
        found = np.load(path, mmap_mode=mode, allow_pickle=False)
    except EOFError as error:
        raise ValueError("the file is empty") from error
    if not isinstance(found, np.ndarray):
        raise ValueError("the file is an archive, not an array")
    return found
