"""Folders as the Hub gets them: a checkpoint with its code, a prepared dataset, or a metric, each with its card.

Large files are linked, not copied.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hub_cards.render import dataset_card, model_card
from telescope_transformer.errors import InputError

CHECKPOINT_FILES = ("config.json", "*.safetensors", "tokenizer*.json", "metrics.json", "training.json")
METRIC_FILES = ("README.md", "app.py", "requirements.txt")


@dataclass(frozen=True)
class Staged:
    """What a folder is on the Hub, and which files of an earlier push it replaces."""

    kind: str
    replaces: list[str] = field(default_factory=list)


def stage_model(checkpoint: Path, name: str, folder: Path, licence: str | None) -> Staged:
    """Weights, configuration, tokenizer, recorded metrics, the code that loads them, and the card.

    Raises:
        CheckpointError: where the checkpoint is not whole.
    """
    # Imported here: it brings torch with it, which datasets and metrics need not wait for.
    from telescope_transformer.model.sharing_telescope import carry_code

    card = model_card(checkpoint, name, **_given(licence))
    for pattern in CHECKPOINT_FILES:
        for file in sorted(checkpoint.glob(pattern)):
            _place(file, folder / file.name)
    carry_code(folder)
    card.save(folder / "README.md")
    return Staged("model", ["*.py", "*.safetensors"])


def stage_dataset(dataset: Path, name: str, folder: Path, licence: str | None) -> Staged:
    """The Parquet files of every split, the manifest, and the card whose `configs` name them.

    Raises:
        DatasetError: where there is no prepared dataset.
    """
    card = dataset_card(dataset, name, **_given(licence))
    for file in (*sorted(dataset.glob("*/*.parquet")), *sorted(dataset.glob("manifest.json"))):
        _place(file, folder / file.relative_to(dataset))
    card.save(folder / "README.md")
    # Shards of another preparation beside the new ones would be read as part of it.
    return Staged("dataset", ["*.parquet"])


def stage_metric(metric: Path, name: str, folder: Path, licence: str | None) -> Staged:
    """A metric's module, card, demonstration and requirements, as `evaluate.load` looks for them in a Space.

    Raises:
        InputError: where the folder lacks one of them.
    """
    module = metric / f"{metric.name}.py"
    for file in (module, *(metric / wanted for wanted in METRIC_FILES)):
        if not file.is_file():
            raise InputError(f"{metric}: no {file.name}; a metric's folder has its module, {', '.join(METRIC_FILES)}")
    # The client derives the module's name from that of the repository.
    _place(module, folder / f"{name.split('/')[-1]}.py")
    for wanted in METRIC_FILES:
        _place(metric / wanted, folder / wanted)
    return Staged("space", ["*.py"])


STAGES: dict[str, Callable[[Path, str, Path, str | None], Staged]] = {
    "model": stage_model,
    "dataset": stage_dataset,
    "metric": stage_metric,
}


def _given(licence: str | None) -> dict[str, str]:
    return {} if licence is None else {"licence": licence}


def _place(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix in (".safetensors", ".parquet"):
        target.symlink_to(file.resolve())
    else:
        shutil.copyfile(file, target)
