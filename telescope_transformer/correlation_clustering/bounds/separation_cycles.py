"""Separation of violated cycle inequalities on sparse graphs: x_e <= sum of x_f over a path f between the ends of e.

If absent pairs weigh 0, all cycle inequalities together are equivalent to all triangle inequalities. They need no
variables for absent pairs (Chopra and Rao, *The partition problem*, 1993). Every edge with a positive estimate is a
target. A breadth-first search over the edges with an estimate below 1 finds paths of few edges between the ends of the
target (see Lange, Karrenbauer and Andres, ICML 2018, who pack such cycles). A violated inequality gets its multiplier
immediately, so the same violation is not found again.

In this module, ``graph`` is (indptr, indices, edge ids) and ``state`` is (reduced, cut, smoothing, tolerance), as in
:mod:`.separation_triangles`.
"""

import numpy as np

from telescope_transformer.correlation_clustering.bounds.ascent import fraction, search_row
from telescope_transformer.correlation_clustering.compiled import compiled

# Maximum number of edges of a cycle, for which an array is allocated. The longest cycle in the tests is a ring of
# 2,001 nodes.
LONGEST = 4_096

GraphRows = tuple[np.ndarray, np.ndarray, np.ndarray]
State = tuple[np.ndarray, np.ndarray, float, float]
CycleRows = tuple[np.ndarray, np.ndarray, np.ndarray]


@compiled()
def _ascend_cycle(
    cycle: np.ndarray, signs: np.ndarray, tolerance: float, reduced: np.ndarray, cut: np.ndarray, smoothing: float
) -> float:
    """Take the first step for the cycle inequality of the target ``cycle[0]`` and the path ``cycle[1:]``.

    Updates ``reduced``. Returns the new multiplier, or 0 if the inequality is not violated beyond the tolerance.
    """
    violation = 0.0
    for p in range(cycle.size):
        violation += signs[p] * fraction(reduced[cycle[p]], cut[cycle[p]], smoothing)
    if violation <= tolerance:
        return 0.0
    step = search_row(cycle, signs, 0.0, reduced, cut, smoothing, 1.0)
    for p in range(cycle.size):
        reduced[cycle[p]] += step * signs[p]
    return step


@compiled()
def _trace(
    target: int, by: int, node: int, source: int, came_from: np.ndarray, came_by: np.ndarray, cycle: np.ndarray
) -> int:
    """Write the edges of a cycle by following the search tree back to its root.

    Args:
        target: edge between the root and the node at its other end.
        by: edge from ``node`` to the other end of the target.
        node: the node from which the search reached the other end of the target.
        source: root of the search.
        came_from: (n,) predecessor of each node in the search tree.
        came_by: (n,) edge from the predecessor.
        cycle: output, the target first.

    Returns:
        Number of edges, or 0 if the cycle is too long.
    """
    cycle[0], cycle[1] = target, by
    length = 2
    while node != source:
        if length == cycle.size:
            return 0
        cycle[length] = came_by[node]
        length += 1
        node = came_from[node]
    return length


@compiled()
def ways_out(
    indptr: np.ndarray, ids: np.ndarray, reduced: np.ndarray, cut: np.ndarray, smoothing: float, tolerance: float
) -> np.ndarray:
    """For each node, the number of its edges whose estimate is below 1 by more than the tolerance, int32 (n,)."""
    ways = np.zeros(indptr.size - 1, np.int32)
    for i in range(ways.size):
        for p in range(indptr[i], indptr[i + 1]):
            ways[i] += fraction(reduced[ids[p]], cut[ids[p]], smoothing) < 1.0 - tolerance
    return ways


@compiled()
def _mark_targets(i: int, graph: GraphRows, state: State, ways: np.ndarray, target: np.ndarray) -> tuple[int, float]:
    """Mark the targets at node i: edges whose estimate exceeds the tolerance.

    An edge is a target only at its end with fewer ways out, so that the search starts there.

    Args:
        i: the node.
        graph: see the module.
        state: see the module.
        ways: `ways_out`.
        target: (n,), output: the edge to each neighbour.

    Returns:
        Number of targets, and their largest estimate.
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


@compiled()
def _search_from(
    i: int,
    graph: GraphRows,
    state: State,
    work: int,
    highest: float,
    targets: int,
    target: np.ndarray,
    tree: tuple[np.ndarray, ...],
    rows: CycleRows,
    found: int,
) -> int:
    """Breadth-first search from node i for short paths to its targets.

    Args:
        i: the node.
        graph: see the module.
        state: see the module.
        work: maximum number of entries to read.
        highest: largest estimate of a target; longer paths cannot violate an inequality.
        targets: number of targets.
        target: (n,) edge to each neighbour that is a target, -1 elsewhere.
        tree: scratch arrays: seen, came_from, came_by, reach, queue, cycle, signs.
        rows: output, see `separate_cycles`.
        found: number of cycles found so far.

    Returns:
        Number of cycles found, including the earlier ones.
    """
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


@compiled()
def separate_cycles(
    graph: GraphRows, state: State, ways: np.ndarray, work: int, first: int, last: int, rows: CycleRows
) -> int:
    """Find violated cycles and give them multipliers. Stops when the output arrays are full.

    Args:
        graph: see the module.
        state: see the module; its reduced weights are updated.
        ways: `ways_out`.
        work: maximum number of entries to read from one node.
        first: first node to search from.
        last: one past the last node to search from.
        rows: output (starts, edges, multipliers). The edges of cycle t are ``edges[starts[t] : starts[t + 1]]``, its
            target first.

    Returns:
        How many cycles were written.
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
