"""One-element moves end when no single move helps."""

import numpy as np
import pytest
from signed_instances import embeddings, random_weights

from telescope_transformer.correlation_clustering import DenseGraph
from telescope_transformer.correlation_clustering.graph import canonical_labels
from telescope_transformer.correlation_clustering.search.local_search import TOLERANCE, move_nodes
from telescope_transformer.correlation_clustering.solution import Deadline


@pytest.mark.parametrize("seed", range(8))
def test_no_single_move_improves_the_result(seed: int) -> None:
    vectors = embeddings(301 + seed, clusters=20, noise=0.8).astype(np.float64)
    graph = DenseGraph(vectors @ vectors.T, 0.1 * seed) if seed else DenseGraph(random_weights(seed, 300))
    labels = canonical_labels(move_nodes(graph, np.arange(graph.n), np.random.default_rng(seed), Deadline()))
    weights = graph.weights()
    members = np.eye(int(labels.max()) + 1)[labels]
    sums = weights @ members
    stay = sums[np.arange(graph.n), labels]
    assert (np.maximum(sums.max(axis=1), 0.0) <= stay + 2 * TOLERANCE * graph.scale + 1e-9).all()
