"""The gate of `training.ship` refuses worse weights with their figures, and nothing is overwritten."""

import copy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from telescope_transformer.errors import TrainingError
from telescope_transformer.hub import SHIPPED_CHECKPOINT
from telescope_transformer.model_files import load_model, save_checkpoint
from telescope_transformer.progress import say_nothing
from telescope_transformer.simulation import simulate
from training import gate, ship
from training.gate import Gain, on_actors, refuse_worse

FILE = "tiny/flows.parquet"
PLAN = f"""
telescopes:
  tiny: {{inputs: [{FILE}], learn: false}}
  not-here: {{inputs: [absent.parquet]}}
models: {{default: {{recipe: default}}}}
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of one telescope, and a plan that names another one, too."""
    (tmp_path / "tiny").mkdir()
    pq.write_table(simulate(60, seed=1, records_per_source=40.0).drop_columns(["label"]), tmp_path / FILE)
    (tmp_path / "plan.yaml").write_text(PLAN)
    monkeypatch.setattr(gate, "PLAN", tmp_path / "plan.yaml")
    return tmp_path


def test_weights_that_are_worse_on_a_telescope_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "on_actors", lambda *_: Gain("equal", 0.0))
    model, tokenizer = load_model(None)
    spoilt = copy.deepcopy(model)
    with torch.no_grad():
        for weights in spoilt.parameters():
            weights += torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    save_checkpoint(data / "spoilt", spoilt, tokenizer)
    said: list[str] = []
    refuse_worse(data / "spoilt", SHIPPED_CHECKPOINT, data, (), data / "work", said.append)
    assert said[0].startswith("tiny: AUROC of one source or two ")
    assert len(said) == 2
    with pytest.raises(
        TrainingError, match=r"worse than those in .*: mean AUROC of unseen sources 0\.\d+ before, 0\."
    ):
        refuse_worse(SHIPPED_CHECKPOINT, data / "spoilt", data, (), data / "work", say_nothing)
    # Of a telescope that was learned from, only the test sources count; here they are too few.
    with pytest.raises(TrainingError, match="enough unseen sources"):
        refuse_worse(SHIPPED_CHECKPOINT, data / "spoilt", data, (FILE,), data / "work", say_nothing)


@pytest.mark.parametrize(("after", "worse"), [([0.50, 0.52, 0.51], True), ([0.50, 0.7, 0.58], False)])
def test_the_seeds_of_the_simulations_give_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: list[float], worse: bool
) -> None:
    def cells(sizes: list[str], models: Any, seeds: range, *_: Any) -> list[dict[str, Any]]:
        aris = {"present": [0.60, 0.61, 0.62], "new": after}
        return [
            {"size": sizes[0], "seed": seed, "method": one.name, "figures": {"ari_all": aris[one.name][seed]}}
            for one in models
            for seed in seeds
        ]

    monkeypatch.setattr(gate, "evaluate_actors", cells)
    monkeypatch.setattr(gate, "SEEDS", range(3))
    found = on_actors(tmp_path, tmp_path, tmp_path)
    assert (found.upper < 0) == worse
    assert "ARI with simulated actors 0.610 before" in found.figures


def test_ship_overwrites_no_weights_with_worse_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def halve(model: Path, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "config.json").write_text("new")

    class Calibrated:
        def save(self, folder: Path) -> None: ...

    def refuse(*_: Any) -> None:
        raise TrainingError("the new weights are worse")

    monkeypatch.setattr(ship, "make_datasets", lambda *_: [])
    monkeypatch.setattr(ship, "train", lambda *_: None)
    monkeypatch.setattr(ship, "halve", halve)
    monkeypatch.setattr(ship, "calibrate_dataset", lambda *_: Calibrated())
    output, work = tmp_path / "checkpoint", tmp_path / "work"
    command = ["data", "--output", str(output), "--work", str(work)]
    monkeypatch.setattr(ship, "refuse_worse", refuse)
    # There is nothing to compare with yet.
    assert ship.main(command) == 0
    (output / "config.json").write_text("present")
    assert ship.main(command) == 1
    assert (output / "config.json").read_text() == "present"
    assert f"the new weights are worse; {output} is as it was, and the run is in {work}" in capsys.readouterr().err
    monkeypatch.setattr(ship, "refuse_worse", lambda *_: None)
    assert ship.main(command) == 0
    assert (output / "config.json").read_text() == "new"
