"""Sums over clusters of vectors: what a complete graph of inner products needs of its pairs, in O(n d) memory.

The weight between a node and a cluster is <x_i, S_c> - threshold m_i m_c with S_c the sum of the cluster's vectors and
m its mass, so moves, joins and the weight inside clusters need no pair. The attractive weight of all pairs, which
turns that into a cost, takes one pass over the pairs in blocks.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import Graph, SparseGraph
from telescope_transformer.errors import SolverError

# Rows of a block of products: 128 MB in float64.
_BLOCK = 4_096
# A node sees the clusters of its nearest neighbours, and so many of the largest.
_LARGEST = 512


@njit(cache=True, nogil=True)
def _positive_sum(products, threshold, diagonal):
    """Sum of what exceeds the threshold; only below the diagonal where the block lies on it."""
    total = 0.0
    for i in range(products.shape[0]):
        row = 0.0
        for j in range(i if diagonal else products.shape[1]):
            row += max(np.float64(products[i, j]) - threshold, 0.0)
        total += row
    return total


def attraction(vectors: np.ndarray, threshold: float) -> float:
    """Sum of <x_i, x_j> - threshold over the pairs of vectors (n, d) where it is positive; products in float32."""
    single = vectors.astype(np.float32)
    total = 0.0
    for first in range(0, single.shape[0], _BLOCK):
        block = single[first : first + _BLOCK]
        total += _positive_sum(block @ block.T, threshold, True) + attraction_between(block, single[:first], threshold)
    return total


def attraction_between(left: np.ndarray, right: np.ndarray, threshold: float) -> float:
    """The same over the pairs of one of the left (m, d) and one of the right (n, d)."""
    left, right = left.astype(np.float32, copy=False), right.astype(np.float32, copy=False)
    total = 0.0
    for first in range(0, left.shape[0], _BLOCK):
        for second in range(0, right.shape[0], _BLOCK):
            products = left[first : first + _BLOCK] @ right[second : second + _BLOCK].T
            total += _positive_sum(products, threshold, False)
    return total


@njit(cache=True, nogil=True)
def _disagreement_of_block(products, threshold, left_sizes, right_sizes, left, right, diagonal):
    """Cut attractive plus joined repulsive weight of a block of pairs; a sum of what is at least 0."""
    total = 0.0
    for i in range(products.shape[0]):
        row = 0.0
        for j in range(i if diagonal else products.shape[1]):
            weight = np.float64(products[i, j]) - threshold * left_sizes[i] * right_sizes[j]
            row += max(-weight, 0.0) if left[i] == right[j] else max(weight, 0.0)
        total += row
    return total


def disagreement(vectors: np.ndarray, sizes: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    """Cost of the clustering ``labels`` (n,) of the complete graph of the vectors (n, d), block by block.

    Products are summed in the vectors' own precision.
    """
    labels, total = np.ascontiguousarray(labels, dtype=np.int64), 0.0
    blocks = [slice(first, first + _BLOCK) for first in range(0, len(vectors), _BLOCK)]
    for place, one in enumerate(blocks):
        for other in blocks[: place + 1]:
            products = vectors[one] @ vectors[other].T
            total += _disagreement_of_block(
                products, threshold, sizes[one], sizes[other], labels[one], labels[other], one == other
            )
    return total


@njit(cache=True, nogil=True)
def cluster_sums(vectors, sizes, labels, k):
    """Sums of the vectors (k, d) and of the sizes (k,) of each cluster."""
    sums, mass = np.zeros((k, vectors.shape[1])), np.zeros(k)
    for i in range(labels.size):
        mass[labels[i]] += sizes[i]
        for p in range(vectors.shape[1]):
            sums[labels[i], p] += vectors[i, p]
    return sums, mass


def inside(vectors: np.ndarray, sizes: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    """Sum of the weights of the pairs inside clusters."""
    sums, mass = cluster_sums(vectors, sizes, labels, int(labels.max(initial=-1)) + 1)
    products = np.sum(sums**2) - np.sum(vectors**2, dtype=np.float64)
    return float(products - threshold * (np.sum(mass**2) - np.sum(sizes**2))) / 2


@njit(cache=True, nogil=True)
def _dot(first, second):
    total = 0.0
    for p in range(first.size):
        total += first[p] * second[p]
    return total


@njit(cache=True, nogil=True)
def _best_cluster(i, vectors, sizes, threshold, indptr, indices, labels, sums, mass, hint, seen):
    """Cluster of largest weight to node i other than its own, and that weight; -1 and 0 where none attracts."""
    own = labels[i]
    best, target = 0.0, -1
    for p in range(indptr[i] - 1, indptr[i + 1]):
        c = hint if p < indptr[i] else labels[indices[p]]
        if c < 0 or c == own or seen[c] == i:
            continue
        seen[c] = i
        gain = _dot(vectors[i], sums[c]) - threshold * sizes[i] * mass[c]
        if gain > best:
            best, target = gain, c
    return best, target


@njit(cache=True, nogil=True)
def _move(vectors, sizes, threshold, indptr, indices, labels, order, hints, state, height, tolerance):
    """Move the nodes of ``order`` one after the other to the best cluster in sight; returns how many moved.

    The first ``height`` labels of ``free`` are those that no node bears.
    """
    sums, mass, count, free = state
    seen = np.full(mass.size, -1, np.int64)
    moved = 0
    for place in range(order.size):
        i = order[place]
        own = labels[i]
        stay = _dot(vectors[i], sums[own]) - _dot(vectors[i], vectors[i])
        stay -= threshold * sizes[i] * (mass[own] - sizes[i])
        best, target = _best_cluster(
            i, vectors, sizes, threshold, indptr, indices, labels, sums, mass, hints[place], seen
        )
        if best <= stay + tolerance or (target < 0 and count[own] == 1):
            continue
        if target < 0:
            height -= 1
            target = free[height]
        count[own] -= 1
        mass[own] -= sizes[i]
        sums[own] -= vectors[i]
        if count[own] == 0:
            mass[own] = 0.0
            sums[own] = 0.0
            free[height] = own
            height += 1
        count[target] += 1
        mass[target] += sizes[i]
        sums[target] += vectors[i]
        labels[i] = target
        moved += 1
    return moved


def move_vectors(
    vectors: np.ndarray, sizes: np.ndarray, threshold: float, rows: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray, order: np.ndarray, tolerance: float,
) -> int:  # fmt: skip
    """Move the nodes of ``order`` greedily; returns how many moved. Writes ``labels`` (n,), which lie below n.

    ``rows`` (indptr, indices) names the neighbours of each node, whose clusters it may join; the best of the largest
    clusters by the matrix product of nodes with their sums is offered to it, too.
    """
    sums, mass = cluster_sums(vectors, sizes, labels, labels.size)
    count = np.bincount(labels, minlength=labels.size)
    largest = np.argsort(-count, kind="stable")[:_LARGEST]
    largest = largest[count[largest] > 1]
    hints = np.full(order.size, -1, dtype=np.int64)
    for first in range(0, order.size if largest.size else 0, _BLOCK):
        nodes = order[first : first + _BLOCK]
        weights = vectors[nodes] @ sums[largest].T - threshold * np.outer(sizes[nodes], mass[largest])
        weights[labels[nodes, None] == largest] = -np.inf
        hints[first : first + _BLOCK] = largest[weights.argmax(axis=1)]
    empty = np.flatnonzero(count == 0)[::-1]
    free = np.concatenate([empty, np.empty(labels.size - empty.size, dtype=np.int64)])
    state = (sums, mass, count, free)
    return _move(vectors, sizes, threshold, *rows, labels, order, hints, state, empty.size, tolerance)


@dataclass(frozen=True)
class VectorGraph(Graph):
    """A complete signed graph without a matrix: pair (i, j) weighs <x_i, x_j> - threshold * sizes[i] * sizes[j].

    ``vectors`` (n, d) are float64; ``near`` names nodes that each node may join, and its weights count for nothing;
    ``sizes`` are as in `DenseGraph`. Memory is O(n d); the first cost takes O(n^2 d) time.
    """

    vectors: np.ndarray
    threshold: float
    near: SparseGraph
    sizes: np.ndarray = field(default=None)  # type: ignore[assignment, arg-type]

    scores_are_costs = False

    def __post_init__(self) -> None:
        if self.sizes is None:
            object.__setattr__(self, "sizes", np.ones(self.n))

    @property
    def n(self) -> int:
        return self.vectors.shape[0]

    @property
    def outside_pairs(self) -> str:
        return "all pairs are weighed; those of nearest neighbours prove the bound"

    @property
    def entries(self) -> int:
        return self.vectors.size + self.near.indices.size

    @cached_property
    def scale(self) -> float:
        """Bound of the largest absolute weight, less where sums are long; 1 where all are 0."""
        longest = float(np.einsum("ij,ij->i", self.vectors, self.vectors).max(initial=0.0))
        largest = longest + abs(self.threshold) * float(self.sizes.max(initial=0.0)) ** 2
        return largest if largest > 0 else 1.0

    def cost(self, labels: np.ndarray) -> float:
        """Disagreement of ``labels`` (n,) by one pass over all pairs, in O(n^2 d) time and O(n) memory."""
        return disagreement(self.vectors, self.sizes, self.threshold, labels)

    def score(self, labels: np.ndarray) -> float:
        """Less the weight inside clusters, by sums of vectors: the cost less the attractive weight of all pairs."""
        return -inside(self.vectors, self.sizes, self.threshold, labels)

    def weights(self) -> np.ndarray:
        weights = self.vectors @ self.vectors.T - self.threshold * np.outer(self.sizes, self.sizes)
        np.fill_diagonal(weights, 0.0)
        return weights

    def as_sparse(self) -> SparseGraph:
        """Raises :class:`SolverError`, since all pairs may be too many."""
        raise SolverError("links need the matrix of all pairs: raise memory_limit, or use pairs='neighbours'")

    def part(self, nodes: np.ndarray) -> "VectorGraph":
        return VectorGraph(self.vectors[nodes], self.threshold, self.near.part(nodes), self.sizes[nodes])

    def contract(self, labels: np.ndarray) -> "VectorGraph":
        sums, mass = cluster_sums(self.vectors, self.sizes, labels, int(labels.max(initial=-1)) + 1)
        return VectorGraph(sums, self.threshold, self.near.contract(labels), mass)

    def greedy_parents(self) -> np.ndarray:
        """Only the pairs of nearest neighbours are contracted."""
        return self.near.greedy_parents()

    def move_pass(
        self, labels: np.ndarray, order: np.ndarray, tolerance: float, slack: np.ndarray, tracks: bool
    ) -> int:
        rows = (self.near.indptr, self.near.indices)
        return move_vectors(self.vectors, self.sizes, self.threshold, rows, labels, order, tolerance)
