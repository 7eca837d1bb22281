"""`telescope update` and `watch` as commands: messages of each step, and damaged files."""

import gzip
import json
from functools import partial
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from made_days import SETTINGS, port_shares, read, write_days
from typer.testing import CliRunner

from telescope_transformer import model_files
from telescope_transformer.analysis import AnalysisSettings
from telescope_transformer.cli.main import app
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.model_files import load_network
from telescope_transformer.update import State, update

pytestmark = pytest.mark.skipif(
    not (SHIPPED_CHECKPOINT / "model.safetensors").is_file(), reason="no checkpoint is shipped"
)


def compressed(day: Path) -> Path:
    path = day.with_suffix(".csv.gz")
    with gzip.open(path, "wb") as file:
        pa_csv.write_csv(pq.read_table(day), file)
    return path


def test_each_step_says_its_certificate_and_a_damaged_file_is_left_whole(tmp_path: Path) -> None:
    state, days = tmp_path / "state.duckdb", [compressed(day) for day in write_days(tmp_path, 2)]
    whole = days[1].read_bytes()
    days[1].write_bytes(whole[:-40])
    command = ["update", *map(str, days), "--state", str(state), "--window", "16", "--inactivity", "30"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 1
    assert first.output.count(f"error: {days[1]}") == 1
    assert "of which another clustering could save" in first.output
    days[1].write_bytes(whole)
    second = CliRunner().invoke(app, command)
    assert second.exit_code == 0
    assert "already added" in second.output
    assert "Loading weights" not in second.output
    with State(state) as opened:
        assert opened.number("SELECT count(*) FROM inputs") == 2
        kept = opened.number("SELECT sum(kept) FROM inputs")
    assert kept == sum(pq.read_table(path).num_rows for path in sorted(tmp_path.glob("*.parquet")))


def test_watch_names_an_unreadable_file_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telescope_transformer.update.update", partial(update, embedder=port_shares))
    folder, state = tmp_path / "in", tmp_path / "state.duckdb"
    folder.mkdir()
    write_days(folder, 1)
    (folder / "a-poisoned.json").write_bytes(b'{"ts": 1' + b"0" * 40 + b', "label": "\\ud800", "\xff": [[[[\n' * 3)
    (folder / "b-notes.txt").write_text("Nothing to read here.\n")
    command = ["watch", str(folder), "--state", str(state), "--once", "--interval", "0"]
    command += ["--window", "16", "--threshold", "0.6"]
    for _ in range(2):
        # The second run is a restart: it finds the same files, and must not stop at the first one either.
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "error: " in done.output
        assert "b-notes.txt" in done.output
        assert "Traceback" not in done.output
    with State(state) as opened:
        assert opened.number("SELECT count(*) FROM inputs WHERE kept > 0") == 1


def test_watch_writes_the_report_that_its_last_run_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.duckdb"
    folder.mkdir()
    with State(state) as opened:
        update(opened, write_days(folder, 1), read, SETTINGS, embedder=port_shares)
        digest = opened.inputs()["digest"][0].as_py()
    told: list[Path] = []

    class Summary:
        def write(self, output: Path) -> Path:
            told.append(output)
            output.mkdir()
            (output / "clusters.json").write_text(json.dumps({"id": digest, "counts": {"inputs": 1}}))
            return output

    monkeypatch.setattr("telescope_transformer.update.summary.summarise", lambda *given, **options: Summary())
    monkeypatch.setattr("telescope_transformer.update.update", lambda *given, **options: [])
    for _ in range(2):
        command = ["watch", str(folder), "--state", str(state), "--output", str(tmp_path / "out"), "--once"]
        done = CliRunner().invoke(app, [*command, "--interval", "0"])
        assert done.exit_code == 0, done.output
    assert told == [tmp_path / "out"]


@pytest.mark.parametrize("command", ["update {state} {day}", "watch {folder} --once --state {state}"])
def test_a_wrong_option_is_found_before_there_is_a_state(tmp_path: Path, command: str) -> None:
    state, day = tmp_path / "state.duckdb", tmp_path / "day.csv"
    day.write_text("timestamp,src_ip\n")
    words = command.format(state=state, day=day, folder=tmp_path).split()
    done = CliRunner().invoke(app, [*words, "--keep", "3x"])
    assert done.exit_code == 2
    assert not state.exists()


def test_quiet_commands_still_tell_every_file_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"PAR1 and nothing more")
    state = str(tmp_path / "state.duckdb")
    inputs = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    taken = CliRunner().invoke(app, ["update", state, *inputs, "--quiet"])
    assert taken.exit_code == 1
    lines = [line for line in taken.output.splitlines() if line]
    assert len(lines) == 2
    assert all(line.startswith(f"error: {each}: ") for line, each in zip(lines, inputs, strict=True))
    watched = CliRunner().invoke(
        app, ["watch", str(tmp_path), "--state", state, "--once", "--interval", "0.1", "--quiet"]
    )
    assert f"error: {inputs[0]}" in watched.output


def test_a_given_model_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that finds a damaged one before records are read is also the load."""
    loaded = []

    def load(folder: Path) -> tuple:
        loaded.append(folder)
        return load_network(folder)

    monkeypatch.setattr(model_files, "load_network", load)
    with State(tmp_path / "state.duckdb") as state:
        settings = AnalysisSettings(model=str(SHIPPED_CHECKPOINT), window=16, threshold=0.6)
        assert update(state, write_days(tmp_path, 1), read, settings)
    assert loaded == [SHIPPED_CHECKPOINT]
