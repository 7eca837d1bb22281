"""`telescope evaluate` starts the program with the options that it was given."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from telescope_transformer.cli import evaluate as command
from training.evaluation.arguments import ModelArgument, parser


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of every program that the command would start."""
    calls: list[list[str]] = []
    monkeypatch.setattr(command, "run_module", lambda module, arguments: calls.append([module, *arguments]))
    return calls


def invoked(*arguments: str) -> Result:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(command.evaluate)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def run(*arguments: str) -> None:
    assert invoked(*arguments).exit_code == 0


def test_options_reach_the_program(started: list[list[str]]) -> None:
    options = {"--output": "out", "--columns": "src_ip=s", "--model": "deep@1=runs/x", "--methods": "dante"}
    run("a.csv", "b.csv", "--splits", "1,2", *(word for option in options.items() for word in option))
    module, *arguments = started[0]
    assert module == "training.evaluate"
    parsed = parser("training.evaluate", ()).parse_args(arguments)
    assert parsed.inputs == ["a.csv", "b.csv"]
    assert parsed.output == Path("out")
    assert parsed.columns == {"src_ip": "s"}
    assert parsed.model == [ModelArgument("deep", 1, "runs/x")]
    assert parsed.methods == ["dante"]
    assert parsed.splits == [1, 2]
    assert not parsed.distinct


def test_without_a_model_it_measures_the_shipped_one(started: list[list[str]]) -> None:
    run("a.csv", "--output", "out", "--no-plots", "--distinct")
    options = parser("training.evaluate", ("dante",)).parse_args(started[0][1:])
    assert options.model == [ModelArgument("model", None, None)]
    assert options.methods == ["dante"]
    assert options.no_plots
    assert options.distinct


def test_splits_that_are_no_numbers_are_refused_by_the_command_itself(started: list[list[str]]) -> None:
    result = invoked("a.csv", "--output", "out", "--splits", "0,a")
    assert result.exit_code == 2
    assert "--splits" in result.output
    assert "such as 0,1,2" in result.output
    assert not started


@pytest.mark.parametrize("option", [("--methods", "nonsense"), ("--hold-out", "colour"), ("--model", "deep@x=runs")])
def test_other_mistakes_are_told_without_the_usage_of_the_program(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parser("training.evaluate", ()).parse_args(["a.csv", "--output", "out", *option])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: argument {option[0]}: ")
