"""Checks of what a user hands in. Nothing is silently repaired; an error names the first offending pair."""

from typing import Any

import numpy as np
from scipy import sparse

from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph
from telescope_transformer.errors import WeightsError

SYMMETRY_TOLERANCE = 1e-6
_BLOCK = 512


def check_weights(weights: Any) -> DenseGraph | SparseGraph:
    """The signed graph of a dense symmetric array (n, n) or a SciPy sparse matrix; the diagonal is ignored.

    Raises :class:`WeightsError` where the weights are not square, not numeric, not finite or not symmetric (beyond
    1e-6 of the larger of the two), or a sparse matrix holds a pair twice; the message names the first such pair.
    """
    if sparse.issparse(weights):
        return _check_sparse(weights)
    array = np.asarray(weights)
    _check_numeric(array)
    if array.size == 0 and array.shape in ((0,), (0, 0)):
        return DenseGraph(np.zeros((0, 0)))
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {array.shape}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    for start in range(0, array.shape[0], _BLOCK):
        _check_rows(array, start)
    return DenseGraph(array)


def check_embeddings(embeddings: Any, threshold: float) -> np.ndarray:
    """Embeddings as a C-contiguous float32 or float64 array (n, d); raises :class:`WeightsError` if not finite."""
    array = np.asarray(embeddings)
    _check_numeric(array)
    if array.ndim != 2:
        raise WeightsError(f"embeddings must be vectors of shape (n, d), not of shape {array.shape}")
    if not np.isfinite(threshold):
        raise WeightsError(f"the threshold must be a finite number, not {threshold}")
    array = np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        column = int(np.flatnonzero(~np.isfinite(array[bad[0]]))[0])
        raise WeightsError(f"embedding {bad[0]}, component {column} is {array[bad[0], column]}, not a finite number")
    return array


def _check_numeric(array: np.ndarray) -> None:
    if array.dtype.kind not in "biuf":
        raise WeightsError(f"weights and embeddings must be real numbers, not of type {array.dtype}")


def _check_rows(array: np.ndarray, start: int) -> None:
    rows = array[start : start + _BLOCK]
    columns = array[:, start : start + _BLOCK].T
    finite = np.isfinite(rows)
    finite[np.arange(rows.shape[0]), start + np.arange(rows.shape[0])] = True
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise WeightsError(f"weight of pair ({start + i}, {j}) is {rows[i, j]}, not a finite number")
    with np.errstate(invalid="ignore"):
        differs = np.abs(rows - columns) > SYMMETRY_TOLERANCE * np.maximum(np.abs(rows), np.abs(columns))
    if differs.any():
        i, j = np.argwhere(differs)[0]
        raise _asymmetric(start + i, j, rows[i, j], columns[i, j])


def _asymmetric(i: int, j: int, there: float, back: float) -> WeightsError:
    return WeightsError(
        f"weights are not symmetric: pair ({i}, {j}) weighs {there} but ({j}, {i}) weighs {back}; "
        "use (weights + weights.T) / 2 if that is what you mean"
    )


def _check_sparse(weights: Any) -> SparseGraph:
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {weights.shape}")
    entries = weights.tocoo()
    _check_numeric(entries.data)
    rows, columns = (np.asarray(index, dtype=np.int64) for index in entries.coords)
    data = np.asarray(entries.data, dtype=np.float64)
    off = rows != columns
    rows, columns, data = rows[off], columns[off], data[off]
    n = int(weights.shape[0])
    order = np.argsort(rows * n + columns, kind="stable")
    rows, columns, data = rows[order], columns[order], data[order]
    _check_entries(rows, columns, data)
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n), out=indptr[1:])
    graph = SparseGraph(indptr, columns.astype(np.int32), data)
    _check_sparse_symmetry(rows, columns, data, n)
    return graph


def _check_entries(rows: np.ndarray, columns: np.ndarray, data: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(data))
    if bad.size:
        raise WeightsError(
            f"weight of pair ({rows[bad[0]]}, {columns[bad[0]]}) is {data[bad[0]]}, not a finite number"
        )
    twice = np.flatnonzero((rows[1:] == rows[:-1]) & (columns[1:] == columns[:-1]))
    if twice.size:
        i, j = rows[twice[0]], columns[twice[0]]
        raise WeightsError(f"pair ({i}, {j}) is stored more than once; call sum_duplicates() if they add up")


def _check_sparse_symmetry(rows: np.ndarray, columns: np.ndarray, data: np.ndarray, n: int) -> None:
    keys, mirrored = rows * n + columns, columns * n + rows
    place = np.minimum(np.searchsorted(keys, mirrored), max(keys.size - 1, 0))
    back = np.where(keys[place] == mirrored, data[place], 0.0) if keys.size else data
    differs = np.flatnonzero(np.abs(data - back) > SYMMETRY_TOLERANCE * np.maximum(np.abs(data), np.abs(back)))
    if differs.size:
        e = differs[0]
        raise _asymmetric(rows[e], columns[e], data[e], back[e])
