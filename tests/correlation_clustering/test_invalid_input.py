"""Invalid input raises an error of the package that names what is wrong; it never crashes or gives a wrong result."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from scipy import sparse
from signed_instances import random_weights

from telescope_transformer.correlation_clustering import (
    CorrelationClustering,
    DenseGraph,
    SparseGraph,
    certify,
    check_weights,
    gaec,
    neighbour_graph,
    refine,
    relax,
    sweep,
    sweep_similarities,
)
from telescope_transformer.errors import SolverError, WeightsError, WeightsTypeError

HUGE = 10**400
GRAPH = DenseGraph(random_weights(0, 6))
VECTORS = np.random.default_rng(0).standard_normal((8, 3))


def pair(weight: Any, back: Any = None) -> np.ndarray:
    """Two nodes, with a weight for each direction."""
    return np.array([[0, weight], [weight if back is None else back, 0]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (pair(HUGE), "too large"),
        (pair(None), r"pair \(0, 1\) is nan"),
        (pair(np.longdouble("1e400")), "fit into float64"),
        (pair(1.0, np.inf), "not symmetric"),
        (sparse.csr_array(pair(1.0, np.inf)), "not symmetric"),
        (sparse.csr_array(pair(-np.inf, np.inf)), "not symmetric"),
        (sparse.csr_array(pair(0.0, np.inf)), "not symmetric"),
        (sparse.coo_array((2**31, 2**31)), "up to 2147483647 nodes"),
        (np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2)), "masked"),
        ({}, "real numbers"),
        (networkx.complete_graph(3), "to_scipy_sparse_array"),
        (networkx.Graph([("a", "b")]), "to_scipy_sparse_array"),
        ([[0, 1], [1]], "real numbers"),
        (torch.ones(2, 2, requires_grad=True), "real numbers"),
        (torch.ones(2, 2, dtype=torch.bfloat16), "real numbers"),
    ],
)
def test_invalid_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        CorrelationClustering().fit(weights)


def test_sparse_vectors_are_refused() -> None:
    with pytest.raises(WeightsError, match="toarray"):
        CorrelationClustering().fit_embeddings(sparse.csr_array(VECTORS), 0.5)


@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia"])
def test_half_precision_is_accepted_in_every_sparse_format(form: str) -> None:
    weights = sparse.csr_array(pair(2.0)).asformat(form)
    # SciPy refuses to build such a matrix, but not to change the type of its numbers.
    weights.data = weights.data.astype(np.float16)
    assert CorrelationClustering().fit(weights).labels_.tolist() == [0, 0]


def damaged(**arrays: list[int]) -> sparse.csr_array:
    """A sparse matrix whose arrays were changed after it was built, which SciPy does not check."""
    matrix = sparse.csr_array(pair(1.0))
    for name, values in arrays.items():
        setattr(matrix, name, np.array(values, dtype=getattr(matrix, name).dtype))
    return matrix


@pytest.mark.parametrize(
    "arrays",
    [{"indices": [5, 0]}, {"indices": [-1, 0]}, {"indptr": [0, 7, 2]}, {"indptr": [1, 1, 2]}, {"data": [1]}],
)
def test_a_damaged_sparse_matrix_is_refused(arrays: dict[str, list[int]]) -> None:
    with pytest.raises(WeightsError, match="damaged"):
        CorrelationClustering().fit(damaged(**arrays))
    coordinates = sparse.coo_array(pair(1.0))
    coordinates.coords = (np.array([0, 9]), np.array([9, 0]))
    with pytest.raises(WeightsError, match="damaged: index 9"):
        CorrelationClustering().fit(coordinates)


@pytest.mark.parametrize(
    "links", [[(0, 1), (2,)], [(0, None)], [(0, HUGE)], {(0, 1)}, [(True, False)], [(0.0, 1.0)], 5]
)
def test_invalid_links_are_refused(links: Any) -> None:
    for name in ("must_link", "cannot_link"):
        with pytest.raises(WeightsError, match=f"{name} must be pairs of node numbers"):
            CorrelationClustering().fit(random_weights(0, 6), **{name: links})


@pytest.mark.parametrize("threshold", ["0.5", None, True, [0.5], np.array(0.5), 1j, np.nan, HUGE])
@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_a_threshold_must_be_a_finite_number(threshold: Any, memory_limit: int) -> None:
    with pytest.raises(WeightsError, match="threshold must be a finite number"):
        CorrelationClustering(memory_limit=memory_limit).fit_embeddings(VECTORS, threshold)
    # The value is also checked if it is not used.
    with pytest.raises(WeightsError, match="threshold must be a finite number"):
        CorrelationClustering(threshold=threshold).fit(random_weights(0, 6))
    with pytest.raises(WeightsError, match="threshold must be a finite number"):
        sweep(VECTORS, [threshold])


@pytest.mark.parametrize("limit", [-1, np.nan, "3", True, HUGE, [1], np.array(1.0)])
def test_a_time_limit_must_be_a_number_of_at_least_0(limit: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: CorrelationClustering(time_limit=limit).fit(random_weights(0, 6)),
        lambda: certify(GRAPH, np.zeros(6, dtype=int), time_limit=limit),
        lambda: refine(GRAPH, time_limit=limit),
        lambda: relax(GRAPH, time_limit=limit),
        lambda: sweep(VECTORS, [0.5], time_limit=limit),
        lambda: sweep_similarities(VECTORS @ VECTORS.T, [0.5], time_limit=limit),
    ]
    for call in calls:
        with pytest.raises(SolverError, match="time_limit must be None or a number of at least 0"):
            call()


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_a_seed_must_be_a_whole_number(seed: Any) -> None:
    for call in (lambda: certify(GRAPH, [0] * 6, seed=seed), lambda: refine(GRAPH, seed=seed)):
        with pytest.raises(SolverError, match="seed must be a whole number"):
            call()
    with pytest.raises(SolverError, match="random_state must be a whole number"):
        sweep(VECTORS, [0.5], random_state=seed)
    with pytest.raises(SolverError, match="random_state"):
        CorrelationClustering(random_state=-1).fit(random_weights(0, 6))


def test_a_sweep_takes_the_random_states_of_scikit_learn() -> None:
    first, second = (sweep(VECTORS, [0.5], random_state=np.random.RandomState(3))[0].labels for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(sweep(VECTORS, [0.5], random_state=None)) == 1


@pytest.mark.parametrize("thresholds", [0.5, None])
def test_thresholds_of_a_sweep_must_be_a_list(thresholds: Any) -> None:
    with pytest.raises(SolverError, match="list of numbers"):
        sweep(VECTORS, thresholds)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(3, dtype=int),
        np.zeros(7, dtype=int),
        np.zeros(6),
        np.full(6, np.nan),
        list("abcdef"),
        [[0]] * 6,
        [0, [1]],
    ],
)
def test_labels_must_be_one_whole_number_for_each_node(labels: Any) -> None:
    for graph in (GRAPH, GRAPH.as_sparse()):
        for call in (certify, refine):
            with pytest.raises(SolverError, match="labels must be 6 whole numbers"):
                call(graph, labels)
    with pytest.raises(SolverError, match="labels must be 6 whole numbers"):
        relax(GRAPH, labels=labels)


def test_labels_may_be_any_whole_numbers() -> None:
    for labels in ([-5, 10**18, -5, 0, 0, 7], np.array([1, 2, 1, 0, 0, 2**64 - 1], dtype=np.uint64)):
        assert certify(GRAPH, labels).labels.tolist() == [0, 1, 0, 2, 2, 3]


@pytest.mark.parametrize(
    "matrix",
    [np.full((4, 4), np.nan), np.full((4, 4), np.inf), np.full((4, 4), 1e308), np.full((4, 4), 3e38, np.float32)],
)
def test_a_graph_whose_sums_overflow_is_refused(matrix: np.ndarray) -> None:
    graph = DenseGraph(matrix)
    calls: list[Callable[[], Any]] = [
        lambda: gaec(graph),
        lambda: refine(graph),
        lambda: certify(graph, np.arange(4)),
        lambda: relax(graph),
        lambda: CorrelationClustering().fit_graph(graph),
    ]
    for call in calls:
        with pytest.raises(WeightsError, match="overflow or vanish"):
            call()


def test_other_objects_than_graphs_are_refused() -> None:
    matrix: Any = sparse.csr_array(random_weights(0, 6))
    for call in (gaec, refine, lambda graph: certify(graph, [0] * 6), CorrelationClustering().fit_graph):
        with pytest.raises(WeightsTypeError, match="a graph is needed"):
            call(matrix)


@pytest.mark.parametrize("scale", [1e20, 1e-20, 1e60])
def test_a_sweep_refuses_numbers_that_float32_cannot_hold(scale: float) -> None:
    with pytest.raises(WeightsError, match="overflow or vanish"):
        sweep(VECTORS * scale, [0.5])
    with pytest.raises(WeightsError, match="overflow or vanish"):
        sweep_similarities(VECTORS @ VECTORS.T * scale**2, [0.5])
    with pytest.raises(WeightsError, match="overflow or vanish"):
        sweep(VECTORS, [-(scale**2) if scale > 1 else 1e40])


@pytest.mark.parametrize("scale", [2.0**-200, 2.0**-70, 2.0**70, 2.0**200])
def test_scaling_vectors_does_not_change_the_clustering(scale: float) -> None:
    for memory_limit in (1 << 30, 0):
        solver = CorrelationClustering(random_state=0, memory_limit=memory_limit)
        cost, labels = solver.fit_embeddings(VECTORS, 0.3).cost_, solver.labels_
        solver.fit_embeddings(VECTORS * scale, 0.3 * scale**2)
        np.testing.assert_array_equal(solver.labels_, labels)
        assert solver.cost_ == pytest.approx(cost * scale**2)
        assert 0.9 * solver.cost_ < solver.lower_bound_ <= solver.cost_ * (1 + 1e-12)
    near, scaled = (neighbour_graph(VECTORS * s, 0.3 * s**2, 3) for s in (1.0, scale))
    np.testing.assert_allclose(scaled.data, near.data * scale**2, rtol=1e-5, atol=1e-6 * scale**2)


def test_wide_integers_are_not_rounded_to_float32() -> None:
    vectors = np.array([[2**24 + 1], [1], [-1]])
    graph = CorrelationClustering().graph_of(vectors, 0.0)
    assert graph.weights()[0].tolist() == [0, 2**24 + 1, -(2**24) - 1]


def test_the_memory_limit_counts_products_at_their_size() -> None:
    vectors = np.zeros((100, 2))
    for limit, matrix in ((8 * 100**2, True), (8 * 100**2 - 1, False)):
        solver = CorrelationClustering(memory_limit=limit, n_neighbors=3)
        assert isinstance(solver.graph_of(vectors, 0.5), DenseGraph) == matrix


def test_many_nodes_without_edges_are_single_clusters() -> None:
    n = 200_000
    assert CorrelationClustering(random_state=0).fit(sparse.csr_array((n, n))).n_clusters_ == n
    ends = ([0, n - 1], [n - 1, 0])
    solver = CorrelationClustering(random_state=0).fit(sparse.coo_array((np.ones(2), ends), shape=(n, n)))
    assert (solver.n_clusters_, solver.cost_, solver.labels_[n - 1]) == (n - 1, 0.0, 0)


def test_the_layout_of_an_array_does_not_matter() -> None:
    weights = random_weights(3, 12)
    expected = CorrelationClustering(random_state=0).fit(weights)
    fixed = weights.copy()
    fixed.flags.writeable = False
    rows = sparse.csr_array(weights)
    for name in ("data", "indices", "indptr"):
        getattr(rows, name).flags.writeable = False
    forms = [fixed, np.asfortranarray(weights), weights[::-1, ::-1][::-1, ::-1], weights.astype(">f8"), rows]
    forms += [weights.astype(object), np.vectorize(Fraction)(weights)]
    forms += [sparse.csr_array(weights).asformat(name) for name in ("csc", "coo", "lil", "dok", "dia", "bsr")]
    for form in forms:
        solver = CorrelationClustering(random_state=0).fit(form)
        np.testing.assert_array_equal(solver.labels_, expected.labels_)
        assert solver.cost_ == expected.cost_


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64, np.float16])
def test_the_extremes_of_a_type_do_not_wrap_around(dtype: type) -> None:
    limits = np.finfo(dtype) if dtype is np.float16 else np.iinfo(dtype)
    for extreme in (limits.min, limits.max):
        weights = np.array([[0, extreme], [extreme, 0]], dtype=dtype)
        solver = CorrelationClustering().fit(weights)
        assert (solver.n_clusters_, solver.cost_) == (1 if extreme > 0 else 2, 0.0)
        # The other clustering costs the absolute value of the weight.
        links = {"cannot_link" if extreme > 0 else "must_link": [(0, 1)]}
        assert CorrelationClustering().fit(weights, **links).cost_ == abs(float(extreme))


def test_explicit_zeros_are_absent_pairs() -> None:
    entries = ([0.0, 0.0, 1.0, 1.0], ([0, 1, 1, 2], [1, 0, 2, 1]))
    graph = check_weights(sparse.coo_array(entries, shape=(3, 3)))
    assert isinstance(graph, SparseGraph)
    assert graph.indices.tolist() == [2, 1]
