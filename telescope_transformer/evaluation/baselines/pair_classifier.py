"""A supervised classifier of pairs on hand-made features: a reference for how well sources can be distinguished.

It computes no vectors, so it supports neither search nor clustering in linear memory.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import squareform
from sklearn.ensemble import HistGradientBoostingClassifier

from telescope_transformer.evaluation.baselines.pair_features import PairFeatures
from telescope_transformer.evaluation.protocol import Split
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.metrics.pairs import all_pairs
from telescope_transformer.windows import fixed_windows

# Our choice: up to 15 positive pairs of a source, and enough negatives to include similar ones.
WINDOWS_PER_SOURCE = 6
NEGATIVES_PER_POSITIVE = 6
# Pairs whose features are computed at a time, to bound memory.
BLOCK_PAIRS = 200_000

# Features (pairs, features) of the pairs of windows `first[k]` and `second[k]`.
Features = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pair_classifier(split: Split, seed: int) -> Callable[[WindowSet], Representation]:
    """Log-odds that two windows are of one source, learned from pairs of training windows."""
    return partial(_log_odds, fit_pairs([split.train], seed), split.train)


def pair_classifier_elsewhere(
    telescopes: Sequence[WindowSet], frequencies: WindowSet, seed: int, *, hosts: bool = True
) -> Callable[[WindowSet], Representation]:
    """The same, trained on pairs within each of several other telescopes.

    Args:
        telescopes: their windows.
        frequencies: windows of the evaluated telescope, used for the document frequencies of services, and to learn
            only from features that the telescope has.
        seed: seed of the sample of pairs and of the boosting.
        hosts: as for `PairFeatures`.
    """
    few = np.arange(min(2, len(frequencies)))
    features = PairFeatures(frequencies, frequencies, hosts=hosts)(few, few)
    absent = np.flatnonzero(np.isnan(features).all(axis=0))
    model = fit_pairs(telescopes, seed, hosts=hosts, absent=absent)
    return partial(_log_odds, model, frequencies, hosts=hosts)


def fit_pairs(
    telescopes: Sequence[WindowSet], seed: int, *, hosts: bool = True, absent: np.ndarray | None = None
) -> HistGradientBoostingClassifier:
    """Fit a classifier of pairs of windows; both windows of a pair are of one telescope.

    Args:
        telescopes: their windows.
        seed: seed of the sample of pairs and of the boosting.
        hosts: as for `PairFeatures`.
        absent: numbers of the features that must not be learned from. A classifier that had learned from source
            ports would give the same answer for all pairs of a telescope that records none.
    """
    rng = np.random.default_rng(seed)
    features, same = [], []
    for windows in telescopes:
        table = fixed_windows(windows.table, windows.length, max_per_source=WINDOWS_PER_SOURCE, seed=seed)
        train = WindowSet(table)
        first, second = _training_pairs(train, rng)
        features.append(PairFeatures(windows, train, hosts=hosts)(first, second))
        same.append(train.sources[first] == train.sources[second])
    columns = np.concatenate(features)
    if absent is not None:
        columns[:, absent] = np.nan
    return boosted(columns, np.concatenate(same), seed)


def boosted(features: np.ndarray, same: np.ndarray, seed: int, **options: Any) -> HistGradientBoostingClassifier:
    """Fit gradient boosting, with our choice of settings, to features (pairs, features) of pairs."""
    # scikit-learn cannot bin a column that has no value. A constant column is never used for a split.
    features[:, np.isnan(features).all(axis=0)] = 0
    model = HistGradientBoostingClassifier(
        max_iter=300, learning_rate=0.06, max_leaf_nodes=31, min_samples_leaf=40, random_state=seed, **options
    )
    return model.fit(features, same)


def _log_odds(
    model: HistGradientBoostingClassifier, train: WindowSet, windows: WindowSet, *, hosts: bool = True
) -> Representation:
    return log_odds(model, PairFeatures(train, windows, hosts=hosts), len(windows))


def log_odds(model: HistGradientBoostingClassifier, features: Features, n_windows: int) -> Representation:
    """The log-odds of all pairs of windows."""
    first, second = all_pairs(n_windows)
    blocks = [slice(begin, begin + BLOCK_PAIRS) for begin in range(0, len(first), BLOCK_PAIRS)]
    scores = [model.decision_function(features(first[block], second[block])) for block in blocks]
    return Representation(squareform(np.concatenate(scores).astype(np.float32)))


def _training_pairs(train: WindowSet, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All pairs within sources, and for each some random pairs, half of them with the same dominant service."""
    order = np.argsort(train.sources, kind="stable")
    positives = []
    for shift in range(1, WINDOWS_PER_SOURCE):
        left, right = order[:-shift], order[shift:]
        same = train.sources[left] == train.sources[right]
        positives.append((left[same], right[same]))
    first, second = (np.concatenate(side) for side in zip(*positives, strict=True))
    n_negatives = NEGATIVES_PER_POSITIVE * len(first)
    left, right = rng.integers(0, len(train), (2, n_negatives))
    hard = rng.random(n_negatives) < 0.5
    right[hard] = _alike(train.dominant_services, left[hard], rng)
    different = train.sources[left] != train.sources[right]
    return np.concatenate([first, left[different]]), np.concatenate([second, right[different]])


def _alike(services: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row a random window with the same dominant service, possibly itself."""
    order = np.argsort(services, kind="stable")
    begins = np.searchsorted(services[order], services[rows])
    ends = np.searchsorted(services[order], services[rows], side="right")
    alike: np.ndarray = order[rng.integers(begins, ends)]
    return alike
