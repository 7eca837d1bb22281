"""Lower bound <= optimum by brute force <= cost, for every solver on hundreds of small random instances."""

import numpy as np
import pytest
from scipy import sparse
from signed_instances import FIVE_NODES, SIX_NODES, disagreement, optimum, random_weights

from telescope_transformer.correlation_clustering import CorrelationClustering, refine
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual
from telescope_transformer.correlation_clustering.bounds.lp import relax, relax_from
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.correlation_clustering.solution import Deadline, Progress

ROUNDING = 1e-9


@pytest.mark.parametrize("method", ["auto", "local_search", "greedy"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_the_bound_never_exceeds_the_optimum_and_the_cost_is_never_below_it(method: str, form: type) -> None:
    for seed in range(120):
        n = 1 + seed % 8
        weights = random_weights(seed, n, density=0.3 + 0.1 * (seed % 7), scale=10.0 ** (seed % 25 - 12))
        best = optimum(weights)
        solver = CorrelationClustering(method=method, random_state=seed).fit(form(weights))
        assert solver.cost_ >= best * (1 - ROUNDING)
        assert solver.cost_ == pytest.approx(disagreement(weights, solver.labels_), rel=ROUNDING)
        assert np.isnan(solver.lower_bound_) or solver.lower_bound_ <= best * (1 + ROUNDING)


def test_search_finds_the_optimum_of_small_instances() -> None:
    for seed in range(100):
        weights = random_weights(1000 + seed, 8)
        assert CorrelationClustering(random_state=0).fit(weights).cost_ == pytest.approx(optimum(weights), rel=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_relaxation_of_few_nodes_is_trivial(n: int) -> None:
    relaxation = relax(DenseGraph(np.ones((n, n))))
    assert (relaxation.x.shape, relaxation.lower_bound, relaxation.complete) == ((n, n), 0.0, True)


def test_relaxation_bounds_the_optimum_and_satisfies_every_triangle() -> None:
    for seed in range(12):
        weights = random_weights(seed, 8)
        relaxation = relax(DenseGraph(weights))
        x = relaxation.x
        assert relaxation.complete
        assert relaxation.lower_bound <= optimum(weights) * (1 + ROUNDING)
        assert (x[:, :, None] <= x[:, None, :] + x[None, :, :] + 1e-6).all()
        value = (weights * x).sum() / 2 - np.minimum(weights, 0).sum() / 2
        assert relaxation.lower_bound == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_the_relaxation_stops_at_the_requested_gap() -> None:
    graph = DenseGraph(random_weights(0, 14))
    found = []
    for until_closed in (True, False):
        progress = Progress(graph, gap=0.6)
        progress.offer(refine(graph, seed=0))
        relaxation = relax_from(DenseDual(graph, progress.labels), progress, Deadline(), until_closed=until_closed)
        assert progress.closed
        assert relaxation.complete != until_closed
        found.append(relaxation.lower_bound)
    assert found[0] < found[1]


def test_an_integral_relaxation_proves_optimality() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 16))
    vectors = centres[rng.integers(0, 4, 40)] + 0.2 * rng.standard_normal((40, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    solver = CorrelationClustering(method="lp", random_state=0).fit_embeddings(vectors, 0.3)
    assert solver.gap_ <= 1e-9


def test_inequalities_beyond_triangles_close_what_triangles_leave_open() -> None:
    # One node attracts three that repel each other: the smallest instance with a gap of the triangle relaxation.
    weights = np.full((4, 4), -1.1)
    weights[0, 1:] = weights[1:, 0] = 1.1
    triangles = relax(DenseGraph(weights))
    assert triangles.lower_bound == pytest.approx(1.65)
    solver = CorrelationClustering(random_state=0).fit(weights)
    assert solver.cost_ == pytest.approx(2.2)
    assert solver.lower_bound_ == pytest.approx(2.2, rel=1e-6)


@pytest.mark.parametrize("method", ["auto", "lp", "local_search"])
@pytest.mark.parametrize(("weights", "labels"), [(SIX_NODES, [0, 0, 0, 1, 1, 1]), (FIVE_NODES, [0, 0, 0, 1, 1])])
def test_instances_of_the_reference_library_are_solved(method: str, weights: np.ndarray, labels: list[int]) -> None:
    solver = CorrelationClustering(method=method, random_state=0).fit(weights)
    assert solver.labels_.tolist() == labels


@pytest.mark.parametrize("method", ["auto", "lp", "local_search", "greedy"])
def test_the_order_of_the_nodes_does_not_change_the_cost(method: str) -> None:
    for seed in range(5):
        weights = random_weights(seed, 12)
        order = np.random.default_rng(seed).permutation(12)
        first = CorrelationClustering(method=method, random_state=0).fit(weights)
        second = CorrelationClustering(method=method, random_state=0).fit(weights[np.ix_(order, order)])
        assert first.cost_ == pytest.approx(second.cost_, rel=1e-9)
