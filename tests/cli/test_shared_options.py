"""Options of every command, and the sources of their defaults: command line, variables, telescope.toml."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from telescope_transformer.cli.main import COMMANDS, RUN, app, main
from telescope_transformer.hub import SHIPPED_CHECKPOINT

SIMULATE = ["simulate", "--sources", "5", "--output"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def simulated(arguments: list[str], **variables: str) -> bytes:
    """The content of the simulation that these arguments and variables produce."""
    result = CliRunner().invoke(app, [*arguments, "out.parquet"], env=variables)
    assert result.exit_code == 0, result.output
    return Path("out.parquet").read_bytes()


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_the_command_line_wins_over_variables_and_these_over_the_file(here: Path) -> None:
    seeds = {seed: simulated(["simulate", "--seed", str(seed), *SIMULATE[1:]]) for seed in (1, 2, 3, 4)}
    Path("telescope.toml").write_text("seed = 1\n[simulate]\nseed = 2\n", encoding="utf-8-sig")
    assert simulated(SIMULATE) == seeds[2]
    assert simulated(SIMULATE, TELESCOPE_SEED="3") == seeds[3]
    assert simulated(SIMULATE, TELESCOPE_SEED="3", TELESCOPE_SIMULATE_SEED="4") == seeds[4]
    assert simulated(["simulate", "--seed", "1", *SIMULATE[1:]], TELESCOPE_SEED="3") == seeds[1]
    Path("telescope.toml").write_text("seed = 1\n", encoding="utf-8")
    assert simulated(SIMULATE) == seeds[1]
    Path("other.toml").write_text("[simulate]\nseed = 4\n", encoding="utf-8")
    assert simulated(["--config", "other.toml", *SIMULATE]) == seeds[4]
    assert simulated(SIMULATE, TELESCOPE_CONFIG="other.toml") == seeds[4]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("seed = \n", "telescope.toml: not valid TOML"),
        ("seed = " + "[" * 100_000, "telescope.toml: not valid TOML"),
        ("colour = 1\n", "no command has an option 'colour'"),
        ("[simulat]\nseed = 1\n", r"\[simulat\] is not a command; commands are analyze"),
        ("[simulate]\nsede = 1\n", r"\[simulate\] has no option 'sede'; options are days"),
        ("sources = [1, 2]\n", r"sources takes one value, not \[1, 2\]"),
        ("[simulate]\nseed = {a = 1}\n", r"\[simulate\] seed takes one value, not {'a': 1}"),
    ],
)
def test_a_wrong_file_is_explained(content: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("telescope.toml").write_text(content, encoding="utf-8")
    error = ended(capsys, *SIMULATE, "out.parquet")
    assert error.startswith("error: telescope.toml: ")
    assert re.search(told, error)


def test_a_wrong_value_comes_with_its_origin() -> None:
    def output(*options: str, **variables: str) -> str:
        return " ".join(CliRunner().invoke(app, ["simulate", *options, "--output", "x"], env=variables).output.split())

    assert "(in the variable TELESCOPE_SEED)" in output(TELESCOPE_SEED="two")
    Path("telescope.toml").write_text('seed = "two"\n', encoding="utf-8")
    assert "(in telescope.toml)" in output()
    Path("other.toml").write_text('[simulate]\nseed = "two"\n', encoding="utf-8")
    assert "(in other.toml)" in output(TELESCOPE_CONFIG="other.toml")
    assert "(in" not in output("--seed", "two")
    for wrong in ("true", "2026-01-15"):
        Path("telescope.toml").write_text(f"telescope = {wrong}\n", encoding="utf-8")
        assert (
            f"'--telescope': {wrong} is neither text nor a number; put text in quotes (in telescope.toml)" in output()
        )
    Path("telescope.toml").unlink()
    assert "'--days': inf is not a finite number (in the variable TELESCOPE_DAYS)" in output(TELESCOPE_DAYS="inf")


def test_a_variable_without_effect_is_named() -> None:
    def output(**variables: str) -> str:
        return CliRunner().invoke(app, ["simulate", "--sources", "5", "--output", "x"], env=variables).output

    told = "the variable TELESCOPE_SIMULATE_SURCES has no effect: simulate has no such option"
    assert told in output(TELESCOPE_SIMULATE_SURCES="3")
    assert "no effect" not in output(TELESCOPE_SIMULATE_RECORDS_PER_SOURCE="9", TELESCOPE_OTHER="3")


def test_a_missing_configuration_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.toml: no such configuration file" in ended(capsys, "--config", "nowhere.toml", *SIMULATE, "x")
    assert "telescope.toml: no such configuration" in ended(capsys, "--config", "telescope.toml", *SIMULATE, "x")
    Path("telescope.toml").symlink_to("nowhere.toml")
    assert "telescope.toml: no such configuration file" in ended(capsys, *SIMULATE, "x")
    Path("telescope.toml").unlink()
    Path("telescope.toml").mkdir()
    assert "telescope.toml: cannot read the configuration file: Is a directory" in ended(capsys, *SIMULATE, "x")


def test_a_configuration_need_not_be_a_regular_file() -> None:
    """As with `--config /dev/null`, or a pipe of the shell."""
    simulated(["--config", os.devnull, *SIMULATE])


def test_a_list_is_for_the_commands_that_take_several_values() -> None:
    simulated(SIMULATE)
    Path("telescope.toml").write_text('telescope = ["203.0.113.0/24", "198.51.100.0/24"]\n', encoding="utf-8")
    simulated(SIMULATE)
    result = CliRunner().invoke(app, ["analyze", "out.parquet"])
    assert "no flow record was kept" in str(result.exception)


def test_a_single_value_stands_for_a_list_of_one() -> None:
    simulated(SIMULATE)
    Path("telescope.toml").write_text('[analyze]\ntelescope = "203.0.113.0/24"\ntime-limit = 1\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["analyze", "out.parquet"])
    assert "no flow record was kept" in str(result.exception)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_key_of_an_option_is_its_name(command: str) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for option in group.commands[command].params:
        if option.param_type_name == "option":
            assert f"--{str(option.name).replace('_', '-')}" in option.opts


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_quiet_and_log(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--quiet" in text
    assert "--log-level" in text


def test_a_quiet_command_prints_its_result_only(tmp_path: Path) -> None:
    """This test uses a separate process, because quietness is a setting of the process."""
    run = [sys.executable, "-m", "telescope_transformer"]
    subprocess.run([*run, *SIMULATE, "flows.parquet"], check=True, capture_output=True)
    prepare = [*run, "prepare", "flows.parquet", "--output"]
    spoken = subprocess.run([*prepare, "spoken"], check=True, capture_output=True, text=True)
    quiet = subprocess.run([*prepare, "quiet", "--quiet"], check=True, capture_output=True, text=True)
    assert "\r" not in spoken.stderr
    assert spoken.stderr
    assert quiet.stderr == ""
    assert pq.read_table("flows.parquet").num_rows
    version = subprocess.run([*run, "--version"], check=True, capture_output=True, text=True)
    assert version.stdout.startswith("telescope ")


def test_a_summary_as_json(tmp_path: Path) -> None:
    simulated(["simulate", "--sources", "60", "--output"])
    result = CliRunner().invoke(app, ["analyze", "out.parquet", "--output", "a", "--time-limit", "1", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["report"] == "a/report.html"
    assert told["counts"]["kept"] > 0
    assert told["solution"]["n_clusters"] > 0
    arguments = ["cluster", "a/windows.parquet", "--output", "c", "--threshold", "0.5", "--time-limit", "1", "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert {"cost", "lower_bound", "gap"} <= told["solution"].keys()
    told = json.loads(CliRunner().invoke(app, ["update", "out.parquet", "--json"]).stdout)
    assert told["files"][0]["windows"] > 0
    assert told["report"] is None


# What each command with a model needs besides it. None of it exists.
WITH_MODEL = {
    "adapt": ["flows.csv", "--output", "x"],
    "analyze": ["flows.csv"],
    "calibrate": ["dataset", "--output", "x"],
    "embed": ["dataset"],
    "evaluate": ["flows.csv", "--output", "x"],
    "onnx": ["--output", "x"],
    "train": ["--dataset", "x", "--output", "x"],
    "update": ["flows.csv"],
    "watch": [".", "--once"],
}


def errors_before_imports(calls: list[list[str]], *libraries: str) -> list[str]:
    """The error of each call; all of them fail in one process, which imports none of the libraries."""
    program = "import sys\nfrom telescope_transformer.cli.main import main\n"
    program += f"for call in {calls!r}:\n    try:\n        main(call)\n    except SystemExit as end:\n"
    program += f"        print(end.code, *[name for name in {libraries} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert answer.stdout.splitlines() == ["1"] * len(calls)
    return answer.stderr.splitlines()


def test_every_command_with_a_model_is_listed() -> None:
    names = {"model", "base"}
    assert set(WITH_MODEL) == {name for name, run in RUN.items() if names & inspect.signature(run).parameters.keys()}


def test_a_wrong_model_is_found_before_torch_is_imported(here: Path) -> None:
    (here / "nothing").mkdir()
    (here / "bert").mkdir()
    (here / "bert" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (here / "cut").mkdir()
    (here / "cut" / "config.json").write_text('{"model_type": ', encoding="utf-8")
    (here / "bare").mkdir()
    (here / "bare" / "config.json").write_text('{"model_type": "telescope"}', encoding="utf-8")
    (here / "torn").mkdir()
    (here / "torn" / "config.json").write_text('{"model_type": "telescope"}', encoding="utf-8")
    (here / "torn" / "model.safetensors").write_bytes((SHIPPED_CHECKPOINT / "model.safetensors").read_bytes()[:-1])
    expected = {
        "torn": "torn/model.safetensors is damaged",
        "bare": "bare is not a checkpoint: it has no weights",
        "no/such/folder": "no/such/folder: no such folder",
        "nothing": "nothing is not a checkpoint: it has no config.json",
        "bert": "bert is not a checkpoint: config.json is of a model of type 'bert', not 'telescope'",
        "cut": "cut is not a checkpoint: config.json is not a valid JSON file",
    }
    calls = [
        [name, *arguments, "--base" if name == "adapt" else "--model", model]
        for name, arguments in WITH_MODEL.items()
        for model in expected
    ]
    for call, error in zip(calls, errors_before_imports(calls, "torch", "numba"), strict=True):
        assert error.startswith(f"error: {expected[call[-1]]}"), call
    assert {path.name for path in here.iterdir()} == {"nothing", "bert", "cut", "bare", "torn"}


def test_a_wrong_input_is_found_before_torch_is_imported(here: Path) -> None:
    (here / "empty.csv").touch()
    (here / "folder").mkdir()
    calls = [
        [name, path, "--output", "out"] for name in ("analyze", "prepare", "adapt") for path in ("no", "empty.csv")
    ]
    calls += [["update", "no.csv"], ["update", "folder"], ["embed", "no"], ["embed", "folder"], ["analyze", "no*.csv"]]
    for call, error in zip(calls, errors_before_imports(calls, "torch", "sklearn"), strict=True):
        assert error.startswith(f"error: {call[1]}"), call


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulate", "--output", "x", "--days", "nan"], "nan is not a finite number"),
        (["simulate", "--output", "x", "--records-per-source", "inf"], "inf is not a finite number"),
        (["analyze", "x.csv", "--threshold", "nan"], "nan is not a finite number"),
        (["analyze", "x.csv", "--session-gap", "-inf"], "-inf is not a finite number"),
        (
            ["analyze", "x.csv", "--window", "99999999999999999999"],
            "99999999999999999999 is not between -1e12 and 1e12",
        ),
        (["analyze", "x.csv", "--inactivity", "1e308"], "1e+308 is not between -1e12 and 1e12"),
        (["export", "x", "-f", "csv", "-o", "y", "--cluster", "-9999999999999"], "-9999999999999 is not between"),
        (["watch", ".", "--interval", "1e9"], "'--interval'"),
        (["analyze", "x.csv", "--seed", "-1"], "-1 is not between 0 and 4294967295"),
        (["analyze", "x.csv", "--model", "m", "--adapt-steps", "9"], "--adapt-steps has no effect with --model"),
        (["analyze", "x.csv", "--no-adapt", "--adapt-steps", "9"], "--adapt-steps has no effect with --no-adapt"),
        (["update", "x.csv", "--model", "m", "--adapt"], "--adapt has no effect with --model"),
        (["watch", ".", "--model", "m", "--adapt"], "--adapt has no effect with --model"),
        (["embed", "x", "--output", "y", "--adapt-steps", "9"], "--adapt-steps has no effect with --output"),
        (["simulate", "--output", "x", "--seed", "99999999999"], "99999999999 is not between 0 and 4294967295"),
        (["simulate", "--output", ""], "an argument is empty: the one after '--output'"),
        (["simulate", "--output="], "an argument is empty: the one after '--output='"),
        (["analyze", ""], "an argument is empty: the one after 'analyze'"),
    ],
)
def test_values_that_nobody_means_are_wrong_usage(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert told in re.sub(r"[│\s]+", " ", capsys.readouterr().err)


def test_the_options_of_every_command_have_variables_too() -> None:
    for name in ("TELESCOPE_QUIET", "TELESCOPE_SIMULATE_LOG_LEVEL"):
        result = CliRunner().invoke(app, [*SIMULATE, "out.parquet"], env={name: "neither"})
        assert result.exit_code == 2, result.output
    assert simulated(SIMULATE, TELESCOPE_QUIET="1", TELESCOPE_LOG_LEVEL="error") == simulated(SIMULATE)
