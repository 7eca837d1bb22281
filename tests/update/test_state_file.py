"""State files: after the disk was full, and with names that mean something to DuckDB."""

import json
import os
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from made_days import PORTS, SETTINGS, port_shares, read, write_days

from telescope_transformer.arrays import unit_rows
from telescope_transformer.errors import StateError
from telescope_transformer.update import State, update


def test_an_empty_file_is_a_state_that_has_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "state.duckdb"
    path.touch()
    with State(path) as state:
        state.set("key", "value")
    with State(path) as state:
        assert state.setting("key") == "value"


@pytest.mark.parametrize("name", [":memory:", "md:state", "sqlite:state"])
def test_a_name_that_duckdb_would_interpret_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with State(name) as state:
        state.set("key", "value")
    with State(name) as state:
        assert state.setting("key") == "value"
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize("version", ["3", "6", "six"])
def test_a_state_of_another_release_says_what_to_do(tmp_path: Path, version: str) -> None:
    path = tmp_path / "state.duckdb"
    with State(path) as state:
        state.set("version", version)
    with pytest.raises(StateError, match=f"version {version}, .* versions 4 and 5: continue it with .* begin a new"):
        State(path)


@pytest.mark.parametrize(
    "change",
    ["DROP TABLE conflicts", "ALTER TABLE inputs DROP COLUMN path", "ALTER TABLE windows ALTER label TYPE BIGINT"],
)
def test_a_state_without_one_of_its_columns_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "state.duckdb"
    with State(path) as state:
        state.execute(change)
    with pytest.raises(
        StateError,
        match=r"no (column \w+ of type \w+|constraint NOT NULL on column \w+) in table (conflicts|inputs|windows)",
    ):
        State(path)


@pytest.mark.parametrize("text", ["x", "{}", "[" * 100_000, "[1, 1]", '[1, 1, "x"]', "[NaN, 1, 1]", "[1, 1, true]"])
def test_a_setting_of_another_kind_is_named(tmp_path: Path, text: str) -> None:
    with State(tmp_path / "state.duckdb") as state:
        state.set("certificate", text)
    with pytest.raises(StateError, match=r"state\.duckdb: certificate(\[\d\])? is"):
        State(tmp_path / "state.duckdb")


KNOTS = {"knots": [[-1, 0], [1, 1]], "slope": 8.0}
BEGUN = {"model": None, "window": 8, "min_records": 1, "seed": 0, "checkpoint": None, "chosen_threshold": None}
BEGUN |= {"threshold": 0.5, "scale": 8.0, "calibration": KNOTS}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("window", [], r"settings\.window is '\[\]' and not a count"),
        ("threshold", None, r"settings\.threshold is 'None' and not a number"),
        ("threshold", 2.0, r"settings: threshold 2\.0 and scale 8\.0 are not possible"),
        ("scale", 0, r"settings: threshold 0\.5 and scale 0 are not possible"),
        ("calibration", {}, "settings: knots is 'None' and not a list"),
        ("calibration", KNOTS | {"knots": True}, "settings: knots is 'True' and not a list"),
        ("calibration", KNOTS | {"reliability": ["x"]}, r"settings: reliability\[0\] is 'x' and not an object"),
        ("calibration", KNOTS | {"expected_calibration_error": [[]]}, "settings: expected_calibration_error is"),
        ("calibration", KNOTS | {"knots": [[1]]}, r"settings: knots\[0\] is '\[1\]' and not a list of 2"),
        ("calibration", KNOTS | {"knots": []}, "settings: .* are not possible"),
        ("calibration", KNOTS | {"slope": -1}, "settings: slope -1, .* are not possible"),
    ],
)
def test_a_value_within_a_setting_is_named(tmp_path: Path, name: str, value: object, words: str) -> None:
    with State(tmp_path / "state.duckdb") as state:
        state.set("settings", json.dumps(BEGUN))
        assert state.settings() is not None
        state.set("settings", json.dumps(BEGUN | {name: value}))
        with pytest.raises(StateError, match=rf"state\.duckdb: {words}"):
            state.settings()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with rows in all of its tables, except those of rejects and of an adapted model."""

    def noisy(windows: pa.Table) -> np.ndarray:
        rng = np.random.default_rng(len(windows))
        return unit_rows(port_shares(windows) + rng.normal(scale=0.4, size=(len(windows), len(PORTS))))

    folder = tmp_path_factory.mktemp("begun")
    with State(folder / "state.duckdb") as state:
        update(state, write_days(folder, 5), read, SETTINGS, keep_days=1.5, embedder=noisy)
        assert all(state.number(f"SELECT count(*) FROM {table}") for table in ALTERATIONS)
    return folder / "state.duckdb"


ALTERATIONS = {
    "inputs": ["UPDATE inputs SET kept = NULL", "UPDATE inputs SET size = -1"],
    "windows": [
        "INSERT INTO windows SELECT * FROM windows LIMIT 1",
        "UPDATE windows SET window_id = 9000000000000000000 WHERE window_id = (SELECT max(window_id) FROM windows)",
        "UPDATE windows SET window_id = -1 WHERE window_id = (SELECT max(window_id) FROM windows)",
        'UPDATE windows SET "end" = 9000000000000000000',
        'UPDATE windows SET start = "end" + 1',
        "UPDATE windows SET n_records = n_records + 1 WHERE window_id = (SELECT min(window_id) FROM windows)",
        "UPDATE windows SET open = true, source = '192.0.2.1'",
        "UPDATE windows SET embedding = NULL",
        "UPDATE windows SET embedded_on = NULL",
        "UPDATE windows SET embedding = list_transform(embedding, lambda x: 'nan'::FLOAT)",
        "UPDATE windows SET embedding = list_transform(embedding, lambda x: NULL)",
        "UPDATE windows SET embedding = embedding[1:2]",
        "UPDATE windows SET unblended = [] WHERE unblended IS NOT NULL",
        "UPDATE windows SET cluster = 1000 WHERE cluster IS NOT NULL",
        "DELETE FROM closed_records WHERE window_id IN (SELECT window_id FROM windows)",
    ],
    "open_records": [
        "UPDATE open_records SET window_id = 100000",
        "UPDATE open_records SET src_ip = 'x'",
        "UPDATE open_records SET timestamp = -1",
    ],
    "closed_records": [
        "INSERT INTO closed_records SELECT * REPLACE (1000000 AS window_id) FROM closed_records LIMIT 1"
    ],
    "clusters": [
        "UPDATE clusters SET size = size + 1",
        "UPDATE clusters SET total = list_transform(total, lambda x: 'inf'::DOUBLE)",
        "INSERT INTO clusters SELECT * FROM clusters LIMIT 1",
        "INSERT INTO clusters SELECT * REPLACE (99999 AS cluster) FROM clusters LIMIT 1",
    ],
    "retired": [
        "INSERT INTO retired SELECT cluster, total, 0, 0 FROM clusters",
        "UPDATE retired SET window_id = (SELECT max(window_id) FROM windows)",
        "UPDATE retired SET mean = [1, 2]",
        "UPDATE retired SET last_seen = -1",
    ],
    "conflicts": [
        "UPDATE conflicts SET a = -1",
        "UPDATE conflicts SET b = 1000000",
        "UPDATE conflicts SET c = b",
        "UPDATE conflicts SET amount = 'nan'",
    ],
    "events": [
        "UPDATE events SET event = 'x'",
        "UPDATE events SET day = 'x'",
        "UPDATE events SET others = [NULL]",
        "UPDATE events SET cluster = -1",
    ],
}


@pytest.mark.parametrize(
    ("table", "change"), [(table, change) for table, changes in ALTERATIONS.items() for change in changes]
)
def test_an_altered_row_is_named_when_the_state_is_opened(
    begun: Path, tmp_path: Path, table: str, change: str
) -> None:
    path = tmp_path / "state.duckdb"
    shutil.copy(begun, path)
    with duckdb.connect(path) as altered:
        altered.execute(change)
    with pytest.raises(
        StateError, match=rf"state\.duckdb: table [a-z_, ]*{table}.*: the state was altered or damaged"
    ):
        State(path)


@pytest.mark.parametrize(("table", "column"), [("windows", "start"), ("conflicts", "a"), ("clusters", "total")])
def test_a_column_that_may_have_gaps_is_named(begun: Path, tmp_path: Path, table: str, column: str) -> None:
    path = tmp_path / "state.duckdb"
    shutil.copy(begun, path)
    with duckdb.connect(path) as altered:
        altered.execute(f"ALTER TABLE {table} ALTER {column} DROP NOT NULL")
    with pytest.raises(StateError, match=rf"no constraint NOT NULL on column {column} in table {table}"):
        State(path)


def test_a_pipe_or_a_folder_is_no_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(StateError, match=f"^{path}: cannot open the state: not a regular file"):
            State(path)
