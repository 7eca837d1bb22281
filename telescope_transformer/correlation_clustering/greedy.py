"""Greedy additive edge contraction (GAEC): join the two clusters of largest positive weight until there are none.

Keuper et al., *Efficient decomposition of image and mesh graphs by lifted multicuts* (ICCV 2015), section 4. On a
complete graph this is sum-linkage with a stop at 0, here over a matrix with cached nearest neighbours in O(n) for a
contraction. Three things make it fast. A contraction writes one row and no column: an entry is read from the row of
the cluster that was contracted last. A nearest neighbour that may have become worse keeps its old weight as an upper
bound and is searched again only when that bound is the largest of all. The matrix is packed as clusters vanish.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, VectorGraph, canonical_labels
from telescope_transformer.correlation_clustering.greedy_sparse import gaec_sparse

_PACK_BELOW = 0.5


@njit(cache=True, nogil=True)
def _rescan(matrix, threshold, sizes, stamp, alive, a):
    """Best partner of cluster a and its weight; lowest index among equals."""
    best = -np.inf
    partner = -1
    row = matrix[a]
    for b in range(alive):
        if b != a and sizes[b] > 0:
            value = matrix[b, a] if stamp[b] > stamp[a] else row[b]
            weight = value - threshold * sizes[a] * sizes[b]
            if weight > best:
                best = weight
                partner = b
    return best, partner


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _largest(values):
    """Largest of finite values (and -inf): without NaN the loop compiles to vector instructions."""
    best = np.float32(-np.inf)
    for value in values:
        best = max(best, value)
    return best


@njit(cache=True, nogil=True)
def _first_largest(values):
    """Place and value of the largest; the lowest place among equals."""
    best = _largest(values)
    for place in range(values.size):
        if values[place] == best:
            return place, best
    return -1, best


@njit(cache=True, nogil=True)
def _nearest(matrix, threshold, sizes, key, partner):
    """Best partner of each node, before any contraction; lowest index among equals."""
    n = matrix.shape[0]
    unit = np.all(sizes == 1.0)
    stamp = np.zeros(n, np.int64)
    for a in range(n):
        if not unit:
            key[a], partner[a] = _rescan(matrix, threshold, sizes, stamp, n, a)
            continue
        left, low = _first_largest(matrix[a, :a])
        right, high = _first_largest(matrix[a, a + 1 :])
        if low >= high and left >= 0:
            key[a], partner[a] = low - threshold, left
        else:
            key[a], partner[a] = high - threshold, a + 1 + right


@njit(cache=True, nogil=True)
def _merge_rows(matrix, threshold, sizes, stamp, alive, i, j, key, partner, stale):
    """Add cluster j to cluster i: writes row i, raises or marks the keys of others; returns i's best."""
    best = -np.inf
    mate = -1
    row_i = matrix[i]
    row_j = matrix[j]
    size = sizes[i] + sizes[j]
    for k in range(alive):
        if sizes[k] == 0 or k in (i, j):
            continue
        left = matrix[k, i] if stamp[k] > stamp[i] else row_i[k]
        right = matrix[k, j] if stamp[k] > stamp[j] else row_j[k]
        value = left + right
        row_i[k] = value
        weight = value - threshold * size * sizes[k]
        if weight > best:
            best = weight
            mate = k
        if weight > key[k]:
            key[k] = weight
            partner[k] = i
            stale[k] = False
        elif partner[k] == i or partner[k] == j:
            partner[k] = i
            stale[k] = weight < key[k] or stale[k]
    return best, mate


@njit(cache=True, nogil=True)
def _pack(matrix, sizes, stamp, alive, key, partner, stale, member):
    """Move the rows and columns of the living clusters to the front."""
    place = np.full(alive, -1, np.int64)
    kept = 0
    for a in range(alive):
        if sizes[a] > 0:
            place[a] = kept
            kept += 1
    for a in range(alive):
        if place[a] >= 0:
            p = place[a]
            for b in range(alive):
                if place[b] >= 0:
                    matrix[p, place[b]] = matrix[a, b]
            sizes[p], stamp[p], key[p], stale[p], member[p] = sizes[a], stamp[a], key[a], stale[a], member[a]
            partner[p] = place[partner[a]] if partner[a] >= 0 else -1
    sizes[kept:alive] = 0
    return kept


@njit(cache=True, nogil=True)
def _gaec_dense(matrix, threshold, sizes):
    """Parent of each node in the forest of contractions; overwrites ``matrix`` and ``sizes``."""
    n = matrix.shape[0]
    key = np.empty(n, matrix.dtype)
    partner = np.empty(n, np.int64)
    stamp = np.zeros(n, np.int64)
    stale = np.zeros(n, np.bool_)
    member = np.arange(n)
    parent = np.arange(n)
    _nearest(matrix, threshold, sizes, key, partner)
    alive, living, step = n, n, 0
    while living > 1:
        i, _ = _first_largest(key[:alive])
        if key[i] <= 0:
            break
        if stale[i]:
            key[i], partner[i] = _rescan(matrix, threshold, sizes, stamp, alive, i)
            stale[i] = False
            continue
        j = partner[i]
        if stamp[j] > stamp[i]:
            i, j = j, i
        step += 1
        key[i], partner[i] = _merge_rows(matrix, threshold, sizes, stamp, alive, i, j, key, partner, stale)
        stale[i] = False
        parent[member[j]] = member[i]
        sizes[i] += sizes[j]
        sizes[j] = 0
        stamp[i] = step
        key[j] = -np.inf
        living -= 1
        if living < _PACK_BELOW * alive:
            alive = _pack(matrix, sizes, stamp, alive, key, partner, stale, member)
    return parent


@njit(cache=True, nogil=True)
def _roots(parent):
    for a in range(parent.size):
        root = a
        while parent[root] != root:
            root = parent[root]
        while parent[a] != root:
            parent[a], a = root, parent[a]
    return parent


def gaec(graph: Graph) -> np.ndarray:
    """Labels (n,) of greedy additive edge contraction; 0..k-1 in order of first member.

    Of a graph of vectors, only the pairs of nearest neighbours are contracted.
    """
    if graph.n < 2:
        return np.zeros(graph.n, dtype=np.int64)
    if isinstance(graph, VectorGraph):
        graph = graph.near
    if not isinstance(graph, DenseGraph):
        return canonical_labels(_roots(gaec_sparse(graph)))
    return gaec_in_place(graph.matrix.copy(), graph.threshold, graph.sizes)


def gaec_in_place(matrix: np.ndarray, threshold: float, sizes: np.ndarray | None = None) -> np.ndarray:
    """The same for a matrix of products that may be overwritten: no memory beyond it but O(n)."""
    sizes = np.ones(matrix.shape[0]) if sizes is None else sizes.copy()
    return canonical_labels(_roots(_gaec_dense(matrix, threshold, sizes)))
