"""`telescope evaluate` and `telescope train` pass their options on to the package."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from telescope_transformer.cli import evaluate as command
from telescope_transformer.cli import train
from telescope_transformer.evaluation import actors, within
from telescope_transformer.evaluation.model_arguments import ModelArgument
from telescope_transformer.evaluation.settings import EvaluationSettings
from telescope_transformer.learning import training
from telescope_transformer.learning.arguments import TrainingArguments


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Records the arguments of every call that measures or trains."""
    calls: list[tuple[Any, ...]] = []

    def measure(inputs: list[str], settings: EvaluationSettings) -> tuple[dict, None]:
        calls.append((inputs, settings))
        return {"data": {"name": "x", "window": 8, "splits": [0]}, "methods": {}}, None

    monkeypatch.setattr(within, "evaluate", measure)
    monkeypatch.setattr(training, "train", lambda *arguments: calls.append(arguments))
    return calls


def invoked(function: Any, *arguments: str) -> Result:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(function)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_options_reach_the_evaluation(called: list[tuple[Any, ...]], tmp_path: Path) -> None:
    options = [
        "--columns",
        "src_ip=s",
        "--model",
        "deep@1=shipped",
        "--methods",
        "dante",
        "--splits",
        "1,2",
        "--distinct",
    ]
    assert invoked(command.evaluate, "a.csv", "b.csv", "--output", str(tmp_path), *options).exit_code == 0
    (inputs, settings) = called[0]
    assert inputs == ["a.csv", "b.csv"]
    assert settings == EvaluationSettings(
        models=[ModelArgument("deep", 1, None)],
        methods=("dante",),
        splits=[1, 2],
        columns={"src_ip": "s"},
        distinct=True,
    )


def test_without_a_model_it_measures_the_shipped_one(called: list[tuple[Any, ...]], tmp_path: Path) -> None:
    assert invoked(command.evaluate, "a.csv", "--output", str(tmp_path), "--no-plots").exit_code == 0
    assert called[0][1] == EvaluationSettings(models=[ModelArgument("model", None, None)], splits=[0, 1, 2])


def test_simulated_actors_can_be_printed_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = {"size": "10x9", "seed": 0, "method": "oracle", "figures": {}}
    monkeypatch.setattr(actors, "evaluate_actors", lambda *arguments: [cell])
    arguments = ("10x9", "--truth", "actor", "--output", str(tmp_path))
    assert json.loads(invoked(command.evaluate, *arguments, "--json").stdout)["cells"] == [cell]
    assert invoked(command.evaluate, *arguments).stdout == (tmp_path / "actors.md").read_text()


@pytest.mark.parametrize(
    ("kind", "option", "told"),
    [
        (["--across"], ["--columns", "src_ip=s"], "--columns has no effect with --across"),
        (["--across"], ["--model", "x"], "--model has no effect with --across"),
        (["--across"], ["--hold-out", "source"], "--hold-out has no effect with --across"),
        (["--truth", "actor"], ["--window", "8"], "--window has no effect with --truth"),
        (["--truth", "actor"], ["--test", "a.csv"], "--test has no effect with --truth"),
        (["--truth", "actor"], ["--no-plots"], "--plots has no effect with --truth"),
        ([], ["--only", "x"], "--only has no effect without --across or --truth"),
        ([], ["--cpu"], "--cpu has no effect without --across or --truth"),
    ],
)
def test_options_without_an_effect_are_refused(
    called: list[tuple[Any, ...]], tmp_path: Path, kind: list[str], option: list[str], told: str
) -> None:
    result = invoked(command.evaluate, "plan", *kind, "--output", str(tmp_path), *option)
    assert result.exit_code == 2
    assert told in result.output
    assert not called


def test_splits_that_are_not_numbers_are_refused(called: list[tuple[Any, ...]]) -> None:
    result = invoked(command.evaluate, "a.csv", "--output", "out", "--splits", "0,a")
    assert result.exit_code == 2
    assert "such as 0,1,2" in result.output
    result = invoked(command.evaluate, "a.csv", "--output", "out", "--splits", "0,4294967296")
    assert result.exit_code == 2
    assert "4294967296 is larger than 4294967295" in result.output
    assert not called


def test_training_options_override_the_recipe(called: list[tuple[Any, ...]], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: 7\nseed: 3\nobjective_options: {ignore_siblings: true}\n")
    several = [
        "--dataset",
        "a",
        "--dataset",
        "b",
        "--mix",
        "2",
        "--mix",
        "1",
        "--field-dropout",
        "dst_ip=0.5",
        "--cpu",
    ]
    result = invoked(
        train.train, "--output", "out", "--config", str(recipe), "--seed", "5", "--model", "shipped", *several
    )
    assert result.exit_code == 0, result.output
    paths, arguments, _ = called[0]
    assert paths == training.TrainingPaths([Path("a"), Path("b")], Path("out"), start_from="shipped")
    assert arguments == TrainingArguments(
        steps=7,
        seed=5,
        objective_options={"ignore_siblings": True},
        mix=[2.0, 1.0],
        field_dropout={"dst_ip": 0.5},
        cpu=True,
    )
