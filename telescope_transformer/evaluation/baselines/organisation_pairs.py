"""A classifier of pairs that has seen the organisations' labels: a ceiling for what can be learned without labels."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.spatial.distance import squareform
from sklearn.ensemble import HistGradientBoostingClassifier

from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.baselines.pair_classifier import BLOCK_PAIRS, boosting
from telescope_transformer.evaluation.baselines.pair_features import PairFeatures
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.metrics.pairs import all_pairs
from telescope_transformer.windows import fixed_windows

# Our choices: some thousand pairs of each organisation, in a minute of one core.
WINDOWS_PER_SOURCE = 8
CANDIDATE_PAIRS = 400_000
Vectors = Callable[[WindowSet], np.ndarray]


def organisation_pairs(train: WindowSet, embed: Vectors, seed: int) -> Callable[[WindowSet], Representation]:
    """Log-odds that two windows are of one organisation, learned from the labels of training sources.

    It sees the hand-made features of `PairFeatures` and the cosine of the embeddings.

    Args:
        train: windows of the telescope at hand, with labels.
        embed: embeddings of windows, rows of unit length.
        seed: of the sample of pairs and the boosting.

    Raises:
        DatasetError: if the windows have fewer than two organisations.
    """
    labels = np.array(train.table["label"].to_pylist(), dtype=object)
    known = np.array([label not in (None, "") for label in labels])
    labelled = WindowSet(
        fixed_windows(train.table.filter(known), train.length, max_per_source=WINDOWS_PER_SOURCE, seed=seed)
    )
    organisations = labelled.labels
    if organisations is None or len(np.unique(organisations)) < 2:
        raise DatasetError("fewer than two organisations are known among the sources to learn from")
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(labelled), (2, CANDIDATE_PAIRS))
    of_two = labelled.sources[first] != labelled.sources[second]
    first, second = first[of_two], second[of_two]
    model = boosting(seed, class_weight="balanced")
    model.fit(_features(train, embed, labelled)(first, second), organisations[first] == organisations[second])
    return partial(_log_odds, model, train, embed)


def _features(train: WindowSet, embed: Vectors, windows: WindowSet) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    by_hand, vectors = PairFeatures(train, windows), embed(windows)

    def features(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        columns = by_hand(first, second)
        # scikit-learn cannot bin a column that has no value.
        columns[:, np.isnan(columns).all(axis=0)] = 0
        return np.column_stack([columns, np.einsum("ij,ij->i", vectors[first], vectors[second])])

    return features


def _log_odds(
    model: HistGradientBoostingClassifier, train: WindowSet, embed: Vectors, windows: WindowSet
) -> Representation:
    features, (first, second) = _features(train, embed, windows), all_pairs(len(windows))
    blocks = [slice(begin, begin + BLOCK_PAIRS) for begin in range(0, len(first), BLOCK_PAIRS)]
    scores = [model.decision_function(features(first[block], second[block])) for block in blocks]
    return Representation(squareform(np.concatenate(scores).astype(np.float32)))
