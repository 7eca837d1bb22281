"""Bounds by packed conflicts compared with all partitions, and packed amounts with the weights of the pairs."""

import numpy as np
import pytest

from telescope_transformer.arrays import unit_rows
from telescope_transformer.correlation_clustering import refine
from telescope_transformer.correlation_clustering.bounds.packing import pack, packed_bound, paid_pairs
from telescope_transformer.correlation_clustering.graph import DenseGraph

THRESHOLD = 0.3


def vectors_of(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return unit_rows(rng.normal(size=(n, 3)) + np.array([0.7, 0, 0]))


def graph_of(vectors: np.ndarray) -> DenseGraph:
    double = vectors.astype(np.float64)
    return DenseGraph(double @ double.T, THRESHOLD)


def partitions(n: int) -> list[list[int]]:
    found = [[0]]
    for _ in range(n - 1):
        found = [[*labels, k] for labels in found for k in range(max(labels) + 2)]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_packed_bound_never_exceeds_the_optimum_for_any_guiding_clustering(seed: int) -> None:
    vectors = vectors_of(seed, 7)
    graph = graph_of(vectors)
    best = min(graph.cost(np.array(labels)) for labels in partitions(7))
    for guide in (refine(graph), np.arange(7), np.zeros(7, dtype=np.int64)):
        assert 0 <= packed_bound(vectors, guide, THRESHOLD) <= best


def test_a_single_conflict_is_packed_with_its_smallest_weight() -> None:
    angles = np.radians([0, 60, 120])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # Cosines 0.5, 0.5, -0.5: two pairs of weight 0.2 attract, one of -0.8 repels.
    assert packed_bound(vectors, np.array([0, 0, 1]), THRESHOLD) == pytest.approx(0.2, abs=1e-6)


def test_paid_pairs_and_attraction_match_the_dense_graph() -> None:
    vectors = vectors_of(1, 40)
    graph, labels = graph_of(vectors), np.arange(40) % 5
    pairs, attraction = paid_pairs(vectors, labels, np.arange(40), THRESHOLD)
    assert attraction == pytest.approx(np.maximum(graph.weights(), 0).sum() / 2)
    assert np.abs(graph.weights()[pairs[:, 0], pairs[:, 1]]).sum() == pytest.approx(graph.cost(labels))
    few, of_few = paid_pairs(vectors, labels, np.array([3, 9]), THRESHOLD)
    assert of_few == pytest.approx(np.maximum(graph.weights(), 0)[[3, 9]].sum() - max(graph.weights()[3, 9], 0))
    assert len(np.unique(np.sort(few, axis=1), axis=0)) == len(few)


def test_packing_in_two_steps_never_exceeds_a_pair_weight() -> None:
    vectors = vectors_of(2, 60)
    graph = graph_of(vectors)
    labels = refine(graph)
    pairs, _ = paid_pairs(vectors, labels, np.arange(60), THRESHOLD)
    first = pack(vectors, labels, pairs[::2], THRESHOLD)
    second = pack(vectors, labels, pairs[1::2], THRESHOLD, first)
    carried = np.zeros((60, 60))
    for part in (first, second):
        for (a, b, c), amount in zip(part.triples, part.amounts, strict=True):
            for i, j in ((a, b), (a, c), (b, c)):
                carried[[i, j], [j, i]] += amount
    assert (carried <= np.abs(graph.weights())).all()
    assert 0.5 * graph.cost(labels) < first.amounts.sum() + second.amounts.sum() <= graph.cost(labels)
