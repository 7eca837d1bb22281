"""`telescope train`: train or fine-tune a model on prepared datasets."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from telescope_transformer.cli.declared import with_options_of
from telescope_transformer.errors import TelescopeError
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.progress import say

# Variables that `accelerate launch` and torchrun set for the processes that they start.
_LAUNCHED = ("ACCELERATE_MIXED_PRECISION", "LOCAL_RANK")


def end_with_launcher() -> None:
    """Lets this process end with the launcher that started it, if one did.

    Launchers put their workers into sessions of their own. When a launcher is killed, its workers would train on, and
    would write to the same folder as the run that continues theirs.
    """
    if any(name in os.environ for name in _LAUNCHED):
        # Imported here, since the readers take seconds to load, which `--help` need not wait for.
        from telescope_transformer.records.children import end_with_parent

        end_with_parent()


@with_options_of(TrainingArguments, leave_out={"model", "objective_options"})
def train(
    *,
    dataset: Annotated[list[Path], typer.Option(help="Directory that `telescope prepare` wrote (repeatable).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the model, checkpoints and logs.")],
    config: Annotated[
        str | None, typer.Option(help="Recipe: a YAML file of options, or the name of a shipped recipe.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help='Directory or Hub id of the model to start from, or "shipped".')
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of that model on the Hub.")] = None,
    split: Annotated[str, typer.Option(help="Split of the datasets; all is all of them.")] = "train",
    cache: Annotated[
        Path | None, typer.Option(help="Directory of the encoded records; OUTPUT/cache if not given.")
    ] = None,
    options: dict[str, Any],
) -> None:
    """Train a model without labels on prepared datasets, or fine-tune an existing one.

    Options override the recipe. The same command continues a run that was killed. For several processes or GPUs, use
    `accelerate launch -m telescope_transformer.learning` with the same options.

    Example: telescope train --dataset dataset --config default --output run
    """
    from telescope_transformer.hub import check_checkpoint

    if model is not None:
        check_checkpoint(model, revision=revision)
    from telescope_transformer.learning.arguments import arguments_of
    from telescope_transformer.learning.training import TrainingPaths, end_processes
    from telescope_transformer.learning.training import train as run

    paths = TrainingPaths(dataset, output, start_from=model, revision=revision, split=split, cache=cache)
    try:
        run(paths, arguments_of(config, options), say)
    except BaseException:
        # A command that fails or is interrupted leaves no empty folder; one with checkpoints stays.
        with contextlib.suppress(OSError):
            output.rmdir()
        raise
    finally:
        end_processes()


def main(argv: list[str] | None = None) -> int:
    """Run `telescope train` as a program of its own; returns the exit status."""
    end_with_launcher()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(train)
    try:
        app(argv, standalone_mode=False)
    except TelescopeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0
