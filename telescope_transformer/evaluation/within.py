"""Measure models against baselines and controls within one telescope, on sources that they have not seen.

The output has metrics.json with every metric and its 95 % interval (README.md in this folder describes the layout),
metrics.md with the tables, plots/ with similarity histograms, threshold curves and a map of the windows, and
report.html with all of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telescope_transformer.analysis import LazyEmbedder
from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.baselines import METHODS, Method
from telescope_transformer.evaluation.baselines.methods import unfitted
from telescope_transformer.evaluation.baselines.networks import trained
from telescope_transformer.evaluation.inputs import is_prepared, read_split, read_windows
from telescope_transformer.evaluation.page import page
from telescope_transformer.evaluation.protocol import MAX_WINDOWS, Split, make_split, with_test_windows
from telescope_transformer.evaluation.runs import Results, measure_split, report_rows
from telescope_transformer.evaluation.settings import EvaluationSettings, methods_on
from telescope_transformer.evaluation.summary import SCHEMA, average, differences, summarise
from telescope_transformer.evaluation.tables import MAIN_FIGURES, markdown
from telescope_transformer.files import write_text


def evaluate(inputs: Sequence[str | Path], settings: EvaluationSettings) -> tuple[dict[str, Any], Results]:
    """Measure everything that the settings ask for.

    Args:
        inputs: flow-record files, which are split here, or the directory of one prepared dataset with its own split.

    Returns:
        The content of metrics.json, and the data of the pictures.

    Raises:
        TelescopeError: if inputs or models cannot be read, or are too small.
    """
    for model in settings.models:
        LazyEmbedder(model.place).check()
    splits = read_splits(inputs, settings)
    models = {model: Method(model.name, "model", unfitted(trained(model.place))) for model in settings.models}
    results = Results()
    for seed, split in splits.items():
        methods = methods_on(seed, settings.methods, settings.models, models)
        measure_split(results, split, seed, methods, replicates=settings.replicates)
    averages = average(results.runs)
    titles = {name: (method.title, method.kind) for name, method in METHODS.items()}
    titles |= {method.title: (method.title, "model") for method in models.values()}
    summary = summarise(averages, titles)
    name = settings.name or Path(inputs[0]).name
    metrics = {
        "schema": SCHEMA,
        "data": describe(inputs, settings, name, list(splits)),
        "counts": results.counts,
        "methods": summary,
        "differences": differences(averages, [model.name for model in settings.models], MAIN_FIGURES),
        "curves": results.curves,
        "results": report_rows(summary, f"{name}, windows of {settings.window}", MAIN_FIGURES),
    }
    return metrics, results


def read_splits(inputs: Sequence[str | Path], settings: EvaluationSettings) -> dict[int, Split]:
    """The splits by seed. A prepared dataset has a single split.

    Raises:
        DatasetError: if `hold_out` is given for a prepared dataset, or there are too few sources.
        InputError: if a file cannot be read.
    """
    length = settings.window
    if is_prepared(inputs):
        if settings.hold_out != "source":
            raise DatasetError("a prepared dataset is split already; --hold-out needs flow-record files")
        splits = {settings.splits[0]: read_split(inputs[0], length)}
    else:
        windows = read_windows(inputs, length, columns=settings.columns, distinct=settings.distinct)
        splits = {seed: make_split(windows, length, seed=seed, hold_out=settings.hold_out) for seed in settings.splits}
    if settings.test:
        test = read_windows(settings.test, length, columns=settings.columns, distinct=settings.distinct)
        splits = {seed: with_test_windows(split, test, length, seed=seed) for seed, split in splits.items()}
    return splits


def describe(
    inputs: Sequence[str | Path], settings: EvaluationSettings, name: str, splits: list[int]
) -> dict[str, Any]:
    """How the metrics were measured. It names files, but never their folders or content."""
    return {
        "name": name,
        "inputs": [Path(path).name for path in inputs],
        "test": [Path(path).name for path in settings.test],
        "window": settings.window,
        "max_windows": MAX_WINDOWS,
        "hold_out": settings.hold_out,
        "distinct": settings.distinct,
        "splits": splits,
        "replicates": settings.replicates,
        "interval": 0.95,
    }


def write(output: Path, metrics: dict[str, Any], results: Results | None) -> None:
    """Write metrics.json, metrics.md, the pictures if there are results to draw, and report.html with all of them."""
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    write_text(output / "metrics.md", markdown(metrics))
    pictures = []
    if results is not None:
        # Imported here because Matplotlib searches for fonts on first use, which takes a while.
        from telescope_transformer.evaluation.plots import draw_all

        pictures = draw_all(output / "plots", results, metrics["methods"])
    write_text(output / "report.html", page(metrics, pictures))
