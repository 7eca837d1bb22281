"""Simulated annealing of one-element moves on complete graphs of up to a few thousand nodes.

Where weights are as good as random (rankings, modularity), descents end in one of very many local optima, and slow
cooling finds far better ones (cf. de Amorim, Barthélemy and Ribeiro, *Clustering and clique partitioning: simulated
annealing and tabu search approaches*, 1992). The gains of all moves are kept in a table: a proposal costs O(1), a move
O(n).
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels
from telescope_transformer.correlation_clustering.progress import Deadline

# In units of the weights' standard deviation times sqrt(n). Random weights of any kind freeze between the two.
_FIRST_HEAT, _LAST_HEAT = 0.16, 0.035
_PROPOSALS_A_CALL = 1_000_000


@njit(cache=True, nogil=True)
def fill_table(weights, labels, table, count):
    """Sums of the weights from each node to each cluster, by cluster and node, and the sizes of the clusters."""
    table[:] = 0.0
    count[:] = 0
    for i in range(labels.size):
        count[labels[i]] += 1
        table[labels[i]] += weights[i]


@njit(cache=True, nogil=True)
def _anneal(weights, labels, table, count, schedule, best_labels, seed):
    """One pass of n proposals for each temperature of ``schedule``; returns the gain of the best over the start."""
    np.random.seed(seed)
    n = labels.size
    # The clusters in use come first in ``slots``, so that each is proposed as often as any other, and a new one.
    slots = np.argsort(count == 0, kind="mergesort")
    k = np.count_nonzero(count)
    value, best_value = 0.0, 0.0
    for temperature in schedule:
        for _ in range(n):
            i = np.random.randint(0, n)
            own = labels[i]
            place = np.random.randint(0, min(k + 1, n))
            target = slots[place]
            if target == own:
                continue
            gain = table[target, i] - table[own, i]
            if gain < 0 and (temperature <= 0 or np.random.random() >= np.exp(gain / temperature)):
                continue
            table[own] -= weights[i]
            table[target] += weights[i]
            count[own] -= 1
            count[target] += 1
            labels[i] = target
            value += gain
            if place == k:
                k += 1
            if count[own] == 0:
                k -= 1
                here = 0
                while slots[here] != own:
                    here += 1
                slots[here], slots[k] = slots[k], own
        if value > best_value:
            best_value = value
            best_labels[:] = labels
    return best_value


def anneal(
    graph: DenseGraph, labels: np.ndarray, rng: np.random.Generator, deadline: Deadline, passes: int
) -> np.ndarray:
    """Labels (n,) of an annealing from ``labels`` with ``passes`` proposals a node; canonical, not always better."""
    n = graph.n
    weights = graph.weights()
    unit = float(weights.std()) * np.sqrt(n)
    schedule = np.append(np.geomspace(_FIRST_HEAT * unit, _LAST_HEAT * unit, passes), np.zeros(4))
    labels, best, best_cost = labels.copy(), labels, graph.cost(labels)
    table, count = np.empty((n, n)), np.empty(n, dtype=np.int64)
    for part in np.array_split(schedule, max(1, passes * n // _PROPOSALS_A_CALL)):
        # The table is summed anew in each part, so that rounding does not build up.
        fill_table(weights, labels, table, count)
        found = labels.copy()
        _anneal(weights, labels, table, count, part, found, int(rng.integers(2**31)))
        cost = graph.cost(found)
        if cost < best_cost:
            best, best_cost = found, cost
        if deadline.passed:
            break
    return canonical_labels(best)
