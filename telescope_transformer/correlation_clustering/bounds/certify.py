"""Bound and search together: the dual ascent tells the search where to round, the search tells the dual where to aim.

First triangles alone, then inequalities beyond triangles where these leave a gap. After each stage the primal estimate
is rounded and searched from; a better clustering becomes the new guide of the ascent.
"""

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any

import numpy as np

from telescope_transformer.correlation_clustering.bounds.conflicts import conflict_graph
from telescope_transformer.correlation_clustering.bounds.cuts import (
    partition_rows,
    separate,
    separate_odd_wheels,
    separate_two_partition,
    wheel_rows,
)
from telescope_transformer.correlation_clustering.bounds.dual import (
    FIRST_SMOOTHING,
    FIRST_SMOOTHING_SPARSE,
    DenseDual,
    SparseDual,
    ascend,
)
from telescope_transformer.correlation_clustering.bounds.kernels import by_kernels
from telescope_transformer.correlation_clustering.bounds.lp import relax_from
from telescope_transformer.correlation_clustering.bounds.packing import packed_bound
from telescope_transformer.correlation_clustering.bounds.rounding import round_fractions
from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, SparseGraph, canonical_labels
from telescope_transformer.correlation_clustering.search.local_search import fuse, gaec, improve
from telescope_transformer.correlation_clustering.solution import Deadline, Progress, Solution
from telescope_transformer.correlation_clustering.vectors import VectorGraph

# Sweeps after which an estimate belongs to its smoothing, and may be cut off.
_SETTLING_SWEEPS = 20
# Rounds of inequalities beyond triangles, and how many are added at a time: they bound the time and the memory.
_CUT_ROUNDS, _CUTS_AT_ONCE = 60, 20_000
# Violations below this are left to later rounds, where smoothing is less.
_CUT_TOLERANCE = 0.02
# Smoothing of the first rounds of cuts, relative to the scale: as wide as the gap, between these. New inequalities
# take over from old ones in steps as large as the smoothing.
_LEAST_CUT_SMOOTHING, _MOST_CUT_SMOOTHING = 0.012, 0.05
# Below this the rounds end.
_LAST_CUT_SMOOTHING = 1e-5
# The search for odd wheels takes time in proportion to the fourth power of the nodes whose pairs are undecided.
_WHEELS_UP_TO = 300
# Nodes of a sparse graph that is tried with all its pairs where cycles do not prove it: beyond, these take too long.
_BEYOND_CYCLES_UP_TO = 1_000
# Nodes up to which all pairs are always used; of a larger graph only the conflicts, where these are few.
_ALL_PAIRS_UP_TO = 2_000
# Share of the pairs up to which a sparse ascent over them takes less time and memory than one over all pairs.
_FEW_CONFLICTS = 0.25
# Nodes whose pairs the ascent holds in memory: about 25 bytes a pair, 1.8 GB.
_MATRIX_UP_TO = 12_000
# Vectors all pairs of which are looked at for conflicts: a pass of 3e11 multiplications at 128 dimensions.
_PACK_UP_TO = 50_000
# Shares of the time until the relaxation ends that the dual ascent, and HiGHS after it, may take.
_ASCENT_SHARE, _HIGHS_SHARE = 0.3, 0.9
# Rounds of ascent before each rounding of a sparse graph; the first roundings gain the most.
_SPARSE_ROUNDS = (2, 4, 8, 16, None)

Prover = Callable[[Any, Progress, np.random.Generator, Deadline], None]


def certify(
    graph: Graph,
    labels: np.ndarray,
    *,
    time_limit: float | None = None,
    gap: float | None = None,
    seed: int = 0,
) -> Solution:
    """Prove how good the clustering ``labels`` (n,) of a graph is: the same labels, their cost, and a lower bound.

    It does not search: what the proof finds on its way only guides it. A good clustering is a good guide. Stops at
    the ``time_limit`` (seconds), at a relative ``gap`` that suffices, or where nothing more can be proved.
    """
    given = canonical_labels(labels)
    progress = Progress(graph, time_limit, gap)
    progress.offer(given)
    progress.keep_time_for_cost()
    by_kernels(progress, prove, np.random.default_rng(seed), progress.part(1.0))
    cost = graph.cost(given)
    # No clustering costs less than one of cost 0, which proves itself.
    return Solution(given, cost, 0.0 if cost == 0 else progress.lower_bound)


def prove(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Raise the lower bound of a graph that is not reduced any further, and improve its clustering on the way."""
    graph = progress.graph
    if graph.n < 2:
        progress.prove(0.0)
        return
    # Cluster by cluster, so that nodes that are near to each other have numbers near to each other: searches for
    # violated inequalities wait for memory more than for anything else.
    order = np.argsort(progress.labels, kind="stable")
    part = progress.of(graph.part(order), progress.labels[order], deadline.seconds_left)
    try:
        _prove(part.graph, part, rng, part.part(1.0))
    finally:
        labels = np.empty_like(part.labels)
        labels[order] = part.labels
        progress.offer(labels)
        progress.prove(part.lower_bound)


@singledispatch
def _prove(graph: Graph, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Raise the lower bound by what suits this form of graph."""
    raise NotImplementedError(type(graph))


@_prove.register
def prove_dense(graph: DenseGraph, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Triangles, then inequalities beyond them. Of a large graph only its conflicts, where these are few."""
    if graph.n > _ALL_PAIRS_UP_TO:
        conflicts = conflict_graph(graph, progress.labels, _FEW_CONFLICTS)
        if conflicts is not None:
            prover = partial(_prove_by_cycles, smoothing=FIRST_SMOOTHING)
            _prove_by_another(conflicts, prover, progress, rng, deadline)
            return
    if graph.n > _MATRIX_UP_TO:
        return
    started = now()
    dual = DenseDual(graph, progress.labels, seed=int(rng.integers(2**31)))
    deadline = _before_last_pass(deadline, started)
    ascend(dual, progress, deadline)
    _round(dual, progress, graph, rng, deadline)
    smoothing = float(np.clip(progress.gap, _LEAST_CUT_SMOOTHING, _MOST_CUT_SMOOTHING))
    for _ in range(_CUT_ROUNDS):
        if deadline.passed or progress.closed or smoothing < _LAST_CUT_SMOOTHING:
            return
        before = progress.gap
        dual.smoothing = smoothing * dual.scale
        _add_cuts(dual, deadline)
        ascend(dual, progress, deadline)
        _round(dual, progress, graph, rng, deadline)
        if progress.gap > 0.9 * before:
            smoothing /= 4


def _prove_by_another(
    graph: Graph, prover: Prover, progress: Progress, rng: np.random.Generator, deadline: Deadline
) -> None:
    """Prove with a graph of the same nodes in which no clustering costs more, and improve what it finds."""
    part = progress.of(graph, progress.labels, deadline.seconds_left)
    try:
        prover(graph, part, rng, part.part(1.0))
    finally:
        progress.prove(part.lower_bound)
        progress.offer(part.labels)
    progress.offer(improve(progress.graph, part.labels, rng, deadline))


def _before_last_pass(deadline: Deadline, started: float) -> Deadline:
    """An earlier deadline: the last evaluation of the bound takes as long as building the dual since ``started``."""
    return Deadline(deadline.seconds_left - (now() - started))


@_prove.register
def prove_sparse(graph: SparseGraph, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Cycles; then, in a small graph, what its absent pairs prove beyond them."""
    _prove_by_cycles(graph, progress, rng, deadline)
    if graph.n <= _BEYOND_CYCLES_UP_TO and not progress.closed and not deadline.passed:
        _prove_by_another(graph.filled(), prove_dense, progress, rng, deadline)


def _prove_by_cycles(
    graph: SparseGraph,
    progress: Progress,
    rng: np.random.Generator,
    deadline: Deadline,
    smoothing: float = FIRST_SMOOTHING_SPARSE,
) -> None:
    capacity = min(max(1 << 16, 2 * graph.indices.size), 1 << 24)
    started = now()
    seed = int(rng.integers(2**31))
    dual = SparseDual(graph, progress.labels, seed=seed, capacity=capacity, smoothing=smoothing)
    deadline = _before_last_pass(deadline, started)
    longest = 0.0
    for rounds in _SPARSE_ROUNDS:
        ascend(dual, progress, deadline, rounds)
        if progress.closed or deadline.passed:
            return
        if deadline.seconds_left < longest:
            continue
        started = now()
        _round_sparse(dual, progress, graph, rng, deadline)
        longest = max(longest, now() - started)


@_prove.register
def prove_vectors(graph: VectorGraph, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Packed conflicts of all pairs; then the cycles of the nearest neighbours, since no other pair costs less than 0.

    What the ascent finds on the way is improved on all pairs.
    """
    if graph.n <= _PACK_UP_TO:
        progress.prove(packed_bound(graph.vectors, progress.labels, graph.threshold, deadline))
    _prove_by_another(graph.near, _prove_by_cycles, progress, rng, deadline)


def relax_and_round(progress: Progress, graph: DenseGraph, rng: np.random.Generator) -> None:
    """Bound by the linear programming relaxation of a dense graph, then round its solution and search from there."""
    dual = DenseDual(graph, progress.labels, seed=int(rng.integers(2**31)))
    ascend(dual, progress, progress.part(_ASCENT_SHARE))
    if progress.finished:
        return
    relaxation = relax_from(dual, progress, progress.part(_HIGHS_SHARE))
    start = round_fractions(graph, relaxation.x, rng)
    progress.offer(start)
    progress.offer(fuse(graph, progress.labels, start, rng, progress.part(1.0)))


def _add_cuts(dual: DenseDual, deadline: Deadline) -> None:
    for _ in range(3):
        if deadline.passed:
            return
        # The estimate belongs to the smoothing, so it settles before it is cut off.
        dual.separate(deadline)
        dual.sweep(deadline, _SETTLING_SWEEPS)
        found = separate(separate_two_partition, dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE, deadline)
        dual.rows.append(*partition_rows(*found))
        if dual.n <= _WHEELS_UP_TO:
            found = separate(separate_odd_wheels, dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE, deadline)
            dual.rows.append(*wheel_rows(*found))
        dual.sweep(deadline, _SETTLING_SWEEPS)
        dual.rows.drop_idle()


def _round(
    dual: DenseDual, progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline
) -> None:
    if deadline.passed or progress.closed:
        return
    start = round_fractions(graph, dual.fractions(), rng)
    if progress.offer(fuse(graph, progress.labels, start, rng, deadline)):
        dual.guide(progress.labels)


def _round_sparse(
    dual: SparseDual, progress: Progress, graph: SparseGraph, rng: np.random.Generator, deadline: Deadline
) -> None:
    """Contract greedily by the primal estimate instead of the weights: it knows of the cycles that these ignore."""
    if deadline.passed or progress.closed:
        return
    start = gaec(SparseGraph(graph.indptr, graph.indices, 0.5 - dual.fractions()))
    start = improve(graph, start, rng, deadline)
    better = progress.offer(start)
    if progress.offer(fuse(graph, progress.labels, start, rng, deadline)) or better:
        dual.guide(progress.labels)
