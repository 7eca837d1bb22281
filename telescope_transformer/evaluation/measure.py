"""The metrics of one similarity between windows, with bootstrap replicates over sources.

`Figures` maps a target ("same_source", "retrieval", ...) to its metrics, and each metric to an array (1 + replicates,)
whose first element is the value on the sample itself. Replicates are kept until `summary` has averaged the splits, so
that means over splits and differences between methods get intervals as well.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.errors import InputError
from telescope_transformer.evaluation.targets import (
    PairTarget,
    large_organisations,
    pair_targets,
    rows_with_neighbours,
)
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.metrics.bootstrap import source_multiplicities, weighted_mean
from telescope_transformer.metrics.neighbours import classification_scores, neighbour_labels, retrieval
from telescope_transformer.metrics.pairs import PairRanking, all_pairs, condensed

Figures = dict[str, dict[str, NDArray[np.float64]]]

# Our choice. Five replicates then lie beyond each end of a 95 % interval.
REPLICATES = 200
# Our choice: number of neighbours that vote on a label, small enough for organisations with four sources.
NEIGHBOURS = 5


class EvaluationSuite:
    """All metrics on one set of windows, prepared once and then computed for the similarity of each method.

    Args:
        windows: n windows of one length.
        replicates: bootstrap replicates; the same sources are drawn for every method.
    """

    def __init__(self, windows: WindowSet, *, replicates: int = REPLICATES, seed: int = 0) -> None:
        self.windows = windows
        self.targets = pair_targets(windows)
        self.rows_with_neighbours = rows_with_neighbours(windows, NEIGHBOURS)
        self.first, self.second = all_pairs(len(windows))
        drawn = source_multiplicities(len(windows.source_names), replicates, seed=seed)
        # The first row is the sample itself, with every source once.
        self.multiplicities = np.vstack([np.ones((1, drawn.shape[1])), drawn])

    def counts(self) -> dict[str, int]:
        """Numbers of windows and sources, and of pairs and positive pairs of each target."""
        counts = {"windows": len(self.windows), "sources": len(self.windows.source_names)}
        for name, target in self.targets.items():
            counts[f"{name}_pairs"] = int(target.chosen.sum())
            counts[f"{name}_positive"] = int((target.chosen & target.positive).sum())
        return counts

    def answer(self, similarity: np.ndarray) -> Figures:
        """All metrics of a similarity (n, n), where higher means more alike.

        Raises:
            InputError: if the similarity has another shape or is not finite.
        """
        figures = self.answer_pairs(similarity, self.targets)
        figures["retrieval"] = self._retrieval(similarity)
        if self.windows.labels is not None and len(self.rows_with_neighbours):
            figures["neighbours"] = self._neighbours(similarity, self.windows.labels)
        return figures

    def answer_pairs(self, similarity: np.ndarray, names: Collection[str]) -> Figures:
        """The metrics of the targets with these names, as far as the windows have pairs for them; see `answer`."""
        if similarity.shape != (len(self.windows),) * 2:
            raise InputError(f"a similarity of shape {similarity.shape} does not fit {len(self.windows)} windows")
        scores = condensed(similarity)
        return {name: self._pairs(scores, target) for name, target in self.targets.items() if name in names}

    def _pairs(self, scores: np.ndarray, target: PairTarget) -> dict[str, np.ndarray]:
        chosen = target.chosen
        first, second = (self.windows.sources[side[chosen]] for side in (self.first, self.second))
        ranking = PairRanking(scores[chosen], target.positive[chosen], first, second)
        figures = ranking.statistics(self.multiplicities)
        if target.groups is not None:
            figures["macro_auroc"] = self._macro(scores[chosen], target, target.groups)
        return figures

    def _macro(self, scores: np.ndarray, target: PairTarget, codes: np.ndarray) -> np.ndarray:
        """Mean over groups of the AUROC of pairs inside the group against pairs of a member and an outsider."""
        sides = [side[target.chosen] for side in (self.first, self.second)]
        first, second = (self.windows.sources[side] for side in sides)
        groups = [codes[side] for side in sides]
        inside = target.positive[target.chosen]
        # A pair across two groups is a negative of both groups; a pair within a group counts once.
        outside = np.flatnonzero(~inside)
        rows = np.concatenate([np.arange(len(scores)), outside])
        group = np.concatenate([groups[0], groups[1][outside]])
        ranking = PairRanking(scores[rows], inside[rows], first[rows], second[rows], group)
        aurocs = ranking.aurocs(self.multiplicities)
        by_source = codes is self.windows.sources
        weights = self.multiplicities[:, : aurocs.shape[1]] if by_source else np.ones_like(aurocs)
        return np.array([weighted_mean(*pair) for pair in zip(aurocs, weights, strict=True)])

    def _retrieval(self, similarity: np.ndarray) -> dict[str, np.ndarray]:
        sources = self.windows.sources
        recall, precision = retrieval(similarity, sources)
        weights = [drawn[sources] for drawn in self.multiplicities]
        return {
            "recall_at_1": np.array([weighted_mean(recall, weight) for weight in weights]),
            "map": np.array([weighted_mean(precision, weight) for weight in weights]),
        }

    def _neighbours(self, similarity: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        rows = self.rows_with_neighbours
        sources = self.windows.sources[rows]
        predicted = neighbour_labels(similarity[np.ix_(rows, rows)], labels[rows], sources, k=NEIGHBOURS)
        large = large_organisations(self.windows)
        weights = [drawn[sources] for drawn in self.multiplicities]
        scores = [classification_scores(labels[rows], predicted, weight, large) for weight in weights]
        return {name: np.array([score[name] for score in scores]) for name in scores[0]}
