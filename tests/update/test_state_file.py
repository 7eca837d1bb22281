"""State files: after the disk was full, and with names that mean something to DuckDB."""

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


@pytest.mark.parametrize("text", ["x", "{}", "[" * 100_000])
def test_a_setting_of_another_kind_is_named(tmp_path: Path, text: str) -> None:
    with State(tmp_path / "state.duckdb") as state:
        state.set("certificate", text)
        with pytest.raises(StateError, match="certificate is"):
            current(state)
