"""Separation of violated cycle inequalities on sparse graphs: x_e <= sum of x_f over a path f between the ends of e.

Together they say what all triangle inequalities say when absent pairs weigh 0, and need no variables for the chords
(Chopra and Rao, *The partition problem*, 1993). Each edge that is to some degree cut is a target; a breadth-first
search over the edges that are less than cut finds paths of few edges (cf. Lange, Karrenbauer and Andres, ICML 2018,
who pack such cycles). A violated inequality gets its multiplier at once, so that its edges are not offered again.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.bounds.ascent import fraction, search_row

# Most edges of a cycle: longer ones are not looked for, as an array has to hold one. It proves rings of 2,001 nodes.
LONGEST = 4_096


@njit(cache=True, nogil=True)
def _ascend_cycle(cycle, signs, tolerance, reduced, cut, smoothing):
    """Step for the cycle inequality of the target ``cycle[0]`` and its path; 0 where it is not violated."""
    violation = 0.0
    for p in range(cycle.size):
        violation += signs[p] * fraction(reduced[cycle[p]], cut[cycle[p]], smoothing)
    if violation <= tolerance:
        return 0.0
    step = search_row(cycle, signs, 0.0, reduced, cut, smoothing, 1.0)
    for p in range(cycle.size):
        reduced[cycle[p]] += step * signs[p]
    return step


@njit(cache=True, nogil=True)
def _trace(target, by, node, source, came_from, came_by, cycle):
    """Write a cycle: the target, the edge ``by`` that reached its far end from ``node``, and those before it."""
    cycle[0], cycle[1] = target, by
    length = 2
    while node != source:
        if length == cycle.size:
            return 0
        cycle[length] = came_by[node]
        length += 1
        node = came_from[node]
    return length


@njit(cache=True, nogil=True)
def ways_out(indptr, ids, reduced, cut, smoothing, tolerance):
    """How many edges of each node are less than cut."""
    ways = np.zeros(indptr.size - 1, np.int32)
    for i in range(ways.size):
        for p in range(indptr[i], indptr[i + 1]):
            ways[i] += fraction(reduced[ids[p]], cut[ids[p]], smoothing) < 1.0 - tolerance
    return ways


@njit(cache=True, nogil=True)
def _mark_targets(i, graph, state, ways, target):
    """Note the edges of node i that are cut beyond the tolerance, if i has fewer ways out than their other end.

    Returns how many there are and the largest estimate among them.
    """
    indptr, indices, ids = graph
    reduced, cut, smoothing, tolerance = state
    targets, highest = 0, 0.0
    for p in range(indptr[i], indptr[i + 1]):
        j = indices[p]
        x = fraction(reduced[ids[p]], cut[ids[p]], smoothing)
        if x > tolerance and (ways[i] < ways[j] or (ways[i] == ways[j] and i < j)):
            target[j] = ids[p]
            targets += 1
            highest = max(highest, x)
    return targets, highest


@njit(cache=True, nogil=True)
def _search_from(i, graph, state, work, highest, targets, target, tree, rows, found):
    """Breadth-first search from node i for paths to its targets; returns how many cycles are found by now."""
    indptr, indices, ids = graph
    reduced, cut, smoothing, tolerance = state
    seen, came_from, came_by, reach, queue, cycle, signs = tree
    starts, edges, multipliers = rows
    seen[i], reach[i], queue[0] = i, 0.0, i
    head, tail, scanned = 0, 1, 0
    while head < tail and scanned < work and targets > 0:
        k = queue[head]
        head += 1
        scanned += indptr[k + 1] - indptr[k]
        for p in range(indptr[k], indptr[k + 1]):
            j, f = indices[p], ids[p]
            length = reach[k] + fraction(reduced[f], cut[f], smoothing)
            if length >= highest - tolerance:
                continue
            a = target[j]
            if a >= 0 and k != i and fraction(reduced[a], cut[a], smoothing) - length > tolerance:
                size = _trace(a, f, k, i, came_from, came_by, cycle)
                step = _ascend_cycle(cycle[:size], signs[:size], tolerance, reduced, cut, smoothing)
                if step > 0:
                    starts[found + 1] = starts[found] + size
                    edges[starts[found] : starts[found + 1]] = cycle[:size]
                    multipliers[found] = step
                    found += 1
                    if found == multipliers.size or starts[found] + LONGEST > edges.size:
                        return found
                    if fraction(reduced[a], cut[a], smoothing) <= tolerance:
                        target[j] = -1
                        targets -= 1
            if seen[j] != i:
                seen[j], reach[j], came_from[j], came_by[j] = i, length, k, f
                queue[tail] = j
                tail += 1
    return found


@njit(cache=True, nogil=True)
def separate_cycles(graph, state, ways, work, first, last, rows):
    """Find violated cycles and give them multipliers; returns how many. Stops where the arrays are full.

    ``graph`` is (indptr, indices, ids), ``state`` (reduced, cut, smoothing, tolerance), ``ways`` is `ways_out`. From
    each node ``first`` <= i < ``last`` at most ``work`` entries are looked at. Of ``rows``, (starts, edges,
    multipliers), row t is written to ``edges`` from ``starts[t]`` to ``starts[t + 1]``, its target first.
    """
    indptr, indices, _ = graph
    n = indptr.size - 1
    target, seen = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    came_from, came_by, queue = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    signs = np.full(LONGEST, -1.0)
    signs[0] = 1.0
    tree = (seen, came_from, came_by, np.empty(n, np.float32), queue, np.empty(LONGEST, np.int64), signs)
    starts, edges, multipliers = rows
    found = 0
    for i in range(first, last):
        if ways[i] == 0:
            continue
        targets, highest = _mark_targets(i, graph, state, ways, target)
        found = _search_from(i, graph, state, work, highest, targets, target, tree, rows, found)
        if found == multipliers.size or starts[found] + LONGEST > edges.size:
            break
        for p in range(indptr[i], indptr[i + 1]):
            target[indices[p]] = -1
    return found
