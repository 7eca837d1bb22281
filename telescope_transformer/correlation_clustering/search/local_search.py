"""Local search: moves of nodes, joins of clusters, restarts that fuse clusterings, and neighbourhoods solved anew.

Where a search starts matters more than its neighbourhood, so several starts are run: GAEC, moves from singletons in
random orders. Two clusterings are fused by contracting their common refinement, on which the search goes on from the
better of the two (cf. Kappes et al., *Fusion moves for correlation clustering*, CVPR 2015): what they agree on is
settled, what they differ in is searched at once.

Last, a cluster and its nearest ones are taken apart and clustered anew. The neighbourhood contains that of Kernighan
and Lin with joins (Keuper et al., *Efficient decomposition of image and mesh graphs by lifted multicuts*, ICCV 2015),
which exchanges nodes of two clusters, joins them or splits one.
"""

import numpy as np

from telescope_transformer.correlation_clustering.forest import roots
from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels, common_refinement
from telescope_transformer.correlation_clustering.solution import PROVED, Deadline, Progress

# A move must gain more than this, relative to the largest weight: more than what rounding of a sum of 10,000 weights
# can feign, so that a search ends.
TOLERANCE = 1e-10
# Numbers that are read between two looks at the clock: about 20 ms.
_ENTRIES_A_CALL = 20_000_000
# Keeping up the slack of each node pays once most nodes stay where they are; measured on embeddings of 2,000 nodes.
_TRACK_BELOW = 0.05
# Fresh starts of a fusion: each takes as long as the search from the better clustering.
_FRESH_STARTS = 2
# Neighbourhoods are tried up to this many clusters: a matrix of how near these are takes 72 MB.
_RESOLVE_UP_TO = 3_000
# Most clusters of a neighbourhood.
_MOST_TOGETHER = 6


def gaec(graph: Graph) -> np.ndarray:
    """Labels (n,) of greedy additive edge contraction; 0..k-1 in order of first member.

    Of a graph of vectors, only the pairs of nearest neighbours are contracted.
    """
    if graph.n < 2:
        return np.zeros(graph.n, dtype=np.int64)
    return canonical_labels(roots(graph.greedy_parents()))


def move_nodes(graph: Graph, labels: np.ndarray, rng: np.random.Generator, deadline: Deadline) -> np.ndarray:
    """Labels after passes of one-element moves in random orders, until none moves or the deadline has passed.

    The cost never rises. Labels are not canonical.
    """
    labels = labels.astype(np.int64, copy=True)
    n = graph.n
    if n < 2:
        return labels
    pieces = max(1, graph.entries // _ENTRIES_A_CALL)
    slack = np.full(n, -np.inf)
    moved = n
    while moved:
        tracks = moved < _TRACK_BELOW * n
        moved = 0
        for piece in np.array_split(rng.permutation(n), pieces):
            if deadline.passed:
                return labels
            moved += graph.move_pass(labels, piece, TOLERANCE * graph.scale, slack, tracks)
    return labels


def improve(graph: Graph, labels: np.ndarray, rng: np.random.Generator, deadline: Deadline) -> np.ndarray:
    """Labels after moves of nodes and of whole clusters until neither helps; canonical, never of higher cost."""
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
    """The better clustering ``best``, improved on the graph in which whatever both agree on is contracted."""
    pieces = common_refinement(best, other)
    k = int(pieces.max(initial=-1)) + 1
    if k == graph.n:
        return improve(graph, best, rng, deadline)
    small = graph.contract(pieces)
    start = np.empty(k, dtype=np.int64)
    start[pieces] = best
    # Among the pieces, the better clustering may be a local optimum that only a fresh start gets out of.
    candidates = [improve(small, start, rng, deadline)[pieces]]
    candidates += [improve(small, np.arange(k), rng, deadline)[pieces] for _ in range(_FRESH_STARTS)]
    winner = min(candidates, key=graph.score)
    return improve(graph, winner, rng, deadline)


def evolve(
    progress: Progress, rng: np.random.Generator, deadline: Deadline, patience: int = 8, most: int | None = None
) -> None:
    """Improve the best clustering of ``progress`` by restarts and fusion until ``patience`` of them brought nothing.

    There are no more than ``most`` restarts, if that is given.
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


def resolve_neighbourhoods(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Improve the best clustering of ``progress`` until no neighbourhood of any cluster brings anything.

    Clusters that a neighbourhood has changed wait for the next pass, which measures anew how near clusters are. Only a
    graph with a matrix, and of not too many clusters, is searched.
    """
    graph, labels = progress.graph, progress.labels.copy()
    changed = graph.complete and int(labels.max(initial=-1)) < _RESOLVE_UP_TO
    while changed and not deadline.passed and not progress.closed:
        changed = False
        sizes = np.bincount(labels)
        # Mean weight between the members of two clusters.
        nearness = graph.contract(labels).weights() / np.outer(sizes, sizes)
        np.fill_diagonal(nearness, np.inf)
        stays = np.ones(sizes.size, dtype=bool)
        for c in rng.permutation(sizes.size):
            if deadline.passed:
                break
            size = min(int(stays.sum()), int(rng.integers(2, _MOST_TOGETHER + 1)))
            if not stays[c] or size < 2:
                continue
            around = np.argpartition(-np.where(stays, nearness[c], -np.inf), size - 1)[:size]
            nodes = np.flatnonzero(np.isin(labels, around))
            better = _resolve(graph, labels[nodes], nodes, rng, deadline)
            if better is not None:
                labels[nodes] = labels.max() + 1 + better
                stays[around] = False
                changed = True
        labels = canonical_labels(labels)
    progress.offer(labels)


def _resolve(
    graph: Graph, before: np.ndarray, nodes: np.ndarray, rng: np.random.Generator, deadline: Deadline
) -> np.ndarray | None:
    """Canonical labels of ``nodes`` that cost less than those ``before``; None where there are none."""
    part = graph.part(nodes)
    before = canonical_labels(before)
    fresh = improve(part, np.arange(part.n), rng, deadline)
    found = fuse(part, before, fresh, rng, deadline)
    old = part.cost(before)
    return canonical_labels(found) if part.cost(found) < old - PROVED * max(old, part.scale) else None


def refine(
    graph: Graph,
    labels: np.ndarray | None = None,
    *,
    seed: int = 0,
    time_limit: float | None = None,
    restarts: int | None = None,
) -> np.ndarray:
    """Labels (n,) of the best clustering found from ``labels`` (or GAEC), restarts and neighbourhoods; canonical.

    The cost is at most that of ``labels``. Deterministic for a seed where no time limit interrupts it; ``restarts``
    bounds the work without a clock.
    """
    progress = Progress(graph, time_limit)
    rng = np.random.default_rng(seed)
    start = gaec(graph) if labels is None else canonical_labels(labels)
    progress.offer(start)
    progress.offer(improve(graph, start, rng, progress.part(1.0)))
    evolve(progress, rng, progress.part(1.0), most=restarts)
    resolve_neighbourhoods(progress, rng, progress.part(1.0))
    return progress.labels
