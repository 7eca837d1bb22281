"""Clusterings of the same vectors at many thresholds, which share one matrix of products and their solutions."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels
from telescope_transformer.correlation_clustering.search.greedy import contract_greedily, first_largest
from telescope_transformer.correlation_clustering.search.local_search import fuse, improve, roots
from telescope_transformer.correlation_clustering.solution import Deadline
from telescope_transformer.correlation_clustering.validation import check_embeddings, check_threshold, check_weights
from telescope_transformer.errors import SolverError, WeightsError

# Threads of a sweep, whatever the machine has: the clusterings depend on how many there are.
_RUNS = 2


@dataclass(frozen=True)
class SweepPoint:
    """Clustering at one threshold: canonical ``labels`` (n,), their disagreement ``cost``, number of clusters."""

    threshold: float
    labels: np.ndarray
    cost: float
    n_clusters: int


Points = dict[float, SweepPoint]


def sweep(
    embeddings: Any,
    thresholds: Sequence[float],
    *,
    method: str = "local_search",
    time_limit: float | None = None,
    random_state: int | None = None,
) -> list[SweepPoint]:
    """Cluster the complete graph of the vectors (n, d) with weights <x_i, x_j> - threshold, for every threshold.

    ``method`` is ``"greedy"`` (GAEC) or ``"local_search"``, which begins each threshold from the clustering of the
    next but one higher and from single nodes, and fuses the two. Two threads share the matrix of products, float32
    (n, n); ``"greedy"`` takes one more for each. The labels depend on ``random_state`` alone, not on the threads. The
    points come in the order of ``thresholds``; those that ``time_limit`` (seconds in all) leaves no time for are
    missing, and so are those of an interrupt (Ctrl-C), which ends the sweep within a second.
    Raises :class:`~telescope_transformer.errors.WeightsError` for vectors or thresholds that are not finite, and
    :class:`~telescope_transformer.errors.SolverError` for another method.
    """
    deadline = _begun(thresholds, method, time_limit)
    vectors = check_embeddings(embeddings, 0.0).astype(np.float32)
    return _sweep(vectors @ vectors.T, thresholds, method, deadline, random_state)


def sweep_similarities(
    similarity: Any,
    thresholds: Sequence[float],
    *,
    method: str = "local_search",
    time_limit: float | None = None,
    random_state: int | None = None,
) -> list[SweepPoint]:
    """:func:`sweep` of similarities that are there already: a symmetric array (n, n), whose diagonal is ignored.

    Raises :class:`~telescope_transformer.errors.WeightsError` for similarities of another shape, not symmetric or not
    finite, and what :func:`sweep` raises.
    """
    deadline = _begun(thresholds, method, time_limit)
    if sparse.issparse(similarity):
        raise WeightsError("a sweep needs the similarities of all pairs: a dense array, not a sparse matrix")
    matrix = check_weights(similarity).weights().astype(np.float32)
    return _sweep(matrix, thresholds, method, deadline, random_state)


def _begun(thresholds: Sequence[float], method: str, time_limit: float | None) -> Deadline:
    """The deadline of a sweep that begins now, its options checked before anything large is computed."""
    deadline = Deadline(float("inf") if time_limit is None else time_limit)
    if method not in ("greedy", "local_search"):
        raise SolverError(f"method of a sweep must be greedy or local_search, not {method!r}")
    for threshold in thresholds:
        check_threshold(threshold)
    return deadline


def _sweep(
    matrix: np.ndarray, thresholds: Sequence[float], method: str, deadline: Deadline, random_state: int | None
) -> list[SweepPoint]:
    values = sorted(set(map(float, thresholds)), reverse=True)
    run = _greedy_run if method == "greedy" else _refined_run
    seeds = np.random.SeedSequence(random_state).spawn(_RUNS)
    # Every other threshold each, so that both take about as long.
    runs = [
        partial(run, matrix, values[first::_RUNS], np.random.default_rng(seed), deadline)
        for first, seed in enumerate(seeds)
    ]
    points: dict[float, SweepPoint] = {}
    with ThreadPoolExecutor(_RUNS) as pool:
        try:
            # An interrupt may come while the threads are being started, too.
            for future in [pool.submit(run, points) for run in runs]:
                future.result()
        except BaseException as error:
            # The runs look at the clock between calls of kernels: with no time left they end within a second, and the
            # pool waits for them.
            deadline.stop()
            if not isinstance(error, KeyboardInterrupt):
                raise
    return [points[float(threshold)] for threshold in thresholds if float(threshold) in points]


def _point(graph: DenseGraph, labels: np.ndarray) -> SweepPoint:
    return SweepPoint(graph.threshold, labels, graph.cost(labels), int(labels.max(initial=-1)) + 1)


def _greedy_run(
    matrix: np.ndarray, thresholds: list[float], rng: np.random.Generator, deadline: Deadline, points: Points
) -> None:
    nearest = _nearest_products(matrix)
    scratch = np.empty(matrix.size if thresholds else 0, matrix.dtype)
    for threshold in thresholds:
        if deadline.passed:
            break
        # What nothing attracts stays alone, so that GAEC needs no row of it.
        attracted = np.flatnonzero(nearest > threshold)
        part = scratch[: attracted.size**2].reshape(attracted.size, attracted.size)
        _gather(matrix, attracted, part)
        labels = np.arange(len(matrix))
        labels[attracted] = len(matrix) + roots(contract_greedily(part, threshold))
        points[threshold] = _point(DenseGraph(matrix, threshold), canonical_labels(labels))


@njit(cache=True, nogil=True)
def _nearest_products(matrix):
    nearest = np.empty(matrix.shape[0], matrix.dtype)
    for i in range(nearest.size):
        nearest[i] = max(first_largest(matrix[i, :i])[1], first_largest(matrix[i, i + 1 :])[1])
    return nearest


@njit(cache=True, nogil=True)
def _gather(matrix, nodes, part):
    """Copy the rows and columns of ``nodes`` (ascending)."""
    for p in range(nodes.size):
        if nodes.size == matrix.shape[0]:
            part[p] = matrix[p]
        else:
            row = matrix[nodes[p]]
            for q in range(nodes.size):
                part[p, q] = row[nodes[q]]


def _refined_run(
    matrix: np.ndarray, thresholds: list[float], rng: np.random.Generator, deadline: Deadline, points: Points
) -> None:
    before = False
    labels = np.arange(len(matrix), dtype=np.int64)
    for threshold in thresholds:
        if deadline.passed:
            break
        graph = DenseGraph(matrix, threshold)
        fresh = improve(graph, np.arange(graph.n), rng, deadline)
        warm = improve(graph, labels, rng, deadline) if before else fresh
        best, other = (warm, fresh) if graph.cost(warm) < graph.cost(fresh) else (fresh, warm)
        fused = fuse(graph, best, other, rng, deadline)
        labels = min(best, fused, key=graph.cost)
        points[threshold] = _point(graph, labels)
        before = True
