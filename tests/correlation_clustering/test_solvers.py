"""GAEC, local search, bounds, neighbour graphs, sweeps and the command, each compared with a plain definition."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from signed_instances import disagreement, embeddings, optimum, random_weights

from telescope_transformer.cli.cluster import cluster
from telescope_transformer.correlation_clustering import (
    DenseGraph,
    check_weights,
    gaec,
    neighbour_graph,
    refine,
    sweep,
    sweep_similarities,
)
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual, SparseDual, ascend
from telescope_transformer.correlation_clustering.graph import canonical_labels
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.errors import InputError, SolverError, WeightsError


def contract_greedily(weights: np.ndarray) -> np.ndarray:
    """GAEC by its definition: repeatedly join the pair of clusters with the largest positive weight."""
    clusters = [[i] for i in range(weights.shape[0])]
    while len(clusters) > 1:
        between = np.array([[weights[np.ix_(a, b)].sum() for b in clusters] for a in clusters])
        np.fill_diagonal(between, -np.inf)
        i, j = np.unravel_index(between.argmax(), between.shape)
        if between[i, j] <= 0:
            break
        clusters[i] += clusters[j]
        del clusters[j]
    labels = np.empty(weights.shape[0], dtype=np.int64)
    for c, members in enumerate(clusters):
        labels[members] = c
    return canonical_labels(labels)


@pytest.mark.parametrize("seed", range(20))
def test_greedy_contraction_matches_its_definition(seed: int) -> None:
    weights = random_weights(seed, 5 + 2 * seed, density=0.2 + 0.04 * seed)
    expected = contract_greedily(weights)
    np.testing.assert_array_equal(gaec(DenseGraph(weights)), expected)
    np.testing.assert_array_equal(gaec(check_weights(sparse.csr_array(weights))), expected)


def test_greedy_contraction_gives_the_same_labels_in_both_precisions() -> None:
    vectors = embeddings(400, clusters=30)
    single, double = (DenseGraph(v @ v.T, 0.4) for v in (vectors, vectors.astype(np.float64)))
    np.testing.assert_array_equal(gaec(single), gaec(double))


def test_local_search_never_raises_the_cost() -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        weights = random_weights(seed, 15)
        graph = check_weights(sparse.csr_array(weights)) if seed % 2 else DenseGraph(weights)
        start = rng.integers(0, 6, 15)
        found = refine(graph, start, seed=seed)
        assert disagreement(weights, found) <= disagreement(weights, start)


def test_costs_match_their_definition() -> None:
    weights = random_weights(2, 25, density=0.5)
    labels = np.random.default_rng(1).integers(0, 7, 25)
    for graph in (DenseGraph(weights), DenseGraph(weights + 0.3, 0.3), check_weights(sparse.csr_array(weights))):
        assert graph.cost(labels) == pytest.approx(disagreement(weights, labels))


def test_contraction_keeps_cost_differences() -> None:
    weights = random_weights(4, 20)
    pieces = canonical_labels(np.random.default_rng(0).integers(0, 8, 20))
    for graph in (DenseGraph(weights), check_weights(sparse.csr_array(weights))):
        small = graph.contract(pieces)
        a, b = np.random.default_rng(3).integers(0, 3, (2, small.n))
        difference = small.cost(a) - small.cost(b)
        assert difference == pytest.approx(graph.cost(a[pieces]) - graph.cost(b[pieces]))


def test_any_multipliers_prove_a_bound() -> None:
    for seed in range(20):
        weights = random_weights(seed, 7)
        dual = DenseDual(DenseGraph(weights), np.zeros(7, dtype=np.int64))
        dual.separate(Deadline(5))
        dual.multipliers *= np.random.default_rng(seed).random(dual.multipliers.size) * 3
        assert dual.bound() <= optimum(weights)


def test_the_sparse_ascent_proves_valid_bounds() -> None:
    raised = 0
    for seed in range(60):
        weights = random_weights(seed, 8, density=0.7)
        graph = check_weights(sparse.csr_array(weights))
        progress = Progress(graph)
        progress.offer(refine(graph, seed=seed))
        dual = SparseDual(graph, progress.labels)
        ascend(dual, progress, Deadline(5))
        assert progress.lower_bound <= optimum(weights) * (1 + 1e-9)
        raised += progress.lower_bound > 0
    assert raised > 30


def test_the_neighbour_graph_holds_the_largest_products() -> None:
    vectors = embeddings(200)
    graph = neighbour_graph(vectors, 0.5, 10)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    for i in (0, 17, 199):
        row = graph.indices[graph.indptr[i] : graph.indptr[i + 1]]
        assert set(np.argsort(-products[i])[:10]) <= set(row)
        np.testing.assert_allclose(
            graph.data[graph.indptr[i] : graph.indptr[i + 1]], products[i, row] - 0.5, atol=1e-6
        )


def test_a_sweep_matches_single_fits_in_the_requested_order() -> None:
    vectors = embeddings(150, clusters=10)
    thresholds = [0.2, 0.8, 0.5]
    for method in ("greedy", "local_search"):
        points = sweep(vectors, thresholds, method=method, random_state=0)
        assert [point.threshold for point in points] == thresholds
        for point in points:
            graph = DenseGraph(vectors @ vectors.T, point.threshold)
            assert point.cost == graph.cost(point.labels)
            if method == "greedy":
                np.testing.assert_array_equal(point.labels, gaec(graph))
            else:
                assert point.cost <= graph.cost(gaec(graph)) * 1.01
        of_products = sweep_similarities(vectors @ vectors.T, thresholds, method=method, random_state=0)
        for point, same in zip(points, of_products, strict=True):
            assert (same.threshold, same.n_clusters) == (point.threshold, point.n_clusters)
            np.testing.assert_array_equal(same.labels, point.labels)


def test_a_sweep_refuses_invalid_similarities() -> None:
    with pytest.raises(WeightsError, match=r"pair \(0, 1\)"):
        sweep_similarities(np.array([[0.0, 1.0], [0.5, 0.0]]), [0.5])
    with pytest.raises(WeightsError, match="not a sparse matrix"):
        sweep_similarities(sparse.eye_array(3).tocsr(), [0.5])
    with pytest.raises(WeightsError, match="finite number"):
        sweep_similarities(np.eye(2), [np.nan])
    with pytest.raises(SolverError, match="greedy or local_search"):
        sweep_similarities(np.eye(2), [0.5], method="lp")


SCRIPT = """
import numpy as np
from telescope_transformer.correlation_clustering import CorrelationClustering
vectors = np.random.default_rng(0).standard_normal((150, 24)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
print(CorrelationClustering(random_state=0, method="local_search").fit_embeddings(vectors, 0.1).labels_.tolist())
"""


def test_the_number_of_threads_does_not_change_the_labels() -> None:
    outputs = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        outputs.append(run.stdout)
    assert outputs[0] == outputs[1]


def test_the_command_writes_the_solution_and_the_labels(tmp_path: Path) -> None:
    vectors = embeddings(50, noise=0.1)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 16)
    pq.write_table(
        pa.table({"source": [f"192.0.2.{i}" for i in range(50)], "embedding": column}), tmp_path / "e.parquet"
    )
    cluster(tmp_path / "e.parquet", output=tmp_path / "out")
    solution = json.loads((tmp_path / "out" / "clusters.json").read_text())["solution"]
    assert solution["gap"] == pytest.approx(0, abs=1e-9)
    assert solution["n_clusters"] == 6
    labels = pq.read_table(tmp_path / "out" / "labels.parquet")
    assert labels.column_names == ["source", "cluster"]
    assert len(set(labels["cluster"].to_pylist())) == 6


def test_embeddings_that_are_not_of_length_1_are_told_and_clusters_are_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pa.table({"cluster": [7, 7], "embedding": [[3.0, 0.0], [0.0, 4.0]]})
    pq.write_table(table, tmp_path / "e.parquet")
    cluster(tmp_path / "e.parquet", output=tmp_path / "out")
    assert "lengths from 3 to 4: their similarities are inner products, not cosines" in capsys.readouterr().err
    labels = pq.read_table(tmp_path / "out" / "labels.parquet")
    assert labels.column_names == ["cluster"]
    assert len(set(labels["cluster"].to_pylist())) == 2


def test_the_command_names_the_problem_of_its_input(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(InputError, match=r"text\.parquet is not a readable Parquet file"):
        cluster(tmp_path / "text.parquet", output=tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"nothing\.parquet: no such file"):
        cluster(tmp_path / "nothing.parquet", output=tmp_path)
    pq.write_table(pa.table({"embedding": [["a", "b"]]}), tmp_path / "words.parquet")
    with pytest.raises(InputError, match="must be a list of float"):
        cluster(tmp_path / "words.parquet", output=tmp_path)
    with pytest.raises(InputError, match="no column `embedding`, only a"):
        cluster(tmp_path / "other.parquet", output=tmp_path)
    pq.write_table(pa.table({"embedding": [[1.0, 2.0], [1.0]]}), tmp_path / "ragged.parquet")
    with pytest.raises(InputError, match="differ in length"):
        cluster(tmp_path / "ragged.parquet", output=tmp_path)
