"""The shipped checkpoint: its size, its privacy, and that it was trained with the recipe beside it."""

import json
import re
from pathlib import Path

import pytest
from safetensors import safe_open

from telescope_transformer import TelescopeConfig
from telescope_transformer.files import data_folder
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.hub.facts import read_measurements
from telescope_transformer.learning.arguments import RECIPES, TrainingArguments, read_recipe
from telescope_transformer.model_files import load_model

ADDRESS = re.compile(rb"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")


def recipe(name: str) -> TrainingArguments:
    return TrainingArguments.from_mapping(read_recipe(name), name)


def test_it_is_small_and_in_half_precision() -> None:
    weights = SHIPPED_CHECKPOINT / "model.safetensors"
    assert weights.stat().st_size <= 4_000_000
    with safe_open(weights, "np") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118
        assert (file.metadata() or {}).keys() <= {"format"}


def test_no_file_beside_it_holds_an_address() -> None:
    for path in SHIPPED_CHECKPOINT.iterdir():
        if path.suffix == ".json":
            assert not ADDRESS.search(path.read_bytes()), path.name


def test_its_tokenizer_truncates_where_the_model_ends() -> None:
    model, tokenizer = load_model()
    assert tokenizer.model_max_length == model.config.max_position_embeddings


def test_training_json_describes_the_model_beside_it() -> None:
    made = json.loads((SHIPPED_CHECKPOINT / "training.json").read_text())
    shipped = load_model()[0].config.to_dict()
    described = TelescopeConfig(**made["model"]).to_dict()
    assert made["model"]
    assert {name: shipped[name] for name in made["model"]} == {name: described[name] for name in made["model"]}


def test_the_figures_of_its_card_are_those_of_the_results() -> None:
    rows = {
        "same source AUROC": "default",
        "adapted without labels: same source AUROC": "default, adapted",
        "TF-IDF and timing: same source AUROC": "TF-IDF + timing",
    }
    results = (Path(__file__).parents[1] / "training" / "RESULTS.md").read_text(encoding="utf-8")
    figures = read_measurements(SHIPPED_CHECKPOINT / "metrics.json")
    assert len(figures) == 15
    for figure in figures:
        section = results.split(f"### {figure.dataset}\n")[1].split("\n### ")[0]
        line = next(line for line in section.splitlines() if line.startswith(f"| {rows[figure.metric]} |"))
        assert line.split("|")[2].split()[0] == f"{figure.value:.3f}".lstrip("0"), figure


@pytest.mark.parametrize("name", sorted(path.stem for path in data_folder(RECIPES).glob("*.yaml")))
def test_every_recipe_describes_a_run(name: str) -> None:
    arguments = recipe(name)
    config = TelescopeConfig(**arguments.model)
    assert arguments.max_records <= config.max_position_embeddings


def test_adaptation_from_scratch_has_the_shipped_architecture() -> None:
    assert recipe("adapt").model == recipe("default").model
