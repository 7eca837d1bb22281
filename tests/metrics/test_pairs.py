"""The ranking of pairs, compared with scikit-learn and with naive loops over repeated pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from telescope_transformer.errors import InputError
from telescope_transformer.metrics.pairs import (
    PairRanking,
    all_pairs,
    condensed,
    cosine_matrix,
    pair_statistics,
    same_source_statistics,
)

QUICK = settings(max_examples=40, deadline=None)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores on a coarse grid, so that ties are common, with the two sources of each pair."""
    n = draw(st.integers(2, 10))
    sources = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    n_pairs = n * (n - 1) // 2
    scores = np.array(draw(st.lists(st.integers(-4, 4), min_size=n_pairs, max_size=n_pairs))) / 4
    return scores, *(sources[side] for side in all_pairs(n))


def repeated(first: np.ndarray, second: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    return np.where(first == second, multiplicity[first], multiplicity[first] * multiplicity[second]).astype(int)


@QUICK
@given(samples(), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_weighted_statistics_equal_those_of_repeated_pairs(sample: tuple, multiplicity: list[int]) -> None:
    scores, first, second = sample
    drawn = np.array(multiplicity, float)
    replicates = PairRanking(scores, first == second, first, second).statistics(np.stack([np.ones(4), drawn]))
    figures = {name: values[1] for name, values in replicates.items()}
    times = repeated(first, second, drawn)
    scores, positive = np.repeat(scores, times), np.repeat(first == second, times)
    if positive.all() or not positive.any():
        assert np.isnan(figures["auroc"])
        return
    assert figures["auroc"] == pytest.approx(roc_auc_score(positive, scores))
    false_rates, true_rates, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert figures["tpr_at_1pct"] == pytest.approx(true_rates[false_rates <= 0.01].max())
    assert figures["intra"] == pytest.approx(scores[positive].mean())
    assert figures["inter"] == pytest.approx(scores[~positive].mean())


@QUICK
@given(samples(), st.data())
def test_each_group_is_ranked_separately(sample: tuple, data: st.DataObject) -> None:
    scores, first, second = sample
    groups = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(scores), max_size=len(scores))))
    positive = first == second
    aurocs = PairRanking(scores, positive, first, second, groups).aurocs(np.ones((1, 4)))[0]
    for group, auroc in enumerate(aurocs):
        mine = groups == group
        if positive[mine].all() or not positive[mine].any():
            assert np.isnan(auroc)
        else:
            assert auroc == pytest.approx(roc_auc_score(positive[mine], scores[mine]))


def test_true_positive_rate_takes_the_best_threshold_within_the_rate() -> None:
    scores = np.r_[np.linspace(0, 1, 1000), 0.9995, 0.9985, 0.5]
    positive = np.r_[np.zeros(1000, bool), np.ones(3, bool)]
    different = np.arange(1003)
    figures = pair_statistics(scores, positive, first_source=different, second_source=different + 1)
    assert figures["tpr_at_01pct"] == pytest.approx(1 / 3)
    assert figures["tpr_at_1pct"] == pytest.approx(2 / 3)


def test_same_source_statistics_of_separated_sources(rng: np.random.Generator) -> None:
    embeddings = np.repeat(np.eye(4), 3, axis=0) + rng.normal(0, 1e-3, (12, 4))
    figures = same_source_statistics(embeddings, np.repeat(list("abcd"), 3))
    assert figures["auroc"] == 1
    assert figures["intra"] == pytest.approx(1, abs=1e-3)


def test_equal_vectors_tie(rng: np.random.Generator) -> None:
    embeddings = np.tile(rng.normal(size=(1, 37)), (9, 1))
    assert np.unique(cosine_matrix(embeddings)).tolist() == [1.0]


def test_condensed_is_in_the_order_of_the_pairs(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(5, 5))
    first, second = all_pairs(5)
    np.testing.assert_array_equal(condensed(matrix), matrix[first, second])


def test_errors_name_the_first_offender() -> None:
    with pytest.raises(InputError, match="window 1"):
        cosine_matrix(np.array([[1.0, 0.0], [np.nan, 0.0]]))
    none = np.zeros(3, int)
    with pytest.raises(InputError, match="pair 2"):
        PairRanking(np.array([0, 1, np.nan]), none == 0, none, none)
    with pytest.raises(InputError, match="different lengths"):
        PairRanking(np.zeros(2), none == 0, none, none)
