"""Reduction of a signed graph to hard blocks without loss of optimality.

Three rules are applied until none of them helps:

- Some optimum cuts all edges between parts that no path of attractive edges connects, and does so at no cost. These
  edges are dropped.
- A node i is together with its neighbour j in some optimum if w_ij is at least the sum of |w_ik| over its other
  neighbours k: if they were apart, moving i to j would not cost more (Lange, Karrenbauer and Andres, *Partial
  optimality and fast lower bounds for weighted correlation clustering*, ICML 2018).
- Two nodes are together in every optimum if 2 w_ij exceeds the sum of |w_ik - w_jk| over all others: if they were
  apart, moving i to j or j to i would gain. The same holds if w_ij exceeds the cost of any known clustering.

The second rule shrinks sparse graphs, and the third one complete graphs: without the second, 5,785 of 5,878 nodes of
the network bitcoin_otc are left instead of 2,779; without the third, 563 of 600 embeddings (kind a, threshold 0.5)
instead of 228.

Nodes that are together are contracted. The remaining graph is split into biconnected blocks. Every cycle lies within
one block, and therefore so does every cycle inequality (Chopra and Rao, *The partition problem*, 1993).

Weights of contracted edges are rounded sums. Their rounding errors are added up (`drift`), and the bound of the whole
graph is lowered by this total.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.components import (
    attractive_components,
    biconnected_blocks,
    find,
    join,
    roots,
)
from telescope_transformer.correlation_clustering.graph import Graph, SparseGraph, canonical_labels
from telescope_transformer.correlation_clustering.graph_kernels import EPSILON, contract_sparse
from telescope_transformer.correlation_clustering.solution import sum_of_bounds

CompressedRows = tuple[np.ndarray, np.ndarray, np.ndarray]

# On large graphs, a round that contracts less than this share of the nodes counts as unsuccessful, because each round
# costs a pass over all edges. On three sparse graphs of up to 4,000 nodes, 0, 0.002 and 0.05 gave the same bounds.
_LEAST_CONTRACTED = 0.002
# Up to this many entries, every round is worth a pass over all edges. A pass over 200,000 entries takes about a
# millisecond.
_SMALL = 200_000
# The repulsion of an edge is limited to this multiple of the total attraction of its less attracted end. With a
# multiple above 1, every optimum still cuts the edge. The limit keeps huge weights from affecting the smoothing and
# the tolerances. The bitcoin_alpha network is proved optimal in 0.24 s with 4 or 100; with 1.01, rounding leaves a gap
# of 1e-9.
_CLAMP = 4.0


@compiled()
def _drop_and_clamp(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    component: np.ndarray,
    kept_indices: np.ndarray,
    kept_data: np.ndarray,
) -> CompressedRows:
    """Drop edges between components, and limit huge repulsion.

    Args:
        indptr: rows of the graph.
        indices: columns.
        data: weights.
        component: (n,), part of each node.
        kept_indices, kept_data: output, of the size of the graph; may be its own columns and weights.

    Returns:
        Compressed rows of the new graph.
    """
    n = indptr.size - 1
    attraction = np.zeros(n)
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            attraction[i] += max(data[p], 0.0)
    kept_indptr = np.zeros(n + 1, np.int64)
    used = 0
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if component[i] == component[j] and data[p] != 0.0:
                kept_indices[used] = j
                kept_data[used] = max(data[p], -_CLAMP * min(attraction[i], attraction[j]))
                used += 1
        kept_indptr[i + 1] = used
    return kept_indptr, kept_indices[:used], kept_data[:used]


@compiled()
def _leaf_joins(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, parent: np.ndarray, exact: bool) -> int:
    """Join nodes that have one edge which weighs at least as much as all their other edges; returns how many.

    If sums of weights are not ``exact``, the edge must exceed the sum by its largest rounding error.
    A node to which another node was joined in this pass is skipped, because its edges have changed. It does not matter
    whether the node at the other end of the heaviest edge has been joined to others: |a + b| <= |a| + |b|.
    """
    touched = np.zeros(parent.size, np.bool_)
    joined = 0
    for i in range(parent.size):
        if touched[i]:
            continue
        strength, heaviest, mate = 0.0, 0.0, -1
        for p in range(indptr[i], indptr[i + 1]):
            strength += abs(data[p])
            if data[p] > heaviest:
                heaviest, mate = data[p], indices[p]
        if mate < 0:
            continue
        others = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] != mate:
                others += abs(data[p])
        if not exact:
            others *= 1.0 + (indptr[i + 1] - indptr[i]) * EPSILON
        if heaviest >= others:
            touched[i] = touched[mate] = True
            join(parent, i, mate)
            joined += 1
    return joined


@compiled()
def _twins(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, i: int, j: int, weight: float) -> bool:
    """Whether twice the weight of pair (i, j) exceeds the sum of |w_ik - w_jk|, with a margin for rounding."""
    terms = indptr[i + 1] - indptr[i] + indptr[j + 1] - indptr[j]
    limit = 2.0 * weight * (1.0 - 2.0 * terms * EPSILON)
    p, q, total = indptr[i], indptr[j], 0.0
    while p < indptr[i + 1] or q < indptr[j + 1]:
        a = indices[p] if p < indptr[i + 1] else np.int64(indptr.size)
        b = indices[q] if q < indptr[j + 1] else np.int64(indptr.size)
        if a < b:
            total += abs(data[p]) if a != j else 0.0
            p += 1
        elif b < a:
            total += abs(data[q]) if b != i else 0.0
            q += 1
        else:
            total += abs(data[p] - data[q])
            p += 1
            q += 1
        if total >= limit:
            return False
    return True


@compiled()
def _certain_joins(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, parent: np.ndarray, most: float) -> int:
    """Join pairs that are together in every optimum: twins, and pairs that weigh more than ``most``.

    Returns how many pairs were joined.
    """
    strength = np.zeros(parent.size)
    for i in range(parent.size):
        for p in range(indptr[i], indptr[i + 1]):
            strength[i] += abs(data[p])
    joined = 0
    for i in range(parent.size):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j > i or data[p] <= 0 or find(parent, i) == find(parent, j):
                continue
            # The sum of |w_ik - w_jk| is at least the difference of the strengths. Without this comparison, each edge
            # of a hub takes a pass over all of them.
            similar = abs(strength[i] - strength[j]) < 2.0 * data[p]
            if data[p] > most or (similar and _twins(indptr, indices, data, i, j, data[p])):
                join(parent, i, j)
                joined += 1
    return joined


@dataclass
class Reduction:
    """The graph that is left after contraction.

    The cost of any clustering of the original graph is at least ``offset`` + its cost in ``graph`` - ``drift``. The
    best clustering that the contraction allows costs no more than any clustering that it excludes.

    Attributes:
        graph: the contracted graph.
        pieces: int64 (n,), the node of ``graph`` into which each original node was contracted.
        offset: cost that every clustering pays for the contracted edges.
        drift: sum of the rounding errors of the contracted weights.
    """

    graph: SparseGraph
    pieces: np.ndarray
    offset: float = 0.0
    drift: float = 0.0
    _parent: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def hard_blocks(self) -> list[tuple[np.ndarray, SparseGraph]]:
        """The blocks with both attraction and repulsion, small ones first.

        In all other blocks, joining the attractive pairs costs nothing.

        Returns:
            For each block, its nodes in ``graph`` and the graph among them.
        """
        graph = self.graph
        block, count = biconnected_blocks(graph.indptr, graph.indices)
        is_hard = np.zeros(count, dtype=bool)
        is_hard[block[graph.data < 0]] = True
        if count == 1 and is_hard.all() and np.diff(graph.indptr).all():
            # The rest takes longer than the search for blocks: 0.3 s for 2,000 nodes with all pairs.
            return [(np.arange(graph.n), graph)]
        owners = np.repeat(np.arange(graph.n, dtype=np.int32), np.diff(graph.indptr))
        easy = ~is_hard[block] & (graph.data > 0)
        _join_all(owners[easy], graph.indices[easy], self._parent)
        hard = np.flatnonzero(is_hard)
        order = np.argsort(block, kind="stable")
        starts = np.searchsorted(block[order], np.arange(count + 1))
        found = [_block(owners, graph, order[starts[b] : starts[b + 1]]) for b in hard]
        return sorted(found, key=lambda part: part[1].indices.size)

    def bound(self, bounds: Iterable[float]) -> float:
        """Lower bound of the cost in the original graph, from those of separate parts of ``graph``."""
        return max(0.0, sum_of_bounds(bounds, self.offset, -self.drift))

    def combined(self, solved: Iterable[tuple[np.ndarray, SparseGraph, np.ndarray]]) -> np.ndarray:
        """Combine clusterings of `hard_blocks` into one of the original graph.

        Args:
            solved: the nodes, graph and labels of each block.

        Returns:
            Canonical labels int64 (n,).
        """
        parent = self._parent.copy()
        for nodes, graph, labels in solved:
            rows = np.repeat(np.arange(graph.n, dtype=np.int32), np.diff(graph.indptr))
            same = labels[rows] == labels[graph.indices]
            _join_all(nodes[rows[same]], nodes[graph.indices[same]], parent)
        return canonical_labels(roots(parent)[self.pieces])


@compiled()
def _join_all(left: np.ndarray, right: np.ndarray, parent: np.ndarray) -> None:
    """Join pairs of nodes."""
    for p in range(left.size):
        join(parent, left[p], right[p])


def _block(owners: np.ndarray, graph: SparseGraph, entries: np.ndarray) -> tuple[np.ndarray, SparseGraph]:
    """Nodes of a block and the graph among them.

    Args:
        owners: row of each entry of the graph.
        graph: the graph.
        entries: entries of the block, in the order of the rows.
    """
    nodes, counts = np.unique(owners[entries], return_counts=True)
    indices = np.searchsorted(nodes, graph.indices[entries]).astype(np.int32)
    return nodes, SparseGraph(offsets_of(counts), indices, graph.data[entries])


def contracted(graph: SparseGraph, labels: np.ndarray) -> Reduction:
    """Contract each cluster to a node.

    Args:
        graph: the graph.
        labels: int64 (n,), clusters 0..k-1.
    """
    *rows, offset, drift = contract_sparse(
        graph.indptr, graph.indices, graph.data, labels, int(labels.max(initial=-1)) + 1
    )
    return Reduction(SparseGraph(*rows), labels, offset, drift)


def rounding_of(graph: SparseGraph) -> float:
    """Relative error of a sum of terms that are at least 0, taken over each row of a graph and then over the rows."""
    return 2.0 * (graph.n + int(np.diff(graph.indptr).max(initial=0)) + 8) * EPSILON


def _clamped(graph: SparseGraph, in_place: bool) -> SparseGraph:
    """The graph without edges between components, and with huge repulsion limited."""
    rows = (graph.indptr, graph.indices, graph.data)
    kept = rows[1:] if in_place else (np.empty_like(graph.indices), np.empty_like(graph.data))
    return SparseGraph(*_drop_and_clamp(*rows, attractive_components(*rows), *kept))


def reduce_graph(given: Graph, known_cost: float = np.inf) -> Reduction:
    """Contract pairs that are together in some optimum, and drop edges that are cut at no cost.

    Args:
        given: the graph.
        known_cost: cost of any known clustering; the lower it is, the more can be contracted.
    """
    found = Reduction(given.as_sparse(), np.arange(given.n))
    # With all pairs, copies would take most of the memory.
    own = found.graph is not given
    rounding = rounding_of(found.graph)
    most = known_cost * (1.0 + rounding)
    # The two rules take turns and never run on the same graph. If there are several optima, one rule may pick a pair
    # that is together only in some of them, which can contradict the other rule.
    rule, barren = 0, 0
    while barren < 2 and given.n:
        graph = found.graph = _clamped(found.graph, own)
        own = True
        parent = np.arange(graph.n)
        rows = (graph.indptr, graph.indices, graph.data)
        joined = _certain_joins(*rows, parent, most + found.drift) if rule else _leaf_joins(*rows, parent, graph.whole)
        rule = 1 - rule
        few = 0 if graph.indices.size <= _SMALL else _LEAST_CONTRACTED * graph.n
        barren = barren + 1 if joined <= few else 0
        if joined:
            step = contracted(graph, canonical_labels(roots(parent)))
            found.drift += step.drift
            found.offset += step.offset
            found.pieces = step.pieces[found.pieces]
            found.graph = graph = step.graph
    found.graph = _clamped(found.graph, own)
    found._parent = np.arange(found.graph.n)
    found.drift = found.drift * (1.0 + rounding) + found.offset * rounding
    return found
