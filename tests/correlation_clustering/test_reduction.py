"""Reduction keeps the optimum."""

import numpy as np
import pytest
from signed_instances import optimum, random_weights

from telescope_transformer.correlation_clustering.bounds.reduction import reduce_graph
from telescope_transformer.correlation_clustering.graph import DenseGraph


def test_reduction_keeps_the_optimum() -> None:
    contracted = 0
    for seed in range(120):
        weights = random_weights(seed, 2 + seed % 7, density=0.2 + 0.1 * (seed % 8)) ** 3
        reduction = reduce_graph(DenseGraph(weights).as_sparse())
        contracted += weights.shape[0] - reduction.graph.n
        parts = sum(optimum(kernel.rows().toarray()) for _, kernel in reduction.hard_blocks())
        assert reduction.offset + parts == pytest.approx(optimum(weights), rel=1e-9, abs=1e-12)
    assert contracted > 50


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
