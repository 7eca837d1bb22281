"""The similarity above which two windows belong together, learned without labels.

Of every source with two windows or more, one window goes into each of two halves, and the halves are clustered
separately. If the clusters at a threshold are actors, the two clusterings of the same sources agree. If the threshold
is too high, the clusters depend on which records happened to fall into a window. If it is too low, they depend on
which of two unlike groups a window between them happens to join. A threshold is not chosen if slightly different
thresholds give other clusters. This is stability-based validation (Lange, Roth, Braun and Buhmann 2004,
Stability-Based Validation of Clustering Solutions, Neural Computation 16(6)).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.metrics import adjusted_rand_score

from telescope_transformer.arrays import positions_in_equal_runs
from telescope_transformer.correlation_clustering import sweep

# The range of thresholds that agree best with known organisations (`telescope evaluate --across`) and with simulated
# actors (`--truth actor`). Below it, the reproducible clusters are whole kinds of traffic; above it, only near copies.
GRID = np.round(np.arange(0.35, 0.86, 0.05), 2)
# Used if there are too few sources to choose a threshold, and preferred among thresholds with equal agreement.
DEFAULT_THRESHOLD = 0.5
# A single cluster of everything is reproducible for any windows. Therefore a threshold at which a cluster has more
# than this share of the sources is chosen only if there is such a cluster at every threshold.
MOST_JOINED = 0.5
# Differences of agreement up to this size occur between repeated draws.
TOLERANCE = 0.03
# A threshold is next to a jump, where slightly different thresholds give other clusters, if the clusters change to the
# neighbouring grid point by this much more than at other thresholds. Measured on `MOST_WINDOWS` windows, in a second.
MOST_CHANGED = 0.05
MOST_WINDOWS = 3_000
# A sweep of this many windows takes a second. More sources change the curve by less than repeated draws do.
MOST_SOURCES = 1_500
FEWEST_SOURCES = 50
# A campaign of many near copies counts as at most this many sources. Otherwise it would determine the threshold for
# all others by its size.
MOST_ALIKE = 20
ALIKE = 0.9
# Number of draws of two windows of each source, over which the agreement is averaged.
DRAWS = 3


@dataclass(frozen=True)
class ThresholdEvidence:
    """A threshold and the evidence for it.

    Attributes:
        threshold: cosine similarity above which windows attract each other.
        agreement: for each candidate, {threshold, agreement}: the adjusted Rand index of the two clusterings of the
            same sources.
        sources: number of sources that were clustered twice.
    """

    threshold: float
    agreement: list[dict[str, float]]
    sources: int


def reproducible_threshold(embeddings: np.ndarray, sources: np.ndarray, *, seed: int = 0) -> ThresholdEvidence | None:
    """Choose the threshold whose clusters are found again in other windows of the same sources.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        sources: (n,) code or name of each window's source.
        seed: seed of the draws.

    Returns:
        The threshold nearest to the default among those that have the highest agreement, smoothed over neighbours, and
        are not next to a jump; None if fewer than 50 sources have two windows.
    """
    codes = np.unique(np.asarray(sources), return_inverse=True)[1]
    curves, joined, compared = [], [], 0
    for draw in range(DRAWS):
        rng = np.random.default_rng([seed, draw])
        first, second = _two_windows(codes, rng)
        if len(first) < FEWEST_SOURCES:
            return None
        kept = rng.permutation(len(first))[:MOST_SOURCES]
        kept = kept[_limited(embeddings[first[kept]], rng)]
        halves = [
            sweep(embeddings[half[kept]], GRID.tolist(), method="greedy", random_state=seed)
            for half in (first, second)
        ]
        curves.append([adjusted_rand_score(a.labels, b.labels) for a, b in zip(*halves, strict=True)])
        largest = [max(np.bincount(point.labels).max() for point in pair) for pair in zip(*halves, strict=True)]
        joined.append(np.array(largest) / len(kept))
        compared = len(kept)
    agreement = np.mean(curves, axis=0)
    # The mean of three neighbours, so that a single point is not chosen by chance.
    smooth = np.convolve(np.pad(agreement, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    apart = np.mean(joined, axis=0) <= MOST_JOINED
    candidates = np.where(apart | ~apart.any(), smooth, -np.inf)
    as_good = candidates >= candidates.max() - TOLERANCE
    steady = _steadiness(embeddings, seed)
    as_good = GRID[as_good & (steady >= steady[as_good].max() - MOST_CHANGED)]
    chosen = float(as_good[np.abs(as_good - DEFAULT_THRESHOLD).argmin()])
    rows = [{"threshold": float(t), "agreement": float(a)} for t, a in zip(GRID, agreement, strict=True)]
    return ThresholdEvidence(chosen, rows, compared)


def _steadiness(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Agreement of the clusterings at each threshold of the grid and at its neighbours: the lower of the two."""
    kept = np.random.default_rng(seed).permutation(len(embeddings))[:MOST_WINDOWS]
    points = sweep(embeddings[np.sort(kept)], GRID.tolist(), random_state=seed)
    alike = [adjusted_rand_score(here.labels, there.labels) for here, there in pairwise(points)]
    around = np.pad(alike, 1, mode="edge")
    return np.minimum(around[:-1], around[1:])


def _two_windows(codes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two random windows of each source that has several, (m,) each."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    place = positions_in_equal_runs(codes[order])
    second = np.flatnonzero(place == 1)
    return order[second - 1], order[second]


def _limited(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of at most `MOST_ALIKE` vectors of each group of near copies, ascending."""
    groups = sweep(vectors, [ALIKE], method="greedy", random_state=0)[0].labels
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    return np.sort(order[positions_in_equal_runs(groups[order]) < MOST_ALIKE])
