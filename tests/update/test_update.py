"""The running analysis: what it stores, what it repeats, and how close it is to solving everything at once."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import made_days
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_days import SETTINGS, port_shares, read, run, write_days

from telescope_transformer.analysis import AnalysisSettings
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.errors import StateError
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update import State, model, update
from telescope_transformer.update.resolving import ClusterSums
from telescope_transformer.update.running import Step
from telescope_transformer.update.step import neighbourhood
from telescope_transformer.windows import cut_windows

TABLES = {
    "windows": "SELECT * REPLACE (round(margin, 4) AS margin) FROM windows ORDER BY window_id",
    "clusters": "SELECT cluster, size FROM clusters ORDER BY cluster",
    "events": "SELECT * FROM events ORDER BY ALL",
    "open_records": "SELECT * FROM open_records ORDER BY ALL",
    "closed_records": "SELECT * FROM closed_records ORDER BY ALL",
    "inputs": "SELECT * EXCLUDE (seconds) FROM inputs ORDER BY day",
}


def contents(path: Path) -> dict[str, pa.Table]:
    with State(path) as state:
        return {name: state.query(statement) for name, statement in TABLES.items()}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_days(tmp_path_factory.mktemp("days"), 8)


@pytest.fixture(scope="module")
def finished(days: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "state.duckdb"
    run(path, days)
    return path


def test_the_windows_are_those_of_all_records_at_once(days: list[Path], finished: Path) -> None:
    whole = cut_windows(pa.concat_tables([pq.read_table(day) for day in days]), window=16, min_records=1)
    tables = contents(finished)
    columns = ["source", "start", "end", "n_records"]
    keys = [(name, "ascending") for name in columns]
    assert (
        tables["windows"]
        .select(columns)
        .sort_by(keys)
        .equals(whole.select(columns).sort_by(keys).replace_schema_metadata())
    )
    records = pa.concat_tables([tables["open_records"].drop_columns(["src_ip"]), tables["closed_records"]])
    assert records.num_rows == sum(pq.read_table(day).num_rows for day in days)
    sizes = dict(
        zip(tables["windows"]["window_id"].to_pylist(), tables["windows"]["n_records"].to_pylist(), strict=True)
    )
    found, counts = np.unique(records["window_id"].to_numpy(), return_counts=True)
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == sizes


def test_only_windows_of_enough_records_have_a_cluster(finished: Path) -> None:
    windows = contents(finished)["windows"]
    long = windows["n_records"].to_numpy() >= SETTINGS.min_records
    assert np.array_equal(windows["cluster"].is_valid().to_numpy(), long)
    assert np.array_equal(windows["embedding"].is_valid().to_numpy(), long)


def test_sums_of_clusters_follow_their_windows(finished: Path) -> None:
    with State(finished) as state:
        groups = state.clusters()
        windows = state.query("SELECT cluster, embedding FROM windows WHERE cluster IS NOT NULL")
    vectors, clusters = embedding_matrix(windows), windows["cluster"].to_numpy()
    assert groups.ids.tolist() == np.unique(clusters).tolist()
    for group, size, total in zip(groups.ids, groups.sizes, groups.sums, strict=True):
        mine = vectors[clusters == group]
        assert len(mine) == size
        assert total == pytest.approx(mine.sum(axis=0), abs=1e-4)


def test_day_by_day_costs_at_most_two_percent_more_than_at_once(finished: Path) -> None:
    windows = contents(finished)["windows"]
    windows = windows.filter(windows["cluster"].is_valid())
    vectors = embedding_matrix(windows)
    graph = DenseGraph(vectors @ vectors.T, SETTINGS.threshold)
    ours = graph.cost(np.unique(windows["cluster"].to_numpy(), return_inverse=True)[1])
    at_once = CorrelationClustering(method="local_search", random_state=0).fit_embeddings(vectors, SETTINGS.threshold)
    assert ours <= 1.02 * at_once.cost_ + 1e-6


def test_a_repeated_input_changes_nothing(days: list[Path], finished: Path) -> None:
    before = contents(finished)
    with State(finished) as state:
        assert update(state, days, read, SETTINGS, embedder=port_shares) == []
    assert contents(finished) == before


def test_clusters_keep_their_ids_and_a_new_actor_is_a_birth(days: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "state.duckdb"
    run(path, days[:2])
    early = contents(path)
    run(path, days)
    late = contents(path)
    assert set(early["clusters"]["cluster"].to_pylist()) <= set(late["clusters"]["cluster"].to_pylist())
    events = late["events"].to_pylist()
    born_late = {event["cluster"] for event in events if event["event"] == "birth" and event["day"] > "2024-03-05"}
    sixth = {f"192.0.2.{s + 1}" for s in range(5, 24, 6)}
    windows = late["windows"].filter(late["windows"]["cluster"].is_valid()).to_pylist()
    assert {w["cluster"] for w in windows if w["source"] in sixth} <= born_late


def test_no_cluster_comes_or_goes_without_an_event(finished: Path) -> None:
    tables = contents(finished)
    events = tables["events"].to_pylist()
    come = [event["cluster"] for event in events if event["event"] in ("birth", "split")]
    gone = [event["cluster"] for event in events if event["event"] == "death"]
    gone += [other for event in events if event["event"] == "merge" for other in event["others"]]
    assert len(set(come)) == len(come)
    assert sorted(set(come) - set(gone)) == tables["clusters"]["cluster"].to_pylist()


def test_a_kill_at_any_moment_loses_and_repeats_nothing(days: list[Path], finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.duckdb"
    command = [sys.executable, made_days.__file__, str(path), *map(str, days)]
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(4):
        process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        wait_for_work(path, process)
        time.sleep(float(rng.uniform(0, 0.4)))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills
    run(path, days)
    resumed, whole = contents(path), contents(finished)
    assert {name for name in TABLES if not resumed[name].equals(whole[name])} == set()


def wait_for_work(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the program has opened its state; before that it imports."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    log = path.with_name(path.name + ".wal")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() or (path.exists() and path.stat().st_mtime_ns != before):
            return
        time.sleep(0.01)


def test_other_settings_and_files_that_are_no_state_are_refused(
    finished: Path, days: list[Path], tmp_path: Path
) -> None:
    more = write_days(tmp_path, 9)[-1:]
    with State(finished) as state, pytest.raises(StateError, match="begun with window 16, not 32"):
        update(state, more, read, AnalysisSettings(threshold=0.6, window=32), embedder=port_shares)
    wrong = tmp_path / "wrong.duckdb"
    wrong.write_bytes(b"no database" * 100)
    for path in (wrong, *more):
        with pytest.raises(StateError, match="cannot open the state"):
            State(path)


def test_a_state_keeps_its_first_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = write_days(tmp_path, 3)
    digests = iter(["one", "another"])

    class LazyEmbedder:
        """Stands for a checkpoint whose weights change under the same name."""

        def __init__(self, model: str | None) -> None:
            self.digest = next(digests)

        def check(self) -> None: ...

        def __call__(self, windows: pa.Table) -> np.ndarray:
            return port_shares(windows)

    monkeypatch.setattr(model, "LazyEmbedder", LazyEmbedder)
    path, settings = tmp_path / "state.duckdb", replace(SETTINGS, model="shipped")
    with State(path) as state:
        update(state, [first, second], read, settings)
    before = contents(path)
    with (
        State(path) as state,
        pytest.raises(StateError, match="a checkpoint that differs from the present shipped"),
    ):
        update(state, [third], read, settings)
    assert all(before[name].equals(rows) for name, rows in contents(path).items())


def test_a_step_of_one_says_so() -> None:
    step = Step("day.csv", "2024-03-04", 1, 1, 0, 1, 0.0, 0.0, 0.1)
    assert str(step).startswith("day.csv: 1 window new or grown, 1 event, 0.10 s; now 1 cluster, cost 0: no")


def test_a_neighbourhood_is_a_cluster_and_those_nearest_to_it() -> None:
    angles = np.radians([0, 20, 90, 110])
    sizes = np.array([10, 5, 10, 5])
    sums = sizes[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    groups = ClusterSums(np.array([3, 4, 7, 9]), sizes, sums)
    found = {frozenset(neighbourhood(groups, 15, seed).tolist()) for seed in range(40)}
    assert found == {frozenset({3, 4}), frozenset({7, 9})}
    assert len(neighbourhood(groups, 1, 0)) == 1
    assert neighbourhood(groups.take(np.zeros(0, dtype=np.int64)), 15, 0).tolist() == []
