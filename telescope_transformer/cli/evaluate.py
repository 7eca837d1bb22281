"""`telescope evaluate`: starts `training.evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Columns
from telescope_transformer.cli.programs import run_module


def numbers(text: str) -> str:
    """The text, if it is whole numbers with commas between them."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 0,1,2")
    return text


def evaluate(
    inputs: Annotated[list[str], typer.Argument(help="Flow-record files, or one prepared dataset's directory.")],
    output: Annotated[Path, typer.Option(help="Directory for metrics.json, metrics.md, report.html and plots.")],
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
    plots: Annotated[bool, typer.Option(help="Draw the pictures.")] = True,
) -> None:
    """Measure models against baselines and controls, on sources that they have not seen.

    Without --model it measures the shipped checkpoint, which has seen the data that its card names: take figures on
    those from the card.

    Example: telescope evaluate flows.parquet --model default@0=runs/split-0 --splits 0 --output evaluation
    """
    arguments = [*inputs, "--output", str(output), "--window", str(window), "--hold-out", hold_out]
    arguments += ["--splits", *splits.split(",")]
    for place in model or ["shipped"]:
        arguments += ["--model", place]
    if columns:
        arguments += ["--columns", columns]
    if methods:
        arguments += ["--methods", *methods]
    if test:
        arguments += ["--test", *test]
    arguments += ["--distinct"] * distinct + ["--no-plots"] * (not plots)
    run_module("training.evaluate", arguments)
