"""The command that is run for new clusters."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.update import State
from telescope_transformer.update.notifier import Notifier

LINE = {"cluster": 7, "name": "$(touch run); `touch run`", "text": "A new cluster."}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(tmp_path / "state.duckdb") as opened:
        yield opened


def test_a_new_cluster_is_reported_once_and_without_a_shell(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = (
        "import sys; open('told', 'a').write(sys.stdin.read() + chr(10)); open('arguments', 'w').write(sys.argv[1])"
    )
    command = f'{sys.executable} -c "{program}" "; touch run"'
    for lines in ([LINE], [LINE], [LINE, {**LINE, "cluster": 8}]):
        # Each iteration stands for another run of `watch`.
        Notifier(command, say_error=pytest.fail).notify(lines, state)
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [[one["cluster"] for one in lines] for lines in told] == [[7], [8]]
    assert (tmp_path / "arguments").read_text() == "; touch run"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["no-such-program", f"{sys.executable} -c 'raise SystemExit(3)'"])
def test_a_failing_command_is_reported_and_run_again_the_next_time(command: str, state: State) -> None:
    said: list[str] = []
    notifier = Notifier(command, say_error=said.append)
    notifier.notify([LINE], state)
    notifier.notify([LINE], state)
    assert len(said) == 2
    assert all(message.startswith(command.split(" ")[0]) for message in said)


def test_clusters_whose_report_failed_are_reported_even_if_they_are_no_longer_new(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Notifier("false", say_error=lambda _: None).notify([LINE], state)
    keep = f"{sys.executable} -c \"import sys; open('told', 'w').write(sys.stdin.read())\""
    Notifier(keep, say_error=pytest.fail).notify([{**LINE, "cluster": 8}], state)
    assert [line["cluster"] for line in json.loads((tmp_path / "told").read_text())] == [7, 8]
    (tmp_path / "told").unlink()
    Notifier(keep, say_error=pytest.fail).notify([], state)
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize("command", ["", "a 'b"])
def test_an_unusable_command_is_refused(command: str) -> None:
    with pytest.raises(InputError, match="--on-new"):
        Notifier(command, say_error=pytest.fail)
