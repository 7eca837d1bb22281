"""Assembles the folder to upload: a checkpoint with its code, a prepared dataset, or a metric, each with a card.

Weights and shards are symbolic links, not copies.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from telescope_transformer.errors import InputError
from telescope_transformer.hub.cards import dataset_card, model_card
from telescope_transformer.hub.checkpoints import WEIGHTS_INDEX, weight_files
from telescope_transformer.hub.facts import read_measured_on, read_measurements, read_training
from telescope_transformer.preparation.manifest import read_manifest, write_manifest

BESIDE_WEIGHTS = ("config.json", WEIGHTS_INDEX, "tokenizer*.json", "calibration.json")


@dataclass(frozen=True)
class CardOptions:
    """Options of a card besides recorded facts: a licence other than the default, and the file with the evaluation."""

    licence: str | None = None
    metrics: Path | None = None


@dataclass(frozen=True)
class Staged:
    """The kind of repository, and patterns of files that are deleted from it unless they are uploaded again."""

    kind: str
    replaces: list[str] = field(default_factory=list)


def stage_model(checkpoint: Path, name: str, folder: Path, options: CardOptions) -> Staged:
    """Stage weights, configuration, tokenizer, calibration, recorded metrics, the code that loads them, and the card.

    Raises:
        CheckpointError: if the checkpoint is incomplete.
        InputError: if the metrics file is not the output of an evaluation.
    """
    # Imported here because it imports torch, which takes a while and is not needed to upload a dataset or a metric.
    from telescope_transformer.model.sharing_telescope import bundle_source

    metrics = options.metrics or checkpoint / "metrics.json"
    if options.metrics and not metrics.is_file():
        raise InputError(f"{metrics}: no such file")
    figures, measured_on = read_measurements(metrics), read_measured_on(metrics)
    card = model_card(checkpoint, name, measurements=figures, measured_on=measured_on, licence=options.licence)
    for file in weight_files(checkpoint) + [file for name in BESIDE_WEIGHTS for file in checkpoint.glob(name)]:
        _place(file, folder / file.name)
    (folder / "training.json").write_text(json.dumps(read_training(checkpoint), indent=2) + "\n", encoding="utf-8")
    if metrics.is_file():
        _place(metrics, folder / "metrics.json")
    bundle_source(folder)
    card.save(folder / "README.md")
    return Staged("model", ["*.py", "*.safetensors", WEIGHTS_INDEX])


def stage_dataset(dataset: Path, name: str, folder: Path, options: CardOptions) -> Staged:
    """Stage the files of every split, the manifest without input paths, and a card whose `configs` list the files.

    Raises:
        DatasetError: if there is no prepared dataset, or one of its files is missing.
    """
    manifest = read_manifest(dataset)
    for file in manifest.files:
        _place(dataset / file.path, folder / file.path)
    ingests = [
        replace(ingest, inputs=[entry | {"file": Path(entry["file"]).name} for entry in ingest.inputs])
        for ingest in manifest.ingests
    ]
    write_manifest(folder, replace(manifest, ingests=ingests))
    dataset_card(manifest, name, licence=options.licence).save(folder / "README.md")
    # Otherwise, shards of an earlier preparation would stay in the repository and be read as part of the dataset.
    return Staged("dataset", ["*.parquet"])


def stage_metric(metric: Path, name: str, folder: Path, options: CardOptions) -> Staged:
    """Stage a metric's module, card, demonstration and requirements as `evaluate.load` expects them in a Space.

    Raises:
        InputError: if there is no such metric.
    """
    # Imported here because it needs datasets and evaluate, which the upload of a model does not.
    from telescope_transformer.metrics.modules import MODULES, write_space

    if str(metric) not in MODULES:
        raise InputError(f"{metric}: no such metric; metrics are {', '.join(MODULES)}")
    write_space(str(metric), folder, name.split("/")[-1])
    return Staged("space", ["*.py"])


STAGES: dict[str, Callable[[Path, str, Path, CardOptions], Staged]] = {
    "model": stage_model,
    "dataset": stage_dataset,
    "metric": stage_metric,
}


def _place(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix in (".safetensors", ".parquet"):
        target.symlink_to(file.resolve())
    else:
        shutil.copyfile(file, target)
