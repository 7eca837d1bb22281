"""Signed graphs in the forms that the solvers work on, and the cost of a clustering.

A positive weight attracts, a negative one repels. The cost of a clustering is its disagreement: the attractive weight
that it cuts plus the repulsive weight that it joins (Bansal, Blum and Chawla 2004). It is at least 0, and differs from
the multicut objective by a constant.

Each graph class offers the operations that the searches use: cost, contraction, greedy contraction and a pass of
one-element moves. `VectorGraph`, which needs no matrix, is in :mod:`.vectors`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy import sparse

from telescope_transformer.correlation_clustering.components import dense_components
from telescope_transformer.correlation_clustering.graph_kernels import (
    all_whole,
    compressed_rows,
    contract_dense,
    contract_sparse,
    dense_disagreement,
    sparse_disagreement,
)
from telescope_transformer.correlation_clustering.search.greedy import contract_greedily
from telescope_transformer.correlation_clustering.search.greedy_sparse import contract_greedily_sparse
from telescope_transformer.correlation_clustering.search.moves import move_dense, move_sparse

# Whole numbers below this are exact in float64, which has 53 bits.
_EXACT = 2.0**53
# A sparse graph is solved with its matrix if at least the share _FULL of its pairs has an edge, or if it has at most
# _ALWAYS_FULL nodes. Searches on a matrix find better clusterings, but proofs by cycles are faster. For 300 nodes with
# edges on 35 % of the pairs, the matrix lowered the cost after 3 s from 4,233 to 4,180 and the gap from 30.6 to 29.8
# %. For 1,000 nodes with edges on 5 % of the pairs, the matrix proved nothing in that time.
_FULL, _ALWAYS_FULL = 0.25, 50
# Maximum number of nodes of a sparse graph that is solved with its matrix, and of a complete graph that is reduced
# before it is solved. The hard block of 3,000 windows has a gap of 62 % after 5 s with its matrix and of 94 % by
# cycles.
_FILL_UP_TO = 3_000


class Graph(ABC):
    """A signed graph, with the operations that the searches use.

    Attributes:
        scores_are_costs: whether `score` is the cost itself.
        largest_sum: the largest sum that `score` subtracts from another; 0 if it does not subtract sums.
        proves_first: whether one restart before the proof is enough, because the proof soon finds better clusterings.
        reduce_up_to: maximum number of nodes at which the graph is reduced before it is solved.
    """

    scores_are_costs = True
    largest_sum = 0.0
    proves_first = False
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
        """Largest absolute weight or an upper bound of it; 1 if all are 0. Tolerances are relative to this scale."""

    @property
    def outside_pairs(self) -> str:
        """Description of how pairs without an explicit weight are weighed."""
        return "all pairs are weighed"

    @property
    def whole(self) -> bool:
        """Whether all weights are whole numbers with exact sums, so that every cost is a whole number."""
        return False

    @abstractmethod
    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of the clustering ``labels`` (n,): a float64 sum of terms that are at least 0."""

    def score(self, labels: np.ndarray) -> float:
        """The cost minus a constant of the graph, if this is faster to compute. Searches compare scores."""
        return self.cost(labels)

    @abstractmethod
    def weights(self) -> np.ndarray:
        """All weights as a matrix, float64 (n, n), with a diagonal of 0."""

    def filled(self) -> "DenseGraph":
        """The same graph with its matrix."""
        return DenseGraph(self.weights())

    def as_sparse(self) -> "SparseGraph":
        """The same graph in compressed rows, without pairs of weight 0."""
        return self.filled().as_sparse()

    def fastest_form(self) -> "Graph":
        """The form in which the graph is solved fastest."""
        return self

    def attractive_parts(self) -> np.ndarray:
        """Part of each node, canonical labels int64 (n,). No attractive pair connects two parts.

        Implementations may return a single part.
        """
        return np.zeros(self.n, dtype=np.int64)

    @abstractmethod
    def part(self, nodes: np.ndarray) -> Self:
        """The graph among some of the nodes.

        Args:
            nodes: integers (m,).
        """

    @abstractmethod
    def contract(self, labels: np.ndarray) -> Self:
        """The graph whose nodes are the clusters and whose weights are sums of the weights between clusters.

        Args:
            labels: int64 (n,), clusters 0..k-1.
        """

    @abstractmethod
    def greedy_parents(self) -> np.ndarray:
        """Parent of each node in the forest of greedy additive contractions, int64 (n,)."""

    @abstractmethod
    def move_pass(self, labels: np.ndarray, order: np.ndarray, tolerance: float) -> int:
        """Visit nodes one after the other, and move each if that gains more than ``tolerance``.

        Args:
            labels: int64 (n,), below n; updated.
            order: int64, the nodes to visit.
            tolerance: least gain of a move.

        Returns:
            How many nodes moved.
        """


@dataclass(frozen=True)
class DenseGraph(Graph):
    """A complete signed graph: pair (i, j) weighs ``matrix[i, j] - threshold``.

    The threshold is kept out of the matrix so that one matrix serves all thresholds.

    Attributes:
        matrix: float32 or float64 (n, n), symmetric; it is never written to, and its diagonal is ignored.
        threshold: subtracted from every pair.
    """

    matrix: np.ndarray
    threshold: float = 0.0

    reduce_up_to = 3_000

    @property
    def n(self) -> int:
        return len(self.matrix)

    @property
    def entries(self) -> int:
        return self.n**2

    @cached_property
    def scale(self) -> float:
        if self.n < 2:
            return 1.0
        high, low = float(self.matrix.max()), float(self.matrix.min())
        largest = max(abs(high), abs(low)) + abs(self.threshold)
        return largest if largest != 0 else 1.0

    @cached_property
    def whole(self) -> bool:
        return self.scale * self.n**2 < _EXACT and self.threshold == 0 and all_whole(self.matrix.reshape(-1))

    def filled(self) -> "DenseGraph":
        return self

    def attractive_parts(self) -> np.ndarray:
        return canonical_labels(dense_components(self.matrix, self.threshold))

    def as_sparse(self) -> "SparseGraph":
        return SparseGraph(*compressed_rows(self.matrix, self.threshold))

    def weights(self) -> np.ndarray:
        weights: np.ndarray = self.matrix - np.float64(self.threshold)
        np.fill_diagonal(weights, 0.0)
        return weights

    def cost(self, labels: np.ndarray) -> float:
        labels = np.ascontiguousarray(labels, dtype=np.int64)
        sizes = np.ones(self.n)
        return dense_disagreement(self.matrix, self.threshold, sizes, sizes, labels, labels, True)

    def contract(self, labels: np.ndarray) -> "DenseGraph":
        sizes = np.bincount(labels)
        matrix = contract_dense(self.matrix, labels, sizes.size)
        matrix -= self.threshold * np.outer(sizes, sizes)
        np.fill_diagonal(matrix, 0.0)
        return DenseGraph(matrix)

    def part(self, nodes: np.ndarray) -> "DenseGraph":
        return DenseGraph(np.ascontiguousarray(self.matrix[np.ix_(nodes, nodes)]), self.threshold)

    def greedy_parents(self) -> np.ndarray:
        return contract_greedily(self.matrix.copy(), self.threshold)

    def move_pass(self, labels: np.ndarray, order: np.ndarray, tolerance: float) -> int:
        return move_dense(self.matrix, self.threshold, labels, order, tolerance)


@dataclass(frozen=True)
class SparseGraph(Graph):
    """A signed graph in symmetric compressed rows without a diagonal. Absent pairs weigh 0; pairs are stored twice.

    Attributes:
        indptr: int64 (n + 1,), row starts.
        indices: int32 (m,), columns, sorted in each row.
        data: float64 (m,), weights.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray

    proves_first = True
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
        return largest if largest != 0 else 1.0

    @cached_property
    def whole(self) -> bool:
        return self.scale * self.indices.size < _EXACT and all_whole(self.data)

    def cost(self, labels: np.ndarray) -> float:
        return sparse_disagreement(self.indptr, self.indices, self.data, np.ascontiguousarray(labels, dtype=np.int64))

    def contract(self, labels: np.ndarray) -> "SparseGraph":
        k = int(labels.max()) + 1 if labels.size else 0
        indptr, indices, data, _, _ = contract_sparse(self.indptr, self.indices, self.data, labels, k)
        return SparseGraph(indptr, indices, data)

    def part(self, nodes: np.ndarray) -> "SparseGraph":
        return sparse_graph(self.rows()[nodes][:, nodes])

    def weights(self) -> np.ndarray:
        weights: np.ndarray = self.rows().toarray()
        return weights

    def as_sparse(self) -> "SparseGraph":
        return self

    def fastest_form(self) -> "SparseGraph | DenseGraph":
        """The graph with its full matrix if it is small and dense enough; otherwise the graph itself."""
        full = self.entries >= _FULL * self.n**2 or self.n <= _ALWAYS_FULL
        return self.filled() if self.n <= _FILL_UP_TO and full else self

    def rows(self) -> sparse.csr_array:
        """The weights as a SciPy array (n, n). It shares memory with the graph and must not be written to."""
        return sparse.csr_array((self.data, self.indices, self.indptr), shape=(self.n, self.n))

    def greedy_parents(self) -> np.ndarray:
        return contract_greedily_sparse(self.indptr, self.indices, self.data)

    def move_pass(self, labels: np.ndarray, order: np.ndarray, tolerance: float) -> int:
        return move_sparse(self.indptr, self.indices, self.data, labels, order, tolerance)


def sparse_graph(rows: sparse.csr_array) -> SparseGraph:
    """The graph given by symmetric compressed rows without a diagonal."""
    rows.sort_indices()
    return SparseGraph(
        rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False), rows.data.astype(float, copy=False)
    )


def canonical_labels(labels: np.ndarray) -> np.ndarray:
    """The same clusters with labels 0..k-1 in the order of their first members, int64 (n,)."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse.reshape(-1)]


def common_refinement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Common refinement: nodes are together if both clusterings put them together; canonical labels int64 (n,)."""
    return canonical_labels(first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second)
