"""Clusterings of the same vectors at many thresholds, which share one matrix of products and reuse results."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from telescope_transformer.correlation_clustering.components import roots
from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels
from telescope_transformer.correlation_clustering.options import check_limit, check_seed, check_threshold
from telescope_transformer.correlation_clustering.search.greedy import contract_greedily
from telescope_transformer.correlation_clustering.search.local_search import fuse, improve
from telescope_transformer.correlation_clustering.solution import Deadline, Solution
from telescope_transformer.correlation_clustering.validation import check_embeddings, check_single, check_weights
from telescope_transformer.errors import SolverError, WeightsError

# Number of threads. It is the same on every machine, because the clusterings depend on it.
_RUNS = 2


@dataclass(frozen=True, kw_only=True)
class SweepPoint(Solution):
    """Clustering at one threshold, without a bound.

    Attributes:
        threshold: the threshold.
    """

    threshold: float


Points = dict[float, SweepPoint]


def sweep(
    embeddings: Any,
    thresholds: Sequence[float],
    *,
    method: str = "local_search",
    time_limit: float | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> list[SweepPoint]:
    """Cluster the complete graph of the vectors with weights <x_i, x_j> - threshold, for every threshold.

    At each threshold, ``"local_search"`` starts both from single nodes and from the clustering of the threshold two
    steps higher, and fuses the two results. Two threads share the matrix of products, float32 (n, n). With
    ``"greedy"``, each thread needs one more such matrix.

    Args:
        embeddings: (n, d).
        thresholds: finite numbers.
        method: ``"greedy"`` (GAEC) or ``"local_search"``.
        time_limit: seconds for all thresholds together, or None.
        random_state: seed. For the same input and seed, the labels are the same however the threads run.

    Returns:
        Points in the order of ``thresholds``. Points that a time limit or an interrupt (Ctrl-C) prevented are missing.
        An interrupt ends the sweep within a second.

    Raises:
        WeightsError: vectors or thresholds are not finite, or too large for float32.
        SolverError: an option is out of range.
    """
    values, deadline = _begun(thresholds, method, time_limit)
    vectors = check_embeddings(embeddings, 0.0)
    check_single("squared length", float(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max(initial=0.0)))
    vectors = vectors.astype(np.float32)
    return _sweep(vectors @ vectors.T, values, method, deadline, check_seed(random_state))


def sweep_similarities(
    similarity: Any,
    thresholds: Sequence[float],
    *,
    method: str = "local_search",
    time_limit: float | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> list[SweepPoint]:
    """The same as `sweep`, for given similarities.

    Args:
        similarity: (n, n), symmetric; the diagonal is ignored.
        thresholds: see `sweep`.
        method: see `sweep`.
        time_limit: see `sweep`.
        random_state: see `sweep`.

    Returns:
        See `sweep`.

    Raises:
        WeightsError: the similarities are not square, not symmetric, not finite or too large for float32.
        SolverError: an option is out of range.
    """
    values, deadline = _begun(thresholds, method, time_limit)
    if sparse.issparse(similarity):
        raise WeightsError("a sweep needs the similarities of all pairs: a dense array, not a sparse matrix")
    graph = check_weights(similarity)
    check_single("similarity", graph.scale)
    return _sweep(graph.weights().astype(np.float32), values, method, deadline, check_seed(random_state))


def _begun(thresholds: Sequence[float], method: str, time_limit: float | None) -> tuple[list[float], Deadline]:
    """Check the options of a sweep before any expensive computation, and start its time limit."""
    check_limit("time_limit", time_limit)
    deadline = Deadline(float("inf") if time_limit is None else float(time_limit))
    if method not in ("greedy", "local_search"):
        raise SolverError(f"method of a sweep must be greedy or local_search, not {method!r}")
    try:
        values = [check_threshold(threshold) for threshold in thresholds]
    except TypeError as error:
        raise SolverError(f"thresholds must be a list of numbers: {error}") from error
    check_single("threshold", max(map(abs, values), default=0.0))
    return values, deadline


def _sweep(
    matrix: np.ndarray, thresholds: list[float], method: str, deadline: Deadline, seed: int | None
) -> list[SweepPoint]:
    """Run the two threads and collect their points in the order of ``thresholds``."""
    values = sorted(set(thresholds), reverse=True)
    run = _greedy_run if method == "greedy" else _refined_run
    seeds = np.random.SeedSequence(seed).spawn(_RUNS)
    # Each thread gets every other threshold, so that both take about as long.
    runs = [
        partial(run, matrix, values[first::_RUNS], np.random.default_rng(seed), deadline)
        for first, seed in enumerate(seeds)
    ]
    points: dict[float, SweepPoint] = {}
    with ThreadPoolExecutor(_RUNS) as pool:
        try:
            # An interrupt may also come while the threads are being started.
            for future in [pool.submit(run, points) for run in runs]:
                future.result()
        except BaseException as error:
            # The runs check the time between kernel calls, so they end within a second. The pool waits for them.
            deadline.stop()
            if not isinstance(error, KeyboardInterrupt):
                raise
    return [points[threshold] for threshold in thresholds if threshold in points]


def _point(graph: DenseGraph, labels: np.ndarray) -> SweepPoint:
    """The clustering ``labels`` (n,) of a graph as a point of a sweep."""
    return SweepPoint(labels, graph.cost(labels), threshold=graph.threshold)


def _greedy_run(
    matrix: np.ndarray, thresholds: list[float], rng: np.random.Generator, deadline: Deadline, points: Points
) -> None:
    """Cluster by GAEC at every threshold, and add the points to ``points``."""
    # One copy for all thresholds: it takes longer to get new memory than to copy.
    scratch = np.empty_like(matrix)
    for threshold in thresholds:
        if deadline.passed:
            break
        np.copyto(scratch, matrix)
        labels = canonical_labels(roots(contract_greedily(scratch, threshold)))
        points[threshold] = _point(DenseGraph(matrix, threshold), labels)


def _refined_run(
    matrix: np.ndarray, thresholds: list[float], rng: np.random.Generator, deadline: Deadline, points: Points
) -> None:
    """Cluster by local search at every threshold, in descending order, and add the points to ``points``."""
    before = False
    labels = np.arange(len(matrix), dtype=np.int64)
    for threshold in thresholds:
        if deadline.passed:
            break
        graph = DenseGraph(matrix, threshold)
        fresh = improve(graph, np.arange(graph.n), rng, deadline)
        warm = improve(graph, labels, rng, deadline) if before else fresh
        best, other = sorted([fresh, warm], key=graph.cost)
        labels = fuse(graph, best, other, rng, deadline)
        points[threshold] = _point(graph, labels)
        before = True
