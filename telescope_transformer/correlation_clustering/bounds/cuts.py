"""Separation of two-partition inequalities, which go beyond triangles.

With z = 1 - x for joined pairs, a node s and a set T of nodes satisfy

    sum of z_st over t in T  -  sum of z_tu over pairs t, u in T  <=  1

(Grötschel and Wakabayashi, *Facets of the clique partitioning polytope*, 1990; |T| = 2 is the triangle). They are
grown greedily from every pair.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.bounds.separation import pair_index

_LONGEST = 24


@njit(cache=True, nogil=True)
def _grow_partition(x, s, first, candidates, chosen):
    """Grow T from {first}: always the candidate that adds most; returns |T| and the left side of the inequality."""
    size = 1
    chosen[0] = first
    value = 1.0 - x[s, first]
    gain = np.empty(candidates.size)
    for p in range(candidates.size):
        t = candidates[p]
        gain[p] = -np.inf if t == first else x[first, t] - x[s, t]
    while size < _LONGEST:
        best = np.argmax(gain)
        if gain[best] <= 1e-6:
            break
        value += gain[best]
        t = candidates[best]
        chosen[size] = t
        size += 1
        gain[best] = -np.inf
        for p in range(candidates.size):
            gain[p] += x[t, candidates[p]] - 1.0
    return size, value


@njit(cache=True, nogil=True)
def separate_two_partition(x, tolerance, limit):
    """Violated inequalities of one node against three or more, at most ``limit``, by node and size.

    Returns members (m, 1 + _LONGEST) int64 with s first, and sizes (m,) of T.
    """
    n = x.shape[0]
    members = np.empty((limit, 1 + _LONGEST), np.int64)
    sizes = np.empty(limit, np.int64)
    chosen = np.empty(_LONGEST, np.int64)
    found = 0
    for s in range(n):
        near = np.flatnonzero(x[s] < 1.0 - 1e-3)
        near = near[near != s]
        for first in near:
            if x[s, first] < 1e-3:
                continue
            size, value = _grow_partition(x, s, first, near, chosen)
            if size < 3 or value <= 1.0 + tolerance:
                continue
            if found == limit:
                return members[:found], sizes[:found]
            members[found, 0] = s
            members[found, 1 : 1 + size] = np.sort(chosen[:size])
            sizes[found] = size
            found += 1
    return members[:found], sizes[:found]


def partition_rows(members: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compressed rows (starts, pairs, signs, right) of two-partition inequalities in terms of x; no duplicates."""
    unique = {(int(row[0]), *map(int, row[1 : 1 + size])) for row, size in zip(members, sizes, strict=True)}
    starts, pairs, signs, right = [0], [], [], []
    for s, *part in sorted(unique):
        inner = [(t, u) for place, t in enumerate(part) for u in part[:place]]
        pairs += [pair_index(t, u) for t, u in inner] + [pair_index(s, t) for t in part]
        signs += [1.0] * len(inner) + [-1.0] * len(part)
        right.append(1.0 + len(inner) - len(part))
        starts.append(len(pairs))
    return np.array(starts), np.array(pairs, dtype=np.int64), np.array(signs), np.array(right)
