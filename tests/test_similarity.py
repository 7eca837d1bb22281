"""Signed weights and margins, compared with loops over pairs."""

import numpy as np
import pyarrow as pa
import pytest

from telescope_transformer import similarity
from telescope_transformer.arrays import unit_rows
from telescope_transformer.embedding import embedding_column
from telescope_transformer.errors import InputError
from telescope_transformer.similarity import (
    Nearest,
    add_to_sums,
    blend_by_source,
    cluster_sums,
    embedding_matrix,
    row_blocks,
    window_margins,
)


def unit_vectors(rng: np.random.Generator, n: int = 30, d: int = 8) -> np.ndarray:
    return unit_rows(rng.normal(size=(n, d)))


def naive_margin(vectors: np.ndarray, labels: np.ndarray, i: int, threshold: float) -> float:
    weights = vectors @ vectors[i] - threshold
    own = [w for j, w in enumerate(weights) if labels[j] == labels[i] and j != i]
    others = [weights[labels == k].mean() for k in set(labels.tolist()) - {int(labels[i])}]
    return (float(np.mean(own)) if own else 0.0) - (float(max(others)) if others else 0.0)


@pytest.mark.parametrize("n_clusters", [1, 4, 30])
def test_margins_equal_the_loop_over_pairs(rng: np.random.Generator, n_clusters: int) -> None:
    vectors = unit_vectors(rng)
    labels = np.arange(30) % n_clusters
    margins = window_margins(vectors, labels, 0.2, scale=3.0)
    expected = [3.0 * naive_margin(vectors, labels, i, 0.2) for i in range(30)]
    assert margins == pytest.approx(np.array(expected), abs=1e-5)


def test_blocks_of_rows_change_no_margin(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = unit_vectors(rng), np.arange(30) % 4
    whole = window_margins(vectors, labels, 0.2)
    monkeypatch.setattr(similarity, "BLOCK_CELLS", 50)
    np.testing.assert_allclose(window_margins(vectors, labels, 0.2), whole, atol=1e-6)
    assert list(row_blocks(11, 10)) == [slice(0, 5), slice(5, 10), slice(10, 11)]
    assert list(row_blocks(2, 1_000)) == [slice(0, 1), slice(1, 2)]
    assert list(row_blocks(0, 10)) == []


def test_windows_of_a_source_are_blended_by_their_similarity(rng: np.random.Generator) -> None:
    vectors = unit_vectors(rng, 9)
    # Source 4 does two unrelated things.
    vectors[[6, 7]] = np.eye(8, dtype=np.float32)[:2]
    sources = np.array([0, 1, 0, 2, 0, -1, 4, 4, -1])
    blended = vectors.copy()
    blend_by_source(blended, sources)
    mine = np.flatnonzero(sources == 0)
    for i in mine:
        expected = sum(float(vectors[i] @ vectors[j]) * vectors[j] for j in mine)
        np.testing.assert_allclose(blended[i], expected / np.linalg.norm(expected), atol=1e-6)
    assert (blended[mine] != vectors[mine]).any(axis=1).all()
    others = np.flatnonzero(sources != 0)
    np.testing.assert_array_equal(blended[others], vectors[others])


def test_sums_of_clusters_equal_a_loop(rng: np.random.Generator) -> None:
    vectors, labels = unit_vectors(rng, 9), np.array([0, 2, 1, 0, 2, 2, 1, 0, 0])
    expected = np.stack([vectors[labels == k].sum(axis=0) for k in range(3)])
    sums, sizes = cluster_sums(vectors, labels)
    np.testing.assert_allclose(sums, expected, atol=1e-6)
    assert sizes.tolist() == [4, 2, 3]
    added = np.ones((3, 8))
    add_to_sums(added, labels, vectors)
    np.testing.assert_allclose(added, expected + 1, atol=1e-6)
    none = cluster_sums(np.empty((0, 8), dtype=np.float32), np.empty(0, dtype=np.int64))
    assert [part.shape for part in none] == [(0, 8), (0,)]


def test_the_nearest_rows_are_in_order_and_missing_ones_are_marked(rng: np.random.Generator) -> None:
    rows, queries = unit_vectors(rng, 400), unit_vectors(rng, 20)
    products = queries @ rows.T
    found, values = Nearest(rows).of(queries, 3)
    np.testing.assert_array_equal(found, np.argsort(-products, axis=1)[:, :3])
    np.testing.assert_allclose(values, -np.sort(-products, axis=1)[:, :3], atol=1e-6)
    assert Nearest(rows).cells_a_row == 400
    found, values = Nearest(rows[:2]).of(queries, 3)
    assert (found[:, 2] == -1).all()
    assert np.isneginf(values[:, 2]).all()
    assert (np.sort(found[:, :2], axis=1) == [0, 1]).all()
    equal = np.repeat(rows[:1], 3, axis=0)
    assert Nearest(equal).of(queries, 3)[0].tolist() == [[0, 1, 2]] * 20


def test_many_rows_are_searched_approximately_with_high_recall(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    centres = unit_vectors(rng, 40, 16)
    rows = unit_rows(centres[np.arange(800) % 40] + 0.1 * rng.normal(size=(800, 16)))
    queries = unit_rows(rows[:100] + 0.05 * rng.normal(size=(100, 16)))
    exact, products = Nearest(rows).of(queries, 5)
    monkeypatch.setattr(Nearest, "EXACT_UP_TO", 100)
    nearly = Nearest(rows)
    found, found_products = nearly.of(queries, 5)
    assert nearly.cells_a_row == 16
    assert (found[:, 0] == exact[:, 0]).mean() > 0.95
    same = found == exact
    np.testing.assert_allclose(found_products[same], products[same], atol=1e-5)
    # More rows than the nearest lists contain.
    assert sorted(nearly.of(queries[:1], 800)[0][0].tolist()) == list(range(800))


def test_rows_are_found_where_most_rows_are_equal(rng: np.random.Generator) -> None:
    """k-means gives nearly equal rows many lists, most of them empty."""
    rows = np.vstack([np.repeat(unit_vectors(rng, 1, 32), Nearest.EXACT_UP_TO, axis=0), unit_vectors(rng, 10, 32)])
    found, products = Nearest(rows).of(unit_vectors(rng, 200, 32), 2)
    assert (found >= 0).all()
    assert np.isfinite(products).all()


def test_embeddings_survive_the_table(rng: np.random.Generator) -> None:
    vectors = unit_vectors(rng)
    table = pa.table({"embedding": embedding_column(vectors)})
    assert np.array_equal(embedding_matrix(table.slice(3, 9)), vectors[3:12])


def test_a_table_without_usable_embeddings_says_why(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="no column `embedding`"):
        embedding_matrix(pa.table({"source": ["192.0.2.1"]}))
    with pytest.raises(InputError, match="must be a list of float"):
        embedding_matrix(pa.table({"embedding": [0.5]}))
    with pytest.raises(InputError, match="missing or differ in length"):
        embedding_matrix(pa.table({"embedding": [[0.5, 0.5], [1.0]]}))
    with pytest.raises(InputError, match="missing or differ in length"):
        embedding_matrix(pa.table({"embedding": [[0.5, 0.5], None]}))
    broken = unit_vectors(rng)
    broken[3, 2] = np.nan
    with pytest.raises(InputError, match="missing or infinite"):
        embedding_matrix(pa.table({"embedding": embedding_column(broken)}))
