"""Rounding of fractional solutions: from estimates x in [0, 1] of the cut pairs to clusterings.

A pivot takes the unclustered nodes at small x and the rest goes on (Ailon, Charikar and Newman, *Aggregating
inconsistent information*, 2008). Each node joins at random with the functions of Chawla, Makarychev, Schramm and
Yaroslavtsev (*Near optimal LP rounding algorithm for correlation clustering*, STOC 2015; a 2.06-approximation for
weights of +-1), or where x is below one threshold (balls). The best of many wins.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels

# The stretch over which an attractive pair's probability to be cut rises from 0 to 1; Chawla et al., section 3.
_RISE_FROM, _RISE_TO = 0.19, 0.5095


@njit(cache=True, nogil=True)
def _uniform(seed, i, j):
    """A number in [0, 1) that depends on the seed and the ordered pair alone (splitmix64)."""
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(i) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(j)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def _pivot(x, matrix, threshold, order, radius, seed):
    """Labels of one pivot rounding; a ball where ``radius`` is at least 0, random otherwise."""
    labels = np.full(order.size, -1, np.int64)
    cluster = 0
    for pivot in order:
        if labels[pivot] >= 0:
            continue
        labels[pivot] = cluster
        for j in range(order.size):
            if labels[j] >= 0:
                continue
            if radius >= 0:
                joins = x[pivot, j] < radius
            else:
                apart = x[pivot, j]
                if matrix[pivot, j] > threshold:
                    apart = min(1.0, max(0.0, (apart - _RISE_FROM) / (_RISE_TO - _RISE_FROM))) ** 2
                joins = _uniform(seed, pivot, j) >= apart
            if joins:
                labels[j] = cluster
        cluster += 1
    return labels


def round_fractions(graph: DenseGraph, x: np.ndarray, rng: np.random.Generator, trials: int = 24) -> np.ndarray:
    """The best of ``trials`` pivot and as many ball roundings of ``x`` (n, n), as canonical labels (n,)."""
    best, best_cost = np.arange(graph.n, dtype=np.int64), np.inf
    radii = np.linspace(0.2, 0.8, trials)
    for trial in range(2 * trials if graph.n else 0):
        radius = radii[trial // 2] if trial % 2 else -1.0
        labels = _pivot(x, graph.matrix, graph.threshold, rng.permutation(graph.n), radius, int(rng.integers(2**31)))
        cost = graph.cost(labels)
        if cost < best_cost:
            best, best_cost = labels, cost
    return canonical_labels(best)
