"""The work of a day grows with the day, not with the days before. Work is counted, not timed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_days import DAY, FIRST_DAY, SETTINGS, read

from telescope_transformer.arrays import unit_rows
from telescope_transformer.update import State, certificate, step, update

N_DAYS, SOURCES = 12, 40
PAIRS = 6


def days_of_strangers(folder: Path) -> list[Path]:
    """Each day has the same number of new sources, with one window of records each."""
    paths = []
    for day in range(N_DAYS):
        source = np.repeat(np.arange(SOURCES) + day * SOURCES, SETTINGS.window)
        columns = {
            "timestamp": FIRST_DAY + day * DAY + np.arange(len(source)),
            "src_ip": [f"2001:db8::{number:x}" for number in source],
            "dst_ip": ["2001:db8:1::1"] * len(source),
            "protocol": pa.array(np.full(len(source), 6), pa.uint8()),
            "src_port": pa.array(np.full(len(source), 40_000), pa.uint16()),
            "dst_port": pa.array(np.full(len(source), 23), pa.uint16()),
        }
        paths.append(folder / f"day-{day:02d}.parquet")
        pq.write_table(pa.table(columns), paths[-1])
    return paths


def test_a_late_day_touches_and_packs_no_more_than_its_windows_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows scattered around few centres attract windows of many clusters, and of more each day."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 6))
    packed = []

    def scattered(windows: pa.Table) -> np.ndarray:
        return unit_rows(centres[rng.integers(0, 5, windows.num_rows)] + rng.normal(size=(windows.num_rows, 6)))

    def counting(vectors, labels, pairs, threshold, kept):
        packed.append(len(pairs))
        return original(vectors, labels, pairs, threshold, kept)

    original = certificate.pack
    monkeypatch.setattr(certificate, "pack", counting)
    monkeypatch.setattr(certificate, "PAIRS_PER_WINDOW", PAIRS)
    monkeypatch.setattr(step, "MOVABLE_WINDOWS", SOURCES)
    monkeypatch.setattr(step, "MOVABLE_PER_NEW", 1)
    monkeypatch.setattr(step, "CLUSTERS_PER_NEW", 1)
    with State(tmp_path / "state.duckdb") as state:
        steps = update(state, days_of_strangers(tmp_path), read, SETTINGS, embedder=scattered)
        nodes = state.query("SELECT nodes FROM inputs ORDER BY path")["nodes"].to_numpy()
        kept = state.number("SELECT count(*) FROM conflicts")
    assert {one.windows for one in steps} == {SOURCES}
    # For each window: itself, an old window that it may move, and a cluster that it may join.
    assert (nodes[1:] <= 3 * SOURCES).all()
    # By now, each window may account for hundreds of pairs; moved windows have as many as new ones.
    assert max(packed) <= 2 * PAIRS * SOURCES
    assert kept <= 3 * sum(packed)
    late, early = slice(-3, None), slice(2, 5)
    assert np.mean(nodes[late]) < 1.3 * np.mean(nodes[early])
    assert np.mean(packed[late]) < 1.3 * np.mean(packed[early])
    assert 0 < steps[-1].lower_bound <= steps[-1].cost


def test_a_large_input_is_taken_in_steps_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def noting(groups, free, homes, threshold, **more):
        sizes.append(int((free.clusters < 0).sum()))
        return original(groups, free, homes, threshold, **more)

    original = step.next_step
    monkeypatch.setattr(step, "next_step", noting)
    monkeypatch.setattr(step, "LARGEST_STEP", 15)
    rng = np.random.default_rng(0)
    days = days_of_strangers(tmp_path)[:2]
    with State(tmp_path / "state.duckdb") as state:
        update(state, days, read, SETTINGS, embedder=lambda windows: unit_rows(rng.normal(size=(len(windows), 4))))
        assert state.number("SELECT sum(size) FROM clusters") == 2 * SOURCES
    assert sizes == [15, 15, 10]
