"""Lower bound and search together: the ascent gives the search estimates to round, and the search guides the ascent.

The ascent begins with triangle inequalities and adds other inequalities if a gap remains. After each stage the primal
estimate is rounded, and a local search continues from there. A better clustering becomes the new guide of the ascent.
"""

import math
from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any

import numpy as np

from telescope_transformer.correlation_clustering.bounds.conflicts import conflict_graph
from telescope_transformer.correlation_clustering.bounds.dual import (
    FIRST_SMOOTHING,
    DenseDual,
    SparseDual,
    ascend,
)
from telescope_transformer.correlation_clustering.bounds.lp import ASCENT_SHARE, relax_from
from telescope_transformer.correlation_clustering.bounds.packing import packed_bound
from telescope_transformer.correlation_clustering.bounds.parts import by_parts
from telescope_transformer.correlation_clustering.bounds.rounding import round_fractions
from telescope_transformer.correlation_clustering.bounds.separation_partitions import (
    partition_rows,
    separate_partitions,
)
from telescope_transformer.correlation_clustering.bounds.transport import count_paid, transported
from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.compiled import plain_interrupts
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, SparseGraph, canonical_labels
from telescope_transformer.correlation_clustering.graph_kernels import EPSILON
from telescope_transformer.correlation_clustering.options import check_limit, check_whole_number
from telescope_transformer.correlation_clustering.search.local_search import fuse, gaec, improve
from telescope_transformer.correlation_clustering.solution import PROVED, Deadline, Progress, Solution, sum_of_bounds
from telescope_transformer.correlation_clustering.validation import check_graph, check_labels
from telescope_transformer.correlation_clustering.vectors import VectorGraph

# Sweeps that the estimate is given to settle after the smoothing or the inequalities have changed. With 5, 20 and 60
# sweeps and 4 s, the gap was 13.5, 12.7 and 12.2 % for the network adjnoun, and 8.9, 8.3 and 8.4 % for 60 nodes with
# Gaussian weights.
_SETTLING_SWEEPS = 20
# Maximum number of rounds that add inequalities beyond triangles (our choice), and of inequalities added at a time.
# With 4 s, the gap of adjnoun was 14.8 % with 2,000 at a time and 12.7 % with 20,000 or 100,000.
_CUT_ROUNDS, _CUTS_AT_ONCE = 60, 20_000
# Least violation of an inequality that is added. Later rounds, with less smoothing, deal with smaller violations. For
# 150 embeddings, the gap after 4 s was 0.51, 0.38 and 0.92 % with 0.005, 0.02 and 0.1.
_CUT_TOLERANCE = 0.02
# The smoothing of the first rounds of cuts, relative to the scale, is the gap, clipped to these limits. New
# inequalities replace old ones in steps as large as the smoothing. With upper limits of 0.012, 0.05 and 0.2, the gap
# of adjnoun after 4 s was 13.6, 12.7 and 13.1 %; the lower limit matters less.
_LEAST_CUT_SMOOTHING, _MOST_CUT_SMOOTHING = 0.012, 0.05
# Once the smoothing is below _COLD, the rounds end as soon as one of them closes less than the share _IDLE of the gap.
# For 120 and 200 random nodes and for adjnoun, that saves a fifth of the time and changes the gaps by at most 1 %.
_COLD, _IDLE = 1e-3, 0.01
# If a round of cuts leaves more than the share _STALLED of the gap, the smoothing is divided by _CUT_COOLING. A round
# adds inequalities _PASSES times and then lets the ascent cool. With shares of 0.5 and 0.9 and 4 s, football is proved
# optimal in 0.7 s, the gap of 150 embeddings stays the same, and the gap of 60 Gaussian nodes is 7.5 % and 8.9 %.
_STALLED, _CUT_COOLING, _PASSES = 0.9, 4.0, 3
# If cycles do not prove a sparse graph of up to this many nodes optimal, the proof is repeated with all its pairs. At
# 300 nodes with 5 % of the pairs, that lowers the gap after 4 s from 38 to 33 %; at 800 nodes it takes all the time
# and proves nothing more.
_BEYOND_CYCLES_UP_TO = 1_000
# If there are fewer seconds than this per pair of nodes (n^2), the ascent begins with transported weights. It cannot
# lower the multipliers of the transport again, so with more time it gets further without them. In one thread, the gaps
# with and without transport are 3.2 and 38 % for 2,000 embeddings (kind b, threshold 0.27) after 0.5 s (1.2e-7 s), 0.8
# and 0.6 % after 1 s; 0.4 and 3.8 % for 5,000 (b, 0.25) after 6 s (2.4e-7 s), 0.15 and 0.18 % after 12 s; and 6.2 and
# 16 % for 9,630 windows of honeypots after 30 s (3.2e-7 s), 4.5 and 2.9 % after 60 s.
_SHORT_OF_TIME = 5e-7
# Smoothing of the first round on transported weights, relative to the mean absolute weight of the pairs that the
# clustering still pays for. For 3,000 windows, 0.3 gives a higher bound after two rounds than 17 does after three.
_PAID_SMOOTHING = 0.3
# The ascent takes about 25 bytes of memory per pair: 1.8 GB for this many nodes. In a larger graph, it uses only the
# conflicts, if they are at most this share of all pairs. For 12,500 embeddings (kind a, threshold 0.5), the gap after
# 20 s is 2.4 % with conflicts and 2.9 % with all pairs. In smaller graphs, all pairs give better bounds: for 6,000
# windows in 18 s, the gap is 5.7 % with all pairs and 19.4 % with conflicts.
_MATRIX_UP_TO, _FEW_CONFLICTS = 12_000, 0.25
# Maximum number of vectors for which conflicts are sought among all pairs. This takes 3e11 multiplications for vectors
# of 128 dimensions.
_PACK_UP_TO = 50_000
# Share of the time left after the dual ascent that HiGHS may take; the rest is for rounding and the search.
_HIGHS_SHARE = 0.9
# Rounds of ascent before each rounding of a sparse graph; the first roundings gain the most. On three graphs, five
# other schedules gave costs and bounds within 0.2 %.
_SPARSE_ROUNDS = (2, 4, 8, 16, None)

Prover = Callable[[Any, Progress, np.random.Generator], None]


@plain_interrupts()
def certify(
    graph: Graph,
    labels: np.ndarray,
    *,
    time_limit: float | None = None,
    gap: float | None = None,
    seed: int = 0,
) -> Solution:
    """Prove how good a clustering is, without searching for a better one.

    If the proof finds a better clustering on the way, it only uses it as a guide. The better the given clustering, the
    better the bound.

    Args:
        graph: the graph.
        labels: (n,) integers, the clustering.
        time_limit: seconds, or None to continue until nothing more can be proved.
        gap: relative gap at which to stop.
        seed: seed of all random choices.

    Returns:
        The given clustering with canonical labels, its cost, and a proved lower bound.

    Raises:
        SolverError: the labels or an option are not valid.
    """
    check_graph(graph)
    given = check_labels(labels, graph.n)
    check_limit("time_limit", time_limit)
    check_limit("gap", gap)
    check_whole_number("seed", seed, 0)
    progress = Progress(graph, time_limit, gap)
    progress.offer(given)
    progress.keep_time_for_cost()
    by_parts(progress, prove, np.random.default_rng(seed))
    cost = progress.cost_of(given)
    # A clustering of cost 0 is optimal, because no cost is negative.
    return Solution(given, cost, 0.0 if cost == 0 else progress.lower_bound)


def prove(progress: Progress, rng: np.random.Generator, seconds: float = math.inf) -> None:
    """Raise the lower bound of a graph that is not reduced further, and improve its clustering on the way.

    Args:
        progress: receives bounds and clusterings.
        rng: source of random numbers.
        seconds: time limit, if it ends before that of ``progress``.
    """
    graph = progress.graph
    if graph.n < 2:
        progress.prove(0.0)
        return
    # Number the nodes cluster by cluster, so that similar nodes are close in memory, because the search for violated
    # inequalities spends most of its time waiting for memory. Large clusters come first: after the same rounds on
    # 9,630 windows, the gap is 6.2 %, and 10.8 % if they come last.
    sizes = np.bincount(progress.labels)
    order = np.lexsort((progress.labels, -sizes[progress.labels]))
    part = progress.on(graph.part(order), progress.labels[order], min(seconds, progress.seconds_left))
    try:
        _prove(part.graph, part, rng)
    finally:
        labels = np.empty_like(part.labels)
        labels[order] = part.labels
        progress.offer(labels)
        progress.prove(part.lower_bound)


@singledispatch
def _prove(graph: Graph, progress: Progress, rng: np.random.Generator) -> None:
    """Raise the lower bound by the method that suits the type of the graph."""
    raise NotImplementedError(type(graph))


@_prove.register
def prove_dense(graph: DenseGraph, progress: Progress, rng: np.random.Generator) -> None:
    """Prove with triangles, then with other inequalities. If time is short, start from transported weights.

    A graph that is too large for this is replaced by its conflicts if they are few, and otherwise by groups of nodes.
    """
    if graph.n > _MATRIX_UP_TO:
        conflicts = conflict_graph(graph, progress.labels, _FEW_CONFLICTS)
        if conflicts is not None:
            _prove_by_another(conflicts, _prove_by_cycles, progress, rng)
        else:
            _prove_groups(graph, progress, rng)
        return
    if 0 < progress.seconds_left < _SHORT_OF_TIME * graph.n**2:
        other, constant = transported(graph, progress.labels, progress.deadline())
        progress.prove(constant)
        if progress.finished:
            return
        mean_paid = other.cost(progress.labels) / max(count_paid(other, progress.labels), 1)
        prover = partial(_prove_complete, smoothing=max(_PAID_SMOOTHING * mean_paid / other.scale, PROVED))
        _prove_by_another(other, prover, progress, rng, constant)
        if progress.finished:
            return
    _prove_complete(graph, progress, rng)


def _prove_complete(
    graph: DenseGraph, progress: Progress, rng: np.random.Generator, smoothing: float = FIRST_SMOOTHING
) -> None:
    """Prove with triangles, then with other inequalities."""
    started = now()
    dual = DenseDual(graph, progress.labels, smoothing=smoothing)
    deadline = _before_last_pass(progress, started)
    ascend(dual, progress, deadline)
    _round(dual, progress, rng, deadline)
    smoothing = float(np.clip(progress.gap, _LEAST_CUT_SMOOTHING, _MOST_CUT_SMOOTHING))
    for _ in range(_CUT_ROUNDS):
        if deadline.passed or progress.closed:
            return
        before = progress.gap
        dual.smoothing = smoothing * dual.scale
        _add_cuts(dual, deadline)
        ascend(dual, progress, deadline)
        _round(dual, progress, rng, deadline)
        if smoothing < _COLD and progress.gap > (1.0 - _IDLE) * before:
            return
        if progress.gap > _STALLED * before:
            smoothing /= _CUT_COOLING


def _prove_groups(graph: DenseGraph, progress: Progress, rng: np.random.Generator) -> None:
    """Add up bounds of groups of nodes, without the pairs between groups. Nodes of one cluster are mostly together."""
    groups = np.array_split(np.arange(graph.n), -(-graph.n // _MATRIX_UP_TO))
    parts: list[Progress] = []
    try:
        for done, nodes in enumerate(groups):
            group, labels = graph.part(nodes), canonical_labels(progress.labels[nodes])
            parts.append(progress.on(group, labels, progress.seconds_left / (len(groups) - done)))
            prove_dense(group, parts[-1], rng)
    finally:
        progress.prove(sum_of_bounds(part.lower_bound for part in parts))


def _prove_by_another(
    graph: Graph, prover: Prover, progress: Progress, rng: np.random.Generator, constant: float = 0.0
) -> None:
    """Prove a bound on another graph of the same nodes, and improve the clusterings that are found on the way.

    Every clustering costs at least ``constant`` more in the original graph than in ``graph``.
    """
    part = progress.on(graph, progress.labels, progress.seconds_left, constant)
    try:
        prover(graph, part, rng)
    finally:
        bound = constant + part.lower_bound
        progress.prove(bound - EPSILON * abs(bound))
        progress.offer(part.labels)
    progress.offer(improve(progress.graph, part.labels, rng, progress.deadline()))


def _before_last_pass(progress: Progress, started: float) -> Deadline:
    """A deadline that leaves time for the last evaluation of the bound, which takes as long as building the dual."""
    return Deadline(progress.seconds_left - (now() - started))


@_prove.register
def prove_sparse(graph: SparseGraph, progress: Progress, rng: np.random.Generator) -> None:
    """Prove with cycles. In a small graph, then also use inequalities that involve absent pairs."""
    _prove_by_cycles(graph, progress, rng)
    if graph.n <= _BEYOND_CYCLES_UP_TO and not progress.finished:
        _prove_by_another(graph.filled(), prove_dense, progress, rng)


def _prove_by_cycles(graph: SparseGraph, progress: Progress, rng: np.random.Generator) -> None:
    """Prove with triangles of three edges and longer cycles, and round the estimates on the way."""
    started = now()
    dual = SparseDual(graph, progress.labels)
    deadline = _before_last_pass(progress, started)
    longest = 0.0
    for rounds in _SPARSE_ROUNDS:
        ascend(dual, progress, deadline, rounds)
        if progress.closed or deadline.passed:
            return
        if deadline.seconds_left < longest:
            continue
        started = now()
        _round(dual, progress, rng, deadline)
        longest = max(longest, now() - started)


@_prove.register
def prove_vectors(graph: VectorGraph, progress: Progress, rng: np.random.Generator) -> None:
    """Prove with packed conflicts of all pairs, then with cycles of the nearest neighbours.

    The graph of nearest neighbours leaves pairs out. No clustering costs more in it than in the whole graph, so its
    bound is also valid for the whole graph.
    """
    if graph.n <= _PACK_UP_TO and (graph.sizes == 1.0).all():
        progress.prove(packed_bound(graph.vectors, progress.labels, graph.threshold, progress.deadline()))
    _prove_by_another(graph.nearest_pairs(), _prove_by_cycles, progress, rng)


def relax_and_round(progress: Progress, rng: np.random.Generator) -> None:
    """Bound by the linear programming relaxation of a dense graph, then round its solution and search from there.

    Args:
        progress: progress on the graph; receives bounds and clusterings.
        rng: source of random numbers.
    """
    graph = progress.graph.filled()
    dual = DenseDual(graph, progress.labels)
    ascend(dual, progress, progress.deadline(ASCENT_SHARE))
    if progress.finished:
        return
    relaxation = relax_from(dual, progress, progress.deadline(_HIGHS_SHARE), until_closed=True)
    start = round_fractions(graph, relaxation.x, rng)
    progress.offer(start)
    progress.offer(fuse(graph, progress.labels, start, rng, progress.deadline()))


def _add_cuts(dual: DenseDual, deadline: Deadline) -> None:
    """Add violated inequalities beyond triangles, and let the multipliers settle."""
    for _ in range(_PASSES):
        if deadline.passed:
            return
        # The smoothing has changed, so the estimate has to settle before it is worth looking for violated cuts.
        dual.separate(deadline)
        dual.sweep(deadline, _SETTLING_SWEEPS)
        found = separate_partitions(dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE, deadline)
        dual.rows.append(*partition_rows(*found))
        dual.sweep(deadline, _SETTLING_SWEEPS)
        dual.rows.drop_idle()


def _round(dual: DenseDual | SparseDual, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Contract greedily by the primal estimates instead of by the weights; a better clustering becomes the guide."""
    if deadline.passed or progress.closed:
        return
    graph = progress.graph
    start = improve(graph, gaec(dual.rounding_graph()), rng, deadline)
    better = progress.offer(start)
    if progress.offer(fuse(graph, progress.labels, start, rng, deadline)) or better:
        dual.guide(progress.labels)
