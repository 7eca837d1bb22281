"""Measure models against baselines: `python -m training.evaluate INPUT... --output DIR [--model MODEL]`.

OUTPUT/metrics.json holds every figure with its 95 % interval (its layout: training/evaluation/README.md), metrics.md
the tables, plots/ the similarity histograms, the threshold curves and a map of the windows, report.html all of them.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telescope_transformer.errors import DatasetError, TelescopeError
from training.baselines import DEFAULT_BASELINES, METHODS, Method
from training.baselines.networks import trained
from training.evaluation.arguments import methods_on, parser
from training.evaluation.inputs import is_prepared, read_split, read_windows
from training.evaluation.page import page
from training.evaluation.protocol import Split, make_split, with_test_windows
from training.evaluation.runs import Results, measure_split, report_rows
from training.evaluation.summary import SCHEMA, average, differences, summarise
from training.evaluation.tables import MAIN_FIGURES, markdown


def evaluate(options: Namespace) -> tuple[dict[str, Any], Results]:
    """Measure everything that the options ask for.

    Returns:
        The content of metrics.json, and what the pictures show.

    Raises:
        TelescopeError: where inputs or models cannot be read, or are too small.
    """
    splits = read_splits(options)
    models = {model: Method(model.name, "model", _fitted(model.place)) for model in options.model}
    results = Results()
    for seed, split in splits.items():
        methods = methods_on(seed, options.methods, options.model, models)
        measure_split(results, split, seed, methods, replicates=options.replicates)
    averages = average(results.runs)
    titles = {name: (method.title, method.kind) for name, method in METHODS.items()}
    titles |= {method.title: (method.title, "model") for method in models.values()}
    summary = summarise(averages, titles)
    name = options.name or Path(options.inputs[0]).name
    metrics = {
        "schema": SCHEMA,
        "data": describe(options, name, list(splits)),
        "counts": results.counts,
        "methods": summary,
        "differences": differences(averages, [model.name for model in options.model], MAIN_FIGURES),
        "curves": results.curves,
        "results": report_rows(summary, f"{name}, windows of {options.window}", MAIN_FIGURES),
    }
    return metrics, results


def read_splits(options: Namespace) -> dict[int, Split]:
    """The splits by seed; a prepared dataset has one, its own.

    Raises:
        DatasetError: where --hold-out is asked of a prepared dataset, or sources are too few.
        InputError: where a file cannot be read.
    """
    length, most = options.window, options.max_windows
    if is_prepared(options.inputs):
        if options.hold_out != "source":
            raise DatasetError("a prepared dataset is split already; --hold-out needs flow-record files")
        splits = {options.splits[0]: read_split(options.inputs[0], length, max_windows=most)}
    else:
        windows = read_windows(options.inputs, length, columns=options.columns, distinct=options.distinct)
        splits = {
            seed: make_split(windows, length, seed=seed, hold_out=options.hold_out, max_windows=most)
            for seed in options.splits
        }
    if options.test:
        columns = options.test_columns or options.columns
        test = read_windows(options.test, length, columns=columns, distinct=options.distinct)
        splits = {
            seed: with_test_windows(split, test, length, seed=seed, max_windows=most) for seed, split in splits.items()
        }
    return splits


def describe(options: Namespace, name: str, splits: list[int]) -> dict[str, Any]:
    """How the figures were taken: names of files, never their folders or what is in them."""
    return {
        "name": name,
        "inputs": [Path(path).name for path in options.inputs],
        "test": [Path(path).name for path in options.test or []],
        "window": options.window,
        "max_windows": options.max_windows,
        "hold_out": options.hold_out,
        "distinct": options.distinct,
        "splits": splits,
        "replicates": options.replicates,
        "interval": 0.95,
    }


def write(output: Path, metrics: dict[str, Any], results: Results | None) -> None:
    """Write metrics.json and metrics.md, draw the results where there are any, and put all into report.html."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    (output / "metrics.md").write_text(markdown(metrics))
    pictures = []
    if results is not None:
        # Imported here: with its first use Matplotlib looks for fonts, which takes a while.
        from training.evaluation.plots import draw_all

        pictures = draw_all(output / "plots", results, metrics["methods"])
    (output / "report.html").write_text(page(metrics, pictures))


def main(
    argv: Sequence[str] | None = None, *, program: str = "training.evaluate", baselines: Sequence[str] = ()
) -> int:
    """Run the command line; returns the exit status."""
    try:
        options = parser(program, baselines or DEFAULT_BASELINES).parse_args(argv)
        metrics, results = evaluate(options)
        write(options.output, metrics, None if options.no_plots else results)
    except TelescopeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write((options.output / "metrics.md").read_text())
    return 0


def _fitted(place: str | None) -> Any:
    """A trained model as a method: it learns nothing from the evaluation's training windows."""
    represent = trained(place)
    return lambda split, seed: represent


if __name__ == "__main__":
    sys.exit(main())
