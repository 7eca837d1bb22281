"""Separation of inequalities beyond triangles: two-partition inequalities and odd wheels.

With z = 1 - x (1 for joined pairs), a node s and a set T of nodes satisfy

    sum of z_st over t in T  -  sum of z_tu over pairs t, u in T  <=  1

(Grötschel and Wakabayashi, *Facets of the clique partitioning polytope*, 1990; |T| = 2 is the triangle). The set T is
grown greedily from every pair (s, t).

An odd wheel is a cycle C of odd length around a hub c (Chopra and Rao, *The partition problem*, 1993):

    sum of x_uv over the rim C  -  sum of x_cu over the nodes of C  <=  (|C| - 1) / 2

Give the rim edge uv the length 1/2 - x_uv + (x_cu + x_cv) / 2, which the triangle inequalities keep at 0 or above.
The inequality is violated if the rim is shorter than 1/2. A shortest closed walk of odd length through a node is a
shortest path from the node to its copy in the graph that holds every node twice and every edge from one side to the
other.
"""

from collections.abc import Callable

import numpy as np

from telescope_transformer.correlation_clustering.bounds.separation import pair_index
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.solution import Deadline

# Largest set T, and longest rim: they bound the memory of a row. On four graphs of 60 to 150 nodes, sets had up to 9
# nodes and rims up to 17.
_LONGEST = 24
LONGEST_RIM = 25
# A node joins T if that gains more than this: estimates are float32, whose roundings of 24 terms add up to 1.4e-6.
_LEAST_GAIN = 1e-6
# Estimates closer than this to 0 or 1 count as decided. Inequalities among them are violated by less than the
# tolerance of 0.02 that callers ask for.
_DECIDED = 1e-3
# Nodes between two checks of the time: about 0.1 s, as separating odd wheels takes up to 11 ms for each of 300 hubs.
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
    unique = {(int(row[0]), *map(int, row[1 : 1 + size])) for row, size in zip(members, sizes, strict=True)}
    starts, pairs, signs, right = [0], [], [], []
    for s, *part in sorted(unique):
        inner = [(t, u) for place, t in enumerate(part) for u in part[:place]]
        pairs += [pair_index(t, u) for t, u in inner] + [pair_index(s, t) for t in part]
        signs += [1.0] * len(inner) + [-1.0] * len(part)
        right.append(1.0 + len(inner) - len(part))
        starts.append(len(pairs))
    return np.array(starts), np.array(pairs, dtype=np.int64), np.array(signs), np.array(right)


@compiled()
def _rim_lengths(x: np.ndarray, hub: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the rim edges that may be part of a violated wheel around the hub.

    Returns:
        Candidate nodes int64 (m,), and lengths float64 (m, m) between them, inf if too long.
    """
    near = np.flatnonzero(x[hub] < 1.0 - _DECIDED)
    near = near[near != hub]
    lengths = np.full((near.size, near.size), np.inf)
    for p in range(near.size):
        for q in range(p):
            length = 0.5 - x[near[p], near[q]] + 0.5 * (x[hub, near[p]] + x[hub, near[q]])
            if length < 0.5 - tolerance:
                lengths[p, q] = lengths[q, p] = max(length, 0.0)
    return near, lengths


@compiled()
def _odd_path(lengths: np.ndarray, source: int, tolerance: float, distance: np.ndarray, before: np.ndarray) -> bool:
    """Search for a path shorter than 1/2 from a node to its copy on the other side (Dijkstra).

    Args:
        lengths: float64 (m, m), see `_rim_lengths`.
        source: the node, below m; its copy is source + m.
        tolerance: the path must be shorter than 1/2 by this.
        distance: float64 (2 m,), scratch.
        before: int64 (2 m,), output: the predecessor of each node on its path.

    Returns:
        Whether there is such a path.
    """
    m = lengths.shape[0]
    distance[:] = np.inf
    done = np.zeros(2 * m, np.bool_)
    distance[source] = 0.0
    while True:
        here = -1
        for v in range(2 * m):
            if not done[v] and (here < 0 or distance[v] < distance[here]):
                here = v
        if here < 0 or distance[here] >= 0.5 - tolerance:
            return False
        if here == source + m:
            return True
        done[here] = True
        other = m if here < m else 0
        for v in range(m):
            reached = distance[here] + lengths[here % m, v]
            if reached < distance[other + v]:
                distance[other + v] = reached
                before[other + v] = here


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
    distance, before = np.empty(2 * n), np.empty(2 * n, np.int64)
    found = 0
    for hub in range(begin, end):
        near, lengths = _rim_lengths(x, hub, tolerance)
        m = near.size
        taken = np.zeros(m, np.bool_)
        for source in range(m):
            if taken[source] or not _odd_path(lengths, source, tolerance, distance[: 2 * m], before):
                continue
            size, step = 0, source + m
            on_rim = np.zeros(m, np.bool_)
            while step != source and size < LONGEST_RIM and not on_rim[step % m]:
                rims[found, size] = near[step % m]
                on_rim[step % m] = True
                size += 1
                step = before[step]
            # A walk that visits a node twice contains a shorter odd rim, which is found from that rim's nodes.
            if step != source:
                continue
            taken |= on_rim
            hubs[found], sizes[found] = hub, size
            found += 1
            if found == limit:
                return hubs, rims, sizes
    return hubs[:found], rims[:found], sizes[:found]


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
    starts, pairs, signs, right = [0], [], [], []
    for hub, rim, size in zip(hubs.tolist(), rims.tolist(), sizes.tolist(), strict=True):
        nodes = rim[:size]
        pairs += [pair_index(u, v) for u, v in zip(nodes, nodes[1:] + nodes[:1], strict=True)]
        pairs += [pair_index(hub, u) for u in nodes]
        signs += [1.0] * size + [-1.0] * size
        right.append((size - 1) / 2)
        starts.append(len(pairs))
    return np.array(starts), np.array(pairs, dtype=np.int64), np.array(signs), np.array(right)
