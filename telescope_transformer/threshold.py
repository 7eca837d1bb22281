"""The similarity above which two windows belong together, learned without labels.

Every source with two windows or more is seen twice: one window goes into each of two halves, and each half is
clustered on its own. Where the threshold follows actors, the two clusterings of the same sources agree. Where it is
too high, they follow the chance of which records fell into a window; where it is too low, the chance of which of two
unlike groups a window between them joins. A threshold is not taken if slightly different ones give other clusters.
This is stability-based validation (Lange, Roth, Braun and Buhmann 2004, Stability-Based Validation of Clustering
Solutions, Neural Computation 16(6)).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.metrics import adjusted_rand_score

from telescope_transformer.arrays import positions_in_equal_runs
from telescope_transformer.correlation_clustering import sweep

# Where thresholds that agree best with known organisations and simulated actors lie (`telescope evaluate --across` and
# `--truth actor` give both). Below, whole kinds of traffic are reproduced as clusters; above, only near copies are.
GRID = np.round(np.arange(0.35, 0.86, 0.05), 2)
# For telescopes with too few sources to tell, and where the agreement does not depend on the threshold.
DEFAULT_THRESHOLD = 0.5
# One cluster of everything is found again whatever the windows. A threshold at which a cluster has more than this
# share of the sources is taken only if all thresholds have such a cluster.
MOST_JOINED = 0.5
# Differences of agreement that repeated draws have.
TOLERANCE = 0.03
# A threshold at which clusters change by this much more than elsewhere, from one grid point to the next, is beside a
# jump: a little more or less would give other clusters. Measured on this many windows, in a second.
MOST_CHANGED = 0.05
MOST_WINDOWS = 3_000
# A sweep of this many windows takes a second, and more sources change the curve by less than repeated draws do.
MOST_SOURCES = 1_500
FEWEST_SOURCES = 50
# A campaign of many near copies counts as this many sources, or its size would choose the threshold for all others.
MOST_ALIKE = 20
ALIKE = 0.9
# Draws of the two windows of each source, over which the agreement is averaged.
DRAWS = 3


@dataclass(frozen=True)
class ThresholdEvidence:
    """A threshold and what speaks for it.

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
        seed: of the draws.

    Returns:
        Of the thresholds with the highest agreement, smoothed over neighbours, that are not beside a jump, the one
        nearest to the default; None if fewer than 50 sources have two windows.
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
    # The mean of three neighbours: no single lucky point is chosen.
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
    """How alike the clusterings at each threshold of the grid and at its neighbours are, the less alike of the two."""
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
