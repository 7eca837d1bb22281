"""The command line of the evaluation, and the methods that it names."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from telescope_transformer.errors import DatasetError
from telescope_transformer.records import parse_mapping
from training.baselines import CONTROLS, METHODS, Method
from training.evaluation.measure import REPLICATES
from training.evaluation.protocol import HOLD_OUTS, MAX_WINDOWS

MODEL_HELP = (
    "a model's directory or Hub id, or NAME=MODEL, or NAME@SPLIT=MODEL for one that was trained on that split; "
    "repeat it for several, and repeat a name for several splits and seeds; `shipped` is the package's checkpoint"
)


@dataclass(frozen=True)
class ModelArgument:
    """A model to evaluate: its name in the tables, the split that it was trained on or None, and where it lies."""

    name: str
    split: int | None
    place: str | None


class _Parser(argparse.ArgumentParser):
    """Tells a mistake without the usage: `telescope evaluate` starts this program and has a usage of its own."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def parser(program: str, baselines: Sequence[str]) -> argparse.ArgumentParser:
    """The options; `baselines` are compared with unless others are named."""
    command = _Parser(prog=program, description=__doc__)
    command.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    add = command.add_argument
    add("inputs", nargs="+", help="flow-record files, or the directory of a prepared dataset, whose split is used")
    add("--output", type=Path, required=True, help="directory for metrics.json, metrics.md, report.html and plots")
    add("--columns", type=parse_mapping, help="field=column pairs, comma-separated, for CSV and Parquet")
    add("--distinct", action="store_true", help="keep one of records that are equal in every field")
    add("--model", action="append", default=[], type=model_argument, help=MODEL_HELP)
    add("--methods", nargs="*", default=list(baselines), choices=(*METHODS, "all"), help="baselines to compare with")
    add("--window", type=int, default=8, help="records in each window")
    add("--max-windows", type=int, default=MAX_WINDOWS, help="windows of a source, drawn at random")
    add("--splits", nargs="+", type=int, default=[0, 1, 2], help="seeds of the splits")
    add("--hold-out", choices=HOLD_OUTS, default="source", help="what is kept whole on one side of a split")
    add("--test", nargs="+", help="other flow-record files to use as unseen sources")
    add("--test-columns", type=parse_mapping, help="columns of those files; as --columns if not given")
    add("--replicates", type=int, default=REPLICATES, help="bootstrap replicates over sources")
    add("--name", help="name of the data in tables and cards; the first input's if not given")
    add("--no-plots", action="store_true", help="write figures only")
    return command


def model_argument(text: str) -> ModelArgument:
    """NAME@SPLIT=MODEL, NAME=MODEL or MODEL.

    Raises:
        argparse.ArgumentTypeError: where the split is not a number.
    """
    label, equals, place = text.rpartition("=")
    if not equals:
        label = "model" if place == "shipped" else Path(place).name
    name, at, split = label.partition("@")
    if at and not split.isdigit():
        raise argparse.ArgumentTypeError(f"the split of {text!r} must be a number, not {split!r}")
    return ModelArgument(name, int(split) if at else None, None if place == "shipped" else place)


def methods_on(
    split: int, names: Sequence[str], models: Sequence[ModelArgument], loaded: Mapping[ModelArgument, Method]
) -> dict[str, list[Method]]:
    """The controls, the baselines and the models that are evaluated on a split, each with its variants.

    Raises:
        DatasetError: where a model has the name of a baseline.
    """
    wanted = list(METHODS) if "all" in names else [*CONTROLS, *names]
    methods: dict[str, list[Method]] = {name: [METHODS[name]] for name in METHODS if name in wanted}
    for model in models:
        if model.name in METHODS:
            raise DatasetError(f"{model.name!r} is the name of a baseline; give the model another: NAME=MODEL")
        if model.split in (None, split):
            methods.setdefault(model.name, []).append(loaded[model])
    return methods
