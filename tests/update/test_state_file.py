"""State files: after the disk was full, and with names that mean something to DuckDB."""

from pathlib import Path

import pytest

from telescope_transformer.update import State


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
