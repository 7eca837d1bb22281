"""`telescope calibrate`: from similarities to probabilities, without labels."""

from pathlib import Path
from typing import Annotated

import typer

# Windows are recut to these lengths, and pairs have one length: how long a window is often tells its source.
LENGTHS = (8, 16, 32, 64, 128)
WINDOWS_PER_SOURCE = 8


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
    """Fit how likely two windows of a given similarity are the work of one actor; `analyze` then uses it.

    Writes calibration.json beside the checkpoint and prints the expected calibration error on sources not fitted. The
    shipped checkpoint's own stays as it is: with it, --output says where the new one goes.

    Example: telescope calibrate dataset --model checkpoint
    """
    import numpy as np

    from telescope_transformer import embedding
    from telescope_transformer.calibration import calibrate as calibrate_windows
    from telescope_transformer.calibration import measured
    from telescope_transformer.cli.options import tell
    from telescope_transformer.errors import CheckpointError
    from telescope_transformer.preparation import load
    from telescope_transformer.windows import fixed_windows

    place = output or model
    if place is None:
        raise typer.BadParameter(
            "the shipped checkpoint's calibration is not overwritten: give --output, a folder for calibration.json, "
            "or --model, a checkpoint of your own"
        )
    folder = Path(place)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no folder to write calibration.json to; give one with --output")
    network, tokenizer = embedding.load_model(model)

    def embedded(split: str) -> tuple[np.ndarray, np.ndarray]:
        windows = load(dataset, split)
        vectors, sources = [], []
        for length in LENGTHS:
            cut = fixed_windows(windows, length, max_per_source=WINDOWS_PER_SOURCE, seed=seed)
            vectors.append(embedding.embed_windows(network, tokenizer, cut))
            sources.append([f"{source}/{length}" for source in cut["source"].to_pylist()])
        return np.concatenate(vectors), np.concatenate(sources)

    vectors, sources = embedded(fit_split)
    calibration = measured(calibrate_windows(vectors, sources, seed=seed), *embedded(test_split), seed=seed)
    path = calibration.save(folder)
    tell(f"wrote {path}: {calibration.pairs:,} pairs of one source")
    typer.echo(f"threshold {calibration.threshold:.3f}")
    typer.echo(f"expected calibration error {calibration.expected_calibration_error:.4f}")
