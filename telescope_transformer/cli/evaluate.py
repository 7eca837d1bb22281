"""`telescope evaluate`: measure models against baselines and controls."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telescope_transformer.cli.options import Columns, Json, check_folder, print_json, refuse_unused
from telescope_transformer.splits import LARGEST_SEED

if TYPE_CHECKING:
    from telescope_transformer.evaluation.settings import EvaluationSettings


def numbers(text: str) -> str:
    """Check that the text is a comma-separated list of seeds."""
    for part in text.split(","):
        if not part.strip().isdecimal():
            raise typer.BadParameter(f"{text!r} is not a list of numbers such as 0,1,2")
        if int(part) > LARGEST_SEED:
            raise typer.BadParameter(f"{part.strip()} is larger than {LARGEST_SEED}")
    return text


# Options that have an effect only within one telescope, and those of each other kind of evaluation.
_WITHIN = {"columns", "window", "hold_out", "test", "distinct", "name", "plots"}
_UNUSED = {"--across": {*_WITHIN, "model"}, "--truth": {*_WITHIN, "data", "only"}, None: {"data", "only", "cpu"}}


def evaluate(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(help="Flow-record files, or one prepared dataset; a plan with --across; sizes with --truth."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for metrics, tables and pictures.", file_okay=False)
    ],
    across: Annotated[
        bool,
        typer.Option("--across", help="INPUT is a plan of telescopes (YAML): train on the others, adapt, measure."),
    ] = False,
    truth: Annotated[
        str | None, typer.Option(help="`actor`: INPUTS are sizes of simulated telescopes such as 2000x90.")
    ] = None,
    columns: Columns = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model's directory or Hub id, NAME=MODEL, or NAME@SPLIT=MODEL (repeatable)."),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Baseline to compare with; a row with --across and --truth (repeatable).")
    ] = None,
    window: Annotated[int, typer.Option(help="Records in each window.")] = 8,
    splits: Annotated[str, typer.Option(callback=numbers, help="Seeds of splits, comma-separated.")] = "0,1,2",
    hold_out: Annotated[
        str, typer.Option(help="What a split keeps on one side: source, prefix or organisation.")
    ] = "source",
    test: Annotated[list[str] | None, typer.Option(help="Other flow-record files as unseen sources.")] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="Drop records that equal another.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the data in tables; default: the first input's.")] = None,
    data: Annotated[
        Path, typer.Option(help="With --across: folder with the files of the plan.", file_okay=False)
    ] = Path(),
    only: Annotated[list[str] | None, typer.Option(help="With --across: telescope to evaluate (repeatable).")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Train on the CPU even if there is a GPU.")] = False,
    plots: Annotated[bool, typer.Option(help="Draw the pictures.")] = True,
    json: Json = False,
) -> None:
    """Compare models with baselines and controls, on unseen sources.

    Within one telescope, sources are split. Without --model, the shipped checkpoint is measured. It was trained on the
    data that its card lists, so use the figures of the card for these. With --across and with --truth actor, each cell
    of the tables is stored in a file and not computed again, so a long evaluation can run in pieces.

    Example: telescope evaluate flows.parquet --model default@0=runs/split-0 --splits 0 --output evaluation
    """
    from telescope_transformer.evaluation.model_arguments import model_argument
    from telescope_transformer.hub import check_checkpoint

    if across and truth is not None:
        raise typer.BadParameter("give --across or --truth, not both")
    kind = "--across" if across else None if truth is None else "--truth"
    refuse_unused(context, _UNUSED[kind], f"with {kind}" if kind else "without --across or --truth")
    check_folder(output)
    seeds = [int(part) for part in splits.split(",")]
    models = [model_argument(text) for text in model or ["shipped"]]
    for each in models:
        check_checkpoint(each.place)
    if across:
        found = _across(inputs, output, data=data, seeds=seeds, only=only or (), methods=methods or (), cpu=cpu)
        _show(*found, json=json)
        return
    if truth is not None:
        if truth != "actor":
            raise typer.BadParameter(f"--truth is `actor`, not {truth!r}")
        _show(*_actors(inputs, output, models, seeds, methods or (), cpu=cpu), json=json)
        return
    from telescope_transformer.evaluation.baselines import DEFAULT_BASELINES
    from telescope_transformer.evaluation.settings import EvaluationSettings
    from telescope_transformer.records import parse_mapping

    settings = EvaluationSettings(
        models=models,
        methods=tuple(methods or DEFAULT_BASELINES),
        window=window,
        splits=seeds,
        hold_out=hold_out,
        columns=parse_mapping(columns) if columns else None,
        distinct=distinct,
        test=test or (),
        name=name,
    )
    _within(inputs, output, settings, plots=plots, json=json)


def _within(inputs: list[str], output: Path, settings: "EvaluationSettings", *, plots: bool, json: bool) -> None:
    from telescope_transformer.evaluation.within import evaluate as measure
    from telescope_transformer.evaluation.within import write

    metrics, results = measure(inputs, settings)
    write(output, metrics, results if plots else None)
    if json:
        print_json({"output": output, "results": metrics["results"]})
    else:
        typer.echo((output / "metrics.md").read_text(encoding="utf-8"), nl=False)


def _across(inputs: list[str], output: Path, *, data: Path, **options: Any) -> tuple[list[Any], str, Path]:
    from telescope_transformer.evaluation.across import evaluate_across, method_names
    from telescope_transformer.evaluation.across_tables import across_tables
    from telescope_transformer.evaluation.plan import read_plan

    if len(inputs) != 1:
        raise typer.BadParameter("--across takes one plan")
    plan = read_plan(inputs[0])
    cells = evaluate_across(plan, data, output, **options)
    tables = across_tables(cells, method_names(plan), [one.name for one in plan.telescopes])
    return cells, tables, output / "across.md"


def _actors(
    sizes: list[str], output: Path, models: list[Any], seeds: list[int], methods: Sequence[str], *, cpu: bool
) -> tuple[list[Any], str, Path]:
    from telescope_transformer.evaluation.actors import actor_tables, evaluate_actors
    from telescope_transformer.learning.adapt import AdaptSettings

    settings = AdaptSettings(device_cpu=cpu)
    cells = evaluate_actors(sizes, models, seeds, output, settings, methods)
    return cells, actor_tables(cells), output / "actors.md"


def _show(cells: list[Any], tables: str, path: Path, *, json: bool) -> None:
    """Write the tables to a file, and print them, or the cells as JSON."""
    from telescope_transformer.files import write_text

    write_text(path, tables)
    if json:
        print_json({"output": path.parent, "cells": cells})
    else:
        typer.echo(tables, nl=False)
