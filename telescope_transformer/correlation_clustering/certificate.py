"""Bound and search together: the dual ascent tells the search where to round, the search tells the dual where to aim.

First triangles alone, then inequalities beyond triangles where these leave a gap. After each stage the primal estimate
is rounded and searched from; a better clustering becomes the new guide of the ascent.
"""

import numpy as np

from telescope_transformer.correlation_clustering.cuts import partition_rows, separate_two_partition
from telescope_transformer.correlation_clustering.dual import DenseDual, SparseDual, ascend
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph
from telescope_transformer.correlation_clustering.local_search import fuse
from telescope_transformer.correlation_clustering.lp_relaxation import relax_from
from telescope_transformer.correlation_clustering.progress import Deadline, Progress
from telescope_transformer.correlation_clustering.rounding import round_fractions

_CUT_ROUNDS = 20
_CUT_SMOOTHING = 1e-3
_CUTS_AT_ONCE = 20_000
_CUT_TOLERANCE = 0.02


def certify(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> DenseDual:
    """Raise the lower bound of ``progress`` (a dense graph) as far as triangles and cuts beyond them carry it."""
    graph = progress.graph
    assert isinstance(graph, DenseGraph)
    dual = DenseDual(graph, progress.labels, seed=int(rng.integers(2**31)))
    ascend(dual, progress, deadline)
    _round(dual, progress, rng, deadline)
    smoothing = _CUT_SMOOTHING * dual.scale
    for _ in range(_CUT_ROUNDS):
        if deadline.passed or progress.closed:
            break
        before = progress.gap
        dual.smoothing = smoothing
        _add_cuts(dual, deadline)
        ascend(dual, progress, deadline)
        _round(dual, progress, rng, deadline)
        if progress.gap > 0.98 * before:
            break
        smoothing = max(smoothing / 2, 1e-6 * dual.scale)
    return dual


def certify_sparse(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> SparseDual:
    """Raise the lower bound of ``progress`` (a sparse graph) by the triangles among its edges."""
    graph = progress.graph
    assert isinstance(graph, SparseGraph)
    capacity = min(max(1 << 16, 2 * graph.indices.size), 1 << 24)
    dual = SparseDual(graph, progress.labels, seed=int(rng.integers(2**31)), capacity=capacity)
    ascend(dual, progress, deadline)
    return dual


def relax_and_round(progress: Progress, rng: np.random.Generator) -> None:
    """Bound by the linear programming relaxation of a dense graph, then round its solution and search from there."""
    graph = progress.graph
    assert isinstance(graph, DenseGraph)
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
        dual.separate()
        dual.sweep(deadline)
        members, sizes = separate_two_partition(dual.fractions(), _CUT_TOLERANCE, _CUTS_AT_ONCE)
        dual.rows.append(*partition_rows(members, sizes))
        dual.sweep(deadline)
        dual.rows.drop_idle()


def _round(dual: DenseDual, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    if deadline.passed or progress.closed:
        return
    graph = progress.graph
    assert isinstance(graph, DenseGraph)
    start = round_fractions(graph, dual.fractions(), rng)
    if progress.offer(fuse(graph, progress.labels, start, rng, deadline)):
        dual.guide(progress.labels)
