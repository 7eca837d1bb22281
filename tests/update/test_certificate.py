"""The certificate of each step: the cost matches the clusters, and the bound is below every partition."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_days import SETTINGS, port_shares, read, write_days

from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update import State, renewal, update
from telescope_transformer.update.certificate import current

FEW = 8


@pytest.fixture(autouse=True)
def without_blending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blended, the windows of these few actors have no conflicts."""
    monkeypatch.setattr(renewal, "blend_by_source", lambda vectors, sources: None)


def graph_and_labels(state: State) -> tuple[DenseGraph, np.ndarray]:
    """The windows of a state, as a graph, and their clusters."""
    windows = state.query("SELECT cluster, embedding FROM windows WHERE cluster IS NOT NULL ORDER BY window_id")
    vectors = embedding_matrix(windows).astype(np.float64)
    labels = np.unique(windows["cluster"].to_numpy(), return_inverse=True)[1]
    return DenseGraph(vectors @ vectors.T, SETTINGS.threshold), labels


def partitions(n: int) -> list[list[int]]:
    """All partitions of n elements, as labels in order of first member."""
    found = [[0]]
    for _ in range(n - 1):
        found = [[*labels, k] for labels in found for k in range(max(labels) + 2)]
    return found


def few_sources(day: Path, folder: Path, seed: int) -> Path:
    """A file with the records of a few sources of a day, drawn at random."""
    table = pq.read_table(day)
    names = np.random.default_rng(seed).permutation(sorted(set(table["src_ip"].to_pylist())))[: FEW // 2]
    path = folder / f"{seed}-{day.name}"
    pq.write_table(table.filter(np.isin(table["src_ip"].to_pylist(), names)), path)
    return path


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_below_every_partition_of_tiny_states(seed: int, tmp_path: Path) -> None:
    """Windows that are similar by chance have many conflicts. Windows grow, so conflicts also disappear."""
    rng = np.random.default_rng(seed)

    def by_chance(windows) -> np.ndarray:
        vectors = rng.normal(size=(windows.num_rows, 3)) + np.array([1.2, 0, 0])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    days = [few_sources(day, tmp_path, 0) for day in write_days(tmp_path, 4)]
    with State(tmp_path / "state.duckdb") as state:
        for day in days:
            (step,) = update(state, [day], read, SETTINGS, embedder=by_chance)
            graph, labels = graph_and_labels(state)
            scale = state.settings()["scale"]
            assert step.cost == pytest.approx(scale * graph.cost(labels), abs=1e-4)
            if graph.n > 9:
                break
            best = min(scale * graph.cost(np.array(other)) for other in partitions(graph.n))
            assert 0 <= step.lower_bound <= best <= step.cost + 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_windows_that_are_all_alike_cost_nothing(seed: int, tmp_path: Path) -> None:
    """The squares of float32 vectors are not exactly 1, which must not become a cost."""
    vector = np.random.default_rng(seed).normal(size=128)
    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    day = few_sources(write_days(tmp_path, 1)[0], tmp_path, seed)
    with State(tmp_path / "state.duckdb") as state:
        (step,) = update(state, [day], read, SETTINGS, embedder=lambda windows: np.tile(vector, (windows.num_rows, 1)))
    assert (step.cost, step.lower_bound) == (0, 0)


def test_no_pair_carries_more_than_it_weighs(tmp_path: Path) -> None:
    days = write_days(tmp_path, 6)
    with State(tmp_path / "state.duckdb") as state:
        steps = update(state, days, read, SETTINGS, embedder=port_shares)
        graph, labels = graph_and_labels(state)
        ids = state.query("SELECT window_id FROM windows WHERE cluster IS NOT NULL ORDER BY 1")["window_id"].to_numpy()
        conflicts = state.query("SELECT a, b, c, amount FROM conflicts")
        journal = state.query("SELECT cost, lower_bound FROM inputs ORDER BY day").to_pylist()
        last = current(state)
        scale = state.settings()["scale"]
    weights, carried = graph.weights(), np.zeros((graph.n, graph.n))
    for a, b, c, amount in zip(*(column.to_pylist() for column in conflicts.columns), strict=True):
        x, y, z = np.searchsorted(ids, [a, b, c])
        assert sorted(weights[[x, x, y], [y, z, z]] > 0) == [False, True, True]
        for i, j in ((x, y), (x, z), (y, z)):
            carried[[i, j], [j, i]] += amount
    assert (carried <= np.abs(weights)).all()
    assert last.cost == pytest.approx(scale * graph.cost(labels), rel=1e-6)
    assert last.lower_bound == pytest.approx(scale * conflicts["amount"].to_numpy().sum())
    assert journal == [{"cost": step.cost, "lower_bound": step.lower_bound} for step in steps]
    assert 0.5 * last.cost < last.lower_bound <= last.cost
    assert "another clustering could save" in str(steps[-1])
