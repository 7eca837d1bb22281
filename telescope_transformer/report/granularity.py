"""Computes coarser and finer clusterings that are nested in a given one, and the stability of its clusters."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from telescope_transformer import similarity
from telescope_transformer.correlation_clustering import refine
from telescope_transformer.correlation_clustering.graph import DenseGraph

# Difference between the thresholds of neighbouring levels, as between candidate thresholds (`threshold.GRID`).
STEP = 0.05
# Levels on each side. Our choice: thresholds up to 0.2 below and above.
LEVELS = 4


@dataclass(frozen=True)
class Granularity:
    """Clusterings from coarse to fine. Each cluster of a level lies inside one cluster of the level before.

    Attributes:
        thresholds: (n_levels,), ascending.
        labels: (n_levels, n_windows), clusters 0..k-1 of each level.
        stability: (n_clusters,) values between 0 and 1, for the clusters of the given clustering.
    """

    thresholds: list[float]
    labels: np.ndarray
    stability: np.ndarray

    def levels(self) -> list[dict[str, Any]]:
        """The threshold of each level, and its numbers of clusters and of windows that are alone in their cluster."""
        rows = []
        for threshold, labels in zip(self.thresholds, self.labels, strict=True):
            sizes = np.bincount(labels)
            row = {"threshold": round(threshold, 4), "n_clusters": len(sizes), "n_alone": int((sizes == 1).sum())}
            rows.append(row)
        return rows


def walk_thresholds(embeddings: np.ndarray, labels: np.ndarray, threshold: float) -> Granularity:
    """Join the clusters of a clustering at lower thresholds, and split them at higher ones.

    Each level is the best clustering found that is nested with the level before, so a small change of the threshold
    does not change everything. The stability of a cluster is the mean of its Jaccard indices over the other levels:
    with the cluster that contains it in coarser levels, and with its largest part in finer ones.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        labels: (n,) the clustering at `threshold`, with clusters 0..k-1.
        threshold: the cosine at which a pair neither attracts nor repels.
    """
    below = [threshold - STEP * i for i in range(1, LEVELS + 1)]
    above = [threshold + STEP * i for i in range(1, LEVELS + 1) if threshold + STEP * i < 1]
    # Each level begins with the one before.
    coarser = list(accumulate(below, lambda level, value: _joined(embeddings, level, value), initial=labels))[1:]
    finer = list(accumulate(above, lambda level, value: _split(embeddings, level, value), initial=labels))[1:]
    stability = np.mean([_kept(labels, other) for other in (*coarser, *finer)], axis=0)
    every = np.stack([*reversed(coarser), labels, *finer])
    return Granularity([*reversed(below), threshold, *above], every, stability)


def _joined(embeddings: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    """Join whole clusters at a lower threshold."""
    sums, sizes = similarity.cluster_sums(embeddings, labels)
    nodes, n_windows = sums.astype(np.float64), sizes.astype(np.float64)
    weights = nodes @ nodes.T - threshold * np.outer(n_windows, n_windows)
    np.fill_diagonal(weights, 0.0)
    return _canonical(refine(DenseGraph(weights), np.arange(len(sizes)))[labels])


def _split(embeddings: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    """Split each cluster by itself at a higher threshold."""
    answer, used = np.empty(len(labels), dtype=np.int64), 0
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(labels))[:-1]):
        parts = np.zeros(len(members), dtype=np.int64)
        if len(members) > 1:
            vectors = embeddings[members]
            parts = refine(DenseGraph(vectors @ vectors.T, threshold), parts)
        answer[members] = used + parts
        used += int(parts.max()) + 1
    return _canonical(answer)


def _canonical(labels: np.ndarray) -> np.ndarray:
    """Number clusters in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _kept(labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each cluster, the largest Jaccard index with a cluster of another level, float64 (k,)."""
    span = int(other.max()) + 1
    pairs, common = np.unique(labels.astype(np.int64) * span + other, return_counts=True)
    mine, theirs = pairs // span, pairs % span
    union = np.bincount(labels)[mine] + np.bincount(other)[theirs] - common
    best = np.zeros(int(labels.max()) + 1)
    np.maximum.at(best, mine, common / union)
    return best
