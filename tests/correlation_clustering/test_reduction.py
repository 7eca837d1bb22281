"""Reduction keeps the optimum."""

import time

import numpy as np
import pytest
from scipy import sparse
from signed_instances import optimum, random_weights

from telescope_transformer.correlation_clustering.bounds.reduction import reduce_graph
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.correlation_clustering.validation import check_weights


def test_reduction_keeps_the_optimum() -> None:
    contracted = 0
    for seed in range(120):
        weights = random_weights(seed, 2 + seed % 7, density=0.2 + 0.1 * (seed % 8)) ** 3
        reduction = reduce_graph(DenseGraph(weights).as_sparse())
        contracted += weights.shape[0] - reduction.graph.n
        parts = sum(optimum(kernel.rows().toarray()) for _, kernel in reduction.hard_blocks())
        assert reduction.offset + parts == pytest.approx(optimum(weights), rel=1e-9, abs=1e-12)
    assert contracted > 50


def test_a_graph_that_is_reduced_stays_as_it_was() -> None:
    graph = DenseGraph(random_weights(1, 9, density=0.5) ** 3).as_sparse()
    before = [values.copy() for values in (graph.indptr, graph.indices, graph.data)]
    assert reduce_graph(graph).graph.n < graph.n
    for values, copy in zip((graph.indptr, graph.indices, graph.data), before, strict=True):
        np.testing.assert_array_equal(values, copy)


def test_duplicate_nodes_are_contracted() -> None:
    weights = random_weights(0, 6)
    twice = np.repeat(np.repeat(weights, 2, axis=0), 2, axis=1)
    for i in range(6):
        twice[2 * i, 2 * i + 1] = twice[2 * i + 1, 2 * i] = 0.5
    reduction = reduce_graph(DenseGraph(twice).as_sparse())
    assert reduction.graph.n <= 6
    np.testing.assert_array_equal(reduction.pieces[::2], reduction.pieces[1::2])


def test_attractive_components_become_clusters() -> None:
    weights = np.full((6, 6), -1.0)
    weights[:3, :3] = weights[3:, 3:] = 1.0
    reduction = reduce_graph(DenseGraph(weights).as_sparse())
    assert reduction.combined([]).tolist() == [0, 0, 0, 1, 1, 1]


def test_a_hub_takes_no_quadratic_time() -> None:
    n = 60_001
    rim = np.arange(1, n)
    # Half of the spokes are too light to settle whether the hub and a node at a heavy spoke are twins.
    spokes = np.where(rim < n // 2, 1e-9, 1.0)
    left, right = np.r_[np.zeros(n - 1, dtype=int), rim[:-1]], np.r_[rim, rim[1:]]
    weights = sparse.coo_array((np.r_[spokes, np.full(n - 2, -0.7)], (left, right)), shape=(n, n))
    graph = check_weights((weights + weights.T).tocsr())
    reduce_graph(graph.part(np.arange(100)).as_sparse())
    started = time.process_time()
    reduce_graph(graph.as_sparse())
    assert time.process_time() - started < 0.5
