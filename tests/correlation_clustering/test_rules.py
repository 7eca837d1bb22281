"""Details that few results depend on: ties, rounding margins, refreshed and dropped state. Each has a test case."""

from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from signed_instances import embeddings, graph_of_edges, random_weights

from telescope_transformer.correlation_clustering import DenseGraph, check_weights, gaec
from telescope_transformer.correlation_clustering.bounds import dual as dual_module
from telescope_transformer.correlation_clustering.bounds import reduction
from telescope_transformer.correlation_clustering.bounds.ascent import proved_value
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual
from telescope_transformer.correlation_clustering.bounds.reduction import contracted
from telescope_transformer.correlation_clustering.bounds.rows import Rows
from telescope_transformer.correlation_clustering.components import find
from telescope_transformer.correlation_clustering.links import link
from telescope_transformer.correlation_clustering.search import local_search
from telescope_transformer.correlation_clustering.search.greedy import first_largest
from telescope_transformer.correlation_clustering.search.local_search import fuse, move_nodes
from telescope_transformer.correlation_clustering.solution import Deadline, Progress, Solution, sum_of_bounds

# The results of both forms for `of_signs(24)`: their rules for ties differ, and neither must change unnoticed.
DENSE_TIES = [0, 0, 0, 0, 1, 0, 2, 0, 3, 3, 0, 2, 1, 0, 0, 4, 1, 0, 0, 3, 3, 1, 3, 0]
SPARSE_TIES = [0, 0, 0, 1, 2, 0, 3, 0, 1, 1, 0, 3, 2, 0, 0, 3, 3, 0, 1, 1, 1, 2, 1, 3]


def of_signs(n: int) -> np.ndarray:
    """Weights with very many ties."""
    lower = np.tril(np.sign(np.random.default_rng(0).standard_normal((n, n))), -1)
    return lower + lower.T


def test_the_first_of_several_largest_values_is_found() -> None:
    for n in (1, 63, 64, 65, 200):
        values = np.zeros(n)
        assert first_largest(values) == (0, 0.0)
        values[[n // 2, n - 1]] = 1.0
        assert first_largest(values)[0] == n // 2
    assert first_largest(np.full(3, -np.inf)) == (0, -np.inf)
    assert first_largest(np.zeros(0)) == (-1, -np.inf)


def test_greedy_contraction_joins_the_first_of_equal_pairs() -> None:
    # A path with two edges of equal weight whose ends repel: the pair with the lowest node is joined.
    path = graph_of_edges(3, [(0, 1, 1.0), (1, 2, 1.0), (0, 2, -3.0)])
    for graph in (DenseGraph(path), DenseGraph(path.astype(np.float32)), check_weights(sparse.csr_array(path))):
        assert gaec(graph).tolist() == [0, 0, 1]
    # A hundred such paths: equal weights are taken in the order of the edges.
    many = np.kron(np.eye(100), path)
    expected = [2 * copy + own for copy in range(100) for own in (0, 0, 1)]
    assert gaec(check_weights(sparse.csr_array(many))).tolist() == expected
    # Nodes 2 and 3 are joined, and then attract node 0 as much as node 1 does: the older partner is kept.
    older = graph_of_edges(4, [(0, 1, 3.0), (2, 3, 5.0), (0, 2, 1.0), (0, 3, 2.0), (1, 2, -9.0), (1, 3, -9.0)])
    assert gaec(DenseGraph(older)).tolist() == [0, 0, 1, 1]
    star = graph_of_edges(4, [(0, 3, 1.0), (1, 3, 1.0), (2, 3, 1.0), (0, 1, -3.0), (0, 2, -3.0), (1, 2, -3.0)])
    for graph in (DenseGraph(star), check_weights(sparse.csr_array(star))):
        assert gaec(graph).tolist() == [0, 1, 2, 0]


def test_greedy_contraction_of_many_ties_does_not_change() -> None:
    weights = of_signs(24)
    assert gaec(DenseGraph(weights)).tolist() == DENSE_TIES
    assert gaec(check_weights(sparse.csr_array(weights))).tolist() == SPARSE_TIES


def test_a_node_joins_the_lower_label_of_two_equal_clusters() -> None:
    weights = graph_of_edges(5, [(0, 1, 5.0), (2, 3, 5.0), (0, 4, 1.0), (2, 4, 1.0), (0, 2, -9.0)])
    graph = check_weights(sparse.csr_array(weights))
    for seed in range(4):
        labels = move_nodes(graph, np.array([0, 0, 1, 1, 2]), np.random.default_rng(seed), Deadline())
        assert labels[4] == labels[0]


def dual_of(seed: int, n: int = 9) -> DenseDual:
    dual = DenseDual(DenseGraph(random_weights(seed, n)), np.zeros(n, dtype=np.int64))
    dual.separate(Deadline(5))
    dual.sweep(Deadline(5), 15)
    return dual


def exact_value(dual: DenseDual) -> Fraction:
    """The dual's value at its multipliers, in exact fractions."""
    change = [Fraction(0)] * dual.weights.size
    for (a, b, c), y in zip(dual.triangles, dual.multipliers, strict=True):
        for pair, sign in ((a, 1), (b, -1), (c, -1)):
            change[pair] += sign * Fraction(float(y))
    pairs = zip(dual.weights, change, strict=True)
    return sum((min(Fraction(float(w)) + y, 0) - min(Fraction(float(w)), 0) for w, y in pairs), Fraction(0))


def test_the_margin_of_a_bound_covers_the_rounding_of_a_long_sum() -> None:
    # One pair has very many multipliers whose sums are not exact in floating point.
    n_terms = 3_000
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights = np.array([-1e3, 1e3, 1e3])
        triangles = np.zeros((n_terms, 3), dtype=np.int32)
        triangles[:, 1], triangles[:, 2] = 1, 2
        multipliers = rng.random(n_terms) * 0.3
        proved, reduced = proved_value(weights, triangles, multipliers, Rows())
        total = sum(map(Fraction, multipliers.tolist()), Fraction(0))
        exact = min(total, 1000) + 2 * min(1000 - total, 0)
        rounded = float(min(reduced[0], 0.0) + 1e3 + 2 * min(reduced[1], 0.0))
        assert Fraction(proved) <= exact
        # The margin covers the rounding error of a sum in any order.
        assert exact - Fraction(proved) >= Fraction(n_terms) * Fraction(float(np.finfo(float).eps)) * total / 2
        assert proved == pytest.approx(rounded, rel=1e-9)


def test_computing_the_bound_refreshes_the_reduced_weights() -> None:
    dual = dual_of(1)
    worn = dual.reduced.copy()
    dual.reduced += 1e-3
    proved = dual.bound()
    np.testing.assert_allclose(dual.reduced, worn, atol=1e-12)
    assert Fraction(proved) <= exact_value(dual)
    assert proved == pytest.approx(float(exact_value(dual)))


def test_dropping_idle_inequalities_keeps_the_others() -> None:
    rows = Rows()
    rows.append(
        np.array([0, 2, 5, 6]), np.arange(6), np.arange(6.0), np.array([1.0, 2.0, 3.0]), np.array([0.0, 7.0, 0.5])
    )
    rows.drop_idle()
    assert rows.starts.tolist() == [0, 3, 4]
    assert (rows.edges.tolist(), rows.right.tolist()) == ([2, 3, 4, 5], [2.0, 3.0])
    assert rows.multipliers.tolist() == [7.0, 0.5]


def test_triangles_without_a_multiplier_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    dual = dual_of(2)
    # No inequality is violated by this much, so none is added.
    monkeypatch.setattr(dual_module, "_TOLERANCE", 2.0)
    dual.multipliers[::2] = 0.0
    kept = np.count_nonzero(dual.multipliers)
    found = dual.separate(Deadline(5))
    assert (found, dual.multipliers.size) == (0, kept)
    assert (dual.multipliers > 0).all()


def test_without_weights_the_estimate_is_the_guiding_clustering() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    dual = DenseDual(DenseGraph(np.zeros((5, 5))), np.zeros(5, dtype=np.int64))
    dual.guide(labels)
    np.testing.assert_array_equal(dual.fractions(), (labels[:, None] != labels).astype(np.float32))


def test_cooling_reaches_the_last_smoothing_at_the_deadline() -> None:
    dual = dual_of(3)
    dual.smoothing = 0.1 * dual.scale
    for left in range(20, 0, -1):
        dual.smoothing *= dual.cooling(float(left), 1.0)
    assert dual.smoothing == pytest.approx(dual_module._LAST_IN_TIME * dual.first_smoothing, rel=1e-6)
    # Without a time limit, it cools as slowly as allowed; it never cools faster than allowed.
    assert dual.cooling(np.inf, 1.0) == dual_module._COOLING
    dual.smoothing = dual.scale
    assert dual.cooling(1.0, 1.0) == dual_module._FASTEST_COOLING


def test_equality_by_rounding_joins_no_nodes() -> None:
    # 1e16 + 1 is 1e16 in float64, so the first edge only seems to weigh as much as the other edges of node 0.
    edges = [(0, 1, 1e16), (0, 2, -1e16), (0, 3, -1.0), (1, 2, -3e16)]
    graph = DenseGraph(graph_of_edges(4, edges)).as_sparse()
    assert reduction._leaf_joins(graph.indptr, graph.indices, graph.data, np.arange(4), graph.whole) == 0
    graph = DenseGraph(graph_of_edges(4, [(0, 1, 4.0), (0, 2, -3.0), (0, 3, -1.0), (1, 2, -9.0)])).as_sparse()
    assert reduction._leaf_joins(graph.indptr, graph.indices, graph.data, np.arange(4), graph.whole) == 1


def test_contraction_counts_its_rounding_errors_and_settled_cost() -> None:
    weights = graph_of_edges(3, [(0, 1, 5.0), (0, 2, 1e16), (1, 2, 1.0)])
    found = contracted(DenseGraph(weights).as_sparse(), np.array([0, 0, 1]))
    assert found.drift == 1.0
    assert found.offset == 0.0
    # A pair that both attracts and repels costs the smaller of the two weights; so does repulsion inside a cluster.
    weights = graph_of_edges(4, [(0, 1, -2.0), (0, 2, 3.0), (1, 2, -0.5), (2, 3, 1.0)])
    assert contracted(DenseGraph(weights).as_sparse(), np.array([0, 0, 1, 2])).offset == 2.5


def test_contracted_graphs_are_exactly_symmetric() -> None:
    graph = DenseGraph(random_weights(5, 40)).as_sparse()
    rows = contracted(graph, np.arange(40) % 7).graph.rows().toarray()
    np.testing.assert_array_equal(rows, rows.T)


def test_rounding_of_must_links_lowers_the_bound() -> None:
    # Nodes 0 and 1 cost 1, with node 2 or without. The sum 1e15 - 1 is exact, but 1e16 - 1 is off by 1.
    for attraction, bound in ((1e15, 1.0), (1e16, 0.0)):
        weights = graph_of_edges(3, [(0, 2, attraction), (1, 2, -1.0)])
        linked = link(DenseGraph(weights).as_sparse(), np.array([[0, 1]]), np.zeros((0, 2), dtype=np.int64))
        assert linked.reduction.bound([0.0]) == bound
    weights[0, 1] = weights[1, 0] = -7.0
    apart = link(DenseGraph(weights).as_sparse(), np.zeros((0, 2), dtype=np.int64), np.array([[0, 2]]))
    assert apart.reduction.graph.rows().toarray()[0, 2] < -2.0 * 1e16


def test_progress_keeps_the_highest_bound_and_the_best_clustering() -> None:
    progress = Progress(DenseGraph(random_weights(1, 6)))
    for bound, kept in ((0.5, 0.5), (0.25, 0.5), (float("nan"), 0.5), (0.75, 0.75)):
        progress.prove(bound)
        assert progress.lower_bound == kept
    cost = progress.cost
    assert not progress.offer(progress.labels.copy())
    assert progress.cost == cost
    whole = Progress(DenseGraph(of_signs(6)))
    whole.prove(1.2)
    assert whole.lower_bound == 2.0


def test_the_gap_is_the_largest_possible_saving() -> None:
    labels = np.zeros(2, dtype=np.int64)
    assert Solution(labels, 4.0, 3.0).gap == 0.25
    assert Solution(labels, 0.0, 0.0).gap == 0.0
    assert Solution(labels, 1.0, 1.0 + 1e-15).gap == 0.0
    assert np.isnan(Solution(labels, 1.0).gap)


def test_fusion_costs_no_more_than_either_clustering() -> None:
    graph = DenseGraph(random_weights(4, 40))
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, (2, 40))
    found = fuse(graph, first, second, rng, Deadline())
    assert graph.cost(found) <= min(graph.cost(first), graph.cost(second))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_fusion_continues_from_the_cheapest_candidate(order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    # Four pairs of nodes; the candidates join two, one or none of the pairs that attract each other.
    weights = graph_of_edges(8, [(i, i + 1, 9.0) for i in range(0, 8, 2)] + [(0, 2, 2.0), (4, 6, 1.0)])
    graph = DenseGraph(weights)
    candidates = [np.array(labels) for labels in ([0, 0, 1, 1], [0, 0, 1, 2], [0, 1, 2, 3])]
    scripted = [candidates[place] for place in order]

    def improve_as_scripted(small: DenseGraph, labels: np.ndarray, *_: Any) -> np.ndarray:
        return labels if small.n == graph.n else scripted.pop(0)

    monkeypatch.setattr(local_search, "improve", improve_as_scripted)
    pairs = np.arange(8) // 2
    found = fuse(graph, pairs, pairs, np.random.default_rng(0), Deadline())
    assert not scripted
    assert graph.cost(found) == 0.0


def test_find_returns_the_root_and_halves_the_path() -> None:
    parent = np.array([0, 0, 1, 2, 3])
    assert find(parent, 4) == 0
    assert parent[4] == 2


def test_a_part_has_the_weights_among_its_nodes() -> None:
    vectors = embeddings(30).astype(np.float64)
    weights = DenseGraph(vectors @ vectors.T, 0.4).weights()
    nodes = np.array([7, 3, 20, 11])
    for graph in (DenseGraph(vectors @ vectors.T, 0.4), check_weights(sparse.csr_array(weights))):
        np.testing.assert_allclose(graph.part(nodes).weights(), weights[np.ix_(nodes, nodes)])


def test_a_sum_of_bounds_is_never_rounded_up() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        bounds = rng.random(3) * 10.0 ** rng.integers(-18, 3, 3)
        constants = (float(rng.random()), -1e-17)
        found = sum_of_bounds([*bounds, np.nan], *constants)
        exact = sum(map(Fraction, [*bounds.tolist(), *constants]), Fraction(0))
        assert Fraction(found) <= exact < Fraction(np.nextafter(found, np.inf))
