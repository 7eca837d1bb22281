"""Separation of inequalities beyond triangles: two-partition inequalities and odd wheels.

With z = 1 - x for joined pairs, a node s and a set T of nodes satisfy

    sum of z_st over t in T  -  sum of z_tu over pairs t, u in T  <=  1

(Grötschel and Wakabayashi, *Facets of the clique partitioning polytope*, 1990; |T| = 2 is the triangle). They are
grown greedily from every pair.

An odd wheel is a cycle C of odd length around a hub c (Chopra and Rao, *The partition problem*, 1993):

    sum of x_uv over the rim C  -  sum of x_cu over the nodes of C  <=  (|C| - 1) / 2

With lengths 1/2 - x_uv + (x_cu + x_cv) / 2, which no solution of the triangle inequalities makes negative, it is
violated where the rim is shorter than 1/2. Shortest rims of odd length are shortest paths from a node to its twin in
the graph that has each node twice and each edge from one side to the other.
"""

from collections.abc import Callable

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.bounds.separation import pair_index
from telescope_transformer.correlation_clustering.solution import Deadline

# Most members of T and most nodes of a rim: they bound the memory of a row. Longer ones are not looked for.
_LONGEST = 24
LONGEST_RIM = 25
# Nodes between two looks at the clock: about 0.1 s, since odd wheels take up to 11 ms for each of 300 hubs.
_NODES_A_CALL = 10


def separate(
    kernel: Callable[..., tuple[np.ndarray, ...]], x: np.ndarray, tolerance: float, limit: int, deadline: Deadline
) -> tuple[np.ndarray, ...]:
    """What `separate_two_partition` or `separate_odd_wheels` finds at all nodes, or until the deadline.

    ``x`` (n, n) is the primal estimate: 1 cut, 0 joined. At most ``limit`` inequalities, violated by more than
    ``tolerance``, come back in the arrays of the kernel.
    """
    found = [kernel(x, 0, 0, tolerance, limit)]
    for begin in range(0, x.shape[0], _NODES_A_CALL):
        if deadline.passed or limit == 0:
            break
        found.append(kernel(x, begin, min(begin + _NODES_A_CALL, x.shape[0]), tolerance, limit))
        limit -= len(found[-1][0])
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


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
def separate_two_partition(x, begin, end, tolerance, limit):
    """Violated inequalities of a node from ``begin`` to ``end`` against three or more, at most ``limit``.

    Returns members (m, 1 + _LONGEST) int64 with s first, and sizes (m,) of T.
    """
    members = np.empty((limit, 1 + _LONGEST), np.int64)
    sizes = np.empty(limit, np.int64)
    chosen = np.empty(_LONGEST, np.int64)
    found = 0
    for s in range(begin, end):
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


@njit(cache=True, nogil=True)
def _rim_lengths(x, hub, tolerance):
    """Nodes (m,) that may be on a violated rim around the hub, and lengths (m, m) between them; inf where too long."""
    near = np.flatnonzero(x[hub] < 1.0 - 1e-3)
    near = near[near != hub]
    lengths = np.full((near.size, near.size), np.inf)
    for p in range(near.size):
        for q in range(p):
            length = 0.5 - x[near[p], near[q]] + 0.5 * (x[hub, near[p]] + x[hub, near[q]])
            if length < 0.5 - tolerance:
                lengths[p, q] = lengths[q, p] = max(length, 0.0)
    return near, lengths


@njit(cache=True, nogil=True)
def _odd_path(lengths, source, tolerance, distance, before):
    """Whether a path shorter than 1/2 leads from the source (even side, first half) to its twin; ``before`` has it."""
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


@njit(cache=True, nogil=True)
def separate_odd_wheels(x, begin, end, tolerance, limit):
    """Violated odd wheels around hubs from ``begin`` to ``end``, at most ``limit``.

    A node is on one rim around a hub at most. Returns hubs (k,), rims (k, LONGEST_RIM) in their cyclic order, and
    their sizes (k,).
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
            # A walk that meets itself holds a shorter odd rim, which its own nodes find.
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
    """Compressed rows (starts, pairs, signs, right) of odd wheels in terms of x."""
    starts, pairs, signs, right = [0], [], [], []
    for hub, rim, size in zip(hubs.tolist(), rims.tolist(), sizes.tolist(), strict=True):
        nodes = rim[:size]
        pairs += [pair_index(u, v) for u, v in zip(nodes, nodes[1:] + nodes[:1], strict=True)]
        pairs += [pair_index(hub, u) for u in nodes]
        signs += [1.0] * size + [-1.0] * size
        right.append((size - 1) / 2)
        starts.append(len(pairs))
    return np.array(starts), np.array(pairs, dtype=np.int64), np.array(signs), np.array(right)
