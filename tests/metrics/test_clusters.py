"""Scores of partitions, compared with loops over all pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

from telescope_transformer.errors import InputError
from telescope_transformer.metrics.bootstrap import percentile_interval, source_multiplicities, weighted_mean
from telescope_transformer.metrics.clusters import cluster_scores, edge_scores, partition_scores

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


def ratio(right: int, of: int) -> float:
    return right / of if of else float("nan")


@settings(max_examples=60, deadline=None)
@given(LABELS)
def test_edge_scores_equal_a_loop_over_pairs(labels: list[tuple[int, int]]) -> None:
    truth, clusters = np.array(labels).T
    pairs = [(truth[i] == truth[j], clusters[i] == clusters[j]) for i, j in combinations(range(len(truth)), 2)]
    scores = edge_scores(truth, clusters)
    for name, value in (("join", True), ("cut", False)):
        right = sum(t == value and c == value for t, c in pairs)
        precision = ratio(right, sum(c == value for _, c in pairs))
        recall = ratio(right, sum(t == value for t, _ in pairs))
        assert scores[f"{name}_precision"] == pytest.approx(precision, nan_ok=True)
        assert scores[f"{name}_recall"] == pytest.approx(recall, nan_ok=True)
        if precision + recall > 0:
            assert scores[f"{name}_f1"] == pytest.approx(2 * precision * recall / (precision + recall))


@settings(max_examples=30, deadline=None)
@given(LABELS)
def test_variation_of_information_is_a_metric_distance(labels: list[tuple[int, int]]) -> None:
    truth, clusters = np.array(labels).T
    there, back = (
        partition_scores(*pair)["variation_of_information"] for pair in ((truth, clusters), (clusters, truth))
    )
    assert there == pytest.approx(back)
    assert there >= -1e-9
    assert partition_scores(truth, truth + 7)["variation_of_information"] == pytest.approx(0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(LABELS)
def test_partition_scores_equal_scikit_learn(labels: list[tuple[int, int]]) -> None:
    truth, clusters = np.array(labels).T
    scores = partition_scores(truth, clusters)
    assert scores["ari"] == pytest.approx(adjusted_rand_score(truth, clusters))
    expected = homogeneity_completeness_v_measure(truth, clusters)
    found = [scores[name] for name in ("homogeneity", "completeness", "v_measure")]
    assert found == pytest.approx(list(expected), abs=1e-9)


def test_a_window_of_weight_zero_does_not_count() -> None:
    truth, clusters = np.array(list("aabbc")), np.array([0, 0, 0, 1, 2])
    weighed = cluster_scores(truth, clusters, np.array([1, 1, 1, 1, 0]))
    assert weighed == pytest.approx(cluster_scores(truth[:4], clusters[:4]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=2, max_size=10), st.data()
)
def test_scores_of_drawn_sources_equal_a_loop_over_pairs(
    windows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    truth, clusters, sources = np.array(windows).T
    drawn = np.array(data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    if drawn[sources].sum() == 0:
        drawn += 1
    weight = {True: {True: 0.0, False: 0.0}, False: {True: 0.0, False: 0.0}}
    for i, j in combinations(range(len(truth)), 2):
        k, m = drawn[sources[i]], drawn[sources[j]]
        together = bool(clusters[i] == clusters[j])
        weight[bool(truth[i] == truth[j])][together] += k if sources[i] == sources[j] else k * m
    right, missed, wrong = weight[True][True], weight[True][False], weight[False][True]
    scores = cluster_scores(truth, clusters, drawn[sources], sources)
    assert scores["join_recall"] == pytest.approx(ratio(right, right + missed), nan_ok=True)
    assert scores["join_precision"] == pytest.approx(ratio(right, right + wrong), nan_ok=True)
    apart = weight[False][False]
    assert scores["cut_recall"] == pytest.approx(ratio(apart, wrong + apart), nan_ok=True)
    total = right + missed + wrong + apart
    expected = (right + missed) * (right + wrong) / total if total else 0.0
    most = (2 * right + missed + wrong) / 2
    assert scores["ari"] == pytest.approx((right - expected) / (most - expected) if most != expected else 1.0)


def test_the_interval_of_an_agreement_with_sources_covers_it() -> None:
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(60), 4)
    clusters = np.where(rng.random(240) < 0.6, sources, rng.integers(0, 60, 240))
    replicates = [
        cluster_scores(sources, clusters, drawn[sources], sources)["ari"] for drawn in source_multiplicities(60, 200)
    ]
    low, high = percentile_interval(np.array(replicates))
    assert low < cluster_scores(sources, clusters)["ari"] < high


def test_partition_scores_of_a_known_case() -> None:
    scores = partition_scores(np.array(list("aabb")), np.array([0, 0, 0, 0]))
    assert scores["ari"] == 0
    assert scores["completeness"] == 1
    assert scores["variation_of_information"] == pytest.approx(1)
    assert scores["n_clusters"] == 1


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="0 true labels"):
        edge_scores(np.array([]), np.array([]))


def test_replicates_draw_as_many_sources_as_there_are() -> None:
    drawn = source_multiplicities(7, 5, seed=1)
    assert drawn.sum(axis=1).tolist() == [7.0] * 5
    np.testing.assert_array_equal(drawn, source_multiplicities(7, 5, seed=1))


def test_undefined_values_are_left_out() -> None:
    assert weighted_mean(np.array([1.0, np.nan, 3.0]), np.array([1.0, 1.0, 3.0])) == 2.5
    assert np.isnan(weighted_mean(np.array([np.nan]), np.ones(1)))
    assert percentile_interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()
