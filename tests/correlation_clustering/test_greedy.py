"""Dense GAEC compared with a plain implementation on thousands of nodes."""

import numpy as np
import pytest
from signed_instances import disagreement, embeddings, random_weights

from telescope_transformer.correlation_clustering import DenseGraph, gaec
from telescope_transformer.correlation_clustering.graph import canonical_labels
from telescope_transformer.correlation_clustering.search import greedy


def contract_exactly(weights: np.ndarray) -> np.ndarray:
    """GAEC in float64 that keeps both matrix triangles and each cluster's best partner up to date; no lazy bounds."""
    weights = weights.astype(np.float64)
    np.fill_diagonal(weights, -np.inf)
    labels = np.arange(len(weights))
    partner = weights.argmax(axis=1)
    best = weights.max(axis=1)
    while best.max() > 0:
        i = int(best.argmax())
        j = int(partner[i])
        labels[labels == labels[j]] = labels[i]
        row = weights[i] + weights[j]
        row[[i, j]] = -np.inf
        weights[i] = weights[:, i] = row
        weights[j] = weights[:, j] = -np.inf
        changed = np.flatnonzero((partner == i) | (partner == j) | (row > best))
        partner[changed] = weights[changed].argmax(axis=1)
        best[changed] = weights[changed, partner[changed]]
    return canonical_labels(labels)


@pytest.mark.parametrize(("n", "clusters", "noise", "threshold"), [(2000, 300, 0.6, 0.5), (3000, 60, 0.9, 0.3)])
def test_dense_contraction_matches_plain_contraction(n: int, clusters: int, noise: float, threshold: float) -> None:
    vectors = embeddings(n, d=32, clusters=clusters, noise=noise)
    double = vectors.astype(np.float64)
    expected = contract_exactly(double @ double.T - threshold)
    assert 10 < expected.max() < n / 2
    np.testing.assert_array_equal(gaec(DenseGraph(vectors @ vectors.T, threshold)), expected)


def test_contraction_of_contracted_nodes_matches_plain_contraction() -> None:
    vectors = embeddings(120, clusters=20).astype(np.float64)
    graph = DenseGraph(vectors @ vectors.T, 0.4)
    pieces = canonical_labels(np.arange(120) // 3)
    small = graph.contract(pieces)
    assert gaec(small).tolist() == contract_exactly(small.weights()).tolist()


def test_packing_moves_the_remaining_clusters_to_the_front() -> None:
    # Clusters 0 and 2 are gone. Cluster 1 has lost its partner, and the partner of cluster 3 is cluster 1.
    matrix = np.arange(16.0).reshape(4, 4)
    sizes, key = np.array([0.0, 2.0, 0.0, 2.0]), np.array([-np.inf, 5.0, -np.inf, 7.0])
    stamp, partner = np.array([0, 4, 0, 3]), np.array([1, -1, 3, 1], dtype=np.int32)
    stale, member = np.array([False, True, False, False]), np.arange(4)
    assert greedy._pack(matrix, sizes, stamp, 4, key, partner, stale, member) == 2
    assert matrix[:2, :2].tolist() == [[5.0, 7.0], [13.0, 15.0]]
    assert (sizes[:2].tolist(), stamp[:2].tolist(), key[:2].tolist()) == ([2.0, 2.0], [4, 3], [5.0, 7.0])
    assert (partner[:2].tolist(), stale[:2].tolist(), member[:2].tolist()) == ([-1, 0], [True, False], [1, 3])


def test_ties_give_the_same_labels_in_both_precisions() -> None:
    weights = np.sign(np.random.default_rng(0).standard_normal((40, 40)))
    weights = np.tril(weights, -1) + np.tril(weights, -1).T
    first = gaec(DenseGraph(weights.astype(np.float32)))
    np.testing.assert_array_equal(first, gaec(DenseGraph(weights)))
    assert disagreement(weights, first) < disagreement(weights, np.arange(40))


def test_dense_contraction_of_random_weights_matches_plain_contraction() -> None:
    # Clusters of several nodes are joined often, so every list of contracted clusters is used.
    for seed in range(100):
        weights = random_weights(seed, 20 + seed) + 0.1 * (1 - np.eye(20 + seed))
        assert gaec(DenseGraph(weights)).tolist() == contract_exactly(weights).tolist()
