"""Signed graphs in the forms that the solvers work on, and the cost of a clustering of them.

A weight above 0 attracts, one below 0 repels. The cost of a clustering is its disagreement: the attractive weight
that it cuts plus the repulsive weight that it joins (Bansal, Blum and Chawla 2004). It is at least 0, and differs
from the multicut objective by a constant.

Each form of graph has the operations that the searches are written in: cost, contraction, greedy contraction and a
pass of one-element moves. `VectorGraph`, which needs no matrix, is in :mod:`.vectors`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numba import njit
from scipy import sparse

from telescope_transformer.correlation_clustering.forest import dense_components
from telescope_transformer.correlation_clustering.search.greedy import contract_greedily
from telescope_transformer.correlation_clustering.search.greedy_sparse import contract_greedily_sparse
from telescope_transformer.correlation_clustering.search.moves import move_dense, move_sparse


# One accumulator for each row: a sum of what is at least 0 is right to (n + 2) roundings, relative to itself.
@njit(cache=True, nogil=True)
def _dense_disagreement(matrix, threshold, sizes, labels):
    cost = 0.0
    for i in range(labels.size):
        row = 0.0
        penalty = threshold * sizes[i]
        for j in range(i):
            weight = matrix[i, j] - penalty * sizes[j]
            # A choice without a branch, and never a difference of the two: one large weight would swallow the rest.
            row += max(-weight, 0.0) if labels[i] == labels[j] else max(weight, 0.0)
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


@njit(cache=True, nogil=True)
def _all_whole(values):
    # A generator would not compile.
    for value in values:  # noqa: SIM110
        if value != np.floor(value):
            return False
    return True


# Whole numbers below this are exact in float64.
_EXACT = 2.0**53
# Share of the pairs that have an edge, from which the bounds of all pairs rise faster than those of cycles; and nodes
# up to which they always do.
_FULL, _ALWAYS_FULL = 0.25, 50
# The matrix of more nodes, and the triangles among them, take longer than the cycles.
_FILL_UP_TO = 2_000


class Graph(ABC):
    """What the searches need of a signed graph."""

    # Whether `score` is the cost itself.
    scores_are_costs = True
    # Whether every pair has a weight of its own in a matrix.
    complete = False
    # Whether a proof rounds its estimates to clusterings, which get further than restarts.
    rounds_estimates = False
    # Nodes up to which reducing the graph takes less time than it saves.
    reduce_up_to = 0

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of nodes."""

    @property
    @abstractmethod
    def entries(self) -> int:
        """How many numbers a pass of moves reads."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """Largest absolute weight, or a bound of it; 1 where all are 0. Tolerances of searches are relative to it."""

    @property
    def outside_pairs(self) -> str:
        """How pairs without a weight of their own are weighed, in words."""
        return "all pairs are weighed"

    @property
    def whole(self) -> bool:
        """Whether all weights are whole numbers whose sums are exact, so that every cost is one, too."""
        return False

    @abstractmethod
    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of the clustering ``labels`` (n,), a float64 sum of terms that are at least 0."""

    def score(self, labels: np.ndarray) -> float:
        """The cost up to a constant of the graph, where that takes less time. Searches compare scores."""
        return self.cost(labels)

    @abstractmethod
    def weights(self) -> np.ndarray:
        """All weights as a float64 matrix (n, n) with a diagonal of 0."""

    def filled(self) -> "DenseGraph":
        """The same graph with its matrix."""
        return DenseGraph(self.weights())

    def as_sparse(self) -> "SparseGraph":
        """The same graph in compressed rows, without its pairs of weight 0."""
        return sparse_graph(sparse.csr_array(self.weights()))

    def as_kernel(self) -> "Graph":
        """The form in which the graph is solved fastest."""
        return self

    def attractive_parts(self) -> np.ndarray:
        """Part (n,) of each node, canonical: no attractive pair joins two parts. A graph may call all one part."""
        return np.zeros(self.n, dtype=np.int64)

    @abstractmethod
    def part(self, nodes: np.ndarray) -> Self:
        """The graph among some of the nodes."""

    @abstractmethod
    def contract(self, labels: np.ndarray) -> Self:
        """The graph whose nodes are the clusters of ``labels`` (0..k-1) and whose weights are sums of weights."""

    @abstractmethod
    def greedy_parents(self) -> np.ndarray:
        """Parent (n,) of each node in the forest of greedy additive contractions."""

    @abstractmethod
    def move_pass(
        self, labels: np.ndarray, order: np.ndarray, tolerance: float, slack: np.ndarray, tracks: bool
    ) -> int:
        """Move the nodes of ``order`` one after the other, where that gains more than ``tolerance``.

        Writes ``labels`` (n,), which lie below n. ``slack`` (n,) is what each node loses at least by a move, kept up
        where it ``tracks``; a graph may do without. Returns how many nodes moved.
        """


@dataclass(frozen=True)
class DenseGraph(Graph):
    """A complete signed graph: the weight of pair (i, j) is ``matrix[i, j] - threshold * sizes[i] * sizes[j]``.

    ``matrix`` is symmetric, of shape (n, n), float32 or float64, and is never written to; its diagonal counts for
    nothing. ``sizes`` (n,) are 1 for original nodes and add up when nodes are contracted, which keeps the threshold
    out of the matrix: one product serves every threshold.
    """

    matrix: np.ndarray
    threshold: float = 0.0
    sizes: np.ndarray = field(default=None)  # type: ignore[assignment, arg-type]

    complete = True
    reduce_up_to = 3_000

    def __post_init__(self) -> None:
        if self.sizes is None:
            object.__setattr__(self, "sizes", np.ones(self.n))

    @property
    def n(self) -> int:
        return self.matrix.shape[0]

    @property
    def entries(self) -> int:
        return self.n**2

    @cached_property
    def scale(self) -> float:
        if self.n < 2:
            return 1.0
        high, low = float(self.matrix.max()), float(self.matrix.min())
        largest = max(abs(high), abs(low)) + abs(self.threshold) * float(self.sizes.max()) ** 2
        return largest if largest > 0 else 1.0

    @cached_property
    def whole(self) -> bool:
        return self.scale * self.n**2 < _EXACT and self.threshold == 0 and _all_whole(self.matrix.reshape(-1))

    def filled(self) -> "DenseGraph":
        return self

    def attractive_parts(self) -> np.ndarray:
        return canonical_labels(dense_components(self.matrix, self.threshold, self.sizes))

    def weights(self) -> np.ndarray:
        weights = self.matrix - self.threshold * np.outer(self.sizes, self.sizes)
        np.fill_diagonal(weights, 0.0)
        return weights

    def cost(self, labels: np.ndarray) -> float:
        return _dense_disagreement(
            self.matrix, self.threshold, self.sizes, np.ascontiguousarray(labels, dtype=np.int64)
        )

    def contract(self, labels: np.ndarray) -> "DenseGraph":
        k = int(labels.max()) + 1 if labels.size else 0
        sizes = np.bincount(labels, weights=self.sizes, minlength=k)
        return DenseGraph(_contract_dense(self.matrix, labels, k), self.threshold, sizes)

    def part(self, nodes: np.ndarray) -> "DenseGraph":
        rows = np.ascontiguousarray(self.matrix[np.ix_(nodes, nodes)])
        return DenseGraph(rows, self.threshold, self.sizes[nodes])

    def greedy_parents(self) -> np.ndarray:
        return contract_greedily(self.matrix.copy(), self.threshold, self.sizes)

    def move_pass(
        self, labels: np.ndarray, order: np.ndarray, tolerance: float, slack: np.ndarray, tracks: bool
    ) -> int:
        return move_dense(self.matrix, self.threshold, self.sizes, labels, order, tolerance, slack, tracks)


@dataclass(frozen=True)
class SparseGraph(Graph):
    """A signed graph in symmetric compressed rows, without diagonal; absent pairs weigh 0.

    ``indptr`` (n + 1,) int64, ``indices`` (m,) int32 sorted in each row, ``data`` (m,) float64; every pair is stored
    twice.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray

    rounds_estimates = True
    reduce_up_to = np.iinfo(np.int32).max

    @property
    def n(self) -> int:
        return self.indptr.size - 1

    @property
    def entries(self) -> int:
        return self.indices.size + self.n

    @property
    def outside_pairs(self) -> str:
        return "pairs outside the graph weigh 0"

    @cached_property
    def scale(self) -> float:
        largest = float(np.abs(self.data).max()) if self.data.size else 0.0
        return largest if largest > 0 else 1.0

    @cached_property
    def whole(self) -> bool:
        return self.scale * self.indices.size < _EXACT and _all_whole(self.data)

    def cost(self, labels: np.ndarray) -> float:
        return _sparse_disagreement(self.indptr, self.indices, self.data, np.ascontiguousarray(labels, dtype=np.int64))

    def contract(self, labels: np.ndarray) -> "SparseGraph":
        k = int(labels.max()) + 1 if labels.size else 0
        return SparseGraph(*_contract_sparse(self.indptr, self.indices, self.data, labels, k))

    def part(self, nodes: np.ndarray) -> "SparseGraph":
        return sparse_graph(self.rows()[nodes][:, nodes])

    def weights(self) -> np.ndarray:
        return self.rows().toarray()

    def as_sparse(self) -> "SparseGraph":
        return self

    def as_kernel(self) -> "SparseGraph | DenseGraph":
        """With all its pairs, unless it is large or few of them are there."""
        full = self.entries >= _FULL * self.n**2 or self.n <= _ALWAYS_FULL
        return self.filled() if self.n <= _FILL_UP_TO and full else self

    @classmethod
    def empty(cls, n: int) -> "SparseGraph":
        """The graph of n nodes without an edge."""
        return cls(np.zeros(n + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0))

    def rows(self) -> sparse.csr_array:
        """The weights as a SciPy array (n, n), of which nothing may be written to."""
        return sparse.csr_array((self.data, self.indices, self.indptr), shape=(self.n, self.n))

    def greedy_parents(self) -> np.ndarray:
        return contract_greedily_sparse(self.indptr, self.indices, self.data)

    def move_pass(
        self, labels: np.ndarray, order: np.ndarray, tolerance: float, slack: np.ndarray, tracks: bool
    ) -> int:
        return move_sparse(self.indptr, self.indices, self.data, labels, order, tolerance)


def sparse_graph(rows: sparse.csr_array) -> SparseGraph:
    """The graph of symmetric rows without a diagonal."""
    rows.sort_indices()
    return SparseGraph(
        rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False), rows.data.astype(float, copy=False)
    )


def canonical_labels(labels: np.ndarray) -> np.ndarray:
    """The same clusters with labels 0..k-1 in order of their first member, as int64."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse.reshape(-1)]


def common_refinement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Clusters of the nodes that two clusterings both put together; canonical labels."""
    return canonical_labels(first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second)
