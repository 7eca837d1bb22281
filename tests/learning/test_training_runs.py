"""Whole runs: learning, exact continuation after a kill, two processes, and runs that must stop."""

import json
import math
import os
import random
import resource
import shutil
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import PartialState
from training_runs import options, run

from telescope_transformer.cli import train
from telescope_transformer.embedding import BF16_IN_SOFTWARE
from telescope_transformer.errors import TrainingError
from telescope_transformer.files import file_digest
from telescope_transformer.learning import training
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.learning.checkpoints import (
    SEAL,
    STATE,
    checkpoint_path,
    find_fault,
    list_checkpoints,
    read_state,
)
from telescope_transformer.learning.objectives.nt_xent import NTXent
from telescope_transformer.model_files import load_model


def losses(output: Path) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["gradient_norm"]) for line in lines]


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    output = tmp_path_factory.mktemp("finished") / "run"
    assert run(options(dataset, output)) == [0]
    return output


def assert_same_run(output: Path, finished: Path) -> None:
    assert losses(output) == losses(finished)
    assert (output / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


def test_a_run_writes_a_model_and_how_it_was_made(finished: Path) -> None:
    model, tokenizer = load_model(finished)
    assert model.config.hidden_size == 16
    assert tokenizer.fields == model.config.fields
    facts = json.loads((finished / "training.json").read_text())
    assert facts["steps"] == 12
    assert facts["result"]["loss"] == losses(finished)[-1][1]
    assert [path.name for path in list_checkpoints(finished / "checkpoints")] == [
        "checkpoint-00000012",
        "checkpoint-00000009",
    ]
    assert list((finished / "logs").rglob("events.out.tfevents.*"))


def test_a_finished_run_is_not_changed(
    dataset: Path, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    (output / "model.safetensors").unlink()
    assert train.main(options(dataset, output)) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"checkpoint in {output}"
    assert_same_run(output, finished)
    assert (output / "training.json").read_text() == (finished / "training.json").read_text()


@pytest.mark.parametrize(
    "kills",
    [
        [("step", random.Random(0).randint(4, 11)), ("step", 2)],
        [("step", 2), ("seal", 2)],
        [("rename", 1), ("seal", 3)],
    ],
    ids=["at random steps", "while a checkpoint is sealed", "before a checkpoint is renamed"],
)
def test_a_killed_run_continues_bit_for_bit(
    dataset: Path, tmp_path: Path, finished: Path, kills: list[tuple[str, int]]
) -> None:
    arguments = options(dataset, tmp_path / "run")
    for kill in kills:
        assert run(arguments, kill_at=kill) == [-signal.SIGKILL]
    # The number of workers does not matter either.
    assert run([*arguments, "--workers", "1"]) == [0]
    assert_same_run(tmp_path / "run", finished)


def test_a_damaged_checkpoint_is_skipped(dataset: Path, tmp_path: Path, finished: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    (output / "model.safetensors").unlink()
    weights = checkpoint_path(output / "checkpoints", 12) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.warns(UserWarning, match="skipping damaged .*checkpoint-00000012: model.safetensors"):
        assert train.main(options(dataset, output)) == 0
    assert_same_run(output, finished)


@pytest.mark.parametrize("seal", ["{}", "[]", '{"other": "0"}', "null"])
def test_a_checkpoint_whose_seal_lacks_its_state_is_refused(tmp_path: Path, seal: str) -> None:
    (tmp_path / STATE).write_text("{}")
    (tmp_path / SEAL).write_text(seal)
    assert find_fault(tmp_path) is not None


def test_two_processes_train_as_one(dataset: Path, tmp_path: Path) -> None:
    recipe = "{hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, hidden_dropout_prob: 0, "
    recipe += "attention_probs_dropout_prob: 0}"
    results = []
    for processes in (1, 2):
        output = tmp_path / f"run-{processes}"
        arguments = options(dataset, output, "--tracker", "none")
        path = tmp_path / "recipe.yaml"
        path.write_text(f"model: {recipe}\n" + "\n".join(path.read_text().splitlines()[2:]))
        assert run(arguments, processes=processes) == [0] * processes
        results.append(losses(output))
    for one, two in zip(*results, strict=True):
        assert one[0] == two[0]
        assert two[1:] == pytest.approx(one[1:], rel=2e-4)
    assert results[1][0][1:] == pytest.approx(results[0][0][1:], rel=1e-5)


def test_both_attention_implementations_train_the_same(dataset: Path, tmp_path: Path) -> None:
    results = []
    for attention in ("sdpa", "eager"):
        output = tmp_path / attention / "run"
        output.parent.mkdir()
        arguments = options(dataset, output, "--steps", "4", "--attention", attention)
        recipe = output.parent / "recipe.yaml"
        without_dropout = "hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, projection_size: 8"
        recipe.write_text(recipe.read_text().replace("projection_size: 8", without_dropout))
        assert train.main(arguments) == 0
        results.append(losses(output))
    for first, second in zip(*results, strict=True):
        assert first == pytest.approx(second, rel=1e-4)
    assert results[0] != results[1]


def test_training_lowers_the_loss(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    more = ("--steps", "80", "--batch-pairs", "16", "--learning-rate", "3e-3", "--save-every", "80")
    assert train.main(options(dataset, output, *more)) == 0
    curve = [loss for _, loss, _ in losses(output)]
    assert np.mean(curve[-10:]) < np.mean(curve[:5]) - 0.5
    assert curve[0] == pytest.approx(math.log(31), abs=1.0)


def test_gradient_caching_trains_the_same(dataset: Path, tmp_path: Path) -> None:
    results = []
    for chunk in ("0", "3"):
        output = tmp_path / chunk / "run"
        output.parent.mkdir()
        arguments = options(dataset, output, "--steps", "4", "--chunk-pairs", chunk)
        recipe = output.parent / "recipe.yaml"
        recipe.write_text(
            recipe.read_text()
            .replace(
                "projection_size: 8",
                "num_attention_heads: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0",
            )
            .replace("num_attention_heads: 2, ", "", 1)
        )
        assert train.main(arguments) == 0
        results.append(losses(output))
    for plain, cached in zip(*results, strict=True):
        assert cached == pytest.approx(plain, rel=1e-4)


def test_fine_tuning_starts_from_a_checkpoint_and_leaves_what_is_frozen(
    dataset: Path, tmp_path: Path, finished: Path
) -> None:
    output = tmp_path / "run"
    more = ("--model", str(finished), "--freeze", "model.*", "--freeze", "head.output.*")
    arguments = options(dataset, output, *more, "--steps", "3")
    with pytest.warns(UserWarning, match="the architecture is that of"):
        assert train.main(arguments) == 0
    before, after = load_model(finished)[0].state_dict(), load_model(output)[0].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.hidden.weight", "head.hidden.bias"}


def stops_with(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert train.main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(lines) == 1
    return lines[0]


def test_a_loss_that_is_not_finite_stops_the_run(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, original, calls = tmp_path / "run", NTXent.loss, []

    def breaking(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return original(*arguments) * (math.nan if len(calls) == 5 else 1.0)

    monkeypatch.setattr(NTXent, "loss", breaking)
    message = stops_with(capsys, options(dataset, output))
    assert "step 4: the loss is nan" in message
    with np.load(output / "failed-step-00000004-process-0.npz") as batch:
        assert batch["input_ids"].shape[0] == 16
        assert len(set(batch["addresses"].tolist())) == 8
    assert len(losses(output)) == 4


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--dataset", "nowhere"], "nowhere is not a prepared dataset"),
        (["--model", "/"], "/ is not a checkpoint: it has no config.json"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--tracker", "pigeon"], "pigeon"),
        (["--batch-pairs", "1000"], "has 40 of 40: set batch_pairs (--batch-pairs) to 40"),
        (["--max-records", "1000"], "max_position_embeddings 512"),
        (["--freeze", "colour.*"], "colour"),
        (["--freeze", "*"], "freeze every parameter"),
        (["--field-dropout", "ttl=often"], "ttl must be of type float, not 'often'"),
        (["--objective", "guess"], "objective must be one of ['nt_xent'], not 'guess'"),
        (["--lengths", "long"], "lengths must be one of"),
    ],
)
def test_errors_are_one_line(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert words in stops_with(capsys, options(dataset, tmp_path / "run", *more))
    assert not (tmp_path / "run").exists() or any((tmp_path / "run").iterdir())


def test_the_shipped_model_is_started_from_by_its_name() -> None:
    shipped, _ = load_model()
    started, tokenizer = training.make_model(TrainingArguments(), "shipped")
    assert tokenizer.fields == started.config.fields
    assert all(torch.equal(one, other) for one, other in zip(shipped.parameters(), started.parameters(), strict=True))


def test_a_full_disk_is_reported_and_keeps_the_checkpoints(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert train.main(options(dataset, output, "--steps", "3")) == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    capsys.readouterr()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        message = stops_with(capsys, options(dataset, output))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot write" in message
    assert "checkpoint-00000006" in message
    assert [path.name for path in list_checkpoints(output / "checkpoints")] == ["checkpoint-00000003"]
    # Once there is room, the same command continues.
    assert train.main(options(dataset, output)) == 0


def test_another_run_in_the_output_is_not_continued(
    dataset: Path, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    message = stops_with(capsys, options(dataset, output, "--batch-pairs", "10"))
    assert "another batch_pairs (8, now 10)" in message


def test_a_run_of_a_version_without_an_option_is_continued(dataset: Path, tmp_path: Path, finished: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    (checkpoint,) = list_checkpoints(output / "checkpoints")[:1]
    state = read_state(checkpoint)
    del state["identity"]["cut_steps"]
    (checkpoint / "trainer.json").write_text(json.dumps(state))
    seal = json.loads((checkpoint / "seal.json").read_text())
    seal["trainer.json"] = file_digest(checkpoint / "trainer.json")
    (checkpoint / "seal.json").write_text(json.dumps(seal))
    assert train.main(options(dataset, output)) == 0


@pytest.mark.parametrize(
    "recipe",
    ["colour: blue", "steps: [1]", "steps: .inf", "alpha: .nan", "model: {colour: 3}", "model: {fields: [x]}", "- 1"],
)
def test_a_wrong_recipe_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: str
) -> None:
    arguments = options(dataset, tmp_path / "run")
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert "recipe" in stops_with(capsys, arguments)


@pytest.mark.parametrize(
    ("told", "capability", "trains"),
    [("bf16", "avx2", "no"), ("", "avx2", "no"), ("bf16", "avx512_bf16", "bf16"), ("no", "avx2", "no")],
)
def test_bfloat16_is_left_where_the_processor_computes_it_in_software(
    monkeypatch: pytest.MonkeyPatch, told: str, capability: str, trains: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True}, raising=False)
    # Options that are not given come from the launcher.
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    arguments = TrainingArguments(mixed_precision=told, cpu=True)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        arguments = training.with_precision_of_device(arguments)
    PartialState._reset_state()
    assert arguments.mixed_precision == trains
    assert [str(each.message) for each in warned] == ([BF16_IN_SOFTWARE] if trains != (told or "bf16") else [])


def test_launchers_that_start_too_few_processes_are_detected() -> None:
    with pytest.raises(TrainingError, match="starts one"):
        training.check_world_size(1, {"MASTER_ADDR": "127.0.0.1"})
    with pytest.raises(TrainingError, match="started 2 processes, but each would train alone"):
        training.check_world_size(1, {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"})
    training.check_world_size(2, {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"})


def test_a_checkpoint_holds_nothing_that_could_be_unpickled(finished: Path) -> None:
    for checkpoint in list_checkpoints(finished / "checkpoints"):
        assert {path.suffix for path in checkpoint.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_no_pickle_in_a_run_folder_is_opened(dataset: Path, tmp_path: Path, finished: Path) -> None:
    """A sealed checkpoint of unknown origin may contain anything; only JSON and safetensors are read."""
    output, marker = tmp_path / "run", tmp_path / "code-ran"
    shutil.copytree(finished, output)
    checkpoint = checkpoint_path(output / "checkpoints", 12)
    seal = json.loads((checkpoint / "seal.json").read_text())
    for name in (
        "custom_checkpoint_0.pkl",
        "optimizer.bin",
        "scheduler.bin",
        "random_states_0.pkl",
        "pytorch_model.bin",
    ):
        torch.save(RunsCode(marker), checkpoint / name)
        seal[name] = file_digest(checkpoint / name)
    (checkpoint / "seal.json").write_text(json.dumps(seal))
    assert train.main(options(dataset, output, "--steps", "14")) == 0
    assert not marker.exists()
    # The same bytes as a state file are refused without unpickling.
    checkpoint = checkpoint_path(output / "checkpoints", 14)
    torch.save(RunsCode(marker), checkpoint / "optimizer.safetensors")
    seal = json.loads((checkpoint / "seal.json").read_text())
    seal["optimizer.safetensors"] = file_digest(checkpoint / "optimizer.safetensors")
    (checkpoint / "seal.json").write_text(json.dumps(seal))
    assert train.main(options(dataset, output, "--steps", "16")) == 1
    assert not marker.exists()


class RunsCode:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)
