"""Tabu search of one-element moves on small complete graphs, and a population of clusterings that it improves.

Where weights are as good as random (rankings, modularity), descents end in one of very many local optima. Tabu search
takes the best move at every step, also where it loses, and keeps the node where it went for a while (cf. Zhou, Hao and
Goëffon, *A three-phased local search approach for the clique partitioning problem*, 2016). Clusterings that it finds
are crossed: what two agree on is kept, the rest is spread at random (cf. Lu, Zhou and Hao, *A merge-divide memetic
algorithm for the clique partitioning problem*, 2021).

The table of sums from each node to each cluster makes a step one pass over it in vector instructions, in float32:
costs are always measured on the graph itself.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels, common_refinement
from telescope_transformer.correlation_clustering.search.local_search import evolve, fuse
from telescope_transformer.correlation_clustering.solution import Deadline, Progress

TABU_UP_TO = 1_000
# Steps that a node stays where it went: between the two, at random; less on graphs of few nodes.
_SHORTEST_TENURE, _LONGEST_TENURE = 10, 50
_STEPS_A_NODE = 50
_CELLS_A_RUN = 400_000_000
_POPULATION = 8
_BARREN = 3 * _POPULATION


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _gains(table, k, stay, alone, free_at, step, suffices, gains):
    """Gain of the best allowed move of each node, and the largest. A tabu move that ``suffices`` is allowed."""
    gains[:] = alone
    for c in range(k):
        row = table[c]
        for i in range(gains.size):
            gains[i] = max(gains[i], row[i])
    largest = np.float32(-np.inf)
    for i in range(gains.size):
        gain = gains[i] - stay[i]
        gain = gain if free_at[i] <= step or gain > suffices else np.float32(-np.inf)
        gains[i] = gain
        largest = max(largest, gain)
    return largest


@njit(cache=True, nogil=True)
def _tables(weights, labels, k):
    """Sums to each other cluster (2k + 8, n), -inf to the own; to the own (n,); sizes; 0, or -inf where alone."""
    n = labels.size
    table = np.zeros((2 * k + 8, n), np.float32)
    count = np.zeros(n + 1, np.int64)
    for i in range(n):
        count[labels[i]] += 1
        table[labels[i]] += weights[i]
    stay = np.empty(n, np.float32)
    alone = np.zeros(n, np.float32)
    for i in range(n):
        stay[i] = table[labels[i], i]
        table[labels[i], i] = -np.inf
        if count[labels[i]] == 1:
            alone[i] = -np.inf
    return table, stay, count, alone


@njit(cache=True, nogil=True)
def _move(weights, labels, table, stay, count, alone, v, target):
    """Move node v to cluster ``target``."""
    own = labels[v]
    table[own, v] = stay[v]
    stay[v] = table[target, v]
    table[target, v] = -np.inf
    labels[v] = target
    row = weights[v]
    table[target] += row
    table[own] -= row
    count[own] -= 1
    count[target] += 1
    for i in range(labels.size):
        if labels[i] == target:
            stay[i] += row[i]
            alone[i] = 0.0 if count[target] > 1 else -np.inf
        elif labels[i] == own:
            stay[i] -= row[i]
            alone[i] = 0.0 if count[own] > 1 else -np.inf


@njit(cache=True, nogil=True)
def _drop(labels, table, count, empty, last):
    """The last cluster takes the number of an empty one."""
    if empty != last:
        table[empty] = table[last]
        count[empty] = count[last]
        count[last] = 0
        labels[labels == last] = empty


@njit(cache=True, nogil=True)
def _tabu(weights, labels, steps, seed):
    """``steps`` moves from ``labels`` (0..k-1), which the best found overwrite; returns its gain."""
    np.random.seed(seed)
    n = labels.size
    k = labels.max() + 1
    table, stay, count, alone = _tables(weights, labels, k)
    gains = np.empty(n, np.float32)
    free_at = np.zeros(n, np.int64)
    current, value, best = labels.copy(), 0.0, 0.0
    shortest, longest = min(_SHORTEST_TENURE, n // 4), min(_LONGEST_TENURE, n // 2)
    for step in range(steps):
        gain = _gains(table, k, stay, alone, free_at, step, np.float32(best - value), gains)
        if gain == -np.inf:
            continue
        v = np.random.randint(0, n)
        while gains[v] != gain:
            v = (v + 1) % n
        own, target = current[v], np.argmax(table[:k, v])
        if table[target, v] < alone[v]:
            if k == table.shape[0]:
                table = np.concatenate((table, np.zeros_like(table)))
            target = k
            table[target] = 0.0
            k += 1
        _move(weights, current, table, stay, count, alone, v, target)
        if count[own] == 0:
            k -= 1
            _drop(current, table, count, own, k)
        free_at[v] = step + np.random.randint(shortest, longest + 1)
        value += gain
        if value > best:
            best = value
            labels[:] = current
    return best


def _single_weights(graph: DenseGraph) -> np.ndarray:
    """All weights in float32 (n, n), in units of about the largest, so that their sums are finite.

    The unit is a power of two, which leaves sums of whole numbers exact.
    """
    return (graph.weights() / 2.0 ** np.floor(np.log2(graph.scale))).astype(np.float32)


def search_tabu(
    graph: DenseGraph,
    labels: np.ndarray,
    rng: np.random.Generator,
    deadline: Deadline,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Labels (n,) after runs of tabu search, each from the last one's best, until one brings nothing; canonical.

    ``weights`` (n, n) are the graph's in float32 in units of about its largest, where they are at hand. The cost
    never rises. A run takes 50 steps a node.
    """
    best = canonical_labels(labels)
    weights = _single_weights(graph) if weights is None else weights
    cost = graph.cost(best)
    while not deadline.passed:
        found = best.copy()
        steps = min(_STEPS_A_NODE * graph.n, 1 + _CELLS_A_RUN // (graph.n * (int(best.max(initial=0)) + 2)))
        _tabu(weights, found, steps, int(rng.integers(2**31)))
        found_cost = graph.cost(found)
        if not found_cost < cost:
            break
        best, cost = canonical_labels(found), found_cost
    return best


def cross(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels (n,): the largest pieces that two clusterings agree on, and the other pieces each in one of those."""
    pieces = common_refinement(first, second)
    size = np.bincount(pieces)
    k = max(first.max(), second.max()) + 1
    target = rng.integers(0, k, size.size)
    target[np.argsort(-size, kind="stable")[:k]] = np.arange(k)
    return canonical_labels(target[pieces])


def breed(
    progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline, rounds: int | None = None
) -> None:
    """Improve the best clustering of ``progress`` by populations until the deadline, or ``rounds`` of them.

    A population begins with tabu search from random clusterings. The child of a random pair takes the place of the
    worst if it costs less and differs in cost from all; when no child does any more, the next population begins.
    Between populations, a search by restarts and fusion begins anew, which gets further where clusters are many.
    """
    while rounds != 0 and not deadline.passed and not progress.closed:
        fresh = Progress(graph, deadline.seconds_left)
        evolve(fresh, rng, deadline)
        before = progress.labels
        other = before if progress.offer(fresh.labels) else fresh.labels
        progress.offer(fuse(graph, progress.labels, other, rng, deadline))
        _one_population(progress, graph, rng, deadline)
        rounds = None if rounds is None else rounds - 1


def _one_population(progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline) -> None:
    k = int(progress.labels.max(initial=0)) + 2
    weights = _single_weights(graph)
    members: list[np.ndarray] = []
    costs: list[float] = []
    barren = 0
    while barren < _BARREN and not deadline.passed and not progress.closed:
        if len(members) < _POPULATION:
            start = rng.integers(0, k, graph.n)
        else:
            i, j = rng.choice(_POPULATION, 2, replace=False)
            start = cross(members[i], members[j], rng)
        child = search_tabu(graph, start, rng, deadline, weights)
        cost = graph.cost(child)
        progress.offer(child)
        if len(members) < _POPULATION:
            members.append(child)
            costs.append(cost)
            continue
        worst = int(np.argmax(costs))
        if cost < costs[worst] and cost not in costs:
            members[worst], costs[worst], barren = child, cost, 0
        else:
            barren += 1
