"""Greedy additive edge contraction (GAEC): join the two clusters of largest positive weight until there are none.

Keuper et al., *Efficient decomposition of image and mesh graphs by lifted multicuts* (ICCV 2015), section 4. On a
complete graph this is sum-linkage with a stop at 0, here over a matrix with cached nearest neighbours in O(n) for a
contraction. Four things make it fast. A contraction writes one row and no column: before a row is read, the clusters
contracted since it was written are looked up in their own rows. A nearest neighbour that may have become worse keeps
its old weight as an upper bound and is searched again only when that bound is the largest of all. The matrix is packed
as clusters vanish. Sums and maxima are loops without branches.

Where two weights are equal, the pair whose first cluster has the lowest place is joined, then the lowest partner; sums
are rounded in the matrix's precision, so that clusterings with ties may differ between float32 and float64.
"""

import numpy as np
from numba import njit

# The matrix is packed when so many of its clusters are left: packing then costs less than a quarter of what it held.
_PACK_BELOW = 0.5
# Values whose largest is found by vector instructions before the next block: a few registers' worth.
_BLOCK = 64


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _largest(values):
    """Largest of finite values (and -inf): without NaN the loop compiles to vector instructions."""
    best = values.dtype.type(-np.inf)
    for value in values:
        best = max(best, value)
    return best


@njit(cache=True, nogil=True)
def first_largest(values):
    """Place and value of the largest; the lowest place among equals. One pass in blocks, and one over a block."""
    best = values.dtype.type(-np.inf)
    block = 0
    for start in range(0, values.size, _BLOCK):
        largest = _largest(values[start : start + _BLOCK])
        if largest > best:
            best, block = largest, start
    for place in range(block, min(block + _BLOCK, values.size)):
        if values[place] == best:
            return place, best
    return -1, best


@njit(cache=True, nogil=True)
def _nearest(matrix, threshold, sizes, key, partner):
    """Best partner of each node, before any contraction; lowest index among equals."""
    unit = np.all(sizes == 1.0)
    scratch = np.empty(key.size, key.dtype)
    for a in range(key.size):
        if unit:
            left, low = first_largest(matrix[a, :a])
            right, high = first_largest(matrix[a, a + 1 :])
            mate, best = (left, low) if low >= high and left >= 0 else (a + 1 + right, high)
            key[a], partner[a] = best - threshold, mate
        else:
            _weigh(matrix[a], threshold * sizes[a], sizes, a, scratch)
            partner[a], key[a] = first_largest(scratch)


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _weigh(row, penalty, sizes, a, weights):
    """Weights from cluster a to each; -inf to itself and to what is gone."""
    for k in range(weights.size):
        weights[k] = row[k] - penalty * sizes[k] if sizes[k] > 0 else -np.inf
    weights[a] = -np.inf


@njit(cache=True, nogil=True)
def _refresh(matrix, stamp, contracted, count, a):
    """Copy into row a what later contractions wrote to the rows of others."""
    row, since = matrix[a], stamp[a]
    for c in contracted[:count]:
        if stamp[c] > since:
            row[c] = matrix[c, a]


@njit(cache=True, nogil=True)
def _note(contracted, count, stamp, i, j):
    """Put i on the list of contracted clusters and take j off it; j never was contracted if i was not."""
    if stamp[i] == 0:
        contracted[count] = i
        return count + 1
    if stamp[j] > 0:
        place = 0
        while contracted[place] != j:
            place += 1
        contracted[place] = contracted[count - 1]
        return count - 1
    return count


@njit(cache=True, nogil=True)
def _merge_rows(matrix, threshold, sizes, alive, i, j, weights, key, partner, stale):
    """Add row j to row i; raises or marks the keys of others. ``weights`` are scratch, ``sizes[j]`` is 0."""
    row_i, row_j = matrix[i], matrix[j]
    for k in range(alive):
        row_i[k] += row_j[k]
    _weigh(row_i, threshold * sizes[i], sizes, i, weights)
    for k in range(alive):
        if weights[k] > key[k]:
            key[k] = weights[k]
            partner[k] = i
            stale[k] = False
        elif partner[k] == i or partner[k] == j:
            partner[k] = i
            stale[k] = weights[k] < key[k] or stale[k]


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
    weights = np.empty(n, matrix.dtype)
    partner = np.empty(n, np.int32)
    stamp = np.zeros(n, np.int64)
    stale = np.zeros(n, np.bool_)
    member = np.arange(n)
    parent = np.arange(n)
    contracted = np.empty(n, np.int64)
    _nearest(matrix, threshold, sizes, key, partner)
    alive, living, step, count = n, n, 0, 0
    while living > 1:
        i, _ = first_largest(key[:alive])
        if key[i] <= 0:
            break
        _refresh(matrix, stamp, contracted, count, i)
        if stale[i]:
            _weigh(matrix[i], threshold * sizes[i], sizes, i, weights[:alive])
            partner[i], key[i] = first_largest(weights[:alive])
            stale[i] = False
            continue
        j = partner[i]
        if stamp[j] > stamp[i]:
            i, j = j, i
            _refresh(matrix, stamp, contracted, count, i)
        else:
            _refresh(matrix, stamp, contracted, count, j)
        parent[member[j]] = member[i]
        sizes[i] += sizes[j]
        sizes[j] = 0
        _merge_rows(matrix, threshold, sizes, alive, i, j, weights[:alive], key, partner, stale)
        partner[i], key[i] = first_largest(weights[:alive])
        stale[i] = False
        key[j], partner[j] = -np.inf, -1
        step += 1
        count = _note(contracted, count, stamp, i, j)
        stamp[i] = step
        living -= 1
        if living < _PACK_BELOW * alive:
            alive = _pack(matrix, sizes, stamp, alive, key, partner, stale, member)
            count = 0
            for a in range(alive):
                if stamp[a] > 0:
                    contracted[count] = a
                    count += 1
    return parent


def contract_greedily(matrix: np.ndarray, threshold: float, sizes: np.ndarray | None = None) -> np.ndarray:
    """Parent of each node in the forest of contractions; overwrites ``matrix`` and needs no memory beyond it but O(n).

    ``sizes`` (n,) are 1 where none are given.
    """
    if len(matrix) < 2:
        return np.arange(len(matrix))
    return _gaec_dense(matrix, threshold, np.ones(matrix.shape[0]) if sizes is None else sizes.copy())
