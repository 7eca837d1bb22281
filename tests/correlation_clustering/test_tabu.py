"""Tabu search and its populations: never worse, deterministic, and as good as the optimum where that is known."""

import numpy as np
import pytest
from signed_instances import disagreement, optimum, random_weights

from telescope_transformer.correlation_clustering import DenseGraph
from telescope_transformer.correlation_clustering.search.tabu import breed, cross, search_tabu
from telescope_transformer.correlation_clustering.solution import Deadline, Progress


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_tabu_search_never_raises_the_cost_and_finds_optima(scale: float) -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        weights = random_weights(seed, 2 + seed % 7, scale=scale)
        start = rng.integers(0, 4, len(weights))
        found = search_tabu(DenseGraph(weights), start, rng, Deadline())
        assert disagreement(weights, found) <= disagreement(weights, start)
        if len(weights) > 3:
            assert disagreement(weights, found) == pytest.approx(optimum(weights), rel=1e-9)


def test_children_keep_the_large_pieces_that_their_parents_share() -> None:
    first, second = np.repeat([0, 1, 2], 10), np.repeat([0, 1, 2], [8, 12, 10])
    child = cross(first, second, np.random.default_rng(0))
    assert child.max() == 2
    for part in (slice(0, 8), slice(10, 20), slice(20, 30)):
        assert len(set(child[part])) == 1


def test_a_population_beats_one_search_and_is_the_same_for_a_seed() -> None:
    graph = DenseGraph(random_weights(7, 120))
    single = search_tabu(graph, np.arange(120), np.random.default_rng(1), Deadline())
    runs = []
    for _ in range(2):
        progress = Progress(graph)
        breed(progress, graph, np.random.default_rng(1), Deadline(), rounds=1)
        runs.append(progress)
    assert runs[0].cost <= graph.cost(single)
    np.testing.assert_array_equal(runs[0].labels, runs[1].labels)
    seconds, costs = zip(*runs[0].scores, strict=True)
    assert list(seconds) == sorted(seconds)
    assert list(costs) == sorted(costs, reverse=True)
