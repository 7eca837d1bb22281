"""Clusterings of the same vectors at many thresholds, which share one matrix of products and their solutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.correlation_clustering.greedy import gaec_in_place
from telescope_transformer.correlation_clustering.local_search import fuse, improve
from telescope_transformer.correlation_clustering.progress import Deadline, Progress
from telescope_transformer.correlation_clustering.validation import check_embeddings
from telescope_transformer.errors import SolverError


@dataclass(frozen=True)
class SweepPoint:
    """Clustering at one threshold: canonical ``labels`` (n,), their disagreement ``cost``, number of clusters."""

    threshold: float
    labels: np.ndarray
    cost: float
    n_clusters: int


def sweep(
    embeddings: Any,
    thresholds: Sequence[float],
    *,
    method: str = "local_search",
    time_limit: float | None = None,
    random_state: int | None = None,
) -> list[SweepPoint]:
    """Cluster the complete graph of the vectors (n, d) with weights <x_i, x_j> - threshold, for every threshold.

    ``method`` is ``"greedy"`` (GAEC) or ``"local_search"``, which begins each threshold from the next higher one's
    clustering and from single nodes, and fuses the two. Takes two float32 matrices (n, n). The points come in the
    order of ``thresholds``; those that ``time_limit`` (seconds in all) leaves no time for are missing. Raises
    :class:`~telescope_transformer.errors.WeightsError` for vectors or thresholds that are not finite.
    """
    if method not in ("greedy", "local_search"):
        raise SolverError(f"method of a sweep must be greedy or local_search, not {method!r}")
    vectors = check_embeddings(embeddings, 0.0).astype(np.float32)
    for threshold in thresholds:
        check_embeddings(vectors[:0], threshold)
    matrix = vectors @ vectors.T
    scratch = np.empty_like(matrix)
    rng = np.random.default_rng(random_state)
    deadline = Deadline(float("inf") if time_limit is None else time_limit)
    points: dict[float, SweepPoint] = {}
    labels = np.arange(vectors.shape[0], dtype=np.int64)
    for threshold in sorted(set(map(float, thresholds)), reverse=True):
        if deadline.passed:
            break
        graph = DenseGraph(matrix, threshold)
        if method == "greedy":
            np.copyto(scratch, matrix)
            labels = gaec_in_place(scratch, threshold)
        else:
            labels = _refine(graph, labels, rng, deadline)
        points[threshold] = SweepPoint(threshold, labels, graph.cost(labels), int(labels.max(initial=-1)) + 1)
    return [points[float(threshold)] for threshold in thresholds if float(threshold) in points]


def _refine(graph: DenseGraph, labels: np.ndarray, rng: np.random.Generator, deadline: Deadline) -> np.ndarray:
    progress = Progress(graph)
    progress.offer(improve(graph, labels, rng, deadline))
    start = improve(graph, np.arange(graph.n), rng, deadline)
    progress.offer(start)
    progress.offer(fuse(graph, progress.labels, start, rng, deadline))
    return progress.labels
