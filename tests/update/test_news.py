"""The command that is run for new clusters."""

import json
import sys
from pathlib import Path

import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.update.news import NewsTeller

LINE = {"cluster": 7, "name": "$(touch run); `touch run`", "text": "A new cluster."}


def test_a_new_cluster_is_reported_once_and_without_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = (
        "import sys; open('told', 'a').write(sys.stdin.read() + chr(10)); open('arguments', 'w').write(sys.argv[1])"
    )
    teller = NewsTeller(f'{sys.executable} -c "{program}" "; touch run"', say=pytest.fail)
    teller.tell([LINE])
    teller.tell([LINE])
    teller.tell([LINE, {**LINE, "cluster": 8}])
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [[one["cluster"] for one in lines] for lines in told] == [[7], [8]]
    assert (tmp_path / "arguments").read_text() == "; touch run"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["no-such-program", f"{sys.executable} -c 'raise SystemExit(3)'"])
def test_a_failing_command_is_reported_and_the_watch_continues(command: str) -> None:
    said: list[str] = []
    NewsTeller(command, say=said.append).tell([LINE])
    assert len(said) == 1
    assert said[0].startswith("error: ")


@pytest.mark.parametrize("command", ["", "a 'b"])
def test_an_unusable_command_is_refused(command: str) -> None:
    with pytest.raises(InputError, match="--on-new"):
        NewsTeller(command, say=pytest.fail)
