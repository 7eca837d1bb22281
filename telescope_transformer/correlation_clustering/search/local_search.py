"""Local search: move nodes, join clusters, and fuse restarts with the best clustering.

The start of a search matters more than its neighbourhood, so several starts are used: GAEC, and moves from single
nodes in random orders. Two clusterings are fused by contracting their common refinement and continuing the search from
the better of the two (see Kappes et al., *Fusion moves for correlation clustering*, CVPR 2015): the parts on which
both agree stay fixed, and the search works on the parts in which they differ.
"""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import plain_interrupts
from telescope_transformer.correlation_clustering.components import roots
from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels, common_refinement
from telescope_transformer.correlation_clustering.options import check_limit, check_whole_number
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.correlation_clustering.validation import check_graph, check_labels

# A move must gain more than this, relative to the largest weight; otherwise rounding could keep a search from ending.
# The rounding error of a sum of 10,000 weights was at most 1e-12 of the largest weight in 200 trials.
TOLERANCE = 1e-10
# How many numbers are read between two checks of the time; this takes about 20 ms.
_ENTRIES_A_CALL = 20_000_000
# Number of fresh starts of a fusion. Each takes as long as the search from the better clustering. For 800 embeddings
# in 3 s, the cost was 412.240 without fresh starts and 412.237 with any number of them.
_FRESH_STARTS = 2
# A search without a time limit ends after this many restarts in a row without improvement. On 1,200 embeddings, 2, 8
# and 32 gave costs of 13,151, 13,149 and 13,119 in 0.4, 0.8 and 3.6 s.
_PATIENCE = 8


def gaec(graph: Graph) -> np.ndarray:
    """Cluster by greedy additive edge contraction. A `VectorGraph` only joins clusters of neighbours.

    Returns:
        Canonical labels int64 (n,).
    """
    check_graph(graph)
    return canonical_labels(roots(graph.greedy_parents()))


def move_nodes(graph: Graph, labels: np.ndarray, rng: np.random.Generator, deadline: Deadline) -> np.ndarray:
    """Pass over the nodes in random order and move each to its best cluster, until none moves. The cost never rises.

    Args:
        graph: the graph.
        labels: (n,) integers below n.
        rng: source of random orders.
        deadline: when to stop.

    Returns:
        Labels int64 (n,), not canonical.
    """
    labels = labels.astype(np.int64, copy=True)
    n = graph.n
    if n < 2:
        return labels
    pieces = max(1, graph.entries // _ENTRIES_A_CALL)
    moved = n
    while moved:
        moved = 0
        for piece in np.array_split(rng.permutation(n), pieces):
            if deadline.passed:
                return labels
            moved += graph.move_pass(labels, piece, TOLERANCE * graph.scale)
    return labels


def improve(graph: Graph, labels: np.ndarray, rng: np.random.Generator, deadline: Deadline) -> np.ndarray:
    """Move nodes and then whole clusters until neither helps. The cost never rises.

    Args:
        graph: the graph.
        labels: (n,), where to start.
        rng: source of random orders.
        deadline: when to stop.

    Returns:
        Canonical labels int64 (n,).
    """
    labels = canonical_labels(labels)
    while True:
        labels = canonical_labels(move_nodes(graph, labels, rng, deadline))
        k = int(labels.max(initial=-1)) + 1
        if deadline.passed or k in (0, 1, graph.n):
            return labels
        joined = improve(graph.contract(labels), np.arange(k), rng, deadline)
        if int(joined.max()) + 1 == k:
            return labels
        labels = joined[labels]


def fuse(
    graph: Graph, best: np.ndarray, other: np.ndarray, rng: np.random.Generator, deadline: Deadline
) -> np.ndarray:
    """Contract the common refinement of two clusterings, and improve the better one on the contracted graph.

    Args:
        graph: the graph.
        best: (n,), the better clustering; the result costs no more.
        other: (n,), the other clustering.
        rng: source of random orders.
        deadline: when to stop.

    Returns:
        Canonical labels int64 (n,).
    """
    pieces = common_refinement(best, other)
    k = int(pieces.max(initial=-1)) + 1
    if k == graph.n:
        return improve(graph, best, rng, deadline)
    small = graph.contract(pieces)
    start = np.empty(k, dtype=np.int64)
    start[pieces] = best
    # The better clustering may be a local optimum of the contracted graph, which only a fresh start can leave.
    candidates = [improve(small, start, rng, deadline)]
    candidates += [improve(small, np.arange(k), rng, deadline) for _ in range(_FRESH_STARTS)]
    # Scores in the two graphs differ by a constant.
    winner = min(candidates, key=small.score)
    return improve(graph, winner[pieces], rng, deadline)


def evolve(
    progress: Progress,
    rng: np.random.Generator,
    deadline: Deadline,
    patience: int = _PATIENCE,
    most: int | None = None,
) -> None:
    """Improve the best clustering by restarts and fusion.

    Args:
        progress: progress on the graph; receives clusterings.
        rng: source of random orders.
        deadline: when to stop.
        patience: stop after this many restarts in a row without improvement.
        most: maximum number of restarts, or None.
    """
    graph = progress.graph
    failures, restarts = 0, 0
    while failures < patience and restarts != most and not deadline.passed and not progress.closed:
        start = improve(graph, np.arange(graph.n), rng, deadline)
        before = progress.labels
        better = progress.offer(start)
        other = before if better else start
        better = progress.offer(fuse(graph, progress.labels, other, rng, deadline)) or better
        failures = 0 if better else failures + 1
        restarts += 1


@plain_interrupts()
def refine(
    graph: Graph,
    labels: np.ndarray | None = None,
    *,
    seed: int = 0,
    time_limit: float | None = None,
    restarts: int | None = None,
) -> np.ndarray:
    """Improve a clustering by moves, restarts and fusion.

    For a given seed, the result is deterministic unless a time limit ends the search.

    Args:
        graph: the graph.
        labels: (n,) integers, where to start; by default the result of `gaec`.
        seed: seed of all random choices.
        time_limit: seconds, or None to continue until nothing improves.
        restarts: maximum number of restarts, which limits the work independently of the clock.

    Returns:
        Canonical labels int64 (n,) that cost no more than the given ones.

    Raises:
        SolverError: the labels or an option are not valid.
    """
    check_graph(graph)
    check_limit("time_limit", time_limit)
    check_whole_number("seed", seed, 0)
    if restarts is not None:
        check_whole_number("restarts", restarts, 0)
    progress = Progress(graph, time_limit)
    rng = np.random.default_rng(seed)
    start = gaec(graph) if labels is None else check_labels(labels, graph.n)
    progress.offer(start)
    progress.offer(improve(graph, start, rng, progress.deadline()))
    evolve(progress, rng, progress.deadline(), most=restarts)
    return progress.labels
