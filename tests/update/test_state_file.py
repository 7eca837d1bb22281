"""State files: after the disk was full, and with names that mean something to DuckDB."""

import json
from pathlib import Path

import pytest

from telescope_transformer.errors import StateError
from telescope_transformer.update import State
from telescope_transformer.update.certificate import current


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
    with pytest.raises(StateError, match=r"no column \w+ of type \w+ in table (conflicts|inputs|windows)"):
        State(path)


@pytest.mark.parametrize("text", ["x", "{}", "[" * 100_000, "[1, 1]", '[1, 1, "x"]', "[NaN, 1, 1]", "[1, 1, true]"])
def test_a_setting_of_another_kind_is_named(tmp_path: Path, text: str) -> None:
    with State(tmp_path / "state.duckdb") as state:
        state.set("certificate", text)
        with pytest.raises(StateError, match=r"state\.duckdb: certificate(\[\d\])? is"):
            current(state)


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
