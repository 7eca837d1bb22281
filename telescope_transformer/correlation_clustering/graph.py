"""Signed graphs in the three forms that the solvers work on, and the cost of a clustering of them.

A weight above 0 attracts, one below 0 repels. The cost of a clustering is its disagreement: the attractive weight
that it cuts plus the repulsive weight that it joins (Bansal, Blum and Chawla 2004). It is at least 0, and differs
from the multicut objective by a constant.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit
from scipy import sparse

from telescope_transformer.correlation_clustering.vectors import attraction, cluster_sums, inside


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _dense_disagreement(matrix, threshold, sizes, labels):
    """Cut attractive plus joined repulsive weight; a sum of what is at least 0, so nothing cancels."""
    cost = 0.0
    for i in range(labels.size):
        row = 0.0
        penalty = threshold * sizes[i]
        for j in range(i):
            weight = matrix[i, j] - penalty * sizes[j]
            # Without a branch the loop compiles to vector instructions.
            row += max(weight, 0.0) - (weight if labels[i] == labels[j] else 0.0)
        cost += row
    return cost


@njit(cache=True, nogil=True)
def _contract_dense(matrix, labels, k):
    n = matrix.shape[0]
    small = np.zeros((k, k))
    row = np.empty(k)
    for i in range(n):
        row[:] = 0.0
        for j in range(n):
            row[labels[j]] += matrix[i, j]
        row[labels[i]] -= matrix[i, i]
        small[labels[i]] += row
    return small


@njit(cache=True, nogil=True)
def _sparse_disagreement(indptr, indices, data, labels):
    cost = 0.0
    for i in range(indptr.size - 1):
        for e in range(indptr[i], indptr[i + 1]):
            if indices[e] < i:
                if labels[i] == labels[indices[e]]:
                    cost += max(-data[e], 0.0)
                else:
                    cost += max(data[e], 0.0)
    return cost


@njit(cache=True, nogil=True)
def _contract_sparse(indptr, indices, data, labels, k):
    """Compressed rows of the contracted graph; rows of a cluster's members are added up in a dense scratch row."""
    members = np.argsort(labels, kind="mergesort")
    sums = np.zeros(k)
    seen = np.full(k, -1, np.int64)
    small_indptr = np.zeros(k + 1, np.int64)
    small_indices = np.empty(indices.size, np.int32)
    small_data = np.empty(indices.size)
    used = 0
    place = 0
    for c in range(k):
        start = used
        while place < members.size and labels[members[place]] == c:
            i = members[place]
            place += 1
            for p in range(indptr[i], indptr[i + 1]):
                b = labels[indices[p]]
                if b == c:
                    continue
                if seen[b] != c:
                    seen[b] = c
                    sums[b] = 0.0
                    small_indices[used] = b
                    used += 1
                sums[b] += data[p]
        small_indices[start:used].sort()
        for p in range(start, used):
            small_data[p] = sums[small_indices[p]]
        small_indptr[c + 1] = used
    return small_indptr, small_indices[:used].copy(), small_data[:used].copy()


class _Complete:
    """Nodes of a complete graph have sizes: 1 each, where none are given."""

    sizes: np.ndarray

    @property
    def n(self) -> int:
        raise NotImplementedError

    def __post_init__(self) -> None:
        if self.sizes is None:
            object.__setattr__(self, "sizes", np.ones(self.n))


@dataclass(frozen=True)
class DenseGraph(_Complete):
    """A complete signed graph: the weight of pair (i, j) is ``matrix[i, j] - threshold * sizes[i] * sizes[j]``.

    ``matrix`` is symmetric, of shape (n, n), float32 or float64, and is never written to; its diagonal counts for
    nothing. ``sizes`` (n,) are 1 for original nodes and add up when nodes are contracted, which keeps the threshold
    out of the matrix: one product serves every threshold.
    """

    matrix: np.ndarray
    threshold: float = 0.0
    sizes: np.ndarray = field(default=None)  # type: ignore[assignment, arg-type]

    @property
    def n(self) -> int:
        return self.matrix.shape[0]

    @cached_property
    def scale(self) -> float:
        """Largest absolute weight; 1 where all are 0. Tolerances of the solvers are relative to it."""
        if self.n < 2:
            return 1.0
        high, low = float(self.matrix.max()), float(self.matrix.min())
        largest = max(abs(high), abs(low)) + abs(self.threshold) * float(self.sizes.max()) ** 2
        return largest if largest > 0 else 1.0

    def weights(self) -> np.ndarray:
        """All weights as a float64 matrix (n, n) with a diagonal of 0."""
        weights = self.matrix - self.threshold * np.outer(self.sizes, self.sizes)
        np.fill_diagonal(weights, 0.0)
        return weights

    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of the clustering ``labels`` (n,), in float64."""
        return _dense_disagreement(
            self.matrix, self.threshold, self.sizes, np.ascontiguousarray(labels, dtype=np.int64)
        )

    def contract(self, labels: np.ndarray) -> "DenseGraph":
        """The graph whose nodes are the clusters of ``labels`` (0..k-1) and whose weights are sums of weights."""
        k = int(labels.max()) + 1 if labels.size else 0
        sizes = np.bincount(labels, weights=self.sizes, minlength=k)
        return DenseGraph(_contract_dense(self.matrix, labels, k), self.threshold, sizes)


@dataclass(frozen=True)
class SparseGraph:
    """A signed graph in symmetric compressed rows, without diagonal; absent pairs weigh 0.

    ``indptr`` (n + 1,) int64, ``indices`` (m,) int32 sorted in each row, ``data`` (m,) float64; every pair is stored
    twice.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray

    @property
    def n(self) -> int:
        return self.indptr.size - 1

    @cached_property
    def scale(self) -> float:
        """Largest absolute weight; 1 where all are 0."""
        largest = float(np.abs(self.data).max()) if self.data.size else 0.0
        return largest if largest > 0 else 1.0

    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of the clustering ``labels`` (n,), in float64."""
        return _sparse_disagreement(self.indptr, self.indices, self.data, np.ascontiguousarray(labels, dtype=np.int64))

    def contract(self, labels: np.ndarray) -> "SparseGraph":
        """The graph whose nodes are the clusters of ``labels`` (0..k-1) and whose weights are sums of weights."""
        k = int(labels.max()) + 1 if labels.size else 0
        return SparseGraph(*_contract_sparse(self.indptr, self.indices, self.data, labels, k))

    def permuted(self, order: np.ndarray) -> "SparseGraph":
        """The same graph with node ``order[i]`` of this one as its node i."""
        rows = sparse.csr_array((self.data, self.indices, self.indptr), shape=(self.n, self.n))[order][:, order]
        rows.sort_indices()
        return SparseGraph(rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False), rows.data)


@dataclass(frozen=True)
class VectorGraph(_Complete):
    """A complete signed graph without a matrix: pair (i, j) weighs <x_i, x_j> - threshold * sizes[i] * sizes[j].

    ``vectors`` (n, d) are float64; ``near`` names nodes that each node may join, and its weights count for nothing;
    ``sizes`` are as in `DenseGraph`. Memory is O(n d); the first cost takes O(n^2 d) time.
    """

    vectors: np.ndarray
    threshold: float
    near: SparseGraph
    sizes: np.ndarray = field(default=None)  # type: ignore[assignment, arg-type]

    @property
    def n(self) -> int:
        return self.vectors.shape[0]

    @cached_property
    def scale(self) -> float:
        """Bound of the largest absolute weight, less where sums are long; 1 where all are 0."""
        longest = float(np.einsum("ij,ij->i", self.vectors, self.vectors).max(initial=0.0))
        largest = longest + abs(self.threshold) * float(self.sizes.max(initial=0.0)) ** 2
        return largest if largest > 0 else 1.0

    @cached_property
    def attraction(self) -> float:
        """Attractive weight of all pairs."""
        return attraction(self.vectors, self.threshold)

    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of ``labels`` (n,): the attractive weight less what lies inside clusters; original nodes."""
        return max(self.attraction - inside(self.vectors, self.sizes, self.threshold, labels), 0.0)

    def contract(self, labels: np.ndarray) -> "VectorGraph":
        """The graph whose nodes are the clusters of ``labels`` (0..k-1) and whose weights are sums of weights."""
        sums, mass = cluster_sums(self.vectors, self.sizes, labels, int(labels.max()) + 1)
        return VectorGraph(sums, self.threshold, self.near.contract(labels), mass)


Graph = DenseGraph | SparseGraph | VectorGraph


def canonical_labels(labels: np.ndarray) -> np.ndarray:
    """The same clusters with labels 0..k-1 in order of their first member, as int64."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse.reshape(-1)]


def common_refinement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Clusters of the nodes that two clusterings both put together; canonical labels."""
    return canonical_labels(first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second)
