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
from telescope_transformer.splits import source_digest

# The range of thresholds that agree best with known organisations (`telescope evaluate --across`) and with simulated
# actors (`--truth actor`). Below it, the reproducible clusters are whole kinds of traffic; above it, only near copies.
GRID = np.round(np.arange(0.35, 0.86, 0.05), 2)
# Used if there are too few sources to choose a threshold, and preferred among thresholds with equal agreement.
# In the middle of the range: lower ones join unlike scanners, higher ones split organisations.
DEFAULT_THRESHOLD = 0.55
# A single cluster of everything is reproducible for any windows. Therefore a threshold at which a cluster has more
# than this share of the sources is chosen only if there is such a cluster at every threshold.
MOST_JOINED = 0.5
# Agreements that differ by less are as good as equal. So are those that differ by less than a standard error, which is
# larger with few sources (the rule of Breiman, Friedman, Olshen and Stone 1984, Classification and Regression Trees).
TOLERANCE = 0.03
# A threshold is next to a jump, where slightly different thresholds give other clusters, if the clusters change to the
# neighbouring grid point by this much more than at other thresholds.
MOST_CHANGED = 0.05
# Draws of half of the sources with two windows of each, and of half of the windows. Near copies are drawn together: if
# one campaign decides which threshold is best, the draws with and without it differ. With these limits, all draws take
# about a second.
DRAWS = 8
MOST_SOURCES = 750
MOST_WINDOWS = 1_000
FEWEST_SOURCES = 50
# A campaign of many near copies counts as at most this many sources or windows of a draw. Otherwise it would determine
# the threshold for all others by its size.
MOST_ALIKE = 10
ALIKE = 0.9


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


def reproducible_threshold(embeddings: np.ndarray, sources: np.ndarray) -> ThresholdEvidence | None:
    """Choose the threshold whose clusters are found again in other windows of the same sources.

    What is drawn depends on the names of the sources alone, so that one source more changes little.

    Args:
        embeddings: (n, dimensions), rows of length 1.
        sources: (n,) name or code of each window's source; the windows of a source are in the order of time.

    Returns:
        The threshold nearest to the default among those that have the highest agreement, smoothed over neighbours, and
        are not next to a jump; None if fewer than 50 sources have two windows.
    """
    windows = _Windows.of(sources)
    curves, joined, compared = [], [], 0
    for draw in range(DRAWS):
        first, second = windows.pairs(draw)
        if len(first) < FEWEST_SOURCES:
            return None
        kept = windows.half(embeddings[first], first, draw)
        halves = [sweep(embeddings[half[kept]], GRID.tolist(), method="greedy") for half in (first, second)]
        curves.append([_agreement(a.labels, b.labels) for a, b in zip(*halves, strict=True)])
        largest = [max(np.bincount(point.labels).max() for point in pair) for pair in zip(*halves, strict=True)]
        joined.append(np.array(largest) / len(kept))
        compared = len(kept)
    # The mean of three neighbours, so that a single point is not chosen by chance.
    padded = np.pad(curves, ((0, 0), (1, 1)), mode="edge")
    smooth = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    apart = np.mean(joined, axis=0) <= MOST_JOINED
    candidates = np.where(apart | ~apart.any(), smooth.mean(axis=0), -np.inf)
    best = candidates.argmax()
    worse = smooth[:, [best]] - smooth
    tolerance = np.maximum(TOLERANCE, worse.std(axis=0, ddof=1))
    as_good = candidates >= candidates[best] - tolerance
    steady = _steadiness(embeddings, windows)
    as_good = GRID[as_good & (steady >= steady[as_good].max() - MOST_CHANGED)]
    chosen = float(as_good[np.abs(as_good - DEFAULT_THRESHOLD).argmin()])
    rows = [{"threshold": float(t), "agreement": float(a)} for t, a in zip(GRID, np.mean(curves, axis=0), strict=True)]
    return ThresholdEvidence(chosen, rows, compared)


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    """The adjusted Rand index of labels from 0; 0 if all windows are alone, which is reproducible for any windows."""
    alone = first.max() == second.max() == len(first) - 1
    return 0.0 if alone else float(adjusted_rand_score(first, second))


@dataclass(frozen=True)
class _Windows:
    """Windows, and random numbers for them that depend on nothing but the name of the source and the place within it.

    Attributes:
        sources: (n,) code of each window's source.
        of_source, of_window: uint64 (n,), the same for all windows of a source, and different for each.
    """

    sources: np.ndarray
    of_source: np.ndarray
    of_window: np.ndarray

    @classmethod
    def of(cls, sources: np.ndarray) -> "_Windows":
        names, codes = np.unique(np.asarray(sources), return_inverse=True)
        digests = np.array([int(source_digest(str(name), 0), 16) for name in names.tolist()], dtype=np.uint64)
        of_source = digests[codes]
        order = np.argsort(codes, kind="stable")
        place = np.empty(len(codes), dtype=np.uint64)
        place[order] = positions_in_equal_runs(codes[order])
        return cls(codes, of_source, (of_source << np.uint64(32)) + place)

    def pairs(self, draw: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of two random windows of each source that has several, (m,) each."""
        order = np.lexsort((_mixed(self.of_window, draw), self.sources))
        place = positions_in_equal_runs(self.sources[order])
        second = np.flatnonzero(place == 1)
        return order[second - 1], order[second]

    def half(self, vectors: np.ndarray, rows: np.ndarray, draw: int) -> np.ndarray:
        """Places of about half of these windows: half of the groups of near copies, and a few of each."""
        keys = _mixed(self.of_source[rows], draw)
        order = np.argsort(keys, kind="stable")[: 2 * MOST_SOURCES]
        groups, place = _near_copies(vectors[order])
        # The key of the group's first member decides. It is the smallest of them, so only its low bits are random.
        drawn = (keys[order[place == 0]] % np.uint64(2) == 0)[groups]
        chosen: np.ndarray = order[(drawn | ~drawn.any()) & (place < MOST_ALIKE)]
        return chosen


def _mixed(values: np.ndarray, draw: int) -> np.ndarray:
    """Random uint64 (n,) by value and draw: splitmix64 (Steele, Lea and Flood 2014)."""
    mixed = values + np.uint64((draw + 1) * 0x9E3779B97F4A7C15 % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _steadiness(embeddings: np.ndarray, windows: _Windows) -> np.ndarray:
    """Agreement of the clusterings at each threshold of the grid and at its neighbours: the lower of the two.

    It is the mean over the draws, because at a threshold with two equally good clusterings a single draw has either.
    """
    alike = []
    for draw in range(DRAWS):
        keys = _mixed(windows.of_window, draw)
        drawn = np.argsort(keys, kind="stable")[: min(MOST_WINDOWS, -(-len(keys) // 2))]
        kept = drawn[_near_copies(embeddings[drawn])[1] < MOST_ALIKE]
        points = sweep(embeddings[kept], GRID.tolist(), method="greedy")
        alike.append([adjusted_rand_score(here.labels, there.labels) for here, there in pairwise(points)])
    around = np.pad(np.mean(alike, axis=0), 1, mode="edge")
    agreement: np.ndarray = np.minimum(around[:-1], around[1:])
    return agreement


def _near_copies(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The group of near copies of each vector, from 0, and its place in the group (n,)."""
    groups = sweep(vectors, [ALIKE], method="greedy")[0].labels
    order = np.argsort(groups, kind="stable")
    place = np.empty(len(groups), dtype=np.int64)
    place[order] = positions_in_equal_runs(groups[order])
    return groups, place
