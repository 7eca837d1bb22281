"""`telescope push`: checkpoints, prepared datasets and metrics with their cards, read by stock clients."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import READ_TOKEN, HubServer
from huggingface_hub import DatasetCard, ModelCard

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning, TelescopeModel
from telescope_transformer.cli.main import main
from telescope_transformer.errors import CheckpointError, HubError, InputError
from telescope_transformer.hub import check_checkpoint, load_pretrained
from telescope_transformer.hub.push import push
from telescope_transformer.preparation.manifest import MANIFEST

Run = Callable[..., dict[str, Any]]
RESULT = {"dataset": "simulated", "split": "unseen_sources", "metric": "base: same source auroc", "value": 0.9}
METRICS = {
    "cluster_agreement": "telescope-agreement",
    "label_neighbours": "telescope-neighbours",
    "same_source_pairs": "telescope-pairs",
    "source_retrieval": "telescope-retrieval",
}
READ_BACK = """
import json
import datasets
import evaluate

told = {"splits": {name: split.num_rows for name, split in datasets.load_dataset("user/windows").items()}}
train = datasets.load_dataset("user/windows", split="train", streaming=True)
told["row"] = next(iter(train))
told["features"] = {name: str(feature) for name, feature in train.features.items()}
datasets.load_dataset("user/windows", split="train").push_to_hub("user/copy", private=True)
told["copy"] = datasets.load_dataset("user/copy", split="train").to_list()
agreement = evaluate.load("user/telescope-agreement")
told["ari"] = agreement.compute(predictions=[0, 0, 1, 1], references=["a", "a", "b", "b"])["ari"]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_size": 8}
    config = TelescopeConfig(field_embedding_sizes={"dst_port": 2}, intermediate_size=16, **small)
    TelescopeForContrastiveLearning(config).save_pretrained(folder)
    FlowTokenizer().save_pretrained(folder)
    (folder / "metrics.json").write_text(json.dumps([RESULT]))
    (folder / "training.json").write_text(json.dumps({"seed": 1, "records": 500, "start_from": str(folder)}))
    (folder / "optimizer.bin").write_bytes(b"state that nobody needs")
    return folder


def test_a_checkpoint_in_shards_is_uploaded_without_the_weights_that_it_replaces(
    client: HubServer, checkpoint: Path, tmp_path: Path
) -> None:
    push(checkpoint, "user/in-shards")
    model = TelescopeForContrastiveLearning.from_pretrained(checkpoint)
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    FlowTokenizer().save_pretrained(tmp_path)
    push(tmp_path, "user/in-shards")
    weights = {name for name in client.files("user/in-shards") if "safetensors" in name}
    assert weights == {path.name for path in tmp_path.glob("model*")}
    assert len(weights) > 2
    loaded = load_pretrained(TelescopeForContrastiveLearning, "user/in-shards")
    assert all(torch.equal(values, model.state_dict()[name]) for name, values in loaded.state_dict().items())


@pytest.mark.parametrize(
    "index", ["{", "7", '{"weight_map": {"a": 7}}', '{"weight_map": {"a": "../other.safetensors"}}']
)
def test_a_damaged_index_of_shards_is_refused(checkpoint: Path, tmp_path: Path, index: str) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    (tmp_path / "model.safetensors.index.json").write_text(index)
    for use in (check_checkpoint, lambda folder: push(folder, "user/damaged")):
        with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json"):
            use(tmp_path)


def test_a_checkpoint_is_uploaded_with_its_code_and_card(client: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    push(checkpoint, "user/telescope-base", private=True)
    files = client.files("user/telescope-base")
    assert files["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    assert {"modeling_telescope.py", "pipeline_telescope.py", "metrics.json", "training.json"} <= files.keys()
    assert "optimizer.bin" not in files
    assert json.loads(files["training.json"]) == {"seed": 1, "records": 500}, "folders stay at home"
    config = json.loads(files["config.json"])
    assert config["auto_map"]["AutoModelForPreTraining"] == "modeling_telescope.TelescopeForContrastiveLearning"
    assert "auto_map" not in json.loads((checkpoint / "config.json").read_text()), "the checkpoint itself is untouched"
    card = ModelCard.load("user/telescope-base").data
    assert (card.pipeline_tag, card.license, card.library_name) == ("feature-extraction", "apache-2.0", "transformers")
    assert [(result.metric_type, result.metric_value) for result in card.eval_results] == [("same_source_auroc", 0.9)]
    (tmp_path / "other.json").write_text(json.dumps({"results": [RESULT | {"value": 0.25}], "curves": {}}))
    push(checkpoint, "user/telescope-base", metrics=tmp_path / "other.json")
    assert ModelCard.load("user/telescope-base").data.eval_results[0].metric_value == 0.25
    assert "0.25" in client.files("user/telescope-base")["metrics.json"].decode()
    model = load_pretrained(TelescopeModel, "user/telescope-base")
    own = TelescopeForContrastiveLearning.from_pretrained(checkpoint).model
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), own.parameters(), strict=True))


def test_an_encoder_alone_embeds_without_a_head(client: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    TelescopeModel.from_pretrained(checkpoint).save_pretrained(tmp_path / "encoder")
    FlowTokenizer.from_pretrained(checkpoint).save_pretrained(tmp_path / "encoder")
    push(tmp_path / "encoder", "user/encoder")
    config = json.loads(client.files("user/encoder")["config.json"])
    assert config["custom_pipelines"]["flow-embedding"]["pt"] == ["AutoModel"]
    assert "AutoModelForPreTraining" not in config["auto_map"]
    with pytest.raises(CheckpointError, match=r"cannot load user/encoder: weights lack 4 parameters .* 'head\."):
        load_pretrained(TelescopeForContrastiveLearning, "user/encoder")
    assert load_pretrained(TelescopeForContrastiveLearning, "user/encoder", new_head=True).head is not None


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("model.safetensors", lambda data: data[:-1], "model.safetensors is damaged"),
        ("model.safetensors", lambda data: b"", "model.safetensors is damaged"),
        ("model.safetensors", None, "no file named model.safetensors"),
        ("config.json", lambda data: data[:40], "is not a valid JSON file"),
        ("config.json", None, "it has no config.json"),
        ("config.json", lambda data: data.replace(b'format_version": 4', b'format_version": 5'), "upgrade"),
        ("config.json", lambda data: data.replace(b'"telescope"', b'"bert"'), "a model of type 'bert'"),
        ("config.json", lambda data: data.replace(b'"hidden_size": 16', b'"hidden_size": 8'), "has shape"),
        ("config.json", lambda data: data.replace(b'"hidden_size": 16', b'"hidden_size": 9'), "is not a multiple"),
    ],
)
def test_a_faulty_repository_gives_one_clear_error(
    client: HubServer, checkpoint: Path, file: str, change: Callable[[bytes], bytes] | None, told: str
) -> None:
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    files |= {file: change(files[file])} if change else {}
    client.plant("user/faulty", {name: data for name, data in files.items() if change or name != file})
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(TelescopeModel, "user/faulty", revision="main")
    assert told in str(caught.value)
    assert str(caught.value).startswith(("cannot load user/faulty@main: ", "user/faulty@main is not a checkpoint: "))
    assert "\n" not in str(caught.value)


def test_a_missing_repository_is_an_error_of_the_hub(client: HubServer) -> None:
    with pytest.raises(HubError, match="cannot download user/absent: no such repository"):
        load_pretrained(TelescopeModel, "user/absent")


def test_stock_clients_read_datasets_and_metrics(
    client: HubServer, in_process_of_its_own: Run, prepared: Path
) -> None:
    push(prepared, "user/windows", what="dataset")
    for metric, name in METRICS.items():
        push(Path(metric), f"user/{name}", what="metric")
    card = DatasetCard.load("user/windows").data
    assert [files["split"] for files in card.configs[0]["data_files"]] == [
        "train",
        "unseen_sequences",
        "validation",
        "unseen_sources",
    ]
    told = in_process_of_its_own(READ_BACK)
    assert told["splits"] == {"train": 1, "unseen_sequences": 2, "validation": 3, "unseen_sources": 4}
    row = {"source": "192.0.2.0", "start": 0, "end": 5, "n_records": 2, "label": None}
    row |= {"timestamp": [0, 5], "dst_port": [22, 443]}
    assert told["row"] == row
    assert told["copy"] == [row]
    assert told["features"]["dst_port"] == "List(Value('uint16'))"
    assert told["ari"] == 1
    assert set(client.files("user/telescope-agreement", "space")) >= {"telescope-agreement.py", "app.py", "README.md"}
    manifest = (prepared / "manifest.json").read_text().replace("train/shard-00000", "train/shard-00001")
    (prepared / "manifest.json").write_text(manifest)
    (prepared / "train" / "shard-00000.parquet").rename(prepared / "train" / "shard-00001.parquet")
    push(prepared, "user/windows", what="dataset")
    files = client.files("user/windows", "dataset")
    assert "train/shard-00000.parquet" not in files, "no window is there twice"
    assert b"somebody" not in files["manifest.json"] + files["README.md"], "folders stay at home"


def test_a_failed_push_is_one_line(
    client: HubServer,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def ended(*arguments: str) -> str:
        """The last line on stderr of a command that exits with status 1."""
        monkeypatch.setattr("sys.argv", ["telescope", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 1
        return capsys.readouterr().err.splitlines()[-1]

    with pytest.raises(InputError, match="is not a repository: name it as user/name"):
        push(checkpoint, "telescope-base")
    (tmp_path / "absent").mkdir()
    with pytest.raises(InputError, match="no such metric; metrics are"):
        push(tmp_path / "absent", "user/metric", what="metric")
    with pytest.raises(InputError, match=r"nothing\.json: no such file"):
        push(checkpoint, "user/a", metrics=tmp_path / "nothing.json")
    assert ended("push", str(tmp_path / "nothing"), "user/a") == f"error: {tmp_path / 'nothing'}: no such folder"
    (tmp_path / "absent" / MANIFEST).touch()
    with pytest.raises(InputError, match="is a prepared dataset, not a checkpoint: push it with --dataset"):
        push(tmp_path / "absent", "user/a")
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    error = ended("push", str(checkpoint), "user/a")
    assert error.startswith("error: cannot push to user/a: the token does not permit this (403)")
    assert READ_TOKEN not in error + caplog.text


@pytest.mark.parametrize(
    "name", ["", "a..b", "-a", "a b", "a~1", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a@{b", "a."]
)
def test_a_name_that_no_branch_can_have_is_refused_before_anything_is_sent(
    client: HubServer, checkpoint: Path, name: str
) -> None:
    assert subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True).returncode != 0
    with pytest.raises(InputError, match=f"^{re.escape(repr(name))} is not a name that git allows for a branch$"):
        push(checkpoint, "user/a", revision=name)
    assert not client.requests


def test_a_branch_without_a_checkpoint_gives_one_line(client: HubServer, in_process_of_its_own: Run) -> None:
    client.plant("user/nothing", {"README.md": b"nothing"})
    code = "import json, telescope_transformer as package\n"
    code += "try:\n    package.load('user/nothing', revision='main')\n"
    code += "except package.errors.TelescopeError as error:\n    print(json.dumps({'told': str(error)}))"
    told = in_process_of_its_own(code)
    assert told["told"] == "user/nothing@main is not a checkpoint: it has no config.json"
    assert told["stderr"] == ""


def test_the_command_line_pushes(hub: HubServer, prepared: Path, tmp_path: Path) -> None:
    started = "import typer; from telescope_transformer.cli.push import push; typer.run(push)"
    command = [sys.executable, "-c", started, str(prepared), "user/windows", "--dataset", "--private"]
    environment = os.environ | hub.environment(tmp_path / "home")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{hub.endpoint}/datasets/user/windows/commit/")
    assert hub.store.repositories["dataset", "user/windows"].private
