"""Separation of inequalities beyond triangles: two-partition inequalities and odd wheels.

With z = 1 - x (1 for joined pairs), a node s and a set T of nodes satisfy

    sum of z_st over t in T  -  sum of z_tu over pairs t, u in T  <=  1

(Grötschel and Wakabayashi, *Facets of the clique partitioning polytope*, 1990; |T| = 2 is the triangle). The set T is
grown greedily from every pair (s, t).

An odd wheel is a cycle C of odd length around a hub c (Chopra and Rao, *The partition problem*, 1993):

    sum of x_uv over the rim C  -  sum of x_cu over the nodes of C  <=  (|C| - 1) / 2

Give the rim edge uv the length 1/2 - x_uv + (x_cu + x_cv) / 2, which the triangle inequalities keep at 0 or above. The
inequality is violated if the rim is shorter than 1/2. A shortest closed walk of odd length through a node is a
shortest path from the node to its copy in the graph that has two copies of every node and in which every edge leads
from one set of copies to the other.
"""

from collections.abc import Callable

import numpy as np

from telescope_transformer.correlation_clustering.bounds.separation import pair_index
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.solution import Deadline

# Size of the largest set T, and length of the longest rim. They bound the memory of a row. In four graphs of 60 to 150
# nodes, sets had up to 9 nodes and rims up to 17.
_LONGEST = 24
LONGEST_RIM = 25
# A node joins T only if the left-hand side rises by more than this. Estimates are float32, and the rounding errors of
# 24 terms add up to 1.4e-6.
_LEAST_GAIN = 1e-6
# Estimates closer than this to 0 or 1 count as decided. Inequalities among decided pairs are violated by less than the
# tolerance of 0.02 that callers use.
_DECIDED = 1e-3
# Nodes between two checks of the time. They take about 0.1 s: separating odd wheels takes up to 11 ms for each of 300
# hubs.
_NODES_A_CALL = 10


def separate(
    kernel: Callable[..., tuple[np.ndarray, ...]], x: np.ndarray, tolerance: float, limit: int, deadline: Deadline
) -> tuple[np.ndarray, ...]:
    """Run a separation kernel on all nodes, or until the deadline.

    Args:
        kernel: `separate_two_partition` or `separate_odd_wheels`.
        x: (n, n) primal estimate, 1 cut and 0 joined.
        tolerance: inequalities must be violated by more than this.
        limit: maximum number of inequalities.
        deadline: when to stop.

    Returns:
        The arrays that the kernel returns, for all nodes together.
    """
    found = [kernel(x, 0, 0, tolerance, limit)]
    for begin in range(0, x.shape[0], _NODES_A_CALL):
        if deadline.passed or limit == 0:
            break
        found.append(kernel(x, begin, min(begin + _NODES_A_CALL, x.shape[0]), tolerance, limit))
        limit -= len(found[-1][0])
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


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
def separate_two_partition(
    x: np.ndarray, begin: int, end: int, tolerance: float, limit: int
) -> tuple[np.ndarray, np.ndarray]:
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
        members: see `separate_two_partition`.
        sizes: see `separate_two_partition`.

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


@compiled()
def _rim_edges(x: np.ndarray, hub: int, tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Edges that may be part of the rim of a violated wheel around the hub.

    Returns:
        Candidate nodes int64 (m,), and compressed rows of the edges between them: starts int64 (m + 1,), ends int64,
        positions in the candidates, and lengths float64.
    """
    near = np.flatnonzero(x[hub] < 1.0 - _DECIDED)
    near = near[near != hub]
    starts, ends, lengths = np.zeros(near.size + 1, np.int64), np.empty(near.size**2, np.int64), np.empty(near.size**2)
    used = 0
    for p in range(near.size):
        for q in range(near.size):
            length = 0.5 - x[near[p], near[q]] + 0.5 * (x[hub, near[p]] + x[hub, near[q]])
            if q != p and length < 0.5 - tolerance:
                ends[used], lengths[used] = q, max(length, 0.0)
                used += 1
        starts[p + 1] = used
    return near, starts, ends[:used], lengths[:used]


@compiled()
def _odd_walk(
    starts: np.ndarray,
    ends: np.ndarray,
    lengths: np.ndarray,
    source: int,
    most: float,
    distance: np.ndarray,
    before: np.ndarray,
    reached: np.ndarray,
) -> tuple[int, int]:
    """Search for the shortest closed walk of odd length through a node.

    The two halves of such a walk lead from the node to the two ends of the middle edge. A Dijkstra search that goes as
    far as half the length of the walk therefore reaches both ends. It distinguishes even and odd numbers of steps.

    Args:
        starts: see `_rim_edges`.
        ends: see `_rim_edges`.
        lengths: see `_rim_edges`.
        source: the node, below m. The copy of node v that is reached by an odd number of steps is numbered v + m.
        most: the walk must be shorter than this.
        distance: float64 (2 m,), scratch; all inf before and after the call.
        before: int64 (2 m,), output: the predecessor of each node on its path.
        reached: int64 (2 m,), scratch.

    Returns:
        The two ends of the middle edge, or -1 and -1 if there is no such walk.
    """
    m = starts.size - 1
    distance[source] = 0.0
    reached[0] = source
    known, settled = 1, 0
    best, first, second = most, -1, -1
    while settled < known:
        nearest = settled
        for p in range(settled + 1, known):
            if distance[reached[p]] < distance[reached[nearest]]:
                nearest = p
        here = reached[nearest]
        if 2.0 * distance[here] >= best:
            break
        reached[nearest], reached[settled] = reached[settled], here
        settled += 1
        odd = here >= m
        for p in range(starts[here % m], starts[here % m + 1]):
            same, other = ends[p] + (m if odd else 0), ends[p] + (0 if odd else m)
            through = distance[here] + lengths[p]
            if through + distance[same] < best:
                best, first, second = through + distance[same], here, same
            if through < distance[other] and 2.0 * through <= best:
                if distance[other] == np.inf:
                    reached[known] = other
                    known += 1
                distance[other], before[other] = through, here
    for p in range(known):
        distance[reached[p]] = np.inf
    return first, second


@compiled()
def _follow(
    before: np.ndarray, end: int, source: int, near: np.ndarray, on_rim: np.ndarray, rim: np.ndarray, size: int
) -> int:
    """Add the nodes of a path from ``end`` back to the source, without the source, to a rim.

    Returns:
        The new size of the rim; -1 if the rim is too long or visits a node twice.
    """
    while end != source:
        node = end % near.size
        if on_rim[node] or size == rim.size:
            return -1
        on_rim[node] = True
        rim[size] = near[node]
        size += 1
        end = before[end]
    return size


@compiled()
def separate_odd_wheels(
    x: np.ndarray, begin: int, end: int, tolerance: float, limit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find violated odd wheels. A node is on at most one rim around each hub.

    Args:
        x: (n, n) primal estimate.
        begin: first hub.
        end: one past the last hub.
        tolerance: least violation.
        limit: maximum number of wheels.

    Returns:
        Hubs int64 (k,), rims int64 (k, LONGEST_RIM) in cyclic order, and the sizes int64 (k,) of the rims.
    """
    n = x.shape[0]
    hubs, sizes = np.empty(limit, np.int64), np.empty(limit, np.int64)
    rims = np.empty((limit, LONGEST_RIM), np.int64)
    distance, before, reached = np.full(2 * n, np.inf), np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    found = 0
    for hub in range(begin, end):
        near, starts, ends, lengths = _rim_edges(x, hub, tolerance)
        m = near.size
        taken = np.zeros(m, np.bool_)
        for source in range(m):
            if taken[source]:
                continue
            first, second = _odd_walk(starts, ends, lengths, source, 0.5 - tolerance, distance, before, reached)
            if first < 0:
                continue
            # A walk that visits a node twice contains a shorter odd rim, which is found when the search starts from
            # one of its nodes.
            on_rim = np.zeros(m, np.bool_)
            on_rim[source] = True
            rims[found, 0] = near[source]
            half = _follow(before, first, source, near, on_rim, rims[found], 1)
            size = _follow(before, second, source, near, on_rim, rims[found], half) if half > 0 else -1
            if size < 0:
                continue
            # Both halves were traced back to the source. Reverse the first half, so that it leads away from the
            # source.
            rims[found, 1:half] = rims[found, 1:half][::-1].copy()
            taken |= on_rim
            hubs[found], sizes[found] = hub, size
            found += 1
            if found == limit:
                return hubs, rims, sizes
    return hubs[:found], rims[:found], sizes[:found]


@compiled()
def wheel_rows(
    hubs: np.ndarray, rims: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Odd wheels in terms of x.

    Args:
        hubs: see `separate_odd_wheels`.
        rims: see `separate_odd_wheels`.
        sizes: see `separate_odd_wheels`.

    Returns:
        Compressed rows: starts, pairs, signs and right-hand sides.
    """
    starts = np.zeros(sizes.size + 1, np.int64)
    starts[1:] = np.cumsum(2 * sizes)
    pairs, signs = np.empty(starts[-1], np.int64), np.empty(starts[-1])
    for row in range(sizes.size):
        for p in range(sizes[row]):
            at, node = starts[row] + 2 * p, rims[row, p]
            pairs[at], signs[at] = pair_index(node, rims[row, (p + 1) % sizes[row]]), 1.0
            pairs[at + 1], signs[at + 1] = pair_index(hubs[row], node), -1.0
    return starts, pairs, signs, (sizes - 1) / 2
