"""Reduction of a signed graph to hard kernels without loss of optimality.

Edges between parts that no path of attractive edges connects are cut in some optimum at no cost, so they are dropped.
A node i is with its neighbour j in some optimum if w_ij is at least the sum of |w_ik| over its other neighbours k:
were they apart, moving i to j would not lose (Lange, Karrenbauer and Andres, *Partial optimality and fast lower bounds
for weighted correlation clustering*, ICML 2018). Two nodes are together in every optimum if 2 w_ij exceeds the sum of
|w_ik - w_jk|: were they apart, moving i to j or j to i would gain. So they are if w_ij exceeds the cost of any
clustering that is known. Such pairs are contracted until there are none. What is left falls apart into biconnected
blocks: every cycle lies within one, and so do the cycle inequalities (Chopra and Rao, *The partition problem*, 1993).

Weights of contracted edges are sums, which are rounded. What rounding takes is added up exactly (`drift`), and the
bound of the whole is lowered by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numba import njit

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.forest import attractive_components, find, join, roots
from telescope_transformer.correlation_clustering.graph import SparseGraph, canonical_labels

EPSILON = float(np.finfo(np.float64).eps)
# Rounds end when one contracts fewer nodes than this share: each costs a pass over all edges.
_LEAST_CONTRACTED = 0.002
# Edges up to which every round is worth its pass.
_SMALL = 200_000
# Repulsion beyond so many times the attraction of a node is clamped to it: it is cut in every optimum either way, and
# smoothing and tolerances are not to see how huge it was.
_CLAMP = 4.0


@njit(cache=True, nogil=True)
def _drop_and_clamp(indptr, indices, data, component, clamp):
    """The graph without edges between components, and with huge repulsion clamped; new arrays."""
    n = indptr.size - 1
    attraction = np.zeros(n)
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            attraction[i] += max(data[p], 0.0)
    kept_indptr = np.zeros(n + 1, np.int64)
    kept_indices, kept_data = np.empty_like(indices), np.empty_like(data)
    used = 0
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if component[i] == component[j] and data[p] != 0.0:
                kept_indices[used] = j
                kept_data[used] = max(data[p], -clamp * min(attraction[i], attraction[j]))
                used += 1
        kept_indptr[i + 1] = used
    return kept_indptr, kept_indices[:used].copy(), kept_data[:used].copy()


@njit(cache=True, nogil=True)
def _leaf_joins(indptr, indices, data, parent):
    """Join nodes one of whose edges weighs as much as all their others; returns how many.

    A node that others were joined to in this pass is passed over: its own edges have changed. That the node at the
    other end of its heaviest edge has been joined to others does not matter: |a + b| <= |a| + |b|.
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
        safe = others * (1.0 + (indptr[i + 1] - indptr[i]) * EPSILON)
        if heaviest >= safe or (heaviest >= others and _whole(indptr, data, i)):
            touched[i] = touched[mate] = True
            join(parent, i, mate)
            joined += 1
    return joined


@njit(cache=True, nogil=True)
def _whole(indptr, data, i):
    """Whether the weights of node i are whole numbers, whose sums are exact."""
    for p in range(indptr[i], indptr[i + 1]):
        if data[p] != np.floor(data[p]) or abs(data[p]) > 1e9:
            return False
    return True


@njit(cache=True, nogil=True)
def _twins(indptr, indices, data, i, j, weight):
    """Whether twice the weight of i and j exceeds the sum of |w_ik - w_jk|; stops once it cannot."""
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


@njit(cache=True, nogil=True)
def _certain_joins(indptr, indices, data, parent, most):
    """Join pairs that are together in every optimum: twins, and those of more than ``most``. Returns how many."""
    joined = 0
    for i in range(parent.size):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j > i or data[p] <= 0 or find(parent, i) == find(parent, j):
                continue
            if data[p] > most or _twins(indptr, indices, data, i, j, data[p]):
                join(parent, i, j)
                joined += 1
    return joined


@njit(cache=True, nogil=True)
def _contract(indptr, indices, data, labels, k):
    """Rows of the contracted graph, the cost that contraction settles, and what rounding took from its weights.

    Where attractive and repulsive edges become one, any clustering pays for the lesser of the two; so it does for
    repulsion inside a contracted node.
    """
    members = np.argsort(labels, kind="mergesort")
    sums, attraction, repulsion, lost = np.zeros(k), np.zeros(k), np.zeros(k), np.zeros(k)
    seen = np.full(k, -1, np.int64)
    small_indptr = np.zeros(k + 1, np.int64)
    small_indices, small_data = np.empty(indices.size, np.int32), np.empty(indices.size)
    used, place, offset, drift = 0, 0, 0.0, 0.0
    for c in range(k):
        start, settled = used, 0.0
        while place < members.size and labels[members[place]] == c:
            i = members[place]
            place += 1
            for p in range(indptr[i], indptr[i + 1]):
                b = labels[indices[p]]
                if b == c:
                    # Each pair inside comes up twice.
                    settled += 0.5 * max(-data[p], 0.0)
                    continue
                if seen[b] != c:
                    seen[b] = c
                    sums[b] = attraction[b] = repulsion[b] = lost[b] = 0.0
                    small_indices[used] = b
                    used += 1
                after = sums[b] + data[p]
                part = after - sums[b]
                lost[b] += abs((sums[b] - (after - part)) + (data[p] - part))
                sums[b] = after
                attraction[b] += max(data[p], 0.0)
                repulsion[b] += max(-data[p], 0.0)
        small_indices[start:used].sort()
        for p in range(start, used):
            b = small_indices[p]
            small_data[p] = sums[b]
            if b < c:
                settled += min(attraction[b], repulsion[b])
                drift += lost[b]
        offset += settled
        small_indptr[c + 1] = used
    return small_indptr, small_indices[:used].copy(), small_data[:used].copy(), offset, drift


@njit(cache=True, nogil=True)
def _symmetric(indptr, indices, data):
    """Copy the lower triangle to the upper one, whose sums were rounded in another order."""
    seen = indptr[:-1].copy()
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j < i:
                while indices[seen[j]] != i:
                    seen[j] += 1
                data[seen[j]] = data[p]


@njit(cache=True, nogil=True)
def _blocks(indptr, indices):
    """Number of the biconnected block of each entry of the rows, and how many there are.

    Depth-first search with low points, without recursion (Hopcroft and Tarjan, *Algorithm 447*, 1973).
    """
    n = indptr.size - 1
    block = np.full(indices.size, -1, np.int32)
    depth, low = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    above, entry, next_entry = np.full(n, -1, np.int64), np.full(n, -1, np.int64), indptr[:-1].copy()
    stack = np.empty(indices.size // 2, np.int64)
    height, count = 0, 0
    for root in range(n):
        if depth[root] >= 0:
            continue
        depth[root] = 0
        v = root
        while v >= 0:
            if next_entry[v] < indptr[v + 1]:
                p = next_entry[v]
                next_entry[v] += 1
                u = indices[p]
                if depth[u] < 0:
                    stack[height] = p
                    height += 1
                    depth[u] = low[u] = depth[v] + 1
                    above[u], entry[u] = v, p
                    v = u
                elif depth[u] < depth[v] and u != above[v]:
                    stack[height] = p
                    height += 1
                    low[v] = min(low[v], depth[u])
                continue
            # A block ends where nothing below v reaches above its parent.
            w = above[v]
            if w >= 0:
                low[w] = min(low[w], low[v])
                if low[v] >= depth[w]:
                    while block[entry[v]] < 0:
                        height -= 1
                        block[stack[height]] = count
                    count += 1
            v = w
    seen = indptr[:-1].copy()
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j < i:
                while indices[seen[j]] != i:
                    seen[j] += 1
                block[p] = block[seen[j]] = max(block[p], block[seen[j]])
    return block, count


@njit(cache=True, nogil=True)
def _join_uncut(nodes, indptr, indices, labels, parent):
    """Join nodes of a kernel that it leaves together along an edge."""
    for i in range(nodes.size):
        for p in range(indptr[i], indptr[i + 1]):
            if labels[i] == labels[indices[p]]:
                join(parent, nodes[i], nodes[indices[p]])


@dataclass
class Reduction:
    """What is left of a graph.

    ``graph`` has the node that each original node went into in ``pieces`` (n,); the cost of a clustering of the
    original is at least ``offset`` + its cost in ``graph`` - ``drift``, and no clustering that contraction excluded
    costs less than the best of those that are left.
    """

    graph: SparseGraph
    pieces: np.ndarray
    offset: float = 0.0
    drift: float = 0.0
    _easy: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def kernels(self) -> list[tuple[np.ndarray, SparseGraph]]:
        """Nodes of ``graph`` and the graph among them, of each block with attraction and repulsion; small ones first.

        Everywhere else nothing disagrees with joining what attracts.
        """
        graph = self.graph
        block, count = _blocks(graph.indptr, graph.indices)
        owners = np.repeat(np.arange(graph.n, dtype=np.int32), np.diff(graph.indptr))
        hard = np.flatnonzero(np.bincount(block, graph.data < 0, count) > 0)
        self._easy = ~np.isin(block, hard)
        order = np.argsort(block, kind="stable")
        starts = np.searchsorted(block[order], np.arange(count + 1))
        found = [_kernel(owners, graph, order[starts[b] : starts[b + 1]]) for b in hard]
        return sorted(found, key=lambda kernel: kernel[1].indices.size)

    def combined(self, solved: Iterable[tuple[np.ndarray, SparseGraph, np.ndarray]]) -> np.ndarray:
        """Labels of the original nodes from those of `kernels`: (nodes, graph, labels) of each; canonical."""
        parent = np.arange(self.graph.n)
        for nodes, graph, labels in solved:
            _join_uncut(nodes, graph.indptr, graph.indices, labels, parent)
        owners = np.repeat(np.arange(self.graph.n), np.diff(self.graph.indptr))
        easy = self._easy & (self.graph.data > 0)
        _join_all(owners[easy], self.graph.indices[easy], parent)
        return canonical_labels(roots(parent)[self.pieces])


@njit(cache=True, nogil=True)
def _join_all(left, right, parent):
    for p in range(left.size):
        join(parent, left[p], right[p])


def _kernel(owners: np.ndarray, graph: SparseGraph, entries: np.ndarray) -> tuple[np.ndarray, SparseGraph]:
    """Nodes of a block and its graph, from its entries in the order of the rows."""
    nodes, counts = np.unique(owners[entries], return_counts=True)
    indices = np.searchsorted(nodes, graph.indices[entries]).astype(np.int32)
    return nodes, SparseGraph(offsets_of(counts), indices, graph.data[entries])


def contracted(graph: SparseGraph, labels: np.ndarray) -> Reduction:
    """The graph whose nodes are the clusters of ``labels`` (0..k-1), and what contraction settled and rounded."""
    indptr, indices, data, offset, drift = _contract(
        graph.indptr, graph.indices, graph.data, labels, int(labels.max(initial=-1)) + 1
    )
    _symmetric(indptr, indices, data)
    return Reduction(SparseGraph(indptr, indices, data), labels, offset, drift)


def reduce_graph(graph: SparseGraph, known_cost: float = np.inf) -> Reduction:
    """Contract what is together in some optimum and drop what is apart at no cost.

    ``known_cost`` is the cost of any clustering, the lower the better.
    """
    found = Reduction(graph, np.arange(graph.n))
    # Sums of what is at least 0, over rows and then over them, are right to this, relative to themselves.
    rounding = 2.0 * (graph.n + int(np.diff(graph.indptr).max(initial=0)) + 8) * EPSILON
    most = known_cost * (1.0 + rounding)
    # The two rules take turns: of a pair that is together in some optimum only, the other rule may know another.
    rule, barren = 0, 0
    while barren < 2 and graph.n:
        rows = (graph.indptr, graph.indices, graph.data)
        graph = SparseGraph(*_drop_and_clamp(*rows, attractive_components(*rows), _CLAMP))
        parent = np.arange(graph.n)
        rows = (graph.indptr, graph.indices, graph.data)
        joined = _certain_joins(*rows, parent, most + found.drift) if rule else _leaf_joins(*rows, parent)
        rule = 1 - rule
        few = 0 if graph.indices.size <= _SMALL else _LEAST_CONTRACTED * graph.n
        barren = barren + 1 if joined <= few else 0
        if joined:
            step = contracted(graph, canonical_labels(roots(parent)))
            found.drift += step.drift
            found.offset += step.offset
            found.pieces = step.pieces[found.pieces]
            graph = step.graph
    rows = (graph.indptr, graph.indices, graph.data)
    found.graph = SparseGraph(*_drop_and_clamp(*rows, attractive_components(*rows), _CLAMP)) if graph.n else graph
    found.drift = found.drift * (1.0 + rounding) + found.offset * rounding
    return found
