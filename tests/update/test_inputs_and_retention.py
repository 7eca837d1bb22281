"""New parts of an input, stored settings, hostile and damaged states, and retention."""

import gzip
import shutil
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_days import DAY, FIRST_DAY, SETTINGS, day_records, port_shares, read, write_days

from telescope_transformer.errors import CheckpointError, InputError, StateError
from telescope_transformer.records.files import InputFile
from telescope_transformer.update import State, update
from telescope_transformer.update.running import settings_of

HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"


def rows(begin: int, end: int, name: int = 0) -> str:
    lines = [
        f"{1_709_510_400 + i * 7},192.0.2.{i % 20},198.51.{name}.{i % 200},tcp,{1000 + i},{[22, 80, 443, 23][i % 4]}\n"
        for i in range(begin, end)
    ]
    return "".join(lines)


def take(state: State, *paths: Path | InputFile, **options):
    return update(state, list(paths), read, SETTINGS, embedder=port_shares, **options)


def kept(state: State) -> int:
    return state.number("SELECT sum(kept) FROM inputs")


def test_only_the_new_part_of_a_grown_file_is_added(tmp_path: Path) -> None:
    log = tmp_path / "today.csv"
    with State(tmp_path / "state.duckdb") as state, State(tmp_path / "whole.duckdb") as whole:
        for end in (300, 700, 1000):
            log.write_text(HEADER + rows(0, end))
            take(state, log)
        take(whole, log)
        assert kept(state) == kept(whole) == 1000
        windows = 'SELECT source, start, "end", n_records FROM windows ORDER BY source, start'
        assert state.query(windows).equals(whole.query(windows))


def test_an_input_may_be_text(tmp_path: Path) -> None:
    log = tmp_path / "today.csv"
    log.write_text(HEADER + rows(0, 300))
    with State(tmp_path / "state.duckdb") as state:
        (step,) = update(state, str(log), read, SETTINGS, embedder=port_shares)
        assert step.path == str(log)
        assert update(state, [str(log)], read, SETTINGS, embedder=port_shares) == []


def test_pipes_of_one_name_are_separate_inputs(tmp_path: Path) -> None:
    copies = [tmp_path / "first copy", tmp_path / "second copy"]
    for number, copy in enumerate(copies):
        copy.write_text(HEADER + rows(300 * number, 300 * number + 300) + "wrong row\n")
    files = [InputFile(copy, name="-", from_pipe=True) for copy in copies]
    with State(tmp_path / "state.duckdb") as state:
        assert [step.path for step in take(state, *files)] == ["-", "-"]
        assert kept(state) == 600
        assert set(state.rejects()["file"].to_pylist()) == {"-"}


def test_a_wrong_model_is_found_before_an_input_is_read(tmp_path: Path) -> None:
    with State(tmp_path / "state.duckdb") as state, pytest.raises(CheckpointError, match="nowhere: no such folder"):
        update(state, "absent.csv", read, replace(SETTINGS, model=str(tmp_path / "nowhere")))


def test_a_replaced_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "today.csv"
    with State(tmp_path / "state.duckdb") as state:
        log.write_text(HEADER + rows(0, 300))
        take(state, log)
        log.write_text(HEADER + rows(0, 400, name=7))
        with pytest.raises(InputError, match="rename the file"):
            take(state, log)
        assert kept(state) == 300


def test_the_same_day_compressed_is_not_taken_twice(tmp_path: Path) -> None:
    plain, packed = tmp_path / "day.csv", tmp_path / "day.csv.gz"
    plain.write_text(HEADER + rows(0, 300))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with State(tmp_path / "state.duckdb") as state:
        assert len(take(state, plain)) == 1
        assert take(state, packed) == []


def test_a_damaged_file_does_not_stop_later_ones_and_a_bare_header_is_a_quiet_day(tmp_path: Path) -> None:
    days = write_days(tmp_path, 2)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 is not enough")
    (tmp_path / "quiet.csv").write_text(HEADER)
    refused: list[InputError] = []
    with State(tmp_path / "state.duckdb") as state:
        done = take(state, days[0], tmp_path / "bad.parquet", tmp_path / "quiet.csv", days[1], refuse=refused.append)
    assert [Path(step.path).name for step in done] == ["day-00.parquet", "quiet.csv", "day-01.parquet"]
    assert len(refused) == 1
    assert "bad.parquet" in str(refused[0])


def test_old_records_are_deleted_without_a_new_file(tmp_path: Path) -> None:
    with State(tmp_path / "state.duckdb") as state:
        take(state, *write_days(tmp_path, 3))
        before = state.number("SELECT count(*) FROM windows")
        take(state, keep_days=1)
        left = state.number("SELECT count(*) FROM windows")
        assert 0 < left < before
        assert state.number('SELECT max("end") - min("end") FROM windows') <= DAY


def test_a_record_of_the_future_does_not_delete_all_others(tmp_path: Path) -> None:
    day = pq.read_table(write_days(tmp_path, 1)[0])
    times = day["timestamp"].cast("int64").to_numpy()
    today = times - times.max() + time.time_ns() // 1000
    for name, values in {"today": today, "future": np.append(today[:-1], 10**16)}.items():
        column = day["timestamp"].type
        moved = day.set_column(day.column_names.index("timestamp"), "timestamp", pa.array(values).cast(column))
        pq.write_table(moved.slice(0 if name == "today" else len(values) - 1), tmp_path / f"{name}.parquet")
    with State(tmp_path / "state.duckdb") as state:
        take(state, tmp_path / "today.parquet", keep_days=2)
        windows = state.number("SELECT count(*) FROM windows")
        take(state, tmp_path / "future.parquet", keep_days=2)
        take(state, keep_days=2)
        assert state.number("SELECT count(*) FROM windows") >= windows > 0


def test_options_that_are_not_given_come_from_the_state(tmp_path: Path) -> None:
    nothing = {"model": None, "threshold": None, "window": None, "min_records": None}
    with State(tmp_path / "state.duckdb") as state:
        assert settings_of(state, **nothing).window == 128
        take(state, *write_days(tmp_path, 1))
        assert settings_of(state, **nothing).window == 16
        assert settings_of(state, **nothing | {"window": 8}).window == 8


def test_an_open_window_is_embedded_once_a_day(tmp_path: Path) -> None:
    """Twelve files of one day: open windows keep their embedding until they close."""
    embedded = []

    def counting(windows: pa.Table) -> np.ndarray:
        embedded.append(windows.num_rows)
        return port_shares(windows)

    day = day_records(0, np.random.default_rng(0))
    with State(tmp_path / "state.duckdb") as state:
        for hour in range(12):
            some = day.filter((day["timestamp"].to_numpy() - FIRST_DAY) // (DAY // 12) == hour)
            path = tmp_path / f"{hour:02d}.parquet"
            pq.write_table(some, path)
            update(state, [path], read, SETTINGS, embedder=counting)
        found = state.query("SELECT window_id, n_records, open, cluster FROM windows WHERE n_records >= 8")
        sizes = state.query("SELECT sum(size)::BIGINT AS n FROM clusters")["n"][0].as_py()
    assert found["cluster"].null_count == 0
    assert sizes == found.num_rows
    assert sum(embedded) <= 2 * found.num_rows


def test_old_windows_are_deleted_and_a_returning_actor_gets_its_id(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)

    def write(day: int, port: int | None = None) -> Path:
        table = day_records(day, rng)
        if port is not None:
            keep = table.slice(0, 200)
            columns = {"src_ip": [f"203.0.113.{i % 5}" for i in range(200)], "dst_port": np.full(200, port, np.uint16)}
            for name, values in columns.items():
                keep = keep.set_column(keep.column_names.index(name), name, pa.array(values))
            table = keep
        path = tmp_path / f"{day:03d}-{port}.parquet"
        pq.write_table(table, path)
        return path

    with State(tmp_path / "state.duckdb") as state:
        take(state, write(0, port=5060), keep_days=10)
        (actor,) = set(state.query("SELECT cluster FROM windows")["cluster"].to_pylist())
        for day in (5, 20, 30):
            take(state, write(day), keep_days=10)
        assert state.number(f'SELECT count(*) FROM windows WHERE "end" < {FIRST_DAY + 20 * DAY}') == 0
        # The state keeps the records of windows, and those of a typical window of each closed cluster.
        without = "closed_records ANTI JOIN windows USING (window_id)"
        assert state.number(f"SELECT count(*) FROM {without} ANTI JOIN retired USING (window_id)") == 0
        kept = f"SELECT count(DISTINCT window_id) FROM {without}"
        n_retired = state.number("SELECT count(*) FROM retired")
        assert state.number(kept) == n_retired > 0
        assert state.query("SELECT cluster FROM retired WHERE cluster = ?", [actor]).num_rows == 1
        step = take(state, write(40, port=5060), keep_days=10)[0]
        assert step.cost >= step.lower_bound >= 0
        now = state.query("SELECT DISTINCT cluster FROM windows WHERE source LIKE '203.0.113.%'")[
            "cluster"
        ].to_pylist()
        assert now == [actor]
        events = state.query("SELECT event FROM events WHERE cluster = ? ORDER BY rowid", [actor])["event"].to_pylist()
        assert events[0] == "birth"
        assert events[-1] == "return"
        assert state.number(kept) == state.number("SELECT count(*) FROM retired")
        assert state.number(f"SELECT size FROM clusters WHERE cluster = {actor}") > 0


def test_ids_of_deleted_windows_whose_records_are_kept_are_not_used_again(tmp_path: Path) -> None:
    """Old files may come after new ones: then the windows with the highest ids are deleted first."""
    with State(tmp_path / "state.duckdb") as state:
        assert state.next_window == 0
        kept = {"cluster": [0], "mean": [[1.0]], "last_seen": [0], "window_id": [7]}
        state.append("retired", pa.table(kept))
        assert state.next_window == 8


def test_a_state_with_a_view_or_another_files_content_is_refused(tmp_path: Path) -> None:
    with State(tmp_path / "state.duckdb") as state:
        take(state, *write_days(tmp_path, 1))
        (tmp_path / "secret").write_text("secret")
        with pytest.raises(StateError, match="disabled"):
            state.query(f"SELECT * FROM read_text('{tmp_path / 'secret'}')")
    with duckdb.connect(str(tmp_path / "state.duckdb")) as connection:
        connection.execute("DROP TABLE rejects")
        connection.execute("CREATE VIEW rejects AS SELECT 'x' AS file")
    with pytest.raises(StateError, match="view"):
        State(tmp_path / "state.duckdb")


def test_a_state_damaged_after_its_header_is_reported(tmp_path: Path) -> None:
    with State(tmp_path / "state.duckdb") as state:
        take(state, *write_days(tmp_path, 2))
    shutil.copy(tmp_path / "state.duckdb", tmp_path / "half.duckdb")
    with (tmp_path / "half.duckdb").open("r+b") as file:
        file.truncate((tmp_path / "half.duckdb").stat().st_size // 2)
    with pytest.raises(StateError, match=r"half\.duckdb"):
        read_all(tmp_path / "half.duckdb")


def read_all(path: Path) -> None:
    with State(path) as state:
        for table in ("windows", "closed_records", "clusters"):
            state.query(f"SELECT * FROM {table}")
