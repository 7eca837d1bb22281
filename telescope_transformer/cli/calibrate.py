"""`telescope calibrate`: from similarities to probabilities, without labels."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import check_folder
from telescope_transformer.errors import CheckpointError
from telescope_transformer.progress import say


def calibrate(
    dataset: Annotated[
        Path, typer.Argument(help="Prepared dataset; the calibration is fitted on its validation sources.")
    ],
    model: Annotated[str | None, typer.Option(help="Checkpoint; default: the shipped one.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for calibration.json, created if it does not exist; default: that of --model.",
        ),
    ] = None,
    fit_split: Annotated[str, typer.Option(help="Split that the calibration is fitted on.")] = "validation",
    test_split: Annotated[str, typer.Option(help="Split on which the error is measured.")] = "unseen_sources",
    seed: Annotated[int, typer.Option(help="Seed of the draw of pairs.")] = 0,
) -> None:
    """Fit the probability that two windows of a given similarity are of one source, and the threshold of a model.

    Writes calibration.json beside the checkpoint, and prints the expected calibration error on held-out sources. The
    calibration of the shipped checkpoint is never overwritten; give --output for it.

    Example: telescope calibrate dataset --model checkpoint
    """
    from telescope_transformer.hub import check_checkpoint

    place = output or model
    if place is None:
        raise typer.BadParameter(
            "the shipped checkpoint's calibration is not overwritten: give --output, a folder for calibration.json, "
            "or --model, a checkpoint of your own"
        )
    check_checkpoint(model)
    folder = Path(place)
    if output is None and not folder.is_dir():
        raise CheckpointError(f"{folder}: no folder to write calibration.json to; give one with --output")
    check_folder(folder)
    from telescope_transformer.model_calibration import calibrate_dataset

    calibration = calibrate_dataset(dataset, model, fit_split=fit_split, test_split=test_split, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = calibration.save(folder)
    say(f"wrote {path}: {calibration.pairs:,} pairs of one source")
    typer.echo(f"threshold {calibration.threshold:.3f}")
    typer.echo(f"expected calibration error {calibration.expected_calibration_error:.4f}")
