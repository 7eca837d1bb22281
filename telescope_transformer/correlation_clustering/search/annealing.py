"""Simulated annealing of small complete graphs, and a population of clusterings that it improves.

Where weights are as good as random (rankings, modularity), descents end in one of very many local optima. Annealing
moves random nodes to random clusters, and accepts a loss with a probability that falls with the temperature
(Kirkpatrick, Gelatt and Vecchi, *Optimization by simulated annealing*, 1983). The number of clusters is capped near
that of the best clustering known: without a cap, a hot clustering falls into many small clusters and condenses late.

A population keeps what earlier runs found. Two members are crossed: the largest pieces that both agree on stay whole,
the others are spread at random, and annealing goes on from a moderate temperature (cf. Lu, Zhou and Hao, *A
merge-divide memetic algorithm for the clique partitioning problem*, 2021).

The kernel keeps the sums of weights from every node to every cluster in float32. Costs are always measured on the
graph itself.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels, common_refinement
from telescope_transformer.correlation_clustering.search.local_search import improve
from telescope_transformer.correlation_clustering.solution import Deadline, Progress

# Beyond, the float32 copy of the weights leaves the cache, and sweeps over all clusters take too long.
ANNEAL_UP_TO = 2_000
# Temperatures in units of the root mean square length of a node's row of weights: that of random starts, that of
# children, and the last one. Measured on random weights of 500 and 1,000 nodes: hotter starts gain nothing, colder
# ones end in local optima; below the last, moves that only gain do as well.
_HOT, _WARM, _COLD = 0.2, 0.1, 0.05
# Sweeps of one run: 3,000 get further than 1,000 in one run, but three runs and their children get further than one.
# Fewer where there are many clusters, so that a run takes about a second.
_SWEEPS, _PROPOSALS = 1_000, 100_000_000
# A loss of so many times the temperature is accepted with a probability of e^-16: never, in a run.
_NEVER = 16.0
# Members, whose first runs take about a second for 1,000 nodes; and children in a row that bring nothing, three for
# each, after which a population has converged.
_POPULATION, _BARREN = 10, 30
# Proposals between two looks at the clock: at most 0.1 s if all are accepted, and more than the sums of a call cost.
_PROPOSALS_A_CALL = 1_000_000


@njit(cache=True, nogil=True)
def _sums(weights, labels, rows):
    """Sums of weights from each cluster to each node (rows, n), and the number of nodes of each cluster (rows,)."""
    sums, count = np.zeros((rows, labels.size), np.float32), np.zeros(rows, np.int64)
    for i in range(labels.size):
        count[labels[i]] += 1
        sums[labels[i]] += weights[i]
    return sums, count


@njit(cache=True, nogil=True)
def _move(row, labels, sums, count, v, target):
    own = labels[v]
    labels[v] = target
    count[own] -= 1
    count[target] += 1
    to_target, to_own = sums[target], sums[own]
    for j in range(labels.size):
        to_target[j] += row[j]
        to_own[j] -= row[j]


@njit(cache=True, nogil=True)
def _rename(labels, sums, count, last, empty):
    """The last cluster takes the number of an empty one."""
    if empty != last:
        sums[empty] = sums[last]
        count[empty] = count[last]
        for j in range(labels.size):
            if labels[j] == last:
                labels[j] = empty
    sums[last] = 0.0
    count[last] = 0


@njit(cache=True, nogil=True)
def _anneal(weights, labels, most, temperatures, seed):
    """One sweep at each temperature, from ``labels`` (0..k-1, k <= most), which are overwritten.

    A sweep proposes as many moves of each node as there are clusters, and one more. A proposal is a random cluster,
    or a new one while there are fewer than ``most``.
    """
    n, k = labels.size, labels.max() + 1
    sums, count = _sums(weights, labels, most + 1)
    # Xorshift generator (Marsaglia 2003): the high bits choose a cluster, the low ones whether a loss is accepted.
    bits = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    for temperature in temperatures:
        for _ in range(k + 1):
            for v in range(n):
                bits ^= bits << np.uint64(13)
                bits ^= bits >> np.uint64(7)
                bits ^= bits << np.uint64(17)
                target = np.int64(((bits >> np.uint64(32)) * np.uint64(min(k + 1, most))) >> np.uint64(32))
                own = labels[v]
                loss = sums[own, v] - sums[target, v]
                if target == own or loss > _NEVER * temperature or (target == k and count[own] == 1):
                    continue
                if loss > 0 and (bits & np.uint64(0xFFFFFF)) * 2.0**-24 >= np.exp(-loss / temperature):
                    continue
                _move(weights[v], labels, sums, count, v, target)
                k = max(k, target + 1)
                if count[own] == 0:
                    k -= 1
                    _rename(labels, sums, count, k, own)


class Annealer:
    """Anneals clusterings of one graph: its weights in float32, and their unit of temperature.

    Weights are scaled by a power of two to about 1, so that their sums are finite, and those of whole numbers exact.
    """

    def __init__(self, graph: Graph, rng: np.random.Generator, deadline: Deadline) -> None:
        self._graph, self._rng, self._deadline = graph, rng, deadline
        self._weights = (graph.weights() / 2.0 ** np.floor(np.log2(graph.scale))).astype(np.float32)
        self._unit = float(np.sqrt(np.square(self._weights, dtype=np.float64).sum() / max(graph.n, 1)))

    def run(self, labels: np.ndarray, hottest: float = _WARM, room: int = 0) -> np.ndarray:
        """Canonical labels (n,) after annealing ``labels`` with ``room`` for more clusters, and then moves of nodes.

        ``hottest`` is the first temperature, in units of a node's row of weights.
        """
        labels = canonical_labels(labels)
        most = int(labels.max(initial=0)) + 1 + room
        proposals = max(labels.size, 1) * most
        sweeps = min(_SWEEPS, 1 + _PROPOSALS // proposals)
        temperatures = (np.geomspace(hottest, _COLD, sweeps) * self._unit).astype(np.float32)
        calls = 1 + sweeps * proposals // max(_PROPOSALS_A_CALL, 2 * labels.size**2)
        for part in np.array_split(temperatures, calls) if self._unit > 0 else ():
            if self._deadline.passed:
                break
            _anneal(self._weights, labels, most, part, int(self._rng.integers(2**31)))
        return improve(self._graph, labels, self._rng, self._deadline)


def cross(first: np.ndarray, second: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels (n,) below k: the k largest pieces that two clusterings agree on, and the others each in one of those."""
    pieces = common_refinement(first, second)
    size = np.bincount(pieces)
    target = rng.integers(0, k, size.size)
    largest = np.argsort(-size, kind="stable")[:k]
    target[largest] = np.arange(largest.size)
    return target[pieces]


def breed(progress: Progress, rng: np.random.Generator, deadline: Deadline, rounds: int | None = None) -> None:
    """Improve the best clustering of ``progress`` by populations until the deadline, or ``rounds`` of them.

    A population begins with annealing from random clusterings. The child of a random pair takes the place of the
    worst if it costs less and differs in cost from all. When no child does any more, the next population begins.
    """
    annealer = Annealer(progress.graph, rng, deadline)
    while rounds != 0 and not deadline.passed and not progress.closed:
        _one_population(progress, annealer, rng, deadline)
        rounds = None if rounds is None else rounds - 1


def _one_population(progress: Progress, annealer: Annealer, rng: np.random.Generator, deadline: Deadline) -> None:
    graph = progress.graph
    members: list[np.ndarray] = []
    costs: list[float] = []
    barren = 0
    while barren < _BARREN and not deadline.passed and not progress.closed:
        # About as many clusters as the best has.
        k = max(2, int(progress.labels.max(initial=0)) + int(rng.integers(0, 3)))
        if len(members) < _POPULATION:
            child = annealer.run(rng.integers(0, k, graph.n), _HOT)
        else:
            i, j = rng.choice(_POPULATION, 2, replace=False)
            child = annealer.run(cross(members[i], members[j], k, rng))
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
