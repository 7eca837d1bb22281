"""A pair classifier that has seen the organisations' labels: a ceiling for what can be learned without labels."""

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.baselines.pair_classifier import Features, boosted, log_odds
from telescope_transformer.evaluation.baselines.pair_features import PairFeatures
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import WindowSet, labelled_windows
from telescope_transformer.windows import fixed_windows

# Our choices. They give some thousand pairs of each organisation, and take a minute on one core.
WINDOWS_PER_SOURCE = 8
CANDIDATE_PAIRS = 400_000
Vectors = Callable[[WindowSet], np.ndarray]


def organisation_pairs(train: WindowSet, embed: Vectors, seed: int) -> Callable[[WindowSet], Representation]:
    """Log-odds that two windows are of one organisation, learned from the labels of training sources.

    It sees the hand-made features of `PairFeatures` and the cosine of the embeddings.

    Args:
        train: windows of the evaluated telescope, with labels.
        embed: computes embeddings of windows, rows of unit length.
        seed: seed of the sample of pairs and of the boosting.

    Raises:
        DatasetError: if the windows have fewer than two organisations.
    """
    known = labelled_windows(train.table)
    labelled = WindowSet(fixed_windows(known, train.length, max_per_source=WINDOWS_PER_SOURCE, seed=seed))
    organisations = labelled.labels
    if organisations is None or len(np.unique(organisations)) < 2:
        raise DatasetError("fewer than two organisations are known among the sources to learn from")
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(labelled), (2, CANDIDATE_PAIRS))
    of_two = labelled.sources[first] != labelled.sources[second]
    first, second = first[of_two], second[of_two]
    features = _features(train, embed, labelled)(first, second)
    model = boosted(features, organisations[first] == organisations[second], seed, class_weight="balanced")
    return partial(_log_odds, model, train, embed)


def _features(train: WindowSet, embed: Vectors, windows: WindowSet) -> Features:
    by_hand, vectors = PairFeatures(train, windows), embed(windows)

    def features(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.column_stack([by_hand(first, second), np.einsum("ij,ij->i", vectors[first], vectors[second])])

    return features


def _log_odds(
    model: HistGradientBoostingClassifier, train: WindowSet, embed: Vectors, windows: WindowSet
) -> Representation:
    return log_odds(model, _features(train, embed, windows), len(windows))
