"""Bound and search together: the dual ascent tells the search where to round, the search tells the dual where to aim.

First triangles alone, then inequalities beyond triangles where these leave a gap. After each stage the primal estimate
is rounded and searched from; a better clustering becomes the new guide of the ascent.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from telescope_transformer.correlation_clustering.bounds.cuts import partition_rows, separate_two_partition
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual, SparseDual, ascend
from telescope_transformer.correlation_clustering.bounds.lp import relax_from
from telescope_transformer.correlation_clustering.bounds.odd_wheels import separate_odd_wheels, wheel_rows
from telescope_transformer.correlation_clustering.bounds.reduction import EPSILON, dense_components, reduce_graph
from telescope_transformer.correlation_clustering.bounds.rounding import round_fractions
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, SparseGraph, canonical_labels
from telescope_transformer.correlation_clustering.search.local_search import fuse, gaec, improve
from telescope_transformer.correlation_clustering.solution import Deadline, Progress, Solution
from telescope_transformer.correlation_clustering.vectors import VectorGraph

# Sweeps after which an estimate belongs to its smoothing, and may be cut off.
_SETTLING_SWEEPS = 20
_CUT_ROUNDS = 60
_CUTS_AT_ONCE = 20_000
_CUT_TOLERANCE = 0.02
_LAST_CUT_SMOOTHING = 1e-5
# The search for odd wheels takes time in proportion to the fourth power of the nodes whose pairs are undecided.
_WHEELS_UP_TO = 300
_REDUCE_UP_TO = 3_000
_FILL_UP_TO = 2_000
# Share of the pairs that are there, from which the bounds of all pairs rise faster than those of cycles.
_FULL = 0.25
_ALWAYS_FULL = 50
# Nodes up to which a sparse graph that cycles do not prove is tried with all its pairs.
_BEYOND_CYCLES_UP_TO = 1_000
# Share of the time, in entries, that even the smallest kernel has: about 20 ms of a second on 100,000 entries.
_LEAST_SHARE = 2_000
# Smaller matrices are in the cache anyway.
_ORDER_FROM = 500
_CERTIFY_UP_TO = 12_000
# Rounds of ascent before each rounding of a sparse graph; the first roundings gain the most.
_SPARSE_ROUNDS = (2, 4, 8, 16, None)

Part = Callable[[Progress, np.random.Generator, Deadline], None]


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
    by_kernels(progress, prove, np.random.default_rng(seed), progress.part(1.0))
    return replace(progress.solution(), labels=given, cost=graph.cost(given))


def by_kernels(progress: Progress, solve_part: Part, rng: np.random.Generator, deadline: Deadline) -> None:
    """Call ``solve_part`` for each hard kernel of the graph, and put clusterings and bounds together.

    A kernel has its share of the time, by its size; what one leaves is there for those after it, which are larger.
    """
    graph = progress.graph
    rows = _reducible(graph)
    if graph.n < 2 or progress.finished:
        return
    if rows is None:
        _by_components(progress, solve_part, rng, deadline)
        return
    reduction = reduce_graph(rows, progress.cost)
    kernels = reduction.kernels()
    if len(kernels) == 1 and kernels[0][0].size == graph.n:
        if isinstance(graph, SparseGraph):
            progress.graph = dense_if_small(graph)
        solve_part(progress, rng, deadline)
        return
    labels = np.empty(reduction.graph.n, dtype=np.int64)
    labels[reduction.pieces] = progress.labels
    parts: list[tuple[np.ndarray, SparseGraph, Progress]] = []
    try:
        for nodes, kernel in kernels:
            part = progress.of(dense_if_small(kernel), canonical_labels(labels[nodes]), 0.0)
            parts.append((nodes, kernel, part))
        _in_turn([part for _, _, part in parts], solve_part, rng, deadline)
        unproved = [part for _, _, part in parts if not part.closed]
        if progress.limited and 0 < len(unproved) < len(parts):
            # What the others left.
            _in_turn(unproved, solve_part, rng, deadline)
    finally:
        solved = [(nodes, kernel, part.labels) for nodes, kernel, part in parts]
        rest = [(nodes, kernel, labels[nodes]) for nodes, kernel in kernels[len(parts) :]]
        progress.offer(reduction.combined(solved + rest))
        bounds = [max(0.0, float(np.nan_to_num(part.lower_bound))) for _, _, part in parts]
        progress.prove(math.fsum([reduction.offset, -reduction.drift, *bounds]) * (1.0 - EPSILON))


def _in_turn(parts: list[Progress], solve_part: Part, rng: np.random.Generator, deadline: Deadline) -> None:
    """Give each part its share of the time that is left."""
    left = sum(_share(part) for part in parts)
    for part in parts:
        part.give(deadline.seconds_left * _share(part) / left)
        left -= _share(part)
        if not part.closed:
            solve_part(part, rng, part.part(1.0))


def _share(part: Progress) -> float:
    return part.graph.entries + _LEAST_SHARE


def _reducible(graph: Graph) -> SparseGraph | None:
    """The graph in the form that is reduced, where that pays."""
    if isinstance(graph, SparseGraph):
        return graph
    if isinstance(graph, DenseGraph) and graph.n <= _REDUCE_UP_TO:
        return SparseGraph.of(graph)
    return None


def dense_if_small(graph: SparseGraph) -> SparseGraph | DenseGraph:
    """The form in which a kernel is solved: with all its pairs, unless it is large or few of them are there."""
    full = graph.entries >= _FULL * graph.n**2 or graph.n <= _ALWAYS_FULL
    return graph.filled() if graph.n <= _FILL_UP_TO and full else graph


def _by_components(progress: Progress, solve_part: Part, rng: np.random.Generator, deadline: Deadline) -> None:
    """The parts of a large complete graph that attractive pairs connect, one by one."""
    graph = progress.graph
    component = canonical_labels(_dense_components(graph)) if isinstance(graph, DenseGraph) else np.zeros(graph.n)
    sizes = np.bincount(component.astype(np.int64), minlength=1)
    if not isinstance(graph, DenseGraph) or sizes.max() == graph.n:
        solve_part(progress, rng, deadline)
        return
    labels, parts = progress.labels.copy(), []
    left = float((sizes[sizes > 1] ** 2).sum())
    try:
        for c in np.argsort(sizes, kind="stable"):
            nodes = np.flatnonzero(component == c)
            if nodes.size == 1:
                continue
            seconds = deadline.seconds_left * sizes[c] ** 2 / left
            part = progress.of(graph.part(nodes), canonical_labels(labels[nodes]), seconds)
            parts.append(part)
            by_kernels(part, solve_part, rng, part.part(1.0))
            # Clusters of two components may share a label until then.
            labels[nodes] = part.labels + graph.n * (1 + c)
            left -= sizes[c] ** 2
    finally:
        progress.offer(canonical_labels(labels + graph.n**2 * component))
        bounds = [max(0.0, float(np.nan_to_num(part.lower_bound))) for part in parts]
        progress.prove(math.fsum(bounds) * (1.0 - EPSILON))


def _dense_components(graph: DenseGraph) -> np.ndarray:
    return dense_components(graph.matrix, graph.threshold, graph.sizes)


def prove(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Raise the lower bound of a graph that is not reduced any further, and improve its clustering on the way."""
    graph = progress.graph
    if graph.n < 2:
        progress.prove(0.0)
    elif isinstance(graph, DenseGraph):
        if graph.n <= _CERTIFY_UP_TO:
            _certify_dense(progress, graph, rng, deadline)
    elif isinstance(graph, SparseGraph):
        certify_sparse(progress, graph, rng, deadline)
        if graph.n <= _BEYOND_CYCLES_UP_TO and not progress.closed and not deadline.passed:
            # Inequalities beyond cycles need the pairs that are no edges.
            part = progress.of(graph.filled(), progress.labels, deadline.seconds_left)
            try:
                _certify_dense(part, cast(DenseGraph, part.graph), rng, part.part(1.0))
            finally:
                progress.offer(part.labels)
                progress.prove(part.lower_bound)
    elif isinstance(graph, VectorGraph):
        certify_neighbours(progress, graph, rng, deadline)


def _certify_dense(progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline) -> None:
    if graph.n < _ORDER_FROM:
        _certify_kernel(progress, graph, rng, deadline)
        return
    # Cluster by cluster, so that nodes that are near to each other have numbers near to each other.
    order = np.argsort(progress.labels, kind="stable")
    part = progress.of(graph.part(order), progress.labels[order], deadline.seconds_left)
    try:
        _certify_kernel(part, cast(DenseGraph, part.graph), rng, part.part(1.0))
    finally:
        labels = np.empty_like(part.labels)
        labels[order] = part.labels
        progress.offer(labels)
        progress.prove(part.lower_bound)


def _certify_kernel(progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline) -> None:
    started = time.monotonic()
    dual = DenseDual(graph, progress.labels, seed=int(rng.integers(2**31)))
    deadline = _before_last_pass(deadline, started)
    ascend(dual, progress, deadline)
    _round(dual, progress, graph, rng, deadline)
    # New inequalities take over from old ones in steps as large as the smoothing: a wide gap needs a wide one.
    smoothing = float(np.clip(progress.gap, 0.012, 0.05))
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


def _before_last_pass(deadline: Deadline, started: float) -> Deadline:
    """An earlier deadline: the last evaluation of the bound takes as long as building the dual since ``started``."""
    return Deadline(deadline.seconds_left - (time.monotonic() - started))


def certify_sparse(progress: Progress, graph: SparseGraph, rng: np.random.Generator, deadline: Deadline) -> None:
    """Raise the lower bound of a sparse graph by its cycles, and improve its clustering by what the ascent finds."""
    # Cluster by cluster, since the searches for cycles wait for memory more than for anything else.
    order = np.argsort(progress.labels, kind="stable")
    part = progress.of(graph.permuted(order), progress.labels[order], deadline.seconds_left)
    try:
        _certify_in_order(part, rng, deadline)
    finally:
        labels = np.empty_like(part.labels)
        labels[order] = part.labels
        progress.offer(labels)
        progress.prove(part.lower_bound)


def _certify_in_order(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    graph = cast(SparseGraph, progress.graph)
    capacity = min(max(1 << 16, 2 * graph.indices.size), 1 << 24)
    started = time.monotonic()
    dual = SparseDual(graph, progress.labels, seed=int(rng.integers(2**31)), capacity=capacity)
    deadline = _before_last_pass(deadline, started)
    longest = 0.0
    for rounds in _SPARSE_ROUNDS:
        ascend(dual, progress, deadline, rounds)
        if progress.closed or deadline.passed:
            return
        if deadline.seconds_left < longest:
            continue
        started = time.monotonic()
        _round_sparse(dual, progress, graph, rng, deadline)
        longest = max(longest, time.monotonic() - started)


def certify_neighbours(progress: Progress, graph: VectorGraph, rng: np.random.Generator, deadline: Deadline) -> None:
    """Prove for all pairs what the graph of nearest neighbours proves: no other pair costs less than nothing."""
    near = progress.of(graph.near, progress.labels, deadline.seconds_left)
    try:
        certify_sparse(near, graph.near, rng, deadline)
    finally:
        progress.prove(near.lower_bound)
    progress.offer(improve(graph, near.labels, rng, deadline))


def relax_and_round(progress: Progress, graph: DenseGraph, rng: np.random.Generator) -> None:
    """Bound by the linear programming relaxation of a dense graph, then round its solution and search from there."""
    dual = DenseDual(graph, progress.labels, seed=int(rng.integers(2**31)))
    ascend(dual, progress, progress.part(0.3))
    if progress.finished:
        return
    relaxation = relax_from(dual, progress, progress.part(0.9))
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
        members, sizes = separate_two_partition(dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE)
        dual.rows.append(*partition_rows(members, sizes))
        if dual.n <= _WHEELS_UP_TO:
            dual.rows.append(*wheel_rows(*separate_odd_wheels(dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE)))
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
