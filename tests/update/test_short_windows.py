"""Sources with few records in a running analysis: the report places them as `analyze` does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_days import DAY, FIRST_DAY, PORTS, SETTINGS, day_records, port_shares, read, write_days
from sklearn.metrics import adjusted_rand_score

from telescope_transformer.analysis import Analysis, analyze, clustering_stage
from telescope_transformer.analysis import run as analysis_run
from telescope_transformer.errors import StateError
from telescope_transformer.export.members import load_members
from telescope_transformer.hub import SHIPPED
from telescope_transformer.update import State, update
from telescope_transformer.update.running import settings_of
from telescope_transformer.update.summary import summarise

PLACING = replace(SETTINGS, min_records=1)
# Two sources of each of the first three actors, and one of the fifth with a single record.
SHORT = {f"203.0.113.{number}": number % 3 for number in range(6)}
ONCE = "203.0.113.99"


def short_day(path: Path, day: int, n_records: int = 3) -> Path:
    """A day on which only sources with few records are active."""
    actors = np.repeat(list(SHORT.values()), n_records)
    ports = PORTS[np.append(actors, 4)]
    columns = {
        "timestamp": FIRST_DAY + day * DAY + np.arange(len(ports)) * 1_000_000,
        "src_ip": [*np.repeat(list(SHORT), n_records).tolist(), ONCE],
        "dst_ip": ["198.51.100.1"] * len(ports),
        "protocol": pa.array(np.full(len(ports), 6), pa.uint8()),
        "src_port": pa.array(np.full(len(ports), 40_000), pa.uint16()),
        "dst_port": pa.array(ports, pa.uint16()),
    }
    pq.write_table(pa.table(columns), path)
    return path


def take(state: State, paths: list[Path], **options: Any) -> None:
    update(state, paths, read, PLACING, embedder=port_shares, **options)


def summary(state: State, **options: Any) -> Analysis:
    return summarise(state, time_limit=1.0, embedder=port_shares, **options)


def of_sources(whole: Analysis, column: str) -> dict[str, Any]:
    names = whole.sources["source"].to_pylist()
    return dict(zip(names, whole.sources[column].to_pylist(), strict=True))


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    return write_days(tmp_path, 5)


def test_short_windows_join_clusters_and_change_none(days: list[Path], tmp_path: Path) -> None:
    clusters = "SELECT cluster, size FROM clusters ORDER BY cluster"
    said: list[str] = []
    with State(tmp_path / "state.duckdb") as state:
        take(state, days)
        before = state.query(clusters)
        without = of_sources(summary(state), "cluster")
        take(state, [short_day(tmp_path / "short.parquet", 5)])
        assert state.query(clusters).equals(before)
        whole = summary(state, say=said.append)
    found = of_sources(whole, "cluster")
    assert {name: cluster for name, cluster in found.items() if name in without} == without
    # A source of an actor is in the cluster to which most long sources of the actor belong.
    for name, actor in SHORT.items():
        long = [without[f"192.0.2.{s + 1}"] for s in range(actor, 24, 6)]
        assert found[name] == max(set(long), key=long.count)
    placement = of_sources(whole, "placement")
    assert all(placement[name] >= 0.5 for name in SHORT)
    assert placement["192.0.2.1"] is None
    assert "of fewer than 8 records placed in clusters" in said[0]
    profile = {one["cluster"]: one for one in whole.clusters}[found["203.0.113.0"]]
    assert profile["n_windows"] == sum(whole.windows["cluster"].to_numpy() == profile["cluster"])
    whole.write(tmp_path / "out")
    members = load_members(tmp_path / "out").sources
    exported = dict(zip(members["source"].to_pylist(), members["cluster"].to_pylist(), strict=True))
    assert {name: exported[name] for name in SHORT} == {name: found[name] for name in SHORT}


def test_without_evidence_short_windows_are_left_alone(tmp_path: Path) -> None:
    """A day of few sources has too few windows that can be cut down."""
    with State(tmp_path / "state.duckdb") as state:
        take(state, [*write_days(tmp_path, 1), short_day(tmp_path / "short.parquet", 1)])
        whole = summary(state)
    lone = {*SHORT, ONCE}
    assert {of_sources(whole, "cluster")[name] for name in lone} == {None}
    assert {of_sources(whole, "placement")[name] for name in lone} == {0.0}
    assert not lone & set(whole.windows["source"].to_pylist())
    whole.write(tmp_path / "out")
    assert not lone & set(load_members(tmp_path / "out").sources["source"].to_pylist())
    n_short = sum(cluster is None for cluster in of_sources(whole, "cluster").values())
    assert f"{n_short} sent too few records to be in a cluster" in whole.report_data().first_screen()["sentences"][1]


def test_a_source_that_has_grown_is_clustered_and_old_short_windows_are_deleted(
    days: list[Path], tmp_path: Path
) -> None:
    with State(tmp_path / "state.duckdb") as state:
        take(state, [*days, short_day(tmp_path / "first.parquet", 5)])
        assert of_sources(summary(state), "placement")["203.0.113.0"] is not None
        take(state, [short_day(tmp_path / "second.parquet", 6, n_records=5)])
        whole = summary(state)
        assert of_sources(whole, "placement")["203.0.113.0"] is None
        assert of_sources(whole, "n_records")["203.0.113.0"] == 8
        assert state.number("SELECT count(*) FROM windows WHERE cluster IS NOT NULL AND source = '203.0.113.0'") == 1
        assert ONCE in of_sources(whole, "cluster")
        later = tmp_path / "later.parquet"
        pq.write_table(day_records(20, np.random.default_rng(1)), later)
        take(state, [later], keep_days=10)
        assert not {*SHORT, ONCE} & of_sources(summary(state), "cluster").keys()


def test_update_places_the_sources_that_analyze_places(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PortShares:
        model = SHIPPED
        digest = "ports"

        def __init__(self, model: str | None) -> None: ...

        def check(self) -> None: ...

        def __call__(self, windows: pa.Table) -> np.ndarray:
            return port_shares(windows)

    for module in (analysis_run, clustering_stage):
        monkeypatch.setattr(module, "LazyEmbedder", PortShares)
    records = pa.concat_tables([pq.read_table(path) for path in (*days, short_day(tmp_path / "short.parquet", 5))])
    pq.write_table(records, tmp_path / "all.parquet")
    at_once = analyze(tmp_path / "all.parquet", replace(PLACING, model=SHIPPED))
    with State(tmp_path / "state.duckdb") as state:
        take(state, [tmp_path / "all.parquet"])
        running = summary(state)
    n_records = of_sources(running, "n_records")
    short = [name for name in n_records if n_records[name] < 8]
    theirs, ours = ({name: of_sources(one, "placement")[name] for name in short} for one in (at_once, running))
    assert ours == pytest.approx(theirs, abs=0.05)
    placed = [name for name in short if ours[name] >= 0.5]
    assert {*SHORT, ONCE} < set(placed)
    theirs, ours = (of_sources(one, "cluster") for one in (at_once, running))
    known = [name for name, cluster in ours.items() if cluster is not None]
    assert adjusted_rand_score([theirs[name] for name in known], [ours[name] for name in known]) == 1.0
    for column in ("n_records", "n_windows", "first_seen", "last_seen", "service", "services"):
        assert of_sources(at_once, column) == of_sources(running, column)


def test_an_earlier_state_places_short_windows_too(days: list[Path], tmp_path: Path) -> None:
    """It had 8 as the fewest records of a window, and shorter windows waited."""
    nothing = {"model": None, "threshold": None, "window": None}
    with State(tmp_path / "state.duckdb") as state:
        take(state, days)
        stored = json.loads(state.setting("settings") or "{}")
        del stored["core_records"]
        state.set("settings", json.dumps(stored | {"min_records": 8}))
        assert settings_of(state, **nothing, min_records=None).min_records == 1
        settings = settings_of(state, **nothing, min_records=8)
        short = short_day(tmp_path / "short.parquet", 5)
        update(state, [short], read, settings, embedder=port_shares)
        assert of_sources(summary(state), "cluster")["203.0.113.0"] is None
        settings = settings_of(state, **nothing, min_records=2)
        update(state, [short], read, settings, embedder=port_shares)
        found = of_sources(summary(state), "cluster")
        assert found["203.0.113.0"] is not None
        assert found[ONCE] is None
        with pytest.raises(StateError, match="windows of 8 records or more, not of 12"):
            update(state, [short], read, replace(settings, min_records=12), embedder=port_shares)
