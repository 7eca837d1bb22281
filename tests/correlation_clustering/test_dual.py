"""The dual ascent finds violated inequalities wherever they are, and stops when it should."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse
from signed_instances import graph_of_edges, optimum, random_weights

from telescope_transformer.correlation_clustering.bounds import dual as module
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual, SparseDual, ascend
from telescope_transformer.correlation_clustering.bounds.separation_partitions import (
    partition_rows,
    separate_partitions,
)
from telescope_transformer.correlation_clustering.bounds.verify import certificate_of, verify
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph, sparse_graph
from telescope_transformer.correlation_clustering.search.local_search import gaec
from telescope_transformer.correlation_clustering.solution import Deadline, Progress


def ring(n: int) -> SparseGraph:
    """A cycle of n nodes with one repulsive edge; the optimal cost is 1."""
    i, weights = np.arange(n), np.ones(n)
    weights[0] = -2.0
    half = sparse.coo_array((weights, (i, (i + 1) % n)), shape=(n, n))
    return sparse_graph((half + half.T).tocsr())


def edges_of(graph: SparseGraph) -> np.ndarray:
    """The ends of the edges in the dual's order, (m, 2)."""
    rows = np.repeat(np.arange(graph.n), np.diff(graph.indptr))
    return np.column_stack([rows, graph.indices])[graph.indices < rows]


@pytest.mark.parametrize("n", [4, 9])
def test_a_cycle_is_proved_by_its_own_inequality(n: int) -> None:
    graph = ring(n)
    progress = Progress(graph)
    dual = SparseDual(graph, progress.labels)
    ascend(dual, progress, Deadline(5))
    # With integer weights, the bound is rounded up.
    assert progress.lower_bound == 1.0
    _, exact = verify(graph.weights(), progress.labels, certificate_of(dual, edges_of(graph)))
    assert 0.99 < exact <= 1


def test_sparse_bounds_never_exceed_what_their_multipliers_prove() -> None:
    longer = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = 5 + seed % 4
        weights = random_weights(seed, n)
        weights[rng.random((n, n)) < 0.4] = 0.0
        weights = np.tril(weights, -1) + np.tril(weights, -1).T
        graph = sparse_graph(sparse.csr_array(weights))
        progress = Progress(graph)
        dual = SparseDual(graph, progress.labels)
        ascend(dual, progress, Deadline(5))
        cost, exact = verify(weights, progress.labels, certificate_of(dual, edges_of(graph)))
        assert Fraction(progress.lower_bound) <= exact <= cost
        assert progress.lower_bound <= optimum(weights) * (1 + 1e-12)
        longer += np.count_nonzero(dual.rows.multipliers)
    assert longer > 5


def test_the_running_value_is_the_bound_up_to_rounding() -> None:
    graph = DenseGraph(random_weights(4, 12))
    dual = DenseDual(graph, gaec(graph))
    dual.separate(Deadline(5))
    dual.rows.append(*partition_rows(*separate_partitions(dual.fractions(), 0.02, 20, Deadline())))
    dual.sweep(Deadline(5), 15)
    assert dual.rows.right @ dual.rows.multipliers > 0.1
    assert dual.value() == pytest.approx(dual.bound())


def test_smoothing_is_measured_by_the_largest_attraction() -> None:
    for attraction, scale in ((0.5, 0.5), (-0.5, 1e6)):
        edges = [(0, 1, attraction), (1, 2, -1e6)]
        graph = sparse_graph(sparse.csr_array(graph_of_edges(3, edges)))
        dual = SparseDual(graph, np.arange(3))
        assert dual.scale == scale
        assert dual.smoothing == pytest.approx(module._FIRST_SMOOTHING_SPARSE * scale)


def many_triangles(pieces: int) -> np.ndarray:
    """Separate triangles of two attractive and one repulsive pair; all other pairs of the complete graph repel."""
    piece = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -1.0, 0.0]])
    weights = np.kron(np.eye(pieces), piece + 1.0) - 1.0
    np.fill_diagonal(weights, 0.0)
    return weights


def test_one_separation_reaches_every_node_of_a_complete_graph() -> None:
    pieces = 1 + module._CENTRES_A_CALL
    dual = DenseDual(DenseGraph(many_triangles(pieces)), np.arange(3 * pieces))
    assert dual.separate(Deadline(60)) == pieces
    # A deadline that has passed ends the ascent after the first part.
    late = DenseDual(DenseGraph(many_triangles(pieces)), np.arange(3 * pieces))
    assert 0 < late.separate(Deadline(0)) < pieces


def test_one_separation_reaches_every_node_of_a_sparse_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENTRIES_A_CALL", 20)
    pieces = 40
    weights = np.where(many_triangles(pieces) < 0, 0.0, many_triangles(pieces))
    third = 3 * np.arange(pieces)
    weights[third + 1, third + 2] = weights[third + 2, third + 1] = -1.0
    graph = sparse_graph(sparse.csr_array(weights))
    assert SparseDual(graph, np.arange(graph.n)).separate(Deadline(60)) == pieces
    assert 0 < SparseDual(graph, np.arange(graph.n)).separate(Deadline(0)) < pieces


def test_separation_stops_when_its_room_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CAPACITY_SPARSE", 20)
    graph = ring(4)
    weights = sparse.block_diag([graph.rows()] * 30).tocsr()
    many = sparse_graph(sparse.csr_array(weights))
    dual = SparseDual(many, np.arange(many.n))
    assert dual.separate(Deadline(5)) == 5
    assert dual.rows.starts.tolist() == [0, 4, 8, 12, 16, 20]


def rounds_of(dual: DenseDual, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets an entry in each round of the ascent."""
    rounds: list[int] = []
    separate = dual.separate

    def count(deadline: Deadline) -> int:
        rounds.append(separate(deadline))
        return rounds[-1]

    monkeypatch.setattr(dual, "separate", count)
    return rounds


def test_an_ascent_ends_after_the_rounds_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_weights(3, 20)
    graph = DenseGraph(weights)
    progress = Progress(graph)
    dual = DenseDual(graph, progress.labels)
    rounds = rounds_of(dual, monkeypatch)
    ascend(dual, progress, Deadline(5), rounds=2)
    assert len(rounds) == 2
    assert dual.smoothing == pytest.approx(dual.first_smoothing * module._COOLING**2)
    ascend(dual, progress, Deadline(5))
    ended = len(rounds)
    assert 2 < ended < 200
    ascend(dual, progress, Deadline(0))
    assert len(rounds) == ended


def test_an_ascent_without_progress_ends_once_little_smoothing_is_left() -> None:
    # Triangles prove 3/4 of the optimal cost.
    star = graph_of_edges(4, [(0, 1, 0.7), (0, 2, 0.7), (0, 3, 0.7), (1, 2, -0.7), (1, 3, -0.7), (2, 3, -0.7)])
    graph = DenseGraph(star)
    progress = Progress(graph)
    progress.offer(gaec(graph))
    dual = DenseDual(graph, progress.labels)
    ascend(dual, progress, Deadline())
    assert progress.lower_bound == pytest.approx(0.75 * progress.cost, rel=1e-3)
    assert dual.smoothing == pytest.approx(module._LAST_IN_TIME * dual.first_smoothing, rel=1 - module._COOLING)


def test_the_guiding_clustering_says_which_pairs_are_cut() -> None:
    weights = random_weights(0, 7)
    labels = np.array([0, 1, 0, 1, 1, 2, 0])
    graph = sparse_graph(sparse.csr_array(weights))
    left, right = edges_of(graph).T
    dual = SparseDual(graph, np.arange(7))
    assert dual.cut.all()
    dual.guide(labels)
    assert dual.cut.tolist() == (labels[left] != labels[right]).tolist()
    dense = DenseDual(DenseGraph(weights), labels)
    left, right = np.tril_indices(7, -1)
    assert dense.cut.tolist() == (labels[left] != labels[right]).tolist()


def test_an_ascent_ends_when_the_gap_is_small_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = DenseGraph(random_weights(3, 20))
    counts = []
    for gap in (0.5, None):
        progress = Progress(graph, gap=gap)
        progress.offer(gaec(graph))
        dual = DenseDual(graph, progress.labels)
        rounds = rounds_of(dual, monkeypatch)
        ascend(dual, progress, Deadline(5))
        counts.append(len(rounds))
        assert progress.closed or gap is None
    assert counts[0] < counts[1] / 2


def test_smoothing_cools_to_its_last_value_by_the_deadline() -> None:
    dual = DenseDual(DenseGraph(random_weights(0, 5)), np.arange(5))
    first = dual.smoothing
    # Two rounds fit into the time, so each lowers the smoothing by the square root of the whole ratio.
    assert dual.cooling(2.0, 1.0) == pytest.approx(module._LAST_IN_TIME**0.5, abs=module._FASTEST_COOLING)
    assert dual.cooling(20.0, 1.0) == pytest.approx(module._LAST_IN_TIME ** (1 / 20))
    assert dual.cooling(np.inf, 1.0) == dual.cooling(1e9, 1.0) == module._COOLING
    dual.smoothing = module._LAST_IN_TIME * first
    assert dual.cooling(1.0, 1.0) == module._COOLING
