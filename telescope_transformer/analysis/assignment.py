"""Assign windows to the clusters that attract them, in blocks that fit into memory or on Spark's executors."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from telescope_transformer.similarity import Nearest, add_to_sums, row_blocks

# Rounding error of a sum of float32 products.
ROUNDING = 1e-5
# Maps the vectors (m, dimensions) and row numbers (m,) of some windows to arrays (m,).
Task = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
Assign = Callable[[Task, np.ndarray, int], Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]]


def by_blocks(vectors: np.ndarray) -> Assign:
    """Runs tasks over rows of the vectors in this process, in blocks that fit into memory.

    Returns:
        A function of a task, rows (m,), and how many numbers the task keeps in memory per row. It yields blocks of the
        rows, each with the task's result for them.
    """

    def each(task: Task, rows: np.ndarray, cells_a_row: int) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        for block in row_blocks(len(rows), cells_a_row):
            yield rows[block], task(np.asarray(vectors[rows[block]]), rows[block])

    return each


class AttractingClusters:
    """Clusters as the sums of their members' vectors, to find the one that attracts a window most.

    With more than `similarity.Nearest.EXACT_UP_TO` clusters, the nearest means are found approximately.

    Args:
        vectors: float32 (n, dimensions) of all windows.
        labels: (n,) clusters.
        members: rows of the windows whose clusters these are.
        threshold: the cosine at which a pair neither attracts nor repels.
    """

    # Nearest means whose sums of weights are compared. The largest sum rarely belongs to a cluster further away.
    CANDIDATES = 16

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, members: np.ndarray, threshold: float):
        self.clusters, compact = np.unique(labels[members], return_inverse=True)
        sums = np.zeros((len(self.clusters), vectors.shape[1]))
        for block in row_blocks(len(members), vectors.shape[1]):
            add_to_sums(sums, compact[block], np.asarray(vectors[members[block]]))
        self._sizes = np.bincount(compact).astype(np.float32)
        self._sums = sums.astype(np.float32)
        self._threshold = np.float32(threshold)

    @cached_property
    def _search(self) -> Nearest:
        return Nearest(self._sums / self._sizes[:, None])

    def __getstate__(self) -> dict[str, Any]:
        # The search index is not sent to executors; each builds its own.
        return {name: value for name, value in self.__dict__.items() if name != "_search"}

    @property
    def cells_a_row(self) -> int:
        """Numbers in memory per window."""
        return max(self._search.cells_a_row, self.CANDIDATES * self._sums.shape[1])

    def attraction(self, vectors: np.ndarray, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The cluster that attracts each window most, and the sum of the weights to its members.

        Args:
            vectors: float32 (m, dimensions).
            own: (m,) clusters of the windows, if they are members. Their own vectors are then not counted.
        """
        places, _ = self._search.of(vectors, self.CANDIDATES)
        weights = np.einsum("ij,ikj->ik", vectors, self._sums[places]) - self._threshold * self._sizes[places]
        weights[places < 0] = -np.inf
        if own is not None:
            itself = np.einsum("ij,ij->i", vectors, vectors) - self._threshold
            weights -= np.where(self.clusters[places] == own[:, None], itself[:, None], 0)
        best = weights.argmax(axis=1)
        here = np.arange(len(vectors))
        return self.clusters[places[here, best]], weights[here, best]

    def to_own(self, vectors: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Sum of the weights between each member and the other members of its cluster (m,)."""
        place = np.searchsorted(self.clusters, own)
        itself = np.einsum("ij,ij->i", vectors, vectors) - self._threshold
        inside = np.einsum("ij,ij->i", vectors, self._sums[place]) - self._threshold * self._sizes[place]
        to_others: np.ndarray = inside - itself
        return to_others


def join(assign: Assign, labels: np.ndarray, rows: np.ndarray, clusters: AttractingClusters) -> np.ndarray:
    """Let each window join the cluster that attracts it most; returns the windows that no cluster attracts."""

    def attraction(vectors: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, ...]:
        return clusters.attraction(vectors)

    alone = []
    for some, (best, weight) in assign(attraction, rows, clusters.cells_a_row):
        joins = weight > 0
        labels[some[joins]] = best[joins]
        alone.append(some[~joins])
    return np.concatenate(alone)


def settle(assign: Assign, labels: np.ndarray, core: np.ndarray, clusters: AttractingClusters) -> None:
    """Move each core window once more to the cluster that attracts it most, now that all of them have a cluster."""
    before = labels.copy()

    def move(vectors: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, ...]:
        own = before[some]
        best, weight = clusters.attraction(vectors, own)
        moves = weight > np.maximum(clusters.to_own(vectors, own), 0) + ROUNDING
        return (np.where(moves, best, own),)

    for some, (moved,) in assign(move, core, clusters.cells_a_row):
        labels[some] = moved
