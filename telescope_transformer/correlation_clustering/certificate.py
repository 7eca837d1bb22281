"""Bound and search together: the dual ascent tells the search where to round, the search tells the dual where to aim.

First triangles alone, then inequalities beyond triangles where these leave a gap. After each stage the primal estimate
is rounded and searched from; a better clustering becomes the new guide of the ascent.
"""

import time
from typing import cast

import numpy as np

from telescope_transformer.correlation_clustering.cuts import partition_rows, separate_two_partition
from telescope_transformer.correlation_clustering.dual import DenseDual, SparseDual, ascend
from telescope_transformer.correlation_clustering.graph import (
    DenseGraph,
    SparseGraph,
    VectorGraph,
    canonical_labels,
)
from telescope_transformer.correlation_clustering.greedy import gaec
from telescope_transformer.correlation_clustering.local_search import fuse, improve
from telescope_transformer.correlation_clustering.lp_relaxation import relax_from
from telescope_transformer.correlation_clustering.odd_wheels import separate_odd_wheels, wheel_rows
from telescope_transformer.correlation_clustering.progress import Deadline, Progress
from telescope_transformer.correlation_clustering.reduction import reduce_graph
from telescope_transformer.correlation_clustering.rounding import round_fractions

_CUT_ROUNDS = 60
_CUTS_AT_ONCE = 20_000
_CUT_TOLERANCE = 0.02
_LAST_CUT_SMOOTHING = 1e-5
# The search for odd wheels takes time in proportion to the fourth power of the nodes whose pairs are undecided.
_WHEELS_UP_TO = 300
_REDUCE_UP_TO = 3_000
# Rounds of ascent before each rounding of a sparse graph; the first roundings gain the most.
_SPARSE_ROUNDS = (2, 4, 8, 16, None)


def certify(progress: Progress, graph: DenseGraph, rng: np.random.Generator, deadline: Deadline) -> None:
    """Raise the lower bound of a dense graph, kernel by kernel where it falls apart, and improve its clustering."""
    if graph.n > _REDUCE_UP_TO:
        _certify_kernel(progress, graph, rng, deadline)
        return
    reduction = reduce_graph(graph)
    kernels = list(reduction.kernels())
    labels = np.empty(reduction.graph.n, dtype=np.int64)
    labels[reduction.pieces] = progress.labels
    if reduction.graph.n == graph.n and len(kernels) == 1 and kernels[0][0].size == graph.n:
        _certify_kernel(progress, graph, rng, deadline)
        return
    parts: list[Progress] = []
    left = sum(nodes.size**2 for nodes, _ in kernels)
    try:
        for nodes, kernel in kernels:
            seconds = deadline.seconds_left * nodes.size**2 / left
            part = progress.of(kernel, canonical_labels(labels[nodes]), seconds)
            parts.append(part)
            _certify_kernel(part, kernel, rng, part.part(1.0))
            labels[nodes] = part.labels + graph.n * (1 + nodes[0])
            left -= nodes.size**2
    finally:
        progress.offer(labels[reduction.pieces])
        bound = reduction.offset + sum(np.nan_to_num(part.lower_bound) for part in parts)
        # The offset is a difference of sums over all pairs, right to within their rounding.
        progress.prove(bound - 1e-14 * graph.n * progress.cost)


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
        dual.sweep(deadline)
        members, sizes = separate_two_partition(dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE)
        dual.rows.append(*partition_rows(members, sizes))
        if dual.n <= _WHEELS_UP_TO:
            dual.rows.append(*wheel_rows(*separate_odd_wheels(dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE)))
        dual.sweep(deadline)
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
