"""GAEC on sparse graphs: contractions small into large, with a hash of the pairs of clusters that share an edge.

Edges that no contraction has touched wait in one sorted array; only the others, whose weights are sums, go through a
heap. Each parallel edge is merged once, so that the whole takes O(m log m) time, and lists of half-edges are linked so
that a contraction moves nothing but the smaller side. Half-edge 2e + s is side s of edge e.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _edge_list(indptr, indices, data):
    """Ends (m, 2) int32 and weights (m,) of the edges, each once."""
    m = indices.size // 2
    ends = np.empty((m, 2), np.int32)
    weights = np.empty(m)
    e = 0
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] < i:
                ends[e, 0], ends[e, 1] = indices[p], i
                weights[e] = data[p]
                e += 1
    return ends[:e], weights[:e]


@njit(cache=True, nogil=True, inline="always")
def _slot(keys, key):
    """Place of the key in the hash table, or the free place where it belongs."""
    mask = np.uint64(keys.size - 1)
    place = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & mask
    while keys[place] != -1 and keys[place] != key:
        place = (place + np.uint64(1)) & mask
    return place


@njit(cache=True, nogil=True)
def _push(heap_keys, heap_edges, height, key, edge):
    p = height
    while p > 0:
        q = (p - 1) // 4
        if heap_keys[q] >= key:
            break
        heap_keys[p], heap_edges[p] = heap_keys[q], heap_edges[q]
        p = q
    heap_keys[p], heap_edges[p] = key, edge


@njit(cache=True, nogil=True)
def _pop(heap_keys, heap_edges, height):
    """Remove the top of a heap of the given height (4 children each)."""
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


@njit(cache=True, nogil=True)
def _link(ends, n):
    """Linked lists of half-edges: heads, tails and lengths by node, and the next half-edge of each."""
    head = np.full(n, -1, np.int32)
    tail = np.full(n, -1, np.int32)
    degree = np.zeros(n, np.int32)
    following = np.full(2 * ends.shape[0], -1, np.int32)
    for e in range(ends.shape[0]):
        for s in range(2):
            a = ends[e, s]
            if head[a] < 0:
                head[a] = 2 * e + s
            else:
                following[tail[a]] = 2 * e + s
            tail[a] = 2 * e + s
            degree[a] += 1
    return head, tail, degree, following


@njit(cache=True, nogil=True)
def _fill_hash(ends, n, keys, values):
    for e in range(ends.shape[0]):
        a, b = ends[e, 0], ends[e, 1]
        place = _slot(keys, np.int64(min(a, b)) * n + max(a, b))
        keys[place] = np.int64(min(a, b)) * n + max(a, b)
        values[place] = e


@njit(cache=True, nogil=True)
def _rebuild_hash(ends, state, n, keys, values):
    """Forget the pairs of clusters that are gone."""
    keys[:] = -1
    used = 0
    for e in range(ends.shape[0]):
        if state[e] != 2:
            a, b = ends[e, 0], ends[e, 1]
            place = _slot(keys, np.int64(min(a, b)) * n + max(a, b))
            keys[place] = np.int64(min(a, b)) * n + max(a, b)
            values[place] = e
            used += 1
    return used


@njit(cache=True, nogil=True)
def _contract(i, j, ends, weights, state, lists, table, heap, height):
    """Move the half-edges of j to i and merge parallel edges; returns the heap's height and new hash entries."""
    head, tail, degree, following = lists
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
                    following[p] = -1
                    if head[i] < 0:
                        head[i] = p
                    else:
                        following[tail[i]] = p
                    tail[i] = p
                    degree[i] += 1
        p = after
    return height, added


@njit(cache=True, nogil=True)
def _gaec_sparse(ends, weights, order, parent, lists, table, heap, used):
    """Contract until no weight is positive. ``state`` of an edge: 0 untouched, 1 a sum, 2 gone."""
    state = np.zeros(weights.size, np.uint8)
    heap_keys, heap_edges = heap
    keys, values = table
    degree = lists[2]
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
            return
        i, j = ends[e, 0], ends[e, 1]
        if degree[j] > degree[i]:
            i, j = j, i
        parent[j] = i
        state[e] = 2
        height, added = _contract(i, j, ends, weights, state, lists, table, heap, height)
        used += added
        if used > 0.7 * keys.size:
            used = _rebuild_hash(ends, state, lists[0].size, keys, values)


def contract_greedily_sparse(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Parent of each node in the forest of contractions."""
    ends, weights = _edge_list(indptr, indices, data)
    n = indptr.size - 1
    m = weights.size
    order = np.flatnonzero(weights > 0)
    order = order[np.argsort(-weights[order], kind="stable")].astype(np.int32)
    parent = np.arange(n)
    size = 1 << max(4, int(np.ceil(np.log2(max(2 * m, 1)))))
    table = (np.full(size, -1, dtype=np.int64), np.empty(size, dtype=np.int32))
    _fill_hash(ends, n, *table)
    heap = (np.empty(m), np.empty(m, dtype=np.int32))
    _gaec_sparse(ends, weights, order, parent, _link(ends, n), table, heap, m)
    return parent
