"""Pairs of windows as a ranking problem: do pairs of one group score above pairs of different groups?

A set of n windows has n (n - 1) / 2 unordered pairs. Every array of pairs is in the order of `all_pairs(n)`: the rows
of the upper triangle, as in SciPy's condensed distance matrices.

`PairRanking` ranks every pair among the scores of the positive pairs once. A bootstrap replicate over sources is then
one pass over the pairs with new weights, without sorting: about a millisecond for a million pairs.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from telescope_transformer.arrays import unit_rows
from telescope_transformer.errors import InputError

# Cosines of equal vectors differ in their last bits, depending on their place in the matrix. Without rounding, such
# ties would be broken by chance, and a representation with few distinct vectors would get a wrong TPR at 1 %.
SCORE_DECIMALS = 6

# Replicates per pass over the pairs, so that their weights per bin fit into the processor's cache.
BLOCK_REPLICATES = 16

# False-positive rates at which true-positive rates are reported. Few pairs are positive, so only low rates are useful.
FALSE_POSITIVE_RATES = {"tpr_at_1pct": 0.01, "tpr_at_01pct": 0.001}


def all_pairs(n: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First and second window of every unordered pair of n windows, each of shape (n (n - 1) / 2,)."""
    first, second = np.triu_indices(n, k=1)
    return first.astype(np.int32), second.astype(np.int32)


def condensed(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle of a symmetric (n, n) matrix without its diagonal, in the order of `all_pairs`."""
    return matrix[np.triu_indices(len(matrix), k=1)]


def cosine_matrix(embeddings: np.ndarray) -> NDArray[np.float32]:
    """Cosine similarity of all windows, (n, d) to (n, n), rounded to six decimals so that ties are ties.

    Raises:
        InputError: if a value is not finite.
    """
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        raise InputError(f"the embedding of window {int(np.argmin(finite))} is not finite")
    unit = unit_rows(embeddings)
    cosine: NDArray[np.float32] = np.round(unit @ unit.T, SCORE_DECIMALS)
    return cosine


class _Side(NamedTuple):
    """The positive or the negative pairs: bin among the levels, codes of both sources, score."""

    bins: NDArray[np.int32]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    scores: NDArray[np.float32]


class PairRanking:
    """Positive and negative pairs, ranked once and weighed many times.

    Args:
        scores: (pairs,) similarity, higher is more alike.
        positive: (pairs,) bool.
        first_source, second_source: (pairs,) int, codes from 0 of the sources of a pair's two windows.
        groups: (pairs,) int or None. Groups are ranked separately (see `aurocs`), and a pair that counts in two groups
            occurs twice.

    Raises:
        InputError: if lengths differ or a score is not a number.
    """

    def __init__(
        self,
        scores: np.ndarray,
        positive: NDArray[np.bool_],
        first_source: np.ndarray,
        second_source: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> None:
        groups = np.zeros(len(scores), np.int32) if groups is None else groups.astype(np.int32)
        lengths = {len(scores), len(positive), len(first_source), len(second_source), len(groups)}
        if len(lengths) > 1:
            raise InputError(f"the arrays of pairs have different lengths: {sorted(lengths)}")
        if np.isnan(scores).any():
            raise InputError(f"the score of pair {int(np.argmax(np.isnan(scores)))} is not a number")
        scores = scores.astype(np.float32)
        n_groups = int(groups.max(initial=0)) + 1
        levels, starts = _levels(scores[positive], groups[positive], n_groups)
        # Each level has a bin for equal scores and a bin for scores above it. Each group has one more bin, below its
        # levels.
        self._first_bins = 2 * starts[:-1] + np.arange(n_groups)
        self._n_bins = 2 * len(levels) + n_groups
        sides = []
        for chosen in (positive, ~positive):
            bins = _place(scores[chosen], groups[chosen], levels, starts)
            first, second = first_source[chosen].astype(np.int32), second_source[chosen].astype(np.int32)
            sides.append(_Side(bins, first, second, scores[chosen]))
        self._positive, self._negative = sides
        self.n_positive, self.n_negative = len(self._positive.bins), len(self._negative.bins)

    def statistics(self, multiplicities: np.ndarray) -> dict[str, NDArray[np.float64]]:
        """AUROC, TPR at 1 % and 0.1 % false positives, and the mean score of positive and of negative pairs.

        Args:
            multiplicities: (replicates, sources), how often each bootstrap replicate drew each source; ones for the
                sample itself. A pair within a source counts that often, a pair of two sources the product of both.

        Returns:
            `auroc`, `tpr_at_1pct`, `tpr_at_01pct`, `intra` and `inter`, each (replicates,); NaN if there are no
            positive or no negative pairs.
        """
        blocks = []
        for positive, intra, negative, inter in self._blocks(multiplicities):
            figures = {"auroc": _aurocs(positive, negative, np.zeros(1, int))[:, 0]}
            for name, rate in FALSE_POSITIVE_RATES.items():
                figures[name] = _true_positive_rates(positive, negative, rate)
            blocks.append(figures | {"intra": intra, "inter": inter})
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    def aurocs(self, multiplicities: np.ndarray) -> NDArray[np.float64]:
        """AUROC of each group, (replicates, groups); NaN if it has no positives or no negatives."""
        blocks = self._blocks(multiplicities)
        return np.concatenate([_aurocs(positive, negative, self._first_bins) for positive, _, negative, _ in blocks])

    def _blocks(self, multiplicities: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Weights per bin and mean score of positive and of negative pairs, for a block of replicates at a time."""
        for begin in range(0, len(multiplicities), BLOCK_REPLICATES):
            drawn = np.ascontiguousarray(multiplicities[begin : begin + BLOCK_REPLICATES].T, dtype=np.float32)
            yield *_weigh(*self._positive, drawn, self._n_bins), *_weigh(*self._negative, drawn, self._n_bins)


def pair_statistics(
    scores: np.ndarray, positive: NDArray[np.bool_], *, first_source: np.ndarray, second_source: np.ndarray
) -> dict[str, float]:
    """`PairRanking.statistics` of the sample itself, with every source counted once."""
    n_sources = 1 + int(max(first_source.max(initial=0), second_source.max(initial=0)))
    figures = PairRanking(scores, positive, first_source, second_source).statistics(np.ones((1, n_sources)))
    return {name: float(values[0]) for name, values in figures.items()}


def same_source_statistics(embeddings: np.ndarray, sources: np.ndarray) -> Mapping[str, float]:
    """Statistics of all pairs of windows, ranked by cosine; a pair of one source is positive.

    Args:
        embeddings: (n, d).
        sources: (n,) of any type.
    """
    codes = np.unique(sources, return_inverse=True)[1]
    first, second = (codes[side] for side in all_pairs(len(codes)))
    scores = condensed(cosine_matrix(embeddings))
    return pair_statistics(scores, first == second, first_source=first, second_source=second)


def _levels(scores: np.ndarray, groups: np.ndarray, n_groups: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distinct positive scores, ascending in each group, and the offset of each group's scores (groups + 1)."""
    order = np.lexsort((scores, groups))
    scores, groups = scores[order], groups[order]
    new = np.ones(len(scores), bool)
    new[1:] = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    return scores[new], np.searchsorted(groups[new], np.arange(n_groups + 1))


@njit(cache=True, nogil=True)
def _place(scores: np.ndarray, groups: np.ndarray, levels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Bin of each score: the group's first bin, plus twice the number of its levels below, plus 1 on a level."""
    bins = np.empty(scores.size, np.int32)
    for k in range(scores.size):
        low = starts[groups[k]]
        end = starts[groups[k] + 1]
        high = end
        while low < high:
            middle = (low + high) // 2
            if levels[middle] < scores[k]:
                low = middle + 1
            else:
                high = middle
        on_level = low < end and levels[low] == scores[k]
        bins[k] = groups[k] + 2 * low + (1 if on_level else 0)
    return bins


@njit(cache=True, nogil=True)
def _weigh(
    bins: np.ndarray, first: np.ndarray, second: np.ndarray, scores: np.ndarray, drawn: np.ndarray, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the pairs in each bin, (replicates, bins), and their weighted mean score, (replicates,).

    The inner loop is over replicates, so that a pair is read from memory once for all of them.
    """
    replicates = drawn.shape[1]
    totals = np.zeros((n_bins, replicates))
    weight_sums = np.zeros(replicates)
    score_sums = np.zeros(replicates)
    for k in range(bins.size):
        a, b, place, score = first[k], second[k], bins[k], scores[k]
        for r in range(replicates):
            weight = drawn[a, r] if a == b else drawn[a, r] * drawn[b, r]
            totals[place, r] += weight
            weight_sums[r] += weight
            score_sums[r] += weight * score
    for r in range(replicates):
        score_sums[r] = score_sums[r] / weight_sums[r] if weight_sums[r] > 0 else np.nan
    return totals.T.copy(), score_sums


def _aurocs(positive: np.ndarray, negative: np.ndarray, first_bins: np.ndarray) -> NDArray[np.float64]:
    """Area under the ROC curve per segment of bins, ties counted half (Mann and Whitney's U over its maximum)."""
    below = np.cumsum(negative, axis=1) - negative
    lengths = np.diff(first_bins, append=positive.shape[1])
    won = positive * (below - np.repeat(below[:, first_bins], lengths, axis=1) + negative / 2)
    positives, negatives, wins = (np.add.reduceat(side, first_bins, axis=1) for side in (positive, negative, won))
    possible = positives * negatives
    return np.where(possible > 0, wins / np.where(possible > 0, possible, 1), np.nan)


def _true_positive_rates(
    positive: np.ndarray, negative: np.ndarray, false_positive_rate: float
) -> NDArray[np.float64]:
    """Highest true-positive rate among thresholds with at most the given false-positive rate, (replicates,)."""
    n_positive, n_negative = positive.sum(axis=1), negative.sum(axis=1)
    reached = np.cumsum(negative[:, ::-1], axis=1)[:, ::-1]
    found = np.where(reached <= false_positive_rate * n_negative[:, None], positive, 0).sum(axis=1)
    defined = (n_positive > 0) & (n_negative > 0)
    return np.where(defined, found / np.where(defined, n_positive, 1), np.nan)
