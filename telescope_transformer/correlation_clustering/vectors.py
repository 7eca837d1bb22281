"""Complete graphs of inner products without a matrix. Solvers use sums over clusters, which take O(n d) memory.

The weight between a node and a cluster is <x_i, S_c> - threshold m_i m_c, where S_c is the sum of the cluster's
vectors and m is the mass, the sum of sizes. Moves, joins and the weight inside clusters can therefore be computed
without looking at pairs. Only the attractive weight of all pairs, which turns a score into a cost, needs one pass over
the pairs in blocks.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph import Graph, SparseGraph
from telescope_transformer.correlation_clustering.graph_kernels import EPSILON, dense_disagreement, dot
from telescope_transformer.correlation_clustering.search.greedy_sparse import contract_greedily_sparse
from telescope_transformer.correlation_clustering.search.moves import free_labels, relabel
from telescope_transformer.errors import SolverError

# Number of rows of a block of products: 128 MB in float64.
_BLOCK = 4_096


def _blocks(n: int) -> list[slice]:
    """Split n rows into blocks."""
    return [slice(first, first + _BLOCK) for first in range(0, n, _BLOCK)]


def disagreement(vectors: np.ndarray, sizes: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    """Cost of a clustering of the complete graph of the vectors, block by block.

    Products are summed in the precision of the vectors.

    Args:
        vectors: (n, d).
        sizes: float64 (n,), see `VectorGraph`.
        threshold: see `DenseGraph`.
        labels: (n,) integers.
    """
    labels, total = np.ascontiguousarray(labels, dtype=np.int64), 0.0
    blocks = _blocks(len(vectors))
    for place, one in enumerate(blocks):
        for other in blocks[: place + 1]:
            products = vectors[one] @ vectors[other].T
            total += dense_disagreement(
                products, threshold, sizes[one], sizes[other], labels[one], labels[other], one == other
            )
    return total


def attraction(vectors: np.ndarray, threshold: float) -> float:
    """Sum of <x_i, x_j> - threshold over the pairs for which it is positive. Products are computed in float32.

    Args:
        vectors: (n, d).
        threshold: inner product at which a pair neither attracts nor repels.
    """
    # A clustering of single nodes cuts every attractive pair and joins no pair.
    return disagreement(vectors.astype(np.float32), np.ones(len(vectors)), threshold, np.arange(len(vectors)))


def attraction_between(left: np.ndarray, right: np.ndarray, threshold: float) -> float:
    """The same sum as `attraction`, over the pairs of a vector of ``left`` (m, d) and a vector of ``right`` (n, d)."""
    left, right, total = left.astype(np.float32, copy=False), right.astype(np.float32, copy=False), 0.0
    for one in _blocks(len(left)):
        for other in _blocks(len(right)):
            products = (left[one] @ right[other].T).astype(np.float64)
            total += float(np.maximum(products - threshold, 0.0).sum())
    return total


@compiled()
def cluster_sums(vectors: np.ndarray, sizes: np.ndarray, labels: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the vectors, float64 (k, d), and of the sizes, float64 (k,), of each cluster."""
    sums, mass = np.zeros((k, vectors.shape[1])), np.zeros(k)
    for i in range(labels.size):
        mass[labels[i]] += sizes[i]
        for p in range(vectors.shape[1]):
            sums[labels[i], p] += vectors[i, p]
    return sums, mass


def inside(vectors: np.ndarray, sizes: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    """Sum of the weights of the pairs inside clusters.

    Args:
        vectors: (n, d).
        sizes: float64 (n,), see `VectorGraph`.
        threshold: see `DenseGraph`.
        labels: int64 (n,), clusters 0..k-1.
    """
    sums, mass = cluster_sums(vectors, sizes, labels, int(labels.max(initial=-1)) + 1)
    products = np.sum(sums**2) - np.einsum("ij,ij->", vectors, vectors, dtype=np.float64)
    return float(products - threshold * (np.sum(mass**2) - np.sum(sizes**2))) / 2


@compiled()
def _weights_towards_zero(
    vectors: np.ndarray, sizes: np.ndarray, threshold: float, indptr: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    """Weights of the entries of compressed rows, moved towards 0 by their largest rounding error.

    The error of an inner product is below d units of rounding of the product of the two lengths (Higham 2002, section
    3.1); machine epsilon is two units.
    """
    n, d = vectors.shape
    lengths = np.empty(n)
    for i in range(n):
        lengths[i] = np.sqrt(dot(vectors[i], vectors[i]))
    data = np.empty(indices.size)
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            penalty = threshold * sizes[i] * sizes[j]
            weight = dot(vectors[i], vectors[j]) - penalty
            error = EPSILON * ((d + 4) * lengths[i] * lengths[j] + 4.0 * abs(penalty))
            data[p] = np.sign(weight) * max(abs(weight) - error, 0.0)
    return data


@compiled()
def move_vectors(
    vectors: np.ndarray,
    sizes: np.ndarray,
    threshold: float,
    indptr: np.ndarray,
    indices: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    tolerance: float,
) -> int:
    """Move nodes to the best cluster of their neighbours, see `Graph.move_pass`.

    Args:
        vectors: float64 (n, d).
        sizes: float64 (n,).
        threshold: see `DenseGraph`.
        indptr: rows of the neighbour graph.
        indices: its columns.
        labels: see `Graph.move_pass`.
        order: see `Graph.move_pass`.
        tolerance: see `Graph.move_pass`.
    """
    sums, mass = cluster_sums(vectors, sizes, labels, labels.size)
    count = np.bincount(labels, minlength=labels.size)
    free, height = free_labels(count)
    seen = np.full(mass.size, -1, np.int64)
    moved = 0
    for i in order:
        own = labels[i]
        stay = dot(vectors[i], sums[own]) - dot(vectors[i], vectors[i])
        stay -= threshold * sizes[i] * (mass[own] - sizes[i])
        best, target = 0.0, -1
        for j in indices[indptr[i] : indptr[i + 1]]:
            c = labels[j]
            if c == own or seen[c] == i:
                continue
            seen[c] = i
            gain = dot(vectors[i], sums[c]) - threshold * sizes[i] * mass[c]
            if gain > best:
                best, target = gain, c
        if best <= stay + tolerance or (target < 0 and count[own] == 1):
            continue
        target, height = relabel(i, target, labels, count, free, height)
        mass[own] -= sizes[i]
        sums[own] -= vectors[i]
        if count[own] == 0:
            mass[own] = 0.0
            sums[own] = 0.0
        mass[target] += sizes[i]
        sums[target] += vectors[i]
        moved += 1
    return moved


@dataclass(frozen=True)
class VectorGraph(Graph):
    """A complete signed graph without a matrix: pair (i, j) weighs <x_i, x_j> - threshold * sizes[i] * sizes[j].

    It takes O(n d) memory. Computing the first cost takes O(n^2 d) time.

    Attributes:
        vectors: (n, d), converted to float64.
        threshold: inner product at which a pair neither attracts nor repels.
        near: neighbour graph; each node may join the clusters of its neighbours. Its weights are only used by GAEC.
        sizes: float64 (n,), number of original nodes of each node; 1 by default.
    """

    vectors: np.ndarray
    threshold: float
    near: SparseGraph
    sizes: np.ndarray = field(default=None)  # type: ignore[arg-type]

    scores_are_costs = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", np.ascontiguousarray(self.vectors, dtype=np.float64))
        if self.sizes is None:
            object.__setattr__(self, "sizes", np.ones(self.n))

    @property
    def n(self) -> int:
        return len(self.vectors)

    @property
    def outside_pairs(self) -> str:
        return "all pairs are weighed; those of nearest neighbours prove the bound"

    @property
    def entries(self) -> int:
        return self.vectors.size + self.near.indices.size

    @cached_property
    def scale(self) -> float:
        """An upper bound of the largest absolute weight; 1 if all are 0."""
        longest = float(np.einsum("ij,ij->i", self.vectors, self.vectors).max(initial=0.0))
        largest = longest + abs(self.threshold) * float(self.sizes.max(initial=0.0)) ** 2
        return largest if largest != 0 else 1.0

    @cached_property
    def largest_sum(self) -> float:  # type: ignore[override]
        """What `inside` subtracts: the squared lengths of all vectors, and the penalties of their squared sizes."""
        return float(np.sum(self.vectors**2) + abs(self.threshold) * np.sum(self.sizes**2))

    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of ``labels`` (n,), by one pass over all pairs in O(n^2 d) time and O(n) memory."""
        return disagreement(self.vectors, self.sizes, self.threshold, labels)

    def score(self, labels: np.ndarray) -> float:
        """The cost minus the attractive weight of all pairs. This is minus the weight inside clusters."""
        return -inside(self.vectors, self.sizes, self.threshold, labels)

    def nearest_pairs(self) -> SparseGraph:
        """The graph of nearest neighbours with weights that are at most as large as the exact ones.

        No clustering costs more in it than in this graph. The weights of ``near`` are not exact enough for that: they
        are float32, and after a contraction they lack the pairs that are not neighbours.
        """
        indptr, indices = self.near.indptr, self.near.indices
        data = _weights_towards_zero(self.vectors, self.sizes, self.threshold, indptr, indices)
        return SparseGraph(indptr, indices, data)

    def weights(self) -> np.ndarray:
        weights: np.ndarray = self.vectors @ self.vectors.T - self.threshold * np.outer(self.sizes, self.sizes)
        np.fill_diagonal(weights, 0.0)
        return weights

    def as_sparse(self) -> SparseGraph:
        """Always fails, because there may be too many pairs.

        Raises:
            SolverError: always.
        """
        raise SolverError("links need the matrix of all pairs: raise memory_limit, or use pairs='neighbours'")

    def part(self, nodes: np.ndarray) -> "VectorGraph":
        return VectorGraph(self.vectors[nodes], self.threshold, self.near.part(nodes), self.sizes[nodes])

    def contract(self, labels: np.ndarray) -> "VectorGraph":
        sums, mass = cluster_sums(self.vectors, self.sizes, labels, int(labels.max(initial=-1)) + 1)
        return VectorGraph(sums, self.threshold, self.near.contract(labels), mass)

    def greedy_parents(self) -> np.ndarray:
        """Contract pairs of nearest neighbours if the weights of all pairs between the two clusters allow it."""
        near = self.near
        return contract_greedily_sparse(
            near.indptr, near.indices, near.data, (self.vectors.copy(), self.sizes.copy()), self.threshold
        )

    def move_pass(self, labels: np.ndarray, order: np.ndarray, tolerance: float) -> int:
        near = self.near
        return move_vectors(
            self.vectors, self.sizes, self.threshold, near.indptr, near.indices, labels, order, tolerance
        )
