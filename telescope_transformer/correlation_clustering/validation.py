"""Checks of user input. Invalid input is never repaired silently; an error names the first offending pair."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph import (
    DenseGraph,
    Graph,
    SparseGraph,
    canonical_labels,
)
from telescope_transformer.correlation_clustering.options import check_threshold
from telescope_transformer.errors import SolverError, WeightsError, WeightsTypeError

# Largest difference between the two directions of a pair, relative to the larger one. Inner products in float32 of 64
# to 768 dimensions differ by up to 1.2e-6 if they are summed in opposite orders, and by less than 1e-6 in 99.9 % of
# pairs.
SYMMETRY_TOLERANCE = 1e-6
# Squares and sums of weights within these limits neither overflow nor vanish in float64 (2e-308 to 1.8e308), for any
# number of nodes.
SMALLEST, LARGEST = 1e-150, 1e150
# Corresponding limits for sums of up to 10^8 products in float32 (1e-38 to 3.4e38).
SMALLEST_SINGLE, LARGEST_SINGLE = 1e-30, 1e30
# Number of rows that are compared with their columns at a time. For 1,000 nodes, the two blocks of 4 MB stay in the
# cache.
_BLOCK = 512
# Nodes are numbered in int32.
_MOST_NODES = np.iinfo(np.int32).max


@dataclass(frozen=True)
class CheckedWeights:
    """A signed graph with finite weights, and the pairs that must or must not be in one cluster.

    Attributes:
        graph: the graph.
        must_link: int64 (m, 2), pairs that must be together.
        cannot_link: int64 (k, 2), pairs that must be apart.
    """

    graph: Graph
    must_link: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    cannot_link: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))

    def with_links(self, must_link: Any, cannot_link: Any) -> "CheckedWeights":
        """The graph with more links, each (m, 2) integers or None.

        Raises:
            WeightsError: the links are not pairs of two different nodes.
        """
        must = _check_pairs("must_link", must_link, self.graph.n)
        cannot = _check_pairs("cannot_link", cannot_link, self.graph.n)
        together, apart = np.concatenate([self.must_link, must]), np.concatenate([self.cannot_link, cannot])
        return CheckedWeights(self.graph, together, apart)


def check_weights(weights: Any) -> DenseGraph | SparseGraph:
    """Turn weights into a signed graph. The diagonal is ignored.

    Args:
        weights: a symmetric array (n, n), or a SciPy sparse matrix in which an absent pair weighs 0.

    Raises:
        WeightsError: the weights are not square, not numeric, not finite, not symmetric (up to 1e-6 of the larger of
            the two), or a sparse matrix contains a pair twice. The message names the first such pair.
    """
    checked = check_weights_and_links(weights)
    for pairs, weight in ((checked.must_link, np.inf), (checked.cannot_link, -np.inf)):
        if len(pairs):
            raise _not_finite(int(pairs[0, 0]), int(pairs[0, 1]), weight)
    return cast(DenseGraph | SparseGraph, checked.graph)


def check_weights_and_links(weights: Any) -> CheckedWeights:
    """Turn weights into a signed graph and links. A weight of inf means must-link, and -inf means cannot-link.

    Raises:
        WeightsError: see `check_weights`.
    """
    checked = _check_sparse(weights) if sparse.issparse(weights) else _check_dense(weights)
    check_scale(checked.graph)
    return checked


def check_scale(graph: Graph) -> None:
    """Check that sums of weights neither overflow nor vanish.

    Raises:
        WeightsError: the largest absolute weight is outside `SMALLEST` to `LARGEST`.
    """
    scale = graph.scale
    single = isinstance(graph, DenseGraph) and graph.matrix.dtype == np.float32
    largest = LARGEST_SINGLE if single else LARGEST
    if not SMALLEST <= scale <= largest:
        raise WeightsError(
            f"the largest absolute weight is {scale}, outside {SMALLEST} to {largest}: sums of weights would overflow "
            "or vanish; multiply all weights by one number"
        )


def _check_pairs(name: str, pairs: Any, n: int) -> np.ndarray:
    """Links as int64 (m, 2).

    Raises:
        WeightsError: the links are not pairs of two different nodes.
    """
    if pairs is None:
        return np.zeros((0, 2), dtype=np.int64)
    try:
        array = np.asarray(pairs)
    except ValueError as error:
        raise WeightsError(f"{name} must be pairs of node numbers (m, 2): {error}") from error
    if array.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise WeightsError(f"{name} must be pairs of node numbers (m, 2), not of shape {array.shape}, {array.dtype}")
    bad = np.flatnonzero(((array < 0) | (array >= n)).any(axis=1) | (array[:, 0] == array[:, 1]))
    if bad.size:
        i, j = array[bad[0]]
        raise WeightsError(f"{name} has the pair ({i}, {j}), which is not a pair of different nodes in 0..{n - 1}")
    return array.astype(np.int64)


def _check_dense(weights: Any) -> CheckedWeights:
    """Turn an array into a graph, must-links and cannot-links."""
    array = _numbers(weights)
    if array.size == 0 and array.shape in ((0,), (0, 0)):
        return CheckedWeights(DenseGraph(np.zeros((0, 0))))
    if array.ndim == 2 and array.shape[1] == 0:
        raise WeightsError(f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required: weights are square")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        strange = "" if np.isfinite(array).all() else ", and they hold NaN or inf"
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {array.shape}{strange}")
    array = _to_double(array)
    same, finite = True, True
    for start in range(0, array.shape[0], _BLOCK):
        block_same, block_finite = _check_rows(array, start)
        same, finite = same and block_same, finite and block_finite
    if not same or not finite or np.diagonal(array).any():
        array = array.copy()
        # The diagonal has no meaning, but a NaN or a huge number on it would distort sums and tolerances.
        np.fill_diagonal(array, 0.0)
    if not same:
        # Use the same value for both directions, so that both have the same weight in every sum. Indices of all pairs
        # would take twice the memory of the weights.
        for i in range(array.shape[0]):
            array[i, i + 1 :] = array[i + 1 :, i]
    if finite:
        return CheckedWeights(DenseGraph(array))
    lower = np.tril(array)
    must, cannot = np.argwhere(lower == np.inf), np.argwhere(lower == -np.inf)
    array[np.isinf(array)] = 0.0
    return CheckedWeights(DenseGraph(array), must, cannot)


def check_embeddings(embeddings: Any, threshold: float) -> np.ndarray:
    """Embeddings as a C-contiguous array (n, d), float32 or float64.

    Raises:
        WeightsError: the input is not an array of vectors, not finite, or so large that products overflow.
    """
    if sparse.issparse(embeddings):
        raise WeightsError("embeddings must be a dense array, not a sparse matrix; use toarray()")
    array = _numbers(embeddings)
    if array.ndim != 2:
        raise WeightsError(f"embeddings must be vectors of shape (n, d), not of shape {array.shape}")
    check_threshold(threshold)
    # Half-precision floats and short integers are exact in float32; other types are not.
    single = np.result_type(array.dtype, np.float32) == np.float32
    array = np.ascontiguousarray(array, dtype=np.float32) if single else _to_double(array)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        column = int(np.flatnonzero(~np.isfinite(array[bad[0]]))[0])
        raise WeightsError(f"embedding {bad[0]}, component {column} is {array[bad[0], column]}, not a finite number")
    lengths = np.einsum("ij,ij->i", array, array, dtype=np.float64)
    longest = float(lengths.max(initial=0.0))
    if longest > LARGEST:
        i = int(lengths.argmax())
        raise WeightsError(
            f"embedding {i} is too long, its products would overflow: divide all embeddings by one number"
        )
    if longest > 0 and not SMALLEST_SINGLE <= longest <= LARGEST_SINGLE:
        return array.astype(np.float64)
    return array


def check_samples(samples: Any) -> None:
    """Check vectors (n, d) like the samples of a scikit-learn estimator: dense, finite, at least one.

    Raises:
        WeightsError: the check fails; the message is that of scikit-learn.
    """
    try:
        check_array(samples)
    except TypeError as error:
        raise WeightsTypeError(str(error)) from error
    except ValueError as error:
        raise WeightsError(str(error)) from error


def check_single(name: str, largest: float) -> None:
    """Check the largest absolute value of an input to a float32 computation.

    Raises:
        WeightsError: the value is so large or small that products or sums would overflow or vanish.
    """
    if largest > 0 and not SMALLEST_SINGLE <= largest <= LARGEST_SINGLE:
        raise WeightsError(
            f"the largest {name} is {largest}, outside {SMALLEST_SINGLE} to {LARGEST_SINGLE}: products in float32 "
            "would overflow or vanish; multiply everything by one number"
        )


def check_graph(graph: Any) -> None:
    """Check an argument that must be a graph.

    Raises:
        WeightsError: it is not a graph, or its weights are not finite, or too large or too small for sums.
    """
    if not isinstance(graph, Graph):
        raise WeightsTypeError(f"a graph is needed, as `check_weights` returns it, not {type(graph).__name__}")
    check_scale(graph)


def check_labels(labels: Any, n: int) -> np.ndarray:
    """A clustering of n nodes as canonical labels int64 (n,).

    Raises:
        SolverError: the labels are not n whole numbers.
    """
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise SolverError(f"labels must be {n} whole numbers, one for each node: {error}") from error
    if array.shape != (n,) or (n and array.dtype.kind not in "iu"):
        raise SolverError(
            f"labels must be {n} whole numbers, one for each node, not of shape {array.shape} and type {array.dtype}"
        )
    return canonical_labels(array)


def _to_double(array: np.ndarray) -> np.ndarray:
    """The numbers as a C-contiguous float64 array; numbers of a wider type must fit into float64."""
    try:
        with np.errstate(over="raise"):
            return np.ascontiguousarray(array, dtype=np.float64)
    except FloatingPointError as error:
        raise WeightsError("weights and embeddings must fit into float64, which ends at 1.8e308") from error


def _numbers(values: Any) -> np.ndarray:
    """The values as an array of real numbers."""
    if hasattr(values, "adjacency"):
        raise WeightsError("a graph of networkx must be converted by networkx.to_scipy_sparse_array(graph)")
    if np.ma.is_masked(values):
        raise WeightsError("masked entries have no weight; fill them, for example with 0")
    try:
        array = np.asarray(values)
    # PyTorch raises the last two for tensors that have gradients, are on a GPU or are of type bfloat16.
    except (ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"weights and embeddings must be an array of real numbers: {error}") from error
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except TypeError as error:
            raise WeightsTypeError(f"weights and embeddings must be real numbers: {error}") from error
        except (ValueError, OverflowError) as error:
            raise WeightsError(f"weights and embeddings must be real numbers: {error}") from error
    _check_numeric(array.dtype)
    return array


def _check_numeric(dtype: np.dtype) -> None:
    """Check that a type holds real numbers.

    Raises:
        WeightsError: the type does not hold real numbers.
    """
    if dtype.kind == "c":
        raise WeightsError("Complex data not supported: weights and embeddings must be real numbers")
    if dtype.kind not in "biuf":
        raise WeightsError(f"weights and embeddings must be real numbers, not of type {dtype}")


def _check_rows(array: np.ndarray, start: int) -> tuple[bool, bool]:
    """Compare a block of rows with its columns, ignoring the diagonal.

    Returns:
        Whether both directions are equal to the last bit, and whether all weights are finite.

    Raises:
        WeightsError: a weight is NaN, or the two directions of a pair differ.
    """
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
    """The error for a pair whose two directions have different weights."""
    return WeightsError(
        f"weights are not symmetric: pair ({i}, {j}) weighs {there} but ({j}, {i}) weighs {back}; "
        "use (weights + weights.T) / 2 if that is what you mean"
    )


@compiled()
def _first_asymmetric(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> tuple[int, int, float]:
    """Find the first pair whose two directions differ by more than `SYMMETRY_TOLERANCE`; remove other differences.

    Returns:
        Row and position of the stored entry (-1 if no pair differs), and the weight of the other direction (0 if
        absent).
    """
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            q = indptr[j] + np.searchsorted(indices[indptr[j] : indptr[j + 1]], i)
            there = q < indptr[j + 1] and indices[q] == i
            back = data[q] if there else 0.0
            if data[p] == back:
                continue
            larger = max(abs(data[p]), abs(back))
            if larger == np.inf or abs(data[p] - back) > SYMMETRY_TOLERANCE * larger:
                return i, p, back
            data[p] = data[q] = data[p] if j < i else back
    return -1, -1, 0.0


def _check_sparse(weights: Any) -> CheckedWeights:
    """Turn a sparse matrix into a graph, must-links and cannot-links."""
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise WeightsError(f"weights must be a square matrix (n, n), not of shape {weights.shape}")
    if weights.shape[0] > _MOST_NODES:
        raise WeightsError(f"a graph may have up to {_MOST_NODES} nodes, not {weights.shape[0]}")
    _check_numeric(weights.dtype)
    _check_structure(weights)
    if weights.dtype == np.float16:
        # SciPy cannot convert the format of this type.
        weights = weights.astype(np.float32)
    rows = weights.tocsr()
    stored = weights.nnz
    if rows.nnz < stored or not rows.has_canonical_format:
        _raise_if_twice(weights)
        rows = rows.copy()
        rows.sort_indices()
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
    # Copy the data, because small differences between the two directions are removed in place.
    data = _to_double(rows.data).copy()
    owners = np.repeat(np.arange(indptr.size - 1, dtype=np.int32), np.diff(indptr))
    off = (owners != indices) & (data != 0.0)
    if not off.all():
        indptr = offsets_of(np.bincount(owners[off], minlength=indptr.size - 1))
        indices, data, owners = indices[off], data[off], owners[off]
    bad = np.flatnonzero(np.isnan(data))
    if bad.size:
        raise _not_finite(owners[bad[0]], indices[bad[0]], data[bad[0]])
    i, p, back = _first_asymmetric(indptr, indices, data)
    if p >= 0:
        raise _asymmetric(i, indices[p], data[p], back)
    must, cannot = (
        np.column_stack([owners[at], indices[at]]).astype(np.int64) for at in (data == np.inf, data == -np.inf)
    )
    data[np.isinf(data)] = 0.0
    return CheckedWeights(SparseGraph(indptr, indices, data), must, cannot)


def _check_structure(weights: Any) -> None:
    """Check the index arrays of a sparse matrix, which compiled code reads without bounds checks."""
    try:
        if hasattr(weights, "check_format"):
            weights.check_format(full_check=True)
        elif weights.format == "coo" and weights.nnz:
            low, high = min(axis.min() for axis in weights.coords), max(axis.max() for axis in weights.coords)
            if low < 0 or high >= weights.shape[0]:
                raise ValueError(f"index {low if low < 0 else high} is outside the matrix")
    except ValueError as error:
        raise WeightsError(f"the sparse matrix is damaged: {error}") from error


def _raise_if_twice(weights: Any) -> None:
    """Check that no pair is stored twice.

    Raises:
        WeightsError: a pair is stored twice.
    """
    entries = weights.tocoo()
    keys = entries.coords[0].astype(np.int64) * weights.shape[0] + entries.coords[1]
    order = np.argsort(keys, kind="stable")
    twice = order[1:][keys[order][1:] == keys[order][:-1]]
    if twice.size:
        i, j = divmod(int(keys[twice[0]]), weights.shape[0])
        raise WeightsError(f"pair ({i}, {j}) is stored more than once; call sum_duplicates() if they add up")


def _not_finite(i: int, j: int, weight: float) -> WeightsError:
    """The error for a weight that is not finite."""
    return WeightsError(f"weight of pair ({i}, {j}) is {weight}, not a finite number")
