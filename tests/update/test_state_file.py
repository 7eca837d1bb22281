"""State files after the disk was full."""

from pathlib import Path

from telescope_transformer.update import State


def test_an_empty_file_is_a_state_that_has_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "state.duckdb"
    path.touch()
    with State(path) as state:
        state.set("key", "value")
    with State(path) as state:
        assert state.setting("key") == "value"
