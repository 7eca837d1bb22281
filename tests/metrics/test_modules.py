"""Every metric folder loads with `evaluate.load` from its path without a network, and its example is correct."""

import doctest
from pathlib import Path
from types import SimpleNamespace

import evaluate
import numpy as np
import pytest

import telescope_transformer.metrics
from telescope_transformer.metrics.clusters import cluster_scores
from telescope_transformer.metrics.modules import MODULES, write_space
from telescope_transformer.metrics.pairs import same_source_statistics

FOLDER = Path(telescope_transformer.metrics.__file__).parent
CARD_PARTS = ("## How to use", "### Inputs", "### Output", "## Limitations", "## Citation")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("evaluate.config.HF_EVALUATE_OFFLINE", True)
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", tmp_path)


def loaded(folder: Path) -> evaluate.EvaluationModule:
    return evaluate.load(str(folder))


def test_each_folder_is_a_module() -> None:
    assert {path.stem for path in FOLDER.glob("*/*.py") if path.parent.name == path.stem} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_example_of_a_module_is_true(name: str) -> None:
    module = loaded(FOLDER / name)
    here = SimpleNamespace(load=lambda path: loaded(FOLDER / Path(path).name))
    example = doctest.DocTestParser().get_doctest(module.inputs_description, {"evaluate": here}, name, None, 0)
    assert example.examples
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_a_space_has_the_files_that_the_hub_needs(name: str, tmp_path: Path) -> None:
    write_space(name, tmp_path, "my-metric")
    assert {path.name for path in tmp_path.iterdir()} == {"my-metric.py", "README.md", "app.py", "requirements.txt"}
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "sdk: gradio" in card
    assert all(part in card for part in CARD_PARTS)
    assert "{{" not in card


def test_modules_equal_the_functions(rng: np.random.Generator) -> None:
    vectors, sources = rng.normal(size=(12, 5)).astype(np.float32), np.repeat(list("abcd"), 3)
    found = loaded(FOLDER / "same_source_pairs").compute(predictions=vectors, references=sources)
    assert found == pytest.approx(same_source_statistics(vectors, sources))
    clusters = rng.integers(0, 3, 12)
    found = loaded(FOLDER / "cluster_agreement").compute(predictions=clusters, references=sources)
    assert found == pytest.approx(cluster_scores(sources, clusters))
