"""`telescope calibrate`: from similarities to probabilities, without labels."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    dataset: Annotated[Path, typer.Argument(help="Prepared dataset; its validation sources are fitted.")],
    model: Annotated[str | None, typer.Option(help="Checkpoint; default: the shipped one.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for calibration.json; default: that of --model.")
    ] = None,
    fit_split: Annotated[str, typer.Option(help="Split that is fitted.")] = "validation",
    test_split: Annotated[str, typer.Option(help="Split on which the error is measured.")] = "unseen_sources",
    seed: Annotated[int, typer.Option(help="Seed of the pairs that are drawn.")] = 0,
) -> None:
    """Fit how likely two windows of a given similarity are of one source, and the threshold of a model.

    Writes calibration.json beside the checkpoint and prints the expected calibration error on sources not fitted. The
    shipped checkpoint's own stays as it is: with it, --output says where the new one goes.

    Example: telescope calibrate dataset --model checkpoint
    """
    from telescope_transformer.calibrating import calibrate_dataset
    from telescope_transformer.cli.options import tell
    from telescope_transformer.errors import CheckpointError

    place = output or model
    if place is None:
        raise typer.BadParameter(
            "the shipped checkpoint's calibration is not overwritten: give --output, a folder for calibration.json, "
            "or --model, a checkpoint of your own"
        )
    folder = Path(place)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no folder to write calibration.json to; give one with --output")
    calibration = calibrate_dataset(dataset, model, fit_split=fit_split, test_split=test_split, seed=seed)
    path = calibration.save(folder)
    tell(f"wrote {path}: {calibration.pairs:,} pairs of one source")
    typer.echo(f"threshold {calibration.threshold:.3f}")
    typer.echo(f"expected calibration error {calibration.expected_calibration_error:.4f}")
