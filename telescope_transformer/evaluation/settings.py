"""Settings of an evaluation: models, baselines, and how sources are split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telescope_transformer.errors import InputError
from telescope_transformer.evaluation.baselines import CONTROLS, DEFAULT_BASELINES, METHODS, Method
from telescope_transformer.evaluation.measure import REPLICATES
from telescope_transformer.evaluation.model_arguments import ModelArgument
from telescope_transformer.evaluation.protocol import HOLD_OUTS

ALL = "all"


@dataclass(frozen=True)
class EvaluationSettings:
    """Options of an evaluation.

    Args:
        models: models to evaluate.
        methods: names of baselines to compare with, or `all`.
        window: records in each window.
        splits: seeds of the splits.
        hold_out: unit that is kept on one side of a split, one of `HOLD_OUTS`.
        columns: record field to column, for CSV and Parquet.
        distinct: drop records that equal another in every field.
        test: other flow-record files to use as unseen sources.
        replicates: number of bootstrap replicates over sources.
        name: name of the data in tables and cards; None uses the name of the first input.

    Raises:
        InputError: if an option has an invalid value.
    """

    models: Sequence[ModelArgument] = ()
    methods: Sequence[str] = DEFAULT_BASELINES
    window: int = 8
    splits: Sequence[int] = (0, 1, 2)
    hold_out: str = "source"
    columns: Mapping[str, str] | None = None
    distinct: bool = False
    test: Sequence[str] = ()
    replicates: int = REPLICATES
    name: str | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.methods if name not in (*METHODS, ALL)]
        if unknown:
            raise InputError(f"unknown baseline {unknown[0]!r}; baselines are {', '.join((*METHODS, ALL))}")
        if self.hold_out not in HOLD_OUTS:
            raise InputError(f"sources can be held out by {', '.join(HOLD_OUTS)}, not by {self.hold_out!r}")
        for model in self.models:
            if model.name in METHODS:
                raise InputError(f"{model.name!r} is the name of a baseline; give the model another: NAME=MODEL")
        for name in ("window", "replicates"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")


def methods_on(
    split: int, names: Sequence[str], models: Sequence[ModelArgument], loaded: Mapping[ModelArgument, Method]
) -> dict[str, list[Method]]:
    """The controls, baselines and models to evaluate on a split, each with its variants."""
    wanted = list(METHODS) if ALL in names else [*CONTROLS, *names]
    methods: dict[str, list[Method]] = {name: [METHODS[name]] for name in METHODS if name in wanted}
    for model in models:
        if model.split in (None, split):
            methods.setdefault(model.name, []).append(loaded[model])
    return methods
