"""The estimator: what it accepts and refuses, that it is deterministic, and that it can be stopped at any time."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse
from signed_instances import embeddings, random_weights
from sklearn.base import clone

from telescope_transformer.correlation_clustering import CorrelationClustering, check_weights
from telescope_transformer.correlation_clustering import solve as solve_module
from telescope_transformer.correlation_clustering import vectors as vectors_module
from telescope_transformer.errors import SolverError, WeightsError

METHODS = ["auto", "lp", "local_search", "greedy"]


@pytest.mark.parametrize("method", METHODS)
def test_graphs_of_no_and_one_node_cost_nothing(method: str) -> None:
    for n in (0, 1):
        solver = CorrelationClustering(method=method).fit(np.zeros((n, n)))
        assert (solver.labels_.tolist(), solver.cost_, solver.lower_bound_, solver.gap_) == ([0] * n, 0, 0, 0)
        assert CorrelationClustering(method=method).fit(sparse.csr_array((n, n))).n_clusters_ == n
        assert CorrelationClustering(method=method).fit_embeddings(np.zeros((n, 3)), 0.5).n_clusters_ == n


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_uniform_weights_give_one_cluster_or_single_nodes(method: str, scale: float) -> None:
    ones = np.full((9, 9), scale)
    for weights, clusters in ((ones, 1), (-ones, 9), (0 * ones, 9)):
        solver = CorrelationClustering(method=method).fit(weights)
        assert (solver.n_clusters_, solver.cost_, solver.gap_) == (clusters, 0, 0)


def test_labels_are_numbered_by_first_member() -> None:
    labels = CorrelationClustering(random_state=0).fit(random_weights(3, 40)).labels_
    firsts = [int(np.flatnonzero(labels == c)[0]) for c in range(labels.max() + 1)]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8])
def test_weights_of_any_number_type_give_the_same_cost(dtype: type) -> None:
    weights = np.round(10 * random_weights(5, 15)).astype(dtype)
    expected = CorrelationClustering(random_state=0).fit(weights.astype(float))
    for form in (weights, sparse.coo_array(weights), weights.tolist()):
        solver = CorrelationClustering(random_state=0).fit(form)
        assert solver.cost_ == expected.cost_


def test_the_input_is_unchanged_and_its_diagonal_ignored() -> None:
    weights = random_weights(6, 20)
    np.fill_diagonal(weights, np.nan)
    before = weights.copy()
    solver = CorrelationClustering(random_state=0).fit(weights)
    np.testing.assert_array_equal(weights, before)
    np.fill_diagonal(weights, 0.0)
    assert solver.cost_ == CorrelationClustering(random_state=0).fit(weights).cost_


def changed(i: int, j: int, value: float) -> np.ndarray:
    weights = random_weights(0, 5)
    weights[i, j] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 3)), r"square matrix .* \(2, 3\)"),
        (np.ones(4), "square matrix"),
        (changed(3, 1, 9.0), r"pair \(1, 3\) weighs .* \(3, 1\) weighs 9.0"),
        (changed(2, 4, np.nan), r"pair \(2, 4\) is nan"),
        (changed(4, 0, -np.inf), r"pair \(4, 0\) weighs -inf but \(0, 4\) weighs"),
        (np.array([["a", "b"], ["b", "a"]]), "real numbers"),
        (np.ones((2, 2)) * 1j, "real numbers"),
        (sparse.csr_array(np.ones((2, 3))), "square matrix"),
        (sparse.csr_array(changed(3, 1, 9.0)), r"pair \(1, 3\)"),
        (sparse.csr_array(changed(2, 4, np.nan)), r"pair \(2, 4\) is nan"),
        (sparse.coo_array(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2)), r"pair \(0, 1\) is stored more"),
    ],
)
def test_an_error_names_the_first_invalid_pair(weights: object, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        CorrelationClustering().fit(weights)


def test_asymmetry_within_rounding_is_accepted() -> None:
    weights = random_weights(1, 6)
    weights[2, 3] *= 1 + 1e-7
    assert CorrelationClustering().fit(weights).cost_ >= 0


def test_rounding_differences_are_removed_without_indices_of_all_pairs() -> None:
    weights = random_weights(0, 2_000)
    weights[0, 1] *= 1 + 1e-9
    tracemalloc.start()
    check_weights(weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * weights.nbytes


def test_invalid_embeddings_and_options_are_refused() -> None:
    vectors = embeddings(6)
    with pytest.raises(WeightsError, match="shape"):
        CorrelationClustering().fit_embeddings(vectors[0], 0.5)
    with pytest.raises(WeightsError, match="threshold"):
        CorrelationClustering().fit_embeddings(vectors, float("nan"))
    vectors[4, 2] = np.inf
    with pytest.raises(WeightsError, match="embedding 4, component 2"):
        CorrelationClustering().fit_embeddings(vectors, 0.5)
    with pytest.raises(SolverError, match="method"):
        CorrelationClustering(method="fast").fit(np.zeros((2, 2)))
    with pytest.raises(SolverError, match="time_limit"):
        CorrelationClustering(time_limit=-1).fit(np.zeros((2, 2)))


def test_embeddings_are_weighed_by_their_inner_products() -> None:
    vectors = embeddings(60)
    solver = CorrelationClustering(random_state=0).fit_embeddings(vectors, 0.4)
    weights = vectors.astype(float) @ vectors.T.astype(float) - 0.4
    expected = CorrelationClustering(random_state=0).fit(weights)
    assert solver.cost_ == pytest.approx(expected.cost_, rel=1e-9)
    assert solver.outside_pairs_ == "all pairs are weighed"


@pytest.mark.parametrize("method", METHODS)
def test_vectors_without_a_matrix_are_solved_like_those_with_one(method: str) -> None:
    vectors = np.random.default_rng(3).standard_normal((12, 3))
    with_matrix, without = (
        CorrelationClustering(method=method, random_state=0, memory_limit=limit).fit_embeddings(vectors, 0.1)
        for limit in (2**30, 0)
    )
    assert without.cost_ == pytest.approx(with_matrix.cost_)
    assert without.n_clusters_ > 1


def test_a_fit_of_neighbours_reports_how_other_pairs_are_weighed() -> None:
    vectors = embeddings(300, noise=0.1)
    solver = CorrelationClustering(random_state=0, memory_limit=0, pairs="neighbours", n_neighbors=20).fit_embeddings(
        vectors, 0.5
    )
    assert solver.n_clusters_ == 6
    assert solver.outside_pairs_ == "pairs outside the graph weigh 0"
    assert solver.lower_bound_ <= solver.cost_


@pytest.mark.parametrize("method", ["auto", "lp", "local_search"])
def test_the_same_seed_gives_the_same_labels(method: str) -> None:
    weights = random_weights(8, 60)
    first, second = (CorrelationClustering(method=method, random_state=5).fit(weights) for _ in range(2))
    np.testing.assert_array_equal(first.labels_, second.labels_)
    assert np.array_equal(first.lower_bound_, second.lower_bound_, equal_nan=True)


def test_a_time_limit_is_kept() -> None:
    weights = random_weights(9, 700)
    # The first fit compiles kernels, which does not count towards the limit.
    CorrelationClustering(time_limit=2.0).fit(weights)
    started = time.process_time()
    solver = CorrelationClustering(time_limit=2.0).fit(weights)
    assert time.process_time() - started < 2.0 * 1.25
    assert solver.cost_ < weights[weights > 0].sum() / 2


def test_a_time_limit_of_zero_still_gives_a_clustering() -> None:
    weights = random_weights(9, 60)
    solver = CorrelationClustering(time_limit=0).fit(weights)
    assert solver.labels_.shape == (60,)
    assert np.isnan(solver.gap_) or 0 <= solver.gap_ <= 1


def test_a_fit_stops_at_the_requested_gap() -> None:
    vectors = embeddings(80)
    solver = CorrelationClustering(gap=0.5, random_state=0).fit_embeddings(vectors, 0.3)
    assert solver.gap_ <= 0.5


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def interrupt_in_numba(*_: object) -> None:
    try:
        interrupt()
    except KeyboardInterrupt as error:
        raise SystemError("returned a result with an exception set") from error


@pytest.mark.parametrize("interrupted", [interrupt, interrupt_in_numba])
def test_an_interrupt_returns_the_best_so_far(
    interrupted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights(10, 50)
    monkeypatch.setattr(solve_module, "by_parts", interrupted)
    solver = CorrelationClustering(random_state=0).fit(weights)
    assert solver.solver_.endswith("interrupted")
    assert solver.cost_ < weights[weights > 0].sum() / 2


def test_an_interrupted_cost_leaves_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "disagreement", interrupt_in_numba)
    solver = CorrelationClustering(random_state=0, memory_limit=0).fit_embeddings(embeddings(60), 0.4)
    assert 1 < solver.n_clusters_ < 60
    assert np.isnan(solver.cost_)
    assert np.isnan(solver.gap_)


def test_an_error_in_a_kernel_is_not_taken_for_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SystemError("a defect")

    monkeypatch.setattr(solve_module, "by_parts", fail)
    with pytest.raises(SystemError, match="a defect"):
        CorrelationClustering(random_state=0).fit(random_weights(10, 50))


def test_the_estimator_can_be_cloned_and_predicts() -> None:
    solver = CorrelationClustering(method="greedy", random_state=1)
    assert clone(solver).get_params() == solver.get_params()
    np.testing.assert_array_equal(solver.fit_predict(random_weights(2, 10)), solver.labels_)
