"""GAEC on sparse graphs: small clusters are contracted into large ones, with a hash table of adjacent clusters.

Edges that no contraction has changed stay in one sorted array. Only changed edges, whose weights are sums, go through
a heap. Each parallel edge is merged once, so the algorithm takes O(m log m) time. With linked lists of half-edges, a
contraction only has to move the edges of the smaller side. Half-edge 2e + s is side s of edge e.
"""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph_kernels import dot, edge_entries

# The hash table is rebuilt at this load. At a higher load, linear probing takes more than 6 probes for a missing key
# (Knuth, *The Art of Computer Programming*, volume 3, section 6.4).
_FULL = 0.7
# Linked lists of half-edges, see `_link`.
HalfEdges = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_NO_VECTORS = (np.zeros((0, 0)), np.zeros(0))


@compiled(inline="always")
def _slot(keys: np.ndarray, key: int) -> np.uint64:
    """Slot of the key in the hash table, or the free slot where it belongs.

    The number of slots is a power of two. The multiplier is 2^64 divided by the golden ratio (Knuth, *The Art of
    Computer Programming*, volume 3, section 6.4), whose high bits are well mixed.
    """
    mask = np.uint64(keys.size - 1)
    place = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & mask
    while keys[place] != -1 and keys[place] != key:
        place = (place + np.uint64(1)) & mask
    return place


@compiled()
def _push(heap_keys: np.ndarray, heap_edges: np.ndarray, height: int, key: float, edge: int) -> None:
    """Add an edge to a heap in which each entry has four children."""
    p = height
    while p > 0:
        q = (p - 1) // 4
        if heap_keys[q] >= key:
            break
        heap_keys[p], heap_edges[p] = heap_keys[q], heap_edges[q]
        p = q
    heap_keys[p], heap_edges[p] = key, edge


@compiled()
def _pop(heap_keys: np.ndarray, heap_edges: np.ndarray, height: int) -> None:
    """Remove the top of a heap in which each entry has four children."""
    last = height - 1
    key, edge = heap_keys[last], heap_edges[last]
    p = 0
    while True:
        child = 4 * p + 1
        if child >= last:
            break
        best = child
        for q in range(child + 1, min(child + 4, last)):
            if heap_keys[q] > heap_keys[best]:
                best = q
        if heap_keys[best] <= key:
            break
        heap_keys[p], heap_edges[p] = heap_keys[best], heap_edges[best]
        p = best
    heap_keys[p], heap_edges[p] = key, edge


@compiled(inline="always")
def _append(lists: HalfEdges, a: int, half: int) -> None:
    """Add a half-edge to the list of node a."""
    head, tail, degree, following = lists
    following[half] = -1
    if head[a] < 0:
        head[a] = half
    else:
        following[tail[a]] = half
    tail[a] = half
    degree[a] += 1


@compiled()
def _link(ends: np.ndarray, n: int) -> HalfEdges:
    """Linked lists of half-edges: head, tail and length for each node, and the successor of each half-edge."""
    head, tail = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    lists = (head, tail, np.zeros(n, np.int32), np.empty(ends.size, np.int32))
    for e in range(ends.shape[0]):
        _append(lists, ends[e, 0], 2 * e)
        _append(lists, ends[e, 1], 2 * e + 1)
    return lists


@compiled()
def _fill_hash(ends: np.ndarray, state: np.ndarray, n: int, keys: np.ndarray, values: np.ndarray) -> int:
    """Empty the hash table and enter the edges that are not gone; returns how many these are."""
    keys[:] = -1
    used = 0
    for e in range(ends.shape[0]):
        if state[e] != 2:
            a, b = ends[e, 0], ends[e, 1]
            key = np.int64(min(a, b)) * n + max(a, b)
            place = _slot(keys, key)
            keys[place], values[place] = key, e
            used += 1
    return used


@compiled()
def _contract(
    i: int,
    j: int,
    ends: np.ndarray,
    weights: np.ndarray,
    state: np.ndarray,
    lists: HalfEdges,
    table: tuple[np.ndarray, np.ndarray],
    heap: tuple[np.ndarray, np.ndarray],
    height: int,
) -> tuple[int, int]:
    """Move the half-edges of j to i and merge parallel edges.

    Returns:
        Height of the heap, and number of new entries in the hash table.
    """
    head, _, degree, following = lists
    keys, values = table
    heap_keys, heap_edges = heap
    n = head.size
    added = 0
    p = head[j]
    while p >= 0:
        after = following[p]
        e = p >> 1
        if state[e] != 2:
            k = ends[e, 1 - (p & 1)]
            if k == i:
                state[e] = 2
            else:
                key = np.int64(min(i, k)) * n + max(i, k)
                place = _slot(keys, key)
                if keys[place] == key:
                    f = values[place]
                    weights[f] += weights[e]
                    state[e] = 2
                    state[f] = 1
                    degree[k] -= 1
                    if weights[f] > 0:
                        _push(heap_keys, heap_edges, height, weights[f], f)
                        height += 1
                else:
                    keys[place], values[place] = key, e
                    added += 1
                    ends[e, p & 1] = i
                    _append(lists, i, p)
        p = after
    return height, added


@compiled()
def _gaec_sparse(
    ends: np.ndarray,
    weights: np.ndarray,
    order: np.ndarray,
    n: int,
    clusters: tuple[np.ndarray, np.ndarray],
    threshold: float,
) -> np.ndarray:
    """Contract until no weight is positive; returns the parents.

    The state of an edge is 0 while it is unchanged, 1 once its weight is a sum or it has been rejected, and 2 when it
    is gone. See `contract_greedily_sparse` for the last two arguments.
    """
    sums, mass = clusters
    parent, lists, state = np.arange(n), _link(ends, n), np.zeros(weights.size, np.uint8)
    heap_keys, heap_edges = heap = (np.empty(weights.size), np.empty(weights.size, np.int32))
    size = 16
    while size < 2 * weights.size:
        size *= 2
    table = (np.empty(size, np.int64), np.empty(size, np.int32))
    used = _fill_hash(ends, state, n, *table)
    height, pointer = 0, 0
    while True:
        while pointer < order.size and state[order[pointer]] != 0:
            pointer += 1
        while height > 0 and (state[heap_edges[0]] == 2 or heap_keys[0] != weights[heap_edges[0]]):
            _pop(heap_keys, heap_edges, height)
            height -= 1
        if pointer < order.size and (height == 0 or weights[order[pointer]] >= heap_keys[0]):
            e = order[pointer]
        elif height > 0:
            e = heap_edges[0]
        else:
            return parent
        i, j = ends[e, 0], ends[e, 1]
        if mass.size and dot(sums[i], sums[j]) <= threshold * mass[i] * mass[j]:
            # The edge is tried again if a parallel one is added to it.
            if state[e] == 1:
                _pop(heap_keys, heap_edges, height)
                height -= 1
            state[e] = 1
            continue
        if lists[2][j] > lists[2][i]:
            i, j = j, i
        if mass.size:
            sums[i] += sums[j]
            mass[i] += mass[j]
        parent[j] = i
        state[e] = 2
        height, added = _contract(i, j, ends, weights, state, lists, table, heap, height)
        used += added
        if used > _FULL * size:
            used = _fill_hash(ends, state, n, *table)


def contract_greedily_sparse(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    clusters: tuple[np.ndarray, np.ndarray] = _NO_VECTORS,
    threshold: float = 0.0,
) -> np.ndarray:
    """Parent of each node in the forest of contractions, int64 (n,), from the fields of a `SparseGraph`.

    Args:
        indptr: row starts.
        indices: columns.
        data: weights.
        clusters: if absent pairs do not weigh 0: the vectors float64 (n, d) and the sizes float64 (n,) that give all
            weights, see `VectorGraph`. They are overwritten by their sums over clusters. Two clusters are then joined
            only if the weights of all their pairs have a positive sum.
        threshold: threshold of these weights.
    """
    in_larger, in_smaller = edge_entries(indptr, indices)
    ends, weights = np.column_stack([indices[in_larger], indices[in_smaller]]), data[in_larger]
    order = np.flatnonzero(weights > 0)
    order = order[np.argsort(-weights[order], kind="stable")].astype(np.int32)
    return _gaec_sparse(ends, weights, order, indptr.size - 1, clusters, threshold)
