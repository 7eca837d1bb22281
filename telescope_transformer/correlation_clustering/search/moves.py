"""Compiled one-element moves on dense and sparse graphs, in a given order of the nodes.

A node moves to the cluster to which its weights have the largest sum, or to a new cluster. A pass over all nodes takes
O(n^2) time on dense and O(n + m) on sparse graphs. Each pass returns to Python so that time limits and interrupts take
effect.
"""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.search.greedy import first_largest


@compiled()
def free_labels(count: np.ndarray) -> tuple[np.ndarray, int]:
    """Stack of the labels that no node has, the lowest on top, and its height."""
    free = np.empty(count.size, np.int64)
    height = 0
    for c in range(count.size - 1, -1, -1):
        if count[c] == 0:
            free[height] = c
            height += 1
    return free, height


@compiled(inline="always")
def relabel(
    i: int, target: int, labels: np.ndarray, count: np.ndarray, free: np.ndarray, height: int
) -> tuple[int, int]:
    """Move node i to the cluster ``target``, or to a new one if it is -1.

    Returns:
        The new label of the node, and the height of the stack of free labels.
    """
    own = labels[i]
    if target < 0:
        height -= 1
        target = free[height]
    labels[i] = target
    count[target] += 1
    count[own] -= 1
    if count[own] == 0:
        free[height] = own
        height += 1
    return target, height


@compiled()
def move_dense(matrix: np.ndarray, threshold: float, labels: np.ndarray, order: np.ndarray, tolerance: float) -> int:
    """Move nodes of a complete graph, see `Graph.move_pass`."""
    n = labels.size
    count = np.bincount(labels, minlength=n)
    free, height = free_labels(count)
    top = labels.max() + 1
    sums, more = np.zeros(n), np.zeros(n)
    half = n // 2
    moved = 0
    for i in order:
        row = matrix[i]
        sums[:top] = 0.0
        more[:top] = 0.0
        # Two accumulators are faster, because each addition to an accumulator has to wait for the previous one.
        for j in range(half):
            sums[labels[j]] += row[j]
            more[labels[half + j]] += row[half + j]
        if n % 2:
            sums[labels[n - 1]] += row[n - 1]
        own = labels[i]
        stay = sums[own] + more[own] - row[i] - threshold * (count[own] - 1)
        for c in range(top):
            sums[c] += more[c] - threshold * count[c]
        sums[own] = -np.inf
        target, best = first_largest(sums[:top])
        if max(best, 0.0) <= stay + tolerance:
            continue
        target, height = relabel(i, target if best > 0 else -1, labels, count, free, height)
        top = max(top, target + 1)
        moved += 1
    return moved


@compiled()
def move_sparse(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, labels: np.ndarray, order: np.ndarray, tolerance: float
) -> int:
    """Move nodes of a graph in compressed rows, see `Graph.move_pass`."""
    n = labels.size
    count = np.bincount(labels, minlength=n)
    free, height = free_labels(count)
    sums = np.zeros(n)
    moved = 0
    for i in order:
        own = labels[i]
        for e in range(indptr[i], indptr[i + 1]):
            sums[labels[indices[e]]] += data[e]
        best, target = 0.0, -1
        stay = sums[own]
        for e in range(indptr[i], indptr[i + 1]):
            c = labels[indices[e]]
            if c != own and (sums[c] > best or (sums[c] == best and c < target)):
                best, target = sums[c], c
        for e in range(indptr[i], indptr[i + 1]):
            sums[labels[indices[e]]] = 0.0
        if best <= stay + tolerance:
            continue
        _, height = relabel(i, target, labels, count, free, height)
        moved += 1
    return moved
