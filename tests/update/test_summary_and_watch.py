"""The report of a running analysis, the watched folder, and the identities of clusters."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_days import SETTINGS, port_shares, run, write_days

from telescope_transformer.calibration import Calibration
from telescope_transformer.cli.report import report
from telescope_transformer.errors import InputError, StateError
from telescope_transformer.export.members import load_members
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.report import analyses_below
from telescope_transformer.update import State, watching
from telescope_transformer.update.identity import Event, inherit
from telescope_transformer.update.model import StateModel
from telescope_transformer.update.summary import folder_of, summarise
from telescope_transformer.update.watching import candidates, new_files


def test_the_summary_has_the_tables_of_an_analysis_by_stable_ids(tmp_path: Path) -> None:
    state_file, out = tmp_path / "state.duckdb", tmp_path / "out"
    run(state_file, write_days(tmp_path, 4))
    with State(state_file) as state:
        report = summarise(state, time_limit=5, granularity=True, embedder=port_shares).write(out)
        ids = state.query("SELECT window_id, cluster FROM windows WHERE cluster IS NOT NULL")
        kept = state.query("SELECT sum(kept)::BIGINT AS kept FROM inputs")["kept"][0].as_py()
    windows = pq.read_table(out / "windows.parquet")
    of_state = dict(zip(ids["window_id"].to_pylist(), ids["cluster"].to_pylist(), strict=True))
    assert dict(zip(windows["window_id"].to_pylist(), windows["cluster"].to_pylist(), strict=True)) == of_state
    summary = json.loads((out / "clusters.json").read_text())
    assert [profile["cluster"] for profile in summary["clusters"]] == sorted(set(of_state.values()))
    assert {near["cluster"] for p in summary["clusters"] for near in p["nearest"]} <= set(of_state.values())
    assert summary["counts"]["kept"] == kept
    largest = max(summary["clusters"], key=lambda profile: profile["n_windows"])
    assert largest["why"][0]["field"] == "services"
    assert 0 < largest["stability"] <= 1
    levels = pq.read_table(out / "granularity.parquet")
    assert levels["at_0.600"].to_pylist() == windows["cluster"].to_pylist()
    assert summary["solution"]["cost"] >= (summary["solution"]["lower_bound"] or 0) - 1e-6
    assert 'id="history"' in report.read_text()


def test_names_of_clusters_last_and_each_day_has_its_folder(tmp_path: Path) -> None:
    state_file, days = tmp_path / "state.duckdb", write_days(tmp_path, 3)
    names = []
    for taken in (days[:2], days[2:]):
        run(state_file, taken)
        with State(state_file) as state:
            whole = summarise(state, time_limit=1, embedder=port_shares)
            whole.write(folder_of(whole, tmp_path / "out", daily=True))
        names.append({profile["cluster"]: profile["name"] for profile in whole.clusters})
    first, second = names
    assert len(set(second.values())) == len(second)
    lasting = first.keys() & second.keys()
    assert lasting
    assert {cluster: second[cluster] for cluster in lasting} == {cluster: first[cluster] for cluster in lasting}
    assert [one.name for one in analyses_below(tmp_path / "out")] == ["2024-03-06", "2024-03-05"]
    with pytest.raises(InputError, match=r"2 in its subfolders.*2024-03-06.*telescope compare"):
        report(tmp_path / "out")
    kept = load_members(tmp_path / "out" / "2024-03-05")
    assert {kept.name(cluster) for cluster in kept.clusters} <= set(first.values())


def test_a_threshold_of_the_users_own_keeps_the_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `analyze`, weights stay in nats, and the reliability diagram and confidences are kept."""
    monkeypatch.setattr(StateModel, "calibration", lambda *_: Calibration.load(SHIPPED_CHECKPOINT))
    state_file, out = tmp_path / "state.duckdb", tmp_path / "out"
    run(state_file, write_days(tmp_path, 2))
    with State(state_file) as state:
        stored = state.settings()
        whole = summarise(state, time_limit=1, embedder=port_shares)
    whole.write(out)
    slope = stored["calibration"]["slope"]
    assert (stored["threshold"], stored["scale"]) == (SETTINGS.threshold, slope)
    assert (whole.solution["threshold"], whole.solution["scale"]) == (SETTINGS.threshold, slope)
    assert whole.calibration is not None
    assert load_members(out).sources["confidence"].null_count == 0


def test_an_empty_state_has_no_summary(tmp_path: Path) -> None:
    with State(tmp_path / "state.duckdb") as state, pytest.raises(StateError, match="nothing has been added"):
        summarise(state)


@pytest.mark.parametrize("before", [False, True])
def test_a_state_without_windows_has_a_report(tmp_path: Path, before: bool) -> None:
    """Before the first window, and after all windows have been deleted."""
    days = [*(write_days(tmp_path, 1) if before else []), tmp_path / "late.csv"]
    text = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n2025-01-01 00:00:00,203.0.113.9,192.0.2.1,6,4000,22\n"
    days[-1].write_text(text)
    run(tmp_path / "state.duckdb", days, keep_days=30)
    with State(tmp_path / "state.duckdb") as state:
        whole = summarise(state, granularity=True)
    assert (whole.windows.num_rows, whole.clusters, whole.solution["cost"]) == (0, [], 0)
    whole.write(tmp_path / "out")
    assert load_members(tmp_path / "out").clusters == []
    said = whole.report_data().first_screen()["sentences"]
    assert said[0] == "On 1 January 2025, 1 source sent 1 record."
    assert said[1] == "None of them is in a cluster; 1 sent too few records to be in a cluster."


def test_files_are_added_once_when_complete_and_again_when_they_have_grown(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", ".hidden", "c.csv.part", "empty.csv"):
        (tmp_path / name).write_text("" if name == "empty.csv" else "x")
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            (tmp_path / "a.csv").write_text("xx")
        if looks == 4:
            (tmp_path / "b.csv").write_text("xx")
        return looks == 7

    # The file that grew after it was added comes again.
    assert [path.name for path in new_files(tmp_path, interval=0, stop=stop)] == ["b.csv", "a.csv", "b.csv"]
    assert [path.name for path in candidates(tmp_path)] == ["a.csv", "b.csv", "empty.csv"]


def test_a_file_that_is_moved_away_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.setattr(watching, "candidates", lambda folder: [folder / "a.csv", folder / "gone.csv"])
    looks = iter([False, True])
    assert list(new_files(tmp_path, interval=0, stop=lambda: next(looks))) == [tmp_path / "a.csv"]


def test_what_is_not_a_file_is_skipped_and_a_file_of_the_same_size_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "locked").symlink_to("elsewhere")
    reached = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return reached(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks == 2:
            (tmp_path / "a.csv").write_text("y")
            os.utime(tmp_path / "a.csv", (1, 1))
        return looks == 4

    assert [path.name for path in new_files(tmp_path, interval=0, stop=stop)] == ["a.csv", "a.csv"]


@pytest.mark.parametrize(
    ("labels", "former", "ids", "events"),
    [
        ([0, 0, 1], [5, -1, -1], [5, 9], [Event("birth", 9, (), 1)]),
        ([0, 0, 0], [5, 6, 6], [6], [Event("merge", 6, (5,), 3)]),
        ([0, 0, 1], [5, 5, 5], [5, 9], [Event("split", 9, (5,), 1)]),
        ([0, 1, 0, 1], [5, 5, 6, 7], [6, 7], [Event("death", 5, (6, 7), 2)]),
    ],
)
def test_ids_follow_the_larger_half(labels: list, former: list, ids: list, events: list) -> None:
    found = inherit(np.array(labels), np.array(former), np.ones(len(labels)), next_id=9)
    assert found.ids.tolist() == ids
    assert found.events == events
