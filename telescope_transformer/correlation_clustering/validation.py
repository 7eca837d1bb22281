"""Checks of what a user hands in. Nothing is silently repaired; an error names the first offending pair."""

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from numba import njit
from scipy import sparse
from sklearn.utils import check_array

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, SparseGraph
from telescope_transformer.errors import SolverError, WeightsError, WeightsTypeError

SYMMETRY_TOLERANCE = 1e-6
# Squares and sums of weights between these neither overflow nor vanish, whatever the size of the graph.
SMALLEST, LARGEST = 1e-150, 1e150
# Rows that are compared with their columns at a time: they stay in the cache.
_BLOCK = 512

# Squared length up to which products are safe in float32.
_SINGLE = 1e30

Pairs = np.ndarray


@dataclass(frozen=True)
class CheckedWeights:
    """A signed graph with finite weights, and the pairs (m, 2) that must or must not be in one cluster."""

    graph: Graph
    must_link: Pairs = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    cannot_link: Pairs = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))


def check_weights(weights: Any) -> DenseGraph | SparseGraph:
    """The signed graph of a dense symmetric array (n, n) or a SciPy sparse matrix; the diagonal is ignored.

    Raises :class:`WeightsError` where the weights are not square, not numeric, not finite or not symmetric (beyond
    1e-6 of the larger of the two), or a sparse matrix holds a pair twice; the message names the first such pair.
    """
    checked = check_weights_and_links(weights)
    for pairs, weight in ((checked.must_link, np.inf), (checked.cannot_link, -np.inf)):
        if len(pairs):
            raise _not_finite(int(pairs[0, 0]), int(pairs[0, 1]), weight)
    return cast(DenseGraph | SparseGraph, checked.graph)


def check_weights_and_links(weights: Any, must_link: Any = None, cannot_link: Any = None) -> CheckedWeights:
    """The same, where a weight of inf means that a pair must be together, and -inf that it must not.

    ``must_link`` and ``cannot_link`` (m, 2) name more such pairs.
    """
    graph: Graph
    if sparse.issparse(weights):
        graph, must, cannot = _check_sparse(weights)
    else:
        graph, must, cannot = _check_dense(weights)
    check_scale(graph)
    must = np.concatenate([must, _check_pairs("must_link", must_link, graph.n)])
    cannot = np.concatenate([cannot, _check_pairs("cannot_link", cannot_link, graph.n)])
    return CheckedWeights(graph, must, cannot)


def check_scale(graph: Graph) -> None:
    """Raises :class:`WeightsError` where the weights are so large or small that their sums would not be numbers."""
    scale = graph.scale
    if not SMALLEST <= scale <= LARGEST:
        raise WeightsError(
            f"the largest absolute weight is {scale}, outside {SMALLEST} to {LARGEST}: sums of weights would overflow "
            "or vanish; multiply all weights by one number"
        )


def check_whole_number(name: str, value: Any, least: int) -> None:
    """Raises :class:`SolverError` where the value is not an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise SolverError(f"{name} must be a whole number of at least {least}, not {value!r}")


def check_limit(name: str, value: Any) -> None:
    """Raises :class:`SolverError` where the value is neither None nor a number of at least 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Real) or not float(value) >= 0):
        raise SolverError(f"{name} must be None or a number of at least 0, not {value!r}")


def _check_pairs(name: str, pairs: Any, n: int) -> Pairs:
    if pairs is None:
        return np.zeros((0, 2), dtype=np.int64)
    array = np.asarray(pairs)
    if array.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise WeightsError(f"{name} must be pairs of node numbers (m, 2), not of shape {array.shape}, {array.dtype}")
    bad = np.flatnonzero(((array < 0) | (array >= n)).any(axis=1) | (array[:, 0] == array[:, 1]))
    if bad.size:
        i, j = array[bad[0]]
        raise WeightsError(f"{name} has the pair ({i}, {j}), which is not one of two different nodes of 0..{n - 1}")
    return array.astype(np.int64)


def _check_dense(weights: Any) -> tuple[DenseGraph, Pairs, Pairs]:
    array = _numbers(weights)
    none = np.zeros((0, 2), dtype=np.int64)
    if array.size == 0 and array.shape in ((0,), (0, 0)):
        return DenseGraph(np.zeros((0, 0))), none, none
    if array.ndim == 2 and array.shape[1] == 0:
        raise WeightsError(f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required: weights are square")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        strange = "" if np.isfinite(array).all() else ", and they hold NaN or inf"
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {array.shape}{strange}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    same, finite = True, True
    for start in range(0, array.shape[0], _BLOCK):
        block_same, block_finite = _check_rows(array, start)
        same, finite = same and block_same, finite and block_finite
    if not same or not finite or np.diagonal(array).any():
        array = array.copy()
        # What stands there means nothing, but a NaN or a huge number would spoil sums and tolerances.
        np.fill_diagonal(array, 0.0)
    if not same:
        # Both directions of a pair weigh the same in every sum.
        upper = np.triu_indices(array.shape[0], 1)
        array[upper] = array.T[upper]
    if finite:
        return DenseGraph(array), none, none
    lower = np.tril(array)
    must, cannot = np.argwhere(lower == np.inf), np.argwhere(lower == -np.inf)
    array[np.isinf(array)] = 0.0
    return DenseGraph(array), must, cannot


def check_embeddings(embeddings: Any, threshold: float) -> np.ndarray:
    """Embeddings as a C-contiguous float32 or float64 array (n, d); raises :class:`WeightsError` if not finite."""
    array = _numbers(embeddings)
    if array.ndim != 2:
        raise WeightsError(f"embeddings must be vectors of shape (n, d), not of shape {array.shape}")
    check_threshold(threshold)
    array = np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        column = int(np.flatnonzero(~np.isfinite(array[bad[0]]))[0])
        raise WeightsError(f"embedding {bad[0]}, component {column} is {array[bad[0], column]}, not a finite number")
    lengths = np.einsum("ij,ij->i", array, array, dtype=np.float64)
    if lengths.max(initial=0.0) > LARGEST:
        i = int(lengths.argmax())
        raise WeightsError(f"embedding {i} is too long for its products: divide all embeddings by one number")
    if lengths.max(initial=0.0) > _SINGLE:
        return array.astype(np.float64)
    return array


def check_samples(samples: Any) -> np.ndarray:
    """Vectors (n, d) as scikit-learn checks what an estimator fits: dense, finite, at least one.

    Raises :class:`WeightsError` with its message.
    """
    try:
        return check_array(samples)
    except TypeError as error:
        raise WeightsTypeError(str(error)) from error
    except ValueError as error:
        raise WeightsError(str(error)) from error


def check_threshold(threshold: float) -> None:
    """Raises :class:`WeightsError` where the threshold is not finite."""
    if not np.isfinite(threshold):
        raise WeightsError(f"the threshold must be a finite number, not {threshold}")


def _numbers(values: Any) -> np.ndarray:
    """The values as an array of real numbers."""
    if np.ma.is_masked(values):
        raise WeightsError("masked entries have no weight; fill them, for example with 0")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise WeightsError(f"weights and embeddings must be an array of real numbers: {error}") from error
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except TypeError as error:
            raise WeightsTypeError(f"weights and embeddings must be real numbers: {error}") from error
        except ValueError as error:
            raise WeightsError(f"weights and embeddings must be real numbers: {error}") from error
    _check_numeric(array.dtype)
    return array


def _check_numeric(dtype: np.dtype) -> None:
    if dtype.kind == "c":
        raise WeightsError("Complex data not supported: weights and embeddings must be real numbers")
    if dtype.kind not in "biuf":
        raise WeightsError(f"weights and embeddings must be real numbers, not of type {dtype}")


def _check_rows(array: np.ndarray, start: int) -> tuple[bool, bool]:
    """Whether rows and columns are the same to the last bit, and whether they are finite; the diagonal is ignored."""
    rows = array[start : start + _BLOCK].copy()
    columns = array[:, start : start + _BLOCK].T.copy()
    places = np.arange(rows.shape[0])
    rows[places, start + places] = columns[places, start + places] = 0.0
    if np.isnan(rows).any():
        i, j = np.argwhere(np.isnan(rows))[0]
        raise _not_finite(start + i, j, rows[i, j])
    with np.errstate(invalid="ignore", over="ignore"):
        differs = np.abs(rows - columns) > SYMMETRY_TOLERANCE * np.maximum(np.abs(rows), np.abs(columns))
    finite = bool(np.isfinite(rows).all())
    if not finite:
        differs |= np.isinf(rows) & (rows != columns)
    if differs.any():
        i, j = np.argwhere(differs)[0]
        raise _asymmetric(start + i, j, rows[i, j], columns[i, j])
    return bool((rows == columns).all()), finite


def _asymmetric(i: int, j: int, there: float, back: float) -> WeightsError:
    return WeightsError(
        f"weights are not symmetric: pair ({i}, {j}) weighs {there} but ({j}, {i}) weighs {back}; "
        "use (weights + weights.T) / 2 if that is what you mean"
    )


@njit(cache=True, nogil=True)
def _first_asymmetric(indptr, indices, data, tolerance):
    """First stored entry whose mirror image differs, and the mirror's value (0 where absent); -1 if there is none.

    Mirrors that differ within the tolerance are made the same.
    """
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            q = indptr[j] + np.searchsorted(indices[indptr[j] : indptr[j + 1]], i)
            there = q < indptr[j + 1] and indices[q] == i
            back = data[q] if there else 0.0
            if data[p] == back:
                continue
            if not abs(data[p] - back) <= tolerance * max(abs(data[p]), abs(back)):
                return i, p, back
            data[p] = data[q] = data[p] if j < i else back
    return -1, -1, 0.0


def _check_sparse(weights: Any) -> tuple[SparseGraph, Pairs, Pairs]:
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {weights.shape}")
    _check_numeric(weights.dtype)
    rows = weights.tocsr()
    stored = weights.nnz
    if rows.nnz < stored or not rows.has_canonical_format:
        _raise_if_twice(weights)
        rows = rows.copy()
        rows.sort_indices()
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
    data = rows.data.astype(np.float64)
    owners = np.repeat(np.arange(indptr.size - 1, dtype=np.int32), np.diff(indptr))
    off = (owners != indices) & (data != 0.0)
    if not off.all():
        indptr = offsets_of(np.bincount(owners[off], minlength=indptr.size - 1))
        indices, data, owners = indices[off], data[off], owners[off]
    bad = np.flatnonzero(np.isnan(data))
    if bad.size:
        raise _not_finite(owners[bad[0]], indices[bad[0]], data[bad[0]])
    i, p, back = _first_asymmetric(indptr, indices, data, SYMMETRY_TOLERANCE)
    if p >= 0:
        raise _asymmetric(i, indices[p], data[p], back)
    links = [np.column_stack([owners[data == sign], indices[data == sign]]) for sign in (np.inf, -np.inf)]
    data[np.isinf(data)] = 0.0
    return SparseGraph(indptr, indices, data), links[0].astype(np.int64), links[1].astype(np.int64)


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
