"""Checks of what a user hands in. Nothing is silently repaired; an error names the first offending pair."""

from typing import Any

import numpy as np
from numba import njit
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
    _check_numeric(array.dtype)
    if array.size == 0 and array.shape in ((0,), (0, 0)):
        return DenseGraph(np.zeros((0, 0)))
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {array.shape}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    for start in range(0, array.shape[0], _BLOCK):
        _check_rows(array, start)
    if np.diagonal(array).any():
        # What stands there means nothing, but a NaN or a huge number would spoil sums and tolerances.
        array = array.copy()
        np.fill_diagonal(array, 0.0)
    return DenseGraph(array)


def check_embeddings(embeddings: Any, threshold: float) -> np.ndarray:
    """Embeddings as a C-contiguous float32 or float64 array (n, d); raises :class:`WeightsError` if not finite."""
    array = np.asarray(embeddings)
    _check_numeric(array.dtype)
    if array.ndim != 2:
        raise WeightsError(f"embeddings must be vectors of shape (n, d), not of shape {array.shape}")
    check_threshold(threshold)
    array = np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        column = int(np.flatnonzero(~np.isfinite(array[bad[0]]))[0])
        raise WeightsError(f"embedding {bad[0]}, component {column} is {array[bad[0], column]}, not a finite number")
    return array


def check_threshold(threshold: float) -> None:
    """Raises :class:`WeightsError` where the threshold is not finite."""
    if not np.isfinite(threshold):
        raise WeightsError(f"the threshold must be a finite number, not {threshold}")


def _check_numeric(dtype: np.dtype) -> None:
    if dtype.kind not in "biuf":
        raise WeightsError(f"weights and embeddings must be real numbers, not of type {dtype}")


def _check_rows(array: np.ndarray, start: int) -> None:
    rows = array[start : start + _BLOCK]
    columns = array[:, start : start + _BLOCK].T
    finite = np.isfinite(rows)
    finite[np.arange(rows.shape[0]), start + np.arange(rows.shape[0])] = True
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise _not_finite(start + i, j, rows[i, j])
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


@njit(cache=True, nogil=True)
def _first_asymmetric(indptr, indices, data, tolerance):
    """First stored entry whose mirror image differs, and the mirror's value (0 where absent); -1 if there is none."""
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            q = indptr[j] + np.searchsorted(indices[indptr[j] : indptr[j + 1]], i)
            back = data[q] if q < indptr[j + 1] and indices[q] == i else 0.0
            if abs(data[p] - back) > tolerance * max(abs(data[p]), abs(back)):
                return i, p, back
    return -1, -1, 0.0


def _check_sparse(weights: Any) -> SparseGraph:
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {weights.shape}")
    _check_numeric(weights.dtype)
    rows = weights.tocsr()
    if rows is weights:
        rows = rows.copy() if not rows.has_sorted_indices else rows
    stored = weights.nnz
    if rows.nnz < stored or not rows.has_canonical_format:
        _raise_if_twice(weights)
        rows.sort_indices()
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
    data = rows.data.astype(np.float64, copy=False)
    owners = np.repeat(np.arange(indptr.size - 1, dtype=np.int32), np.diff(indptr))
    off = owners != indices
    if not off.all():
        indptr = np.concatenate([[0], np.cumsum(np.bincount(owners[off], minlength=indptr.size - 1))])
        indices, data, owners = indices[off], data[off], owners[off]
    bad = np.flatnonzero(~np.isfinite(data))
    if bad.size:
        raise _not_finite(owners[bad[0]], indices[bad[0]], data[bad[0]])
    i, p, back = _first_asymmetric(indptr, indices, data, SYMMETRY_TOLERANCE)
    if p >= 0:
        raise _asymmetric(i, indices[p], data[p], back)
    return SparseGraph(indptr, indices, data)


def _raise_if_twice(weights: Any) -> None:
    entries = weights.tocoo()
    keys = entries.coords[0].astype(np.int64) * weights.shape[0] + entries.coords[1]
    order = np.argsort(keys, kind="stable")
    twice = order[1:][keys[order][1:] == keys[order][:-1]]
    if twice.size:
        i, j = divmod(int(keys[twice[0]]), weights.shape[0])
        raise WeightsError(f"pair ({i}, {j}) is stored more than once; call sum_duplicates() if they add up")


def _not_finite(i: int, j: int, weight: float) -> WeightsError:
    return WeightsError(f"weight of pair ({i}, {j}) is {weight}, not a finite number")
