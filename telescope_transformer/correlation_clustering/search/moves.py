"""Compiled one-element moves on dense and sparse graphs, in a given order of the nodes.

A node moves to the cluster to which its weights have the largest sum, or to a new cluster. A pass over all nodes takes
O(n^2) time on dense and O(n + m) on sparse graphs. Each pass returns to Python so that time limits and interrupts take
effect.
"""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.search.greedy import first_largest


@compiled()
def _free_labels(count: np.ndarray) -> tuple[np.ndarray, int]:
    """Stack of unused labels, the lowest on top, and its height."""
    free = np.empty(count.size, np.int64)
    height = 0
    for c in range(count.size - 1, -1, -1):
        if count[c] == 0:
            free[height] = c
            height += 1
    return free, height


@compiled()
def _count_and_mass(labels: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of nodes of each cluster, and the sum of their sizes."""
    count = np.zeros(labels.size, np.int64)
    mass = np.zeros(labels.size)
    for i in range(labels.size):
        count[labels[i]] += 1
        mass[labels[i]] += sizes[i]
    return count, mass


@compiled()
def _spend_slack(
    row: np.ndarray, penalty: float, sizes: np.ndarray, labels: np.ndarray, own: int, target: int, slack: np.ndarray
) -> None:
    """Update the slack of every node after a move from ``own`` to ``target``, so that it stays a lower bound."""
    for j in range(labels.size):
        weight = row[j] - penalty * sizes[j]
        if labels[j] == own:
            slack[j] -= max(2 * weight, weight)
        elif labels[j] == target:
            slack[j] -= max(-2 * weight, -weight)
        else:
            slack[j] -= abs(weight)


@compiled()
def move_dense(
    matrix: np.ndarray,
    threshold: float,
    sizes: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    tolerance: float,
    slack: np.ndarray,
    tracks: bool,
) -> int:
    """Move nodes of a complete graph, see `Graph.move_pass`. Nodes with a positive slack are skipped."""
    n = labels.size
    count, mass = _count_and_mass(labels, sizes)
    free, height = _free_labels(count)
    top = labels.max() + 1
    sums, more = np.zeros(n), np.zeros(n)
    half = n // 2
    moved = 0
    for i in order:
        if slack[i] > 0:
            continue
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
        penalty = threshold * sizes[i]
        stay = sums[own] + more[own] - row[i] - penalty * (mass[own] - sizes[i])
        for c in range(top):
            sums[c] += more[c] - penalty * mass[c]
        sums[own] = -np.inf
        target, best = first_largest(sums[:top])
        if max(best, 0.0) <= stay + tolerance:
            if tracks:
                slack[i] = stay - max(best, 0.0)
            continue
        if best <= 0:
            height -= 1
            target = free[height]
            top = max(top, target + 1)
        if tracks:
            _spend_slack(row, penalty, sizes, labels, own, target, slack)
            slack[i] = -np.inf
        count[own] -= 1
        mass[own] -= sizes[i]
        if count[own] == 0:
            mass[own] = 0.0
            free[height] = own
            height += 1
        count[target] += 1
        mass[target] += sizes[i]
        labels[i] = target
        moved += 1
    return moved


@compiled()
def move_sparse(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, labels: np.ndarray, order: np.ndarray, tolerance: float
) -> int:
    """Move nodes of a graph in compressed rows, see `Graph.move_pass`."""
    n = labels.size
    count = np.zeros(n, np.int64)
    for i in range(n):
        count[labels[i]] += 1
    free, height = _free_labels(count)
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
        if target < 0:
            height -= 1
            target = free[height]
        count[own] -= 1
        if count[own] == 0:
            free[height] = own
            height += 1
        count[target] += 1
        labels[i] = target
        moved += 1
    return moved
