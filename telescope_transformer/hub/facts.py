"""Facts for cards, read from the files that preparation, training and evaluation wrote."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from telescope_transformer.errors import CheckpointError, InputError
from telescope_transformer.files import read_json
from telescope_transformer.hub.checkpoints import TOKENIZER_FILES, weight_files, weight_shapes
from telescope_transformer.preparation.manifest import Manifest
from telescope_transformer.preparation.writer import window_schema

# Assumed power of a machine under load in watts: a small server without a GPU, or with a GPU of 300 to 400 W.
ASSUMED_WATTS = {"CPU": 100, "GPU": 500}
SPLITS = {
    "train": "training sources, the first 80 % of each in time",
    "unseen_sequences": "training sources, the rest",
    "validation": "validation sources",
    "unseen_sources": "test sources",
    "windows": "all sources: the dataset is not split",
}
# Names in cards of those counts of a preparation whose own names do not say that they count records.
COUNTS = {name: f"records {name}" for name in ("read", "kept", "rejected", "skipped")}


@dataclass(frozen=True)
class Measurement:
    """One result of an evaluation, with its 95 % interval if it has one."""

    dataset: str
    split: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Split:
    """Size of one split of a prepared dataset."""

    name: str
    meaning: str
    windows: int
    records: int
    files: int


def read_json_if_any(path: Path) -> Any:
    """The content of a JSON file, or None if there is no such file.

    Raises:
        InputError: if the file is not JSON.
    """
    if not path.is_file():
        return None
    try:
        return read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error


def read_measurements(path: Path) -> list[Measurement]:
    """Read the results in a metrics.json of `telescope evaluate`: its `results`, or a list of such objects.

    Each result has dataset, split, metric, value and, if there is an interval, low and high.

    Raises:
        InputError: if a result is malformed; the message names the file, the position and the value.
    """
    if not path.is_file():
        return []
    rows = read_json_if_any(path)
    if isinstance(rows, dict):
        if not isinstance(rows.get("results"), list):
            raise InputError(f"{path}: not a metrics.json of an evaluation: it has no list of results")
        rows = rows["results"]
    if not isinstance(rows, list):
        raise InputError(f"{path}: not a metrics.json of an evaluation: it is neither an object nor a list")
    measurements = []
    for place, row in enumerate(rows):
        try:
            low, high = (None if row.get(key) is None else float(row[key]) for key in ("low", "high"))
            dataset, split, metric = (str(row[key]) for key in ("dataset", "split", "metric"))
            measurement = Measurement(dataset, split, metric, float(row["value"]), low, high)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: result {place} is not a figure: {row!r}") from error
        if not all(math.isfinite(figure) for figure in (measurement.value, low, high) if figure is not None):
            raise InputError(f"{path}: result {place} has a value that is not finite: {row!r}")
        measurements.append(measurement)
    return measurements


def read_measured_on(path: Path) -> str | None:
    """The models that a metrics.json was measured on, if they are not the checkpoint beside it."""
    content = read_json_if_any(path)
    return str(content["measured_on"]) if isinstance(content, dict) and content.get("measured_on") else None


def read_training(checkpoint: Path) -> dict[str, Any]:
    """The training.json of a checkpoint, without the folder that training started from; empty if there is no file.

    Raises:
        InputError: if it is not a JSON object.
    """
    training = read_json_if_any(checkpoint / "training.json") or {}
    if not isinstance(training, dict):
        raise InputError(f"{checkpoint / 'training.json'}: not written by training")
    start = training.get("start_from")
    # A local path is private, and useless to others.
    if start is None or Path(start).exists() or str(start).strip("./").count("/") != 1:
        training.pop("start_from", None)
    return training


def training_cost(training: dict[str, Any]) -> dict[str, Any] | None:
    """Time and energy of a training run, from its recorded steps and speed; None if they are not recorded.

    Args:
        training: content of training.json.
    """
    result = training.get("result")
    speed = result.get("pairs_per_second") if isinstance(result, dict) else None
    steps, pairs = training.get("steps"), training.get("batch_pairs")
    if not all(isinstance(value, (int, float)) and value > 0 for value in (speed, steps, pairs)):
        return None
    hours = steps * pairs / speed / 3600  # type: ignore[operator]
    device = "CPU" if training.get("cpu") or training.get("device") == "cpu" else "GPU"
    minutes = round(60 * hours)
    return {
        "time": f"about {minutes:,} minute{'' if minutes == 1 else 's'}" if minutes else "less than a minute",
        "device": device,
        "steps": f"{steps:,}",
        "pairs": f"{pairs:,}",
        "watts": ASSUMED_WATTS[device],
        "kilowatt_hours": f"{hours * ASSUMED_WATTS[device] / 1000:.2g}",
    }


def check_tokenizer(checkpoint: Path) -> None:
    """Check that a checkpoint has a tokenizer.

    Raises:
        CheckpointError: if one of its files is missing.
    """
    for name in TOKENIZER_FILES:
        if not (checkpoint / name).is_file():
            raise CheckpointError(f"{checkpoint}: no {name}; a checkpoint is a folder that save_pretrained wrote")


def count_parameters(checkpoint: Path) -> int:
    """Number of parameters of a checkpoint, from the headers of its weights.

    Raises:
        CheckpointError: if there are no weights, or a file is damaged or shorter than its header says.
    """
    return sum(math.prod(shape) for path in weight_files(checkpoint) for shape in weight_shapes(path).values())


def describe_splits(manifest: Manifest) -> list[Split]:
    """Sizes of the splits of a prepared dataset."""
    counts = manifest.split_counts()
    return [Split(name, meaning, **counts[name]) for name, meaning in SPLITS.items() if name in counts]


def describe_columns(manifest: Manifest) -> list[dict[str, str]]:
    """Names and types of the columns of a prepared dataset."""
    schema = window_schema(manifest.fields, manifest.annotations)
    lists = {field.name: f"list of {field.type.value_type}" for field in schema if pa.types.is_list(field.type)}
    return [{"name": field.name, "type": lists.get(field.name, str(field.type))} for field in schema]


def describe_preparation(manifest: Manifest) -> dict[str, Any]:
    """How a dataset was prepared: counts of records, engines and formats, but no file names or sensor names."""
    counts = {COUNTS.get(name, name.replace("_", " ")): f"{count:,}" for name, count in manifest.counts().items()}
    formats = sorted({str(entry.get("format")) for ingest in manifest.ingests for entry in ingest.inputs})
    engines = sorted({ingest.engine for ingest in manifest.ingests})
    made = {"input formats": formats, "prepared with": engines, "fewest records of a window": manifest.min_records}
    return flat(counts | made)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings: keys are joined by dots, lists by commas, and empty values are dropped."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}.")
        elif value not in (None, "", []):
            result[f"{prefix}{key}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return result
