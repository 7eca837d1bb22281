"""One step of the running clustering: only the clusters that attract new windows are solved again.

All other clusters stay as they are. An attracted cluster enters the problem as one node, the sum of its vectors.
Beside it are the new windows, and those windows of the cluster that belong to it least. The weights of this contracted
graph are sums of the weights of pairs, so every change of its cost is a change of the whole cost. A new window
attracts a limited number of clusters, and the number of movable old windows is proportional to the new ones, so the
problem does not grow with the days.
"""

from dataclasses import dataclass

import numpy as np

from telescope_transformer.correlation_clustering import refine
from telescope_transformer.correlation_clustering.graph import DenseGraph

# Restarts of the search of a step. It starts near its end, so more restarts gain little, and later steps continue
# anyway.
RESTARTS = 1


@dataclass(frozen=True)
class ClusterSums:
    """Clusters as single nodes: `ids` (k,), `sizes` (k,) in windows, `sums` (k, dimensions) of their vectors."""

    ids: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray

    def without(self, ids: np.ndarray, vectors: np.ndarray) -> "ClusterSums":
        """The same clusters after windows of clusters `ids` with these vectors left; empty ones disappear."""
        row = {int(group): i for i, group in enumerate(self.ids)}
        rows = np.array([row[int(group)] for group in ids], dtype=np.int64)
        sizes, sums = self.sizes.copy(), self.sums.astype(np.float64)
        np.subtract.at(sizes, rows, 1)
        np.subtract.at(sums, rows, vectors)
        return ClusterSums(self.ids[sizes > 0], sizes[sizes > 0], sums[sizes > 0])

    def take(self, rows: np.ndarray) -> "ClusterSums":
        return ClusterSums(self.ids[rows], self.sizes[rows], self.sums[rows])


def attracting(groups: ClusterSums, vectors: np.ndarray, threshold: float, most: int) -> np.ndarray:
    """Which clusters are among the `most` that attract one of the windows most, bool (k,)."""
    chosen = np.zeros(len(groups.ids), dtype=bool)
    if len(groups.ids) and len(vectors):
        weight = vectors.astype(np.float32) @ groups.sums.astype(np.float32).T - threshold * groups.sizes
        if most < len(groups.ids):
            least = np.partition(weight, -most, axis=1)[:, [-most]]
            weight[weight < least] = 0.0
        chosen = np.asarray((weight > 0).any(axis=0))
    return chosen


def affinities(groups: ClusterSums, vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Total weight of each window to each group, (m, k)."""
    return vectors @ groups.sums.T - threshold * groups.sizes


def solve_touched(
    groups: ClusterSums, vectors: np.ndarray, start: np.ndarray, threshold: float, *, seed: int = 0
) -> np.ndarray:
    """Cluster whole clusters and movable windows together.

    Args:
        groups: the touched clusters without their free windows.
        vectors: (m, dimensions), the free windows, rows of length 1.
        start: (k + m,) labels of the groups and then the windows.
        threshold: the cosine at which a pair neither attracts nor repels.
        seed: of the search.

    Returns:
        Labels (k + m,), no worse than those at the start.
    """
    nodes = np.concatenate([groups.sums, vectors]).astype(np.float32)
    sizes = np.concatenate([groups.sizes, np.ones(len(vectors))])
    return refine(DenseGraph(nodes @ nodes.T, threshold, sizes), start, seed=seed, restarts=RESTARTS)


def initial_labels(groups: ClusterSums, vectors: np.ndarray, homes: np.ndarray, threshold: float) -> np.ndarray:
    """Initial labels of new windows: the source's cluster if it attracts them, else the best cluster, else alone.

    Args:
        groups: whole clusters, by id.
        homes: (m,) id of the cluster of each window's source; an id that is not among the groups for none.

    Returns:
        (m,) rows of groups; k + i for window i alone.
    """
    here, alone = np.arange(len(vectors)), len(groups.ids) + np.arange(len(vectors))
    if not len(groups.ids):
        return alone
    weight = affinities(groups, vectors, threshold)
    home = np.minimum(np.searchsorted(groups.ids, homes), len(groups.ids) - 1)
    at_home = (groups.ids[home] == homes) & (weight[here, home] > 0)
    best = np.where(at_home, home, weight.argmax(axis=1))
    return np.where(weight[here, best] > 0, best, alone)
