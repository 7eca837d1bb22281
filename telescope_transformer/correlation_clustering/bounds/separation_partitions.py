"""Separation of two-partition inequalities, which go beyond triangles.

With z = 1 - x (1 for joined pairs), a node s and a set T of nodes satisfy

    sum of z_st over t in T  -  sum of z_tu over pairs t, u in T  <=  1

(Grötschel and Wakabayashi, *Facets of the clique partitioning polytope*, 1990; |T| = 2 is the triangle). The set T is
grown greedily from every pair (s, t). With these inequalities, 20 of 20 complete graphs of 12 nodes with Gaussian
weights are proved in 1.8 s of processor time; without them, 9 of 20 in 17 s.
"""

import numpy as np

from telescope_transformer.correlation_clustering.bounds.separation_triangles import pair_index
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.solution import Deadline

# Size of the largest set T. It bounds the memory of a row. In four graphs of 60 to 150 nodes, sets had up to 9 nodes.
_LONGEST = 24
# A node joins T only if the left-hand side rises by more than this. Estimates are float32, and the rounding errors of
# 24 terms add up to 1.4e-6.
_LEAST_GAIN = 1e-6
# Estimates closer than this to 0 or 1 count as decided. Inequalities among decided pairs are violated by less than the
# tolerance of 0.02 that callers use.
_DECIDED = 1e-3
# Nodes between two checks of the time. They take less than 0.1 s.
_NODES_A_CALL = 10


def separate_partitions(
    x: np.ndarray, tolerance: float, limit: int, deadline: Deadline
) -> tuple[np.ndarray, np.ndarray]:
    """Find violated two-partition inequalities around all nodes, or until the deadline.

    Args:
        x: (n, n) primal estimate, 1 cut and 0 joined.
        tolerance: inequalities must be violated by more than this.
        limit: maximum number of inequalities.
        deadline: when to stop.

    Returns:
        Members and sizes, see `_separate_some`.
    """
    found = [_separate_some(x, 0, 0, tolerance, limit)]
    for begin in range(0, x.shape[0], _NODES_A_CALL):
        if deadline.passed or limit == 0:
            break
        found.append(_separate_some(x, begin, min(begin + _NODES_A_CALL, x.shape[0]), tolerance, limit))
        limit -= len(found[-1][0])
    members, sizes = zip(*found, strict=True)
    return np.concatenate(members), np.concatenate(sizes)


@compiled()
def _grow_partition(
    x: np.ndarray, s: int, first: int, candidates: np.ndarray, chosen: np.ndarray
) -> tuple[int, float]:
    """Grow T from {first} by always adding the candidate that raises the left-hand side the most.

    Args:
        x: (n, n) primal estimate.
        s: the single node of the inequality.
        first: first member of T.
        candidates: int64 (m,), nodes that may join T.
        chosen: int64 (_LONGEST,), output: the members of T.

    Returns:
        |T| and the left-hand side of the inequality.
    """
    size = 1
    chosen[0] = first
    value = 1.0 - x[s, first]
    gain = np.empty(candidates.size)
    for p in range(candidates.size):
        t = candidates[p]
        gain[p] = -np.inf if t == first else x[first, t] - x[s, t]
    while size < _LONGEST:
        best = np.argmax(gain)
        if gain[best] <= _LEAST_GAIN:
            break
        value += gain[best]
        t = candidates[best]
        chosen[size] = t
        size += 1
        gain[best] = -np.inf
        for p in range(candidates.size):
            gain[p] += x[t, candidates[p]] - 1.0
    return size, value


@compiled()
def _separate_some(x: np.ndarray, begin: int, end: int, tolerance: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Find violated two-partition inequalities with |T| >= 3.

    Args:
        x: (n, n) primal estimate.
        begin: first node s.
        end: one past the last node s.
        tolerance: least violation.
        limit: maximum number of inequalities.

    Returns:
        Members int64 (m, 1 + _LONGEST), s first and then T in ascending order, and sizes int64 (m,) of T.
    """
    members = np.empty((limit, 1 + _LONGEST), np.int64)
    sizes = np.empty(limit, np.int64)
    chosen = np.empty(_LONGEST, np.int64)
    found = 0
    for s in range(begin, end):
        near = np.flatnonzero(x[s] < 1.0 - _DECIDED)
        near = near[near != s]
        for first in near:
            if x[s, first] < _DECIDED:
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
    """Two-partition inequalities in terms of x, without duplicates.

    Args:
        members: see `_separate_some`.
        sizes: see `_separate_some`.

    Returns:
        Compressed rows: starts, pairs, signs and right-hand sides.
    """
    unused = np.arange(members.shape[1]) > sizes[:, None]
    unique, first = np.unique(np.where(unused, -1, members), axis=0, return_index=True)
    return _partition_rows(unique, sizes[first])


@compiled()
def _partition_rows(members: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """See `partition_rows`; the inequalities are distinct."""
    starts, right = np.zeros(sizes.size + 1, np.int64), np.empty(sizes.size)
    for row in range(sizes.size):
        starts[row + 1] = starts[row] + sizes[row] * (sizes[row] + 1) // 2
    pairs, signs = np.empty(starts[-1], np.int64), np.empty(starts[-1])
    for row in range(sizes.size):
        at = starts[row]
        for p in range(sizes[row] + 1):
            for q in range(p):
                pairs[at] = pair_index(members[row, p], members[row, q])
                signs[at] = 1.0 if q > 0 else -1.0
                at += 1
        right[row] = 1.0 + sizes[row] * (sizes[row] - 1) // 2 - sizes[row]
    return starts, pairs, signs, right
