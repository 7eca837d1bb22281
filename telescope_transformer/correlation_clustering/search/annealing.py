"""Simulated annealing of small graphs, and a population of clusterings that it improves.

If the weights are close to random (as in rankings or modularity), descent ends in one of very many local optima.
Annealing moves random nodes to random clusters and accepts a loss with a probability that falls with the temperature
(Kirkpatrick, Gelatt and Vecchi, *Optimization by simulated annealing*, 1983). The number of clusters is limited to
about that of the best known clustering: without a limit, a clustering breaks up into many small clusters at high
temperatures, which merge only late.

A population keeps the results of earlier runs. Two members are crossed: the largest sets of nodes that both keep
together become separate clusters, the other sets are distributed over them at random, and annealing continues from a
moderate temperature (see Lu, Zhou and Hao, *A merge-divide memetic algorithm for the clique partitioning problem*,
2021).

The kernel keeps the sums of weights between every node and every cluster in float32. Costs are always computed on the
graph itself.
"""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels, common_refinement
from telescope_transformer.correlation_clustering.search.local_search import improve
from telescope_transformer.correlation_clustering.solution import Deadline, Progress

# Maximum number of nodes for annealing. For more nodes, the float32 copy of the weights (16 MB) no longer fits in the
# cache, and sweeps over all clusters take too long.
_ANNEAL_UP_TO = 2_000
# First temperature of random starts, first temperature of children, and last temperature, in units of the root mean
# square length of a node's row of weights. For random weights of 500 and 1,000 nodes, hotter starts gain nothing,
# colder starts end in local optima, and below the last temperature plain descent is as good as annealing.
_HOT, _WARM, _COLD = 0.2, 0.1, 0.05
# Number of sweeps of one run. One run of 3,000 gets further than one of 1,000, but three short runs and their children
# get further than one long run.
_SWEEPS = 1_000
# Annealing is only tried if the sums between nodes and clusters are at most this many, 400 kB, so that they stay in
# the cache. Nearly random weights lead to few clusters: 1,000 nodes have about 20,000 sums, and a run takes 0.1 s.
# 2,000 embeddings (kind b, threshold 0.3) have a million; there, a run takes 20 s, as long as 300 restarts, and gains
# nothing.
_MOST_SUMS = 100_000
# A loss of this many temperatures would be accepted with a probability of e^-16 = 1e-7, so it is always rejected.
_NEVER = 16.0
# Runs from random clusterings alone are about as good as a population at first: 500 Gaussian nodes cost 2,226,250 and
# 2,226,120 after 4 s, and 800 uniform nodes 7,381,010 and 7,381,520 after 12 s. Runs from the best clustering alone
# are worse: 2,227,310 for the Gaussian nodes.
# Number of members of a population, whose first runs take about a second for 1,000 nodes. The population has converged
# after this many children in a row without improvement, three per member.
_POPULATION, _BARREN = 10, 30
# Number of proposals between two checks of the time. For 2,000 nodes, they take 0.17 s in hot sweeps, and a call takes
# 2 ms to set up its sums.
_PROPOSALS_A_CALL = 1_000_000


@compiled()
def _sums(weights: np.ndarray, labels: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of weights between each cluster and each node, float32 (rows, n), and cluster sizes, int64 (rows,)."""
    sums, count = np.zeros((rows, labels.size), np.float32), np.zeros(rows, np.int64)
    for i in range(labels.size):
        count[labels[i]] += 1
        sums[labels[i]] += weights[i]
    return sums, count


@compiled()
def _move(row: np.ndarray, labels: np.ndarray, sums: np.ndarray, count: np.ndarray, v: int, target: np.int64) -> None:
    """Move node v, whose weights are ``row``, to the cluster ``target``."""
    own = labels[v]
    labels[v] = target
    count[own] -= 1
    count[target] += 1
    to_target, to_own = sums[target], sums[own]
    for j in range(labels.size):
        to_target[j] += row[j]
        to_own[j] -= row[j]


@compiled()
def _rename(labels: np.ndarray, sums: np.ndarray, count: np.ndarray, last: int, empty: int) -> None:
    """Give the last cluster the number of an empty one."""
    if empty != last:
        sums[empty] = sums[last]
        count[empty] = count[last]
        for j in range(labels.size):
            if labels[j] == last:
                labels[j] = empty
    sums[last] = 0.0
    count[last] = 0


@compiled()
def _anneal(weights: np.ndarray, labels: np.ndarray, most: int, temperatures: np.ndarray, seed: int) -> None:
    """Run one sweep at each temperature.

    If there are k clusters, a sweep proposes k + 1 moves of each node. Each proposal moves the node to a random
    cluster, or to a new one if there are fewer than ``most``.

    Args:
        weights: float32 (n, n), diagonal 0.
        labels: int64 (n,), clusters 0..k-1 with k <= most; updated.
        most: maximum number of clusters.
        temperatures: float32, one for each sweep.
        seed: seed of the random choices.
    """
    n, k = labels.size, labels.max() + 1
    sums, count = _sums(weights, labels, most + 1)
    # Xorshift generator (Marsaglia 2003). The high bits choose a cluster, and the low bits decide whether a loss is
    # accepted.
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


def can_anneal(labels: np.ndarray) -> bool:
    """Whether a graph with the clustering ``labels`` (n,) is small enough for annealing."""
    return labels.size <= _ANNEAL_UP_TO and labels.size * (int(labels.max(initial=0)) + 1) <= _MOST_SUMS


class Annealer:
    """Anneals clusterings of one graph.

    Weights are scaled to about 1 by a power of two, so that sums stay finite and sums of whole numbers stay exact.

    Args:
        graph: the graph.
        rng: source of random numbers.
        deadline: when to stop.
    """

    def __init__(self, graph: Graph, rng: np.random.Generator, deadline: Deadline) -> None:
        self._graph, self._rng, self._deadline = graph, rng, deadline
        self._weights = (graph.weights() / 2.0 ** np.floor(np.log2(graph.scale))).astype(np.float32)
        self._unit = float(np.sqrt(np.square(self._weights, dtype=np.float64).sum() / max(graph.n, 1)))

    def run(self, labels: np.ndarray, hottest: float = _WARM, room: int = 0) -> np.ndarray:
        """Anneal a clustering, then improve it by moves of nodes.

        Args:
            labels: (n,), where to start.
            hottest: first temperature, in units of the root mean square length of a node's row of weights.
            room: number of additional clusters that are allowed.

        Returns:
            Canonical labels int64 (n,).
        """
        labels = canonical_labels(labels)
        most = int(labels.max(initial=0)) + 1 + room
        temperatures = (np.geomspace(hottest, _COLD, _SWEEPS) * self._unit).astype(np.float32)
        calls = 1 + _SWEEPS * labels.size * most // _PROPOSALS_A_CALL
        for part in np.array_split(temperatures, calls) if self._unit > 0 else ():
            if self._deadline.passed:
                break
            _anneal(self._weights, labels, most, part, int(self._rng.integers(2**31)))
        return improve(self._graph, labels, self._rng, self._deadline)


def cross(first: np.ndarray, second: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Cross two clusterings: the k largest shared pieces stay apart, and every other piece joins a random one.

    Args:
        first: (n,), labels.
        second: (n,), labels.
        k: number of clusters.
        rng: source of random numbers.

    Returns:
        Labels (n,) below k.
    """
    pieces = common_refinement(first, second)
    size = np.bincount(pieces)
    target = rng.integers(0, k, size.size)
    largest = np.argsort(-size, kind="stable")[:k]
    target[largest] = np.arange(largest.size)
    crossed: np.ndarray = target[pieces]
    return crossed


def breed(progress: Progress, rng: np.random.Generator, deadline: Deadline, rounds: int | None = None) -> None:
    """Improve the best clustering by annealing populations of clusterings.

    A population begins with annealing from random clusterings. The child of a random pair replaces the worst member if
    it costs less and its cost differs from that of all members. The next population begins when children no longer
    improve this one.

    Args:
        progress: progress on the graph; receives clusterings.
        rng: source of random numbers.
        deadline: when to stop.
        rounds: number of populations, or None.
    """
    annealer = Annealer(progress.graph, rng, deadline)
    while rounds != 0 and not deadline.passed and not progress.closed:
        _one_population(progress, annealer, rng, deadline)
        rounds = None if rounds is None else rounds - 1


def _one_population(progress: Progress, annealer: Annealer, rng: np.random.Generator, deadline: Deadline) -> None:
    """Run one population until its children no longer improve it."""
    graph = progress.graph
    members: list[np.ndarray] = []
    costs: list[float] = []
    barren = 0
    while barren < _BARREN and not deadline.passed and not progress.closed:
        # Use about as many clusters as the best clustering has.
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
