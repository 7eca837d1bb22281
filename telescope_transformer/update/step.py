"""One step: assigns new windows, clusters the attracted clusters again, and passes on their ids."""

from dataclasses import dataclass

import numpy as np

from telescope_transformer.arrays import unit_rows
from telescope_transformer.correlation_clustering import CorrelationClustering, refine
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.update.identity import NOBODY, Event, inherit
from telescope_transformer.update.resolving import ClusterSums, affinities, initial_labels, solve_attracted

# Number of old windows that a step may move. Half of them are the windows with the smallest margins. The others come
# from a random cluster and its nearest clusters, which are taken as a whole if they fit, so that every cluster is
# reconsidered over the days. The number is constant except on a very large day.
MOVABLE_WINDOWS = 800
MOVABLE_PER_NEW = 6
# The most clusters that a new window adds to the problem: those that attract it most. The cluster of its source is
# added too.
CLUSTERS_PER_NEW = 8
# The most new windows in a step. More windows are split into several steps, so that the time grows linearly.
LARGEST_STEP = 500
# A first input with more windows than this is solved under the time limit.
LARGEST_FIRST = 2_000


@dataclass(frozen=True)
class MovableWindows:
    """Windows that a step may assign to another cluster.

    Attributes:
        ids: (m,) ids of the windows.
        vectors: (m, dimensions), rows of length 1.
        clusters: (m,) the cluster whose sum includes the window; -1 for new windows and for windows that grew.
        former: (m,) the cluster that the window was in before, also for a window that grew; -1 for new windows.
    """

    ids: np.ndarray
    vectors: np.ndarray
    clusters: np.ndarray
    former: np.ndarray


@dataclass(frozen=True)
class StepResult:
    """The result of a step.

    Attributes:
        former: ids of the clusters that were part of the problem.
        clusters: the clusters that replace them.
        labels: cluster of each movable window.
        margins: margin of each movable window.
        renamed: for each cluster whose other windows are now in a different cluster, the id of that cluster.
        events: births, deaths, merges and splits.
        nodes: number of nodes of the problem that was solved.
    """

    former: np.ndarray
    clusters: ClusterSums
    labels: np.ndarray
    margins: np.ndarray
    renamed: dict[int, int]
    events: list[Event]
    nodes: int


def budget(n_new: int) -> int:
    """Number of old windows that a step with `n_new` new windows may move."""
    return max(MOVABLE_WINDOWS, MOVABLE_PER_NEW * n_new)


def first_step(movable: MovableWindows, threshold: float, *, seed: int, time_limit: float) -> StepResult:
    """Solve the whole problem in the first step of a state, under the time limit if it is large."""
    if len(movable.ids) <= LARGEST_FIRST:
        labels = refine(DenseGraph(movable.vectors @ movable.vectors.T, threshold), seed=seed)
    else:
        solver = CorrelationClustering(method="local_search", time_limit=time_limit, random_state=seed)
        labels = solver.fit_embeddings(movable.vectors, threshold).labels_
    empty = ClusterSums(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, movable.vectors.shape[1])))
    return _finished(empty, empty, movable, np.asarray(labels), threshold, next_id=0)


def next_step(
    clusters: ClusterSums, movable: MovableWindows, homes: np.ndarray, threshold: float, *, next_id: int, seed: int
) -> StepResult:
    """Solve the attracted clusters and the movable windows together.

    Args:
        clusters: the clusters that attract new windows, including their movable windows.
        movable: the movable windows: new windows, and old windows of these clusters.
        homes: (m,) id of the cluster in which each movable window starts; -1 if there is none.
        threshold: the cosine at which a pair neither attracts nor repels.
        next_id: the smallest cluster id that was never used.
        seed: seed of the search.
    """
    old = movable.clusters != NOBODY
    rest = clusters.without(movable.clusters[old], movable.vectors[old])
    start = np.empty(len(movable.ids), dtype=np.int64)
    start[old] = np.searchsorted(clusters.ids, movable.clusters[old])
    start[~old] = initial_labels(clusters, movable.vectors[~old], homes[~old], threshold)
    start = np.concatenate([np.searchsorted(clusters.ids, rest.ids), start])
    labels = solve_attracted(rest, movable.vectors, start, threshold, seed=seed)
    return _finished(clusters, rest, movable, labels, threshold, next_id)


def _finished(
    clusters: ClusterSums,
    rest: ClusterSums,
    movable: MovableWindows,
    labels: np.ndarray,
    threshold: float,
    next_id: int,
) -> StepResult:
    former = np.concatenate([rest.ids, movable.former])
    sizes = np.concatenate([rest.sizes, np.ones(len(movable.ids))])
    heirs = inherit(labels, former, sizes, next_id)
    nodes = np.concatenate([rest.sums.reshape(len(rest.ids), movable.vectors.shape[1]), movable.vectors])
    sums = np.zeros((len(heirs.ids), movable.vectors.shape[1]))
    np.add.at(sums, labels, nodes)
    after = ClusterSums(heirs.ids, np.bincount(labels, weights=sizes), sums)
    whole = heirs.ids[labels[: len(rest.ids)]]
    renamed = {int(a): int(b) for a, b in zip(rest.ids, whole, strict=True) if a != b}
    own = labels[len(rest.ids) :]
    margins = _margins(after, movable.vectors, own, threshold)
    return StepResult(clusters.ids, after, heirs.ids[own], margins, renamed, heirs.events, len(nodes))


def _margins(clusters: ClusterSums, vectors: np.ndarray, own: np.ndarray, threshold: float) -> np.ndarray:
    """Margins of windows. Only the clusters of the step are compared, because no others attract these windows."""
    here, others = np.arange(len(own)), clusters.sizes[own] - 1
    weight = affinities(clusters, vectors, threshold)
    squares = (vectors * vectors).sum(axis=1)
    to_own = np.where(others > 0, (weight[here, own] - squares + threshold) / np.maximum(others, 1), 0.0)
    means = weight / clusters.sizes
    means[here, own] = -np.inf
    margins: np.ndarray = (to_own - np.maximum(means.max(axis=1), -1.0)).astype(np.float32)
    return margins


def attracted_clusters(clusters: ClusterSums, vectors: np.ndarray, threshold: float, homes: np.ndarray) -> ClusterSums:
    """For each window, the `CLUSTERS_PER_NEW` clusters that attract it most; and those whose ids are in `homes`."""
    chosen = np.isin(clusters.ids, homes)
    if len(clusters.ids) and len(vectors):
        weight = affinities(clusters, vectors, threshold, np.float32)
        if len(clusters.ids) > CLUSTERS_PER_NEW:
            least = np.partition(weight, -CLUSTERS_PER_NEW, axis=1)[:, [-CLUSTERS_PER_NEW]]
            weight[weight < least] = 0.0
        chosen |= (weight > 0).any(axis=0)
    return clusters.take(np.flatnonzero(chosen))


def neighbourhood(clusters: ClusterSums, most: int, seed: int) -> np.ndarray:
    """Ids of a random cluster, drawn by size, and of its nearest clusters, with about `most` windows in total."""
    if not len(clusters.ids):
        return clusters.ids
    centre = np.random.default_rng(seed).choice(len(clusters.ids), p=clusters.sizes / clusters.sizes.sum())
    means = unit_rows(clusters.sums)
    order = np.argsort(-(means @ means[centre]), kind="stable")
    within = np.searchsorted(np.cumsum(clusters.sizes[order]), most, side="right")
    return clusters.ids[order[: max(1, int(within))]]
