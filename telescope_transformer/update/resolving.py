"""Builds and solves the problem of one step, in which only the clusters that attract new windows are clustered again.

All other clusters stay as they are. A cluster that attracts a new window is one node of the problem, with the sum of
its vectors. The other nodes are the new windows, and the windows of these clusters with the smallest margins. The
weights of this contracted graph are sums of the weights of pairs, so a change of its cost is the change of the cost
over all windows. The number of clusters per new window is limited, and so is the number of old windows that may move,
so the problem does not grow over the days.
"""

from dataclasses import dataclass

import numpy as np

from telescope_transformer.correlation_clustering import refine
from telescope_transformer.correlation_clustering.graph import DenseGraph

# Restarts of the search in a step. The search starts near an optimum, so more restarts gain little, and later steps
# continue it.
RESTARTS = 1


@dataclass(frozen=True)
class ClusterSums:
    """Clusters as single nodes: `ids` (k,), `sizes` (k,) in windows, `sums` (k, dimensions) of their vectors."""

    ids: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray

    def without(self, ids: np.ndarray, vectors: np.ndarray) -> "ClusterSums":
        """Remove windows, given by the ids of their clusters and their vectors. Empty clusters are dropped."""
        row = {int(group): i for i, group in enumerate(self.ids)}
        rows = np.array([row[int(group)] for group in ids], dtype=np.int64)
        sizes, sums = self.sizes.copy(), self.sums.astype(np.float64)
        np.subtract.at(sizes, rows, 1)
        np.subtract.at(sums, rows, vectors)
        return ClusterSums(self.ids[sizes > 0], sizes[sizes > 0], sums[sizes > 0])

    def take(self, rows: np.ndarray) -> "ClusterSums":
        return ClusterSums(self.ids[rows], self.sizes[rows], self.sums[rows])


def affinities(
    clusters: ClusterSums, vectors: np.ndarray, threshold: float, precision: type[np.floating] = np.float64
) -> np.ndarray:
    """Sum of the weights between each window and the windows of each cluster, (m, k)."""
    products: np.ndarray = vectors.astype(precision) @ clusters.sums.astype(precision).T
    return products - threshold * clusters.sizes


def solve_attracted(
    clusters: ClusterSums, vectors: np.ndarray, start: np.ndarray, threshold: float, *, seed: int = 0
) -> np.ndarray:
    """Cluster whole clusters and movable windows together.

    Args:
        clusters: the attracted clusters without their movable windows.
        vectors: (m, dimensions), the movable windows, rows of length 1.
        start: (k + m,) initial labels, of the clusters first and then of the windows.
        threshold: the cosine at which a pair neither attracts nor repels.
        seed: seed of the search.

    Returns:
        Labels (k + m,) whose cost is at most that of the initial ones.
    """
    nodes = np.concatenate([clusters.sums, vectors]).astype(np.float32)
    sizes = np.concatenate([clusters.sizes, np.ones(len(vectors))])
    weights = nodes @ nodes.T - threshold * np.outer(sizes, sizes)
    return refine(DenseGraph(weights), start, seed=seed, restarts=RESTARTS)


def initial_labels(clusters: ClusterSums, vectors: np.ndarray, homes: np.ndarray, threshold: float) -> np.ndarray:
    """Initial labels of new windows.

    A window starts in the cluster of its source if that cluster attracts it, otherwise in the cluster that attracts it
    most. If no cluster attracts it, it starts alone.

    Args:
        clusters: whole clusters, ordered by id.
        vectors: (m, dimensions), the new windows.
        homes: (m,) id of the cluster of each window's source; if it has none, an id that is not in `clusters`.
        threshold: the cosine at which a pair neither attracts nor repels.

    Returns:
        (m,) row of the cluster in `clusters`, or k + i for window i if it is alone.
    """
    here, alone = np.arange(len(vectors)), len(clusters.ids) + np.arange(len(vectors))
    if not len(clusters.ids):
        return alone
    weight = affinities(clusters, vectors, threshold)
    home = np.minimum(np.searchsorted(clusters.ids, homes), len(clusters.ids) - 1)
    at_home = (clusters.ids[home] == homes) & (weight[here, home] > 0)
    best = np.where(at_home, home, weight.argmax(axis=1))
    return np.where(weight[here, best] > 0, best, alone)
