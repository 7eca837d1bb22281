"""Retrieval and neighbours' votes, compared with scikit-learn and hand-computed values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from telescope_transformer.errors import InputError
from telescope_transformer.metrics.neighbours import classification_scores, neighbour_labels, retrieval


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000))
def test_retrieval_equals_scikit_learn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, sources = rng.integers(0, 4, (n, n)) / 4, rng.integers(0, 3, n)
    recall, precision = retrieval(similarity, sources)
    for query in range(n):
        others = np.arange(n) != query
        relevant, scores = (sources == sources[query])[others], similarity[query, others]
        if not relevant.any():
            assert np.isnan(recall[query])
            assert np.isnan(precision[query])
            continue
        assert precision[query] == pytest.approx(average_precision_score(relevant, scores))
        assert recall[query] == pytest.approx(relevant[scores == scores.max()].mean())


def test_neighbours_of_the_same_source_do_not_vote() -> None:
    similarity = np.array([[1, 0.9, 0.5, 0.1], [0.9, 1, 0.4, 0.2], [0.5, 0.4, 1, 0.8], [0.1, 0.2, 0.8, 1]])
    labels, sources = np.array(["a", "a", "b", "b"]), np.array([0, 0, 1, 2])
    assert neighbour_labels(similarity, labels, sources, k=1).tolist() == ["b", "b", "b", "b"]


def test_a_tie_of_votes_goes_to_the_nearer_label() -> None:
    similarity = np.array([[1, 0.6, 0.7], [0.6, 1, 0.5], [0.7, 0.5, 1]])
    predicted = neighbour_labels(similarity, np.array(["c", "a", "b"]), np.arange(3), k=2)
    assert predicted.tolist() == ["b", "c", "c"]


def test_too_few_neighbours_are_refused() -> None:
    with pytest.raises(InputError, match="5 neighbours"):
        neighbour_labels(np.eye(4), np.arange(4), np.arange(4))
    with pytest.raises(InputError, match="does not fit"):
        retrieval(np.eye(3), np.arange(4))


def test_classification_scores_weigh_windows_by_their_multiplicity() -> None:
    true, predicted = np.array(["a", "a", "b"]), np.array(["a", "b", "b"])
    weights = np.array([1.0, 2.0, 0.0])
    assert classification_scores(true, predicted)["accuracy"] == pytest.approx(2 / 3)
    assert classification_scores(true, predicted, averaged=np.array(["b"]))["macro_f1"] == pytest.approx(2 / 3)
    assert np.isnan(classification_scores(true, predicted, averaged=np.array(["c"]))["macro_f1"])
    assert classification_scores(true, predicted, weights) == pytest.approx({"accuracy": 1 / 3, "macro_f1": 0.5})
