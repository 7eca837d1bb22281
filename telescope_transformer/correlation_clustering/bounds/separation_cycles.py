"""Separation of violated cycle inequalities on sparse graphs: x_e <= sum of x_f over a path f between the ends of e.

If absent pairs weigh 0, all cycle inequalities together are equivalent to all triangle inequalities. They need no
variables for absent pairs (Chopra and Rao, *The partition problem*, 1993). Every edge with a positive estimate is a
target. A search over the edges with an estimate below 1 grows a tree of short paths of few edges from one end of the
targets. The edges at their other ends close the cycles, so a tree of two levels finds every cycle of four edges (see
Lange, Karrenbauer and Andres, ICML 2018, who pack such cycles). A violated inequality gets its multiplier immediately,
so the same violation is not found again.

In this module, ``graph``, ``near`` and ``state`` are as in :mod:`.separation_triangles`. The estimates ``x``, float32
(m,), are kept up to date.
"""

import numpy as np

from telescope_transformer.correlation_clustering.bounds.ascent import fraction, search_row
from telescope_transformer.correlation_clustering.bounds.separation_triangles import GraphRows, NearRows, State
from telescope_transformer.correlation_clustering.compiled import compiled

# Maximum number of edges of a cycle, for which an array is allocated. The longest cycle in the tests is a ring of
# 2,001 nodes.
LONGEST = 4_096

CycleRows = tuple[np.ndarray, np.ndarray, np.ndarray]


@compiled()
def _ascend_cycle(cycle: np.ndarray, signs: np.ndarray, state: State) -> float:
    """Take the first step for the cycle inequality of the target ``cycle[0]`` and the path ``cycle[1:]``.

    Updates the reduced costs. Returns the new multiplier, or 0 if the inequality is not violated.
    """
    reduced, cut, smoothing, tolerance = state
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
    target: int,
    by: int,
    node: int,
    source: int,
    end: int,
    came_from: np.ndarray,
    came_by: np.ndarray,
    cycle: np.ndarray,
) -> int:
    """Write the edges of a cycle by following the search tree back to its root.

    Args:
        target: edge between the root and ``end``.
        by: edge from ``node`` to ``end``.
        node: the node of the tree from which ``by`` leads to ``end``.
        source: root of the search.
        end: the other end of the target.
        came_from: (n,) predecessor of each node in the search tree.
        came_by: (n,) edge from the predecessor.
        cycle: output, the target first.

    Returns:
        Number of edges, or 0 if the cycle is too long or passes ``end`` twice.
    """
    cycle[0], cycle[1] = target, by
    length = 2
    while node != source:
        if length == cycle.size or node == end:
            return 0
        cycle[length] = came_by[node]
        length += 1
        node = came_from[node]
    return length


@compiled()
def _mark_targets(
    i: int, graph: GraphRows, near_indptr: np.ndarray, x: np.ndarray, tolerance: float, targets: np.ndarray
) -> tuple[int, float]:
    """Find the targets at node i: edges whose estimate exceeds the tolerance.

    An edge is a target only at its end with fewer near edges, where the tree is smaller, and only if there are near
    edges at the other end.

    Args:
        i: the node.
        graph: see the module.
        near_indptr: row starts of the near edges.
        x: see the module.
        tolerance: least violation.
        targets: (n,), output: places of the targets in the rows.

    Returns:
        Number of targets, and their largest estimate.
    """
    indptr, indices, ids = graph
    ways = near_indptr[i + 1] - near_indptr[i]
    count, highest = 0, 0.0
    for p in range(indptr[i], indptr[i + 1]):
        j = indices[p]
        ways_of_other = near_indptr[j + 1] - near_indptr[j]
        if x[ids[p]] > tolerance and (ways < ways_of_other or (ways == ways_of_other and i < j)):
            targets[count] = p
            count += 1
            highest = max(highest, x[ids[p]])
    return count, highest


@compiled()
def _grow(i: int, near: NearRows, x: np.ndarray, work: int, longest: float, tree: tuple[np.ndarray, ...]) -> int:
    """Breadth-first search from node i for short paths over near edges.

    Args:
        i: the node.
        near: see the module.
        x: see the module.
        work: maximum number of entries to read.
        longest: paths whose estimates have this sum or a larger one are of no use.
        tree: output: the node from which each node was reached last, the sum of the estimates on the path, the
            predecessor and the edge from it; and a queue.

    Returns:
        How many entries were read.
    """
    indptr, ends, edges, _ = near
    seen, reach, came_from, came_by, queue = tree
    seen[i], reach[i], queue[0] = i, 0.0, i
    head, tail, scanned = 0, 1, 0
    while head < tail and scanned < work:
        k = queue[head]
        head += 1
        scanned += indptr[k + 1] - indptr[k]
        for p in range(indptr[k], indptr[k + 1]):
            j = ends[p]
            length = reach[k] + x[edges[p]]
            if length >= longest:
                continue
            if seen[j] != i:
                seen[j], queue[tail] = i, j
                tail += 1
            elif length >= reach[j]:
                continue
            reach[j], came_from[j], came_by[j] = length, k, edges[p]
    return scanned


@compiled()
def separate_cycles(
    graph: GraphRows,
    near: NearRows,
    state: State,
    x: np.ndarray,
    work: int,
    first: int,
    last: int,
    rows: CycleRows,
) -> tuple[int, int]:
    """Find violated cycles and give them multipliers. Stops when the output arrays are full.

    Args:
        graph: see the module.
        near: see the module.
        state: see the module; its reduced costs are updated.
        x: see the module; updated.
        work: maximum number of entries to read for the tree of one node.
        first: first node to search from.
        last: one past the last node to search from.
        rows: output (starts, edges, multipliers). The edges of cycle t are ``edges[starts[t] : starts[t + 1]]``, its
            target first.

    Returns:
        How many cycles were written, and how many entries were read for the trees.
    """
    indptr, indices, ids = graph
    near_indptr, ends, near_edges, _ = near
    reduced, cut, smoothing, tolerance = state
    n = indptr.size - 1
    seen, targets, cycle = np.full(n, -1, np.int32), np.empty(n, np.int64), np.empty(LONGEST, np.int64)
    reach, came_from, came_by = np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.int32)
    tree = (seen, reach, came_from, came_by, np.empty(n, np.int32))
    signs = np.full(LONGEST, -1.0)
    signs[0] = 1.0
    starts, edges, multipliers = rows
    found, scanned = 0, 0
    for i in range(first, last):
        if near_indptr[i] == near_indptr[i + 1]:
            continue
        count, highest = _mark_targets(i, graph, near_indptr, x, tolerance, targets)
        if count == 0:
            continue
        scanned += _grow(i, near, x, work, highest - tolerance, tree)
        for p in targets[:count]:
            j, a = indices[p], ids[p]
            for q in range(near_indptr[j], near_indptr[j + 1]):
                k, f = ends[q], near_edges[q]
                if seen[k] != i or k == i or reach[k] + x[f] >= x[a] - tolerance:
                    continue
                size = _trace(a, f, k, i, j, came_from, came_by, cycle)
                step = _ascend_cycle(cycle[:size], signs[:size], state)
                for e in cycle[:size]:
                    x[e] = fraction(reduced[e], cut[e], smoothing)
                if step > 0:
                    starts[found + 1] = starts[found] + size
                    edges[starts[found] : starts[found + 1]] = cycle[:size]
                    multipliers[found] = step
                    found += 1
                    if found == multipliers.size or starts[found] + LONGEST > edges.size:
                        return found, scanned
                    if x[a] <= tolerance:
                        break
    return found, scanned
