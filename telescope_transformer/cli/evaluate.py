"""`telescope evaluate`: measure models against baselines and controls."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Columns


def numbers(text: str) -> str:
    """The text, if it is whole numbers with commas between them."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 0,1,2")
    return text


def evaluate(
    inputs: Annotated[list[str], typer.Argument(help="Flow-record files, or one prepared dataset's directory.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for metrics.json, metrics.md, report.html and plots.")
    ],
    columns: Columns = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model's directory or Hub id, NAME=MODEL, or NAME@SPLIT=MODEL (repeatable)."),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Baseline to compare with (repeatable); `all` for all of them.")
    ] = None,
    window: Annotated[int, typer.Option(help="Records in each window.")] = 8,
    splits: Annotated[str, typer.Option(callback=numbers, help="Seeds of the splits, comma-separated.")] = "0,1,2",
    hold_out: Annotated[str, typer.Option(help="Kept on one side: source, prefix or organisation.")] = "source",
    test: Annotated[list[str] | None, typer.Option(help="Other flow-record files as unseen sources.")] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="Keep one of records that are equal.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the data in tables; default: the first input's.")] = None,
    plots: Annotated[bool, typer.Option(help="Draw the pictures.")] = True,
) -> None:
    """Measure models against baselines and controls, on sources that they have not seen.

    Without --model it measures the shipped checkpoint, which has seen the data that its card names: take figures on
    those from the card.

    Example: telescope evaluate flows.parquet --model default@0=runs/split-0 --splits 0 --output evaluation
    """
    from telescope_transformer.evaluation.baselines import DEFAULT_BASELINES
    from telescope_transformer.evaluation.measuring import evaluate as measure
    from telescope_transformer.evaluation.measuring import write
    from telescope_transformer.evaluation.settings import SHIPPED, EvaluationSettings, model_argument
    from telescope_transformer.records import parse_mapping

    settings = EvaluationSettings(
        models=[model_argument(text) for text in model or [SHIPPED]],
        methods=tuple(methods or DEFAULT_BASELINES),
        window=window,
        splits=[int(part) for part in splits.split(",")],
        hold_out=hold_out,
        columns=parse_mapping(columns) if columns else None,
        distinct=distinct,
        test=test or (),
        name=name,
    )
    metrics, results = measure(inputs, settings)
    write(output, metrics, results if plots else None)
    typer.echo((output / "metrics.md").read_text(), nl=False)
