"""Cards contain what was recorded, are valid, and can be read with the classes of huggingface_hub."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hub_rules import card_errors
from hub_server import HubServer
from huggingface_hub import ModelCard
from safetensors.numpy import save_file
from typer.testing import CliRunner

from telescope_transformer.cli.main import app
from telescope_transformer.errors import CheckpointError, HubError, InputError
from telescope_transformer.hub.cards import check_card, dataset_card, model_card, size_category
from telescope_transformer.hub.facts import count_parameters, read_measured_on, read_measurements
from telescope_transformer.preparation import SPLITS, read_manifest
from telescope_transformer.preparation.settings import WHOLE

RESULTS = [
    {
        "dataset": "telescope <2024>",
        "split": "unseen_sources",
        "metric": "auroc",
        "value": 0.91,
        "low": 0.9,
        "high": 0.92,
    },
    {"dataset": "telescope <2024>", "split": "unseen_sources", "metric": "base: retrieval recall at 1", "value": 0.5},
]
TRAINING = {"seed": 7, "steps": 20, "records": 123_456, "start_from": "user/base", "model": {"hidden_size": 16}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    made.mkdir()
    config = {
        "model_type": "telescope",
        "architectures": ["TelescopeForContrastiveLearning"],
        "fields": ["dst_port"],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_size": 8,
        "max_position_embeddings": 512,
        "temperature": 0.07,
    }
    (made / "config.json").write_text(json.dumps(config))
    (made / "metrics.json").write_text(json.dumps(RESULTS))
    (made / "training.json").write_text(json.dumps(TRAINING))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (made / name).write_text("{}")
    save_file({"weight": np.zeros((30, 40), np.float32), "bias": np.zeros(34, np.float32)}, made / "model.safetensors")
    return made


def card_of(checkpoint: Path, name: str = "user/telescope-base", **options: str) -> ModelCard:
    metrics = checkpoint / "metrics.json"
    figures, measured_on = read_measurements(metrics), read_measured_on(metrics)
    return model_card(checkpoint, name, measurements=figures, measured_on=measured_on, **options)


def test_a_model_card_says_what_was_recorded_and_no_more(checkpoint: Path) -> None:
    card = card_of(checkpoint)
    for said in (
        "1,234",
        "| seed | 7 |",
        "flow records: 123,456",
        "| model.hidden_size | 16 |",
        "0.910 | 0.900 to 0.920",
    ):
        assert said in card.text
    assert "telescope &lt;2024>" in card.text
    for section in (
        "Training data",
        "Training procedure",
        "Sizes",
        "Evaluation",
        "limitations",
        "Privacy",
        "Citation",
    ):
        assert section in card.text
    assert card.data.pipeline_tag == "feature-extraction"
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == "user/base"
    assert card_errors(str(card), "model") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "| layers, heads | 2, 2 |"), ({"num_hidden_layers": 0}, "| layers | none: a bag of records |")],
)
def test_a_card_tells_the_layers(checkpoint: Path, changes: dict[str, int], said: str) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | changes))
    text = card_of(checkpoint).text
    assert said in text.splitlines()
    sizes = text.split("## Sizes")[1].split("##")[0].strip().splitlines()
    assert all(line.startswith("|") for line in sizes)


def test_a_card_tells_the_cost_of_training_and_how_to_adapt(checkpoint: Path) -> None:
    assert "its energy is not known" in card_of(checkpoint).text
    recorded = TRAINING | {"steps": 1500, "batch_pairs": 256, "device": "cpu", "result": {"pairs_per_second": 1024.0}}
    (checkpoint / "training.json").write_text(json.dumps(recorded))
    text = " ".join(card_of(checkpoint).text.split())
    # 1,500 steps of 256 pairs at 1,024 pairs a second are 375 s, and 0.0104 kWh at 100 W.
    assert "about 6 minutes of one CPU: 1,500 steps of 256 pairs" in text
    assert "power of 100 W that is 0.01 kWh" in text
    assert "telescope adapt FLOWS --telescope 198.51.100.0/24 --base user/telescope-base" in text
    assert "Wählisch" in text.replace('{\\"a}', "ä")


def test_evaluation_results_read_back_from_the_model_index(checkpoint: Path) -> None:
    read = ModelCard(str(card_of(checkpoint))).data
    assert read.model_name == "telescope-base"
    assert [(r.metric_type, r.metric_value, r.dataset_split) for r in read.eval_results] == [
        ("auroc", 0.91, "unseen_sources"),
        ("retrieval_recall_at_1", 0.5, "unseen_sources"),
    ]
    assert read.eval_results[0].metric_args == {"interval_95": [0.9, 0.92]}
    assert read.eval_results[0].dataset_type == "telescope--2024"


def test_figures_of_other_models_are_never_attributed_to_the_checkpoint(checkpoint: Path) -> None:
    figures = json.loads((checkpoint / "metrics.json").read_text())
    rows = figures["results"] if isinstance(figures, dict) else figures
    about = {"measured_on": "the same recipe, trained on splits", "results": rows}
    (checkpoint / "metrics.json").write_text(json.dumps(about))
    card = card_of(checkpoint)
    assert "Measured on the same recipe, trained on splits, not on this checkpoint." in card.text
    assert "0.910 | 0.900 to 0.920" in card.text
    assert card.data.eval_results is None
    assert card.data.metrics is None


def test_a_calibration_is_reported(checkpoint: Path) -> None:
    assert "Similarities are not calibrated" in card_of(checkpoint).text
    (checkpoint / "calibration.json").write_text(json.dumps({"pairs": 1200, "expected_calibration_error": 0.0312}))
    text = " ".join(card_of(checkpoint).text.split())
    assert "fitted on 1,200 pairs. The expected calibration error on sources that were not fitted is 0.031." in text


def test_a_checkpoint_without_records_of_its_making_says_so(checkpoint: Path) -> None:
    (checkpoint / "metrics.json").unlink()
    (checkpoint / "training.json").write_text(json.dumps({"start_from": str(checkpoint)}))
    card = card_of(checkpoint)
    assert "No evaluation is recorded" in card.text
    assert "Not recorded with this checkpoint" in card.text
    assert str(checkpoint) not in str(card)
    assert "model-index" not in str(card)


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ("{", "metrics.json: not JSON"),
        ('[{"dataset": "a"}]', "result 0 is not a figure"),
        ("[7]", "result 0 is not a figure: 7"),
        ('[{"dataset": "a", "split": "b", "metric": "c", "value": NaN}]', "result 0 has a value that is not finite"),
    ],
)
def test_metrics_that_are_not_numbers_are_refused(tmp_path: Path, results: str, told: str) -> None:
    (tmp_path / "metrics.json").write_text(results)
    with pytest.raises(InputError, match=told):
        read_measurements(tmp_path / "metrics.json")


@pytest.mark.parametrize("content", ["{}", '{"results": {}}', "3", "null"])
def test_another_json_file_is_not_a_metrics_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "clusters.json").write_text(content)
    with pytest.raises(InputError, match=r"clusters\.json: not a metrics\.json"):
        read_measurements(tmp_path / "clusters.json")


@pytest.mark.parametrize(
    "options",
    [["--dataset", "--metrics", "m.json"], ["--metric", "--metrics", "m.json"], ["--metric", "--licence", "mit"]],
)
def test_an_option_of_another_kind_of_upload_is_refused(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["push", "anything", "user/name", *options])
    assert result.exit_code == 2
    assert options[1] in result.stderr


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_damaged_weights_are_not_counted(checkpoint: Path, cut: int) -> None:
    weights = checkpoint / "model.safetensors"
    assert count_parameters(checkpoint) == 1234
    weights.write_bytes(weights.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        count_parameters(checkpoint)


def test_a_folder_without_a_checkpoint_is_refused(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="a model of type 'bert', not 'telescope'"):
        model_card(checkpoint, "user/a")
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        model_card(checkpoint, "user/a")


def test_a_dataset_card_names_the_files_of_every_split(prepared: Path) -> None:
    card = dataset_card(read_manifest(prepared), "user/windows")
    (config,) = card.data.configs
    assert config["config_name"] == "default"
    assert config["data_files"][0] == {"split": "train", "path": "train/*.parquet"}
    assert [files["split"] for files in config["data_files"]] == list(SPLITS)
    rows = (
        "the first 80 % of each in time | 1 | 2 | 1 |",
        "test sources | 4 | 8 | 1 |",
        "| dst_port | list of uint16 |",
    )
    for said in (*rows, "seed 5", "up to 64 flow", "records rejected: 2"):
        assert said in card.text
    assert 'load_dataset("user/windows", split="train", streaming=True)' in card.text
    assert "somebody" not in str(card)
    assert card_errors(str(card), "dataset") == []


def test_the_card_of_a_dataset_without_splits_loads_all_of_it(prepared: Path) -> None:
    manifest = read_manifest(prepared)
    files = [replace(file, split=WHOLE) for file in manifest.files]
    card = dataset_card(replace(manifest, files=files, has_splits=False), "user/windows")
    assert 'load_dataset("user/windows", split="windows", streaming=True)' in card.text
    assert "seed 5" not in card.text
    assert "telescope prepare --splits" in card.text
    empty = dataset_card(replace(manifest, files=[]), "user/windows")
    assert 'load_dataset("user/windows", streaming=True)' in empty.text


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (250_000, "100K<n<1M"), (10**9, "1B<n<10B"), (10**12, "n>1T")],
)
def test_sizes_have_the_names_of_the_hub(rows: int, category: str) -> None:
    assert size_category(rows) == category


def test_cards_pass_the_validator_of_the_hub(client: HubServer, checkpoint: Path, prepared: Path) -> None:
    card_of(checkpoint).validate()
    dataset_card(read_manifest(prepared), "user/a").validate()
    with pytest.raises(ValueError, match="must be one of"):
        card_of(checkpoint, licence="mine alone").validate()
    assert len(client.asked("POST", "/api/validate-yaml")) == 3


def test_a_card_that_lacks_a_figure_is_found(checkpoint: Path) -> None:
    card = card_of(checkpoint)
    with pytest.raises(HubError, match="2 results, not 0"):
        check_card(card)
    card.text += "{{ forgotten }}"
    with pytest.raises(HubError, match="not filled in"):
        check_card(card, read_measurements(checkpoint / "metrics.json"))
