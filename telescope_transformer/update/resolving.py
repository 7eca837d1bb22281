"""One step of the running clustering: new windows come, and only what they touch is solved again.

Clusters that the new windows do not attract stay as they are. A touched cluster enters the problem as one node, the
sum of its vectors, beside the new windows and those of its own windows that belong to it least; the weights of this
contracted graph are sums of the pairs' weights, so that every change of cost in it is a change of the whole cost.
"""

from dataclasses import dataclass

import numpy as np

from telescope_transformer.correlation_clustering import refine
from telescope_transformer.correlation_clustering.graph import DenseGraph

NOWHERE = -1


@dataclass(frozen=True)
class Groups:
    """Clusters as single nodes: `ids` (k,), `sizes` (k,) in windows, `sums` (k, dimensions) of their vectors."""

    ids: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray

    def without(self, ids: np.ndarray, vectors: np.ndarray) -> "Groups":
        """The same clusters after windows of clusters `ids` with these vectors left; empty ones disappear."""
        row = {int(group): i for i, group in enumerate(self.ids)}
        rows = np.array([row[int(group)] for group in ids], dtype=np.int64)
        sizes, sums = self.sizes.copy(), self.sums.astype(np.float64)
        np.subtract.at(sizes, rows, 1)
        np.subtract.at(sums, rows, vectors)
        return Groups(self.ids[sizes > 0], sizes[sizes > 0], sums[sizes > 0])

    def take(self, rows: np.ndarray) -> "Groups":
        return Groups(self.ids[rows], self.sizes[rows], self.sums[rows])


def touched(groups: Groups, vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Which groups attract at least one of the windows, bool (k,)."""
    if not len(groups.ids) or not len(vectors):
        return np.zeros(len(groups.ids), dtype=bool)
    return np.asarray((affinities(groups, vectors, threshold) > 0).any(axis=0))


def affinities(groups: Groups, vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Total weight of each window to each group, (m, k)."""
    return vectors @ groups.sums.T - threshold * groups.sizes


def solve_touched(
    groups: Groups, vectors: np.ndarray, homes: np.ndarray, threshold: float, *, seed: int = 0
) -> np.ndarray:
    """Cluster groups and free windows together.

    Args:
        groups: the touched clusters without their free windows.
        vectors: (m, dimensions), the free windows, rows of length 1.
        homes: (m,) id of the cluster in which a window starts: that of its source, or its own; -1 for none.
        threshold: the cosine at which a pair neither attracts nor repels.
        seed: of the search.

    Returns:
        Labels (k + m,) of the groups and then the windows; no worse than keeping the groups and starting at home.
    """
    start = _start(groups, vectors, homes, threshold)
    nodes = np.concatenate([groups.sums, vectors]).astype(np.float64)
    sizes = np.concatenate([groups.sizes, np.ones(len(vectors))])
    weights = nodes @ nodes.T - threshold * np.outer(sizes, sizes)
    np.fill_diagonal(weights, 0.0)
    return refine(DenseGraph(weights), start, seed=seed)


def _start(groups: Groups, vectors: np.ndarray, homes: np.ndarray, threshold: float) -> np.ndarray:
    """Each group is a cluster; each window goes home if that attracts it, else to the best group, else alone."""
    n_groups = len(groups.ids)
    alone = n_groups + np.arange(len(vectors))
    if n_groups:
        weight = affinities(groups, vectors, threshold)
        here = np.arange(len(vectors))
        row = {int(group): i for i, group in enumerate(groups.ids)}
        home = np.array([row.get(int(h), NOWHERE) for h in homes], dtype=np.int64)
        best = weight.argmax(axis=1)
        at_home = (home >= 0) & (weight[here, np.maximum(home, 0)] > 0)
        alone = np.where(at_home, home, np.where(weight[here, best] > 0, best, alone))
    return np.concatenate([np.arange(n_groups), alone])
