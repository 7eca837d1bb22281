"""`telescope prepare`: from the files of a telescope to a dataset of windows."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Computing, Cutting, KeepGoing, Labels, Reading, keeping_rejects
from telescope_transformer.progress import say


def prepare(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs of flow records or packets.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the dataset.")],
    reading: Reading = Reading(),
    keep_going: KeepGoing = False,
    labels: Labels = None,
    cutting: Cutting = Cutting(),
    splits: Annotated[
        bool,
        typer.Option(
            "--splits", help="Split for training into train, unseen_sequences, validation and unseen_sources."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the hash that splits the sources.")] = 0,
    append: Annotated[bool, typer.Option("--append", help="Append to the dataset, with its window and seed.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset.")] = False,
    computing: Computing = Computing(),
    shards: Annotated[int | None, typer.Option(help="Number of shards, a power of two; default: by size.")] = None,
) -> None:
    """Prepare a dataset: flow records cut into windows, as Parquet shards with a manifest.

    `telescope embed`, `cluster` and `report` continue in the same folder, with the same result as `telescope analyze`.

    Example: telescope prepare captures/ --telescope 198.18.0.0/16 --output dataset
    """
    from telescope_transformer.preparation import PreparationSettings, WindowSettings, read_manifest
    from telescope_transformer.preparation import prepare as prepare_dataset
    from telescope_transformer.records import scan_records
    from telescope_transformer.words import counted

    scan = scan_records(reading.find(inputs, keep_going=keep_going), **reading.arguments(keep_going=keep_going))
    cut = WindowSettings(**vars(cutting), splits=splits, seed=seed)
    windows = read_manifest(output).settings if append else cut
    settings = PreparationSettings(windows, computing.settings(), shards, labels)
    with keeping_rejects(scan, output):
        manifest = prepare_dataset(scan, output, settings, append=append, overwrite=overwrite, say=say)
    say(scan.summary())
    counts = manifest.ingests[-1].counts
    say(
        f"{counted(counts['windows'], 'window')} of {counted(counts['records_in_windows'], 'record')}; left out for "
        f"being short: {counted(counts['records_left_out'], 'record')}, {counts['sources_left_out']:,} of "
        f"{counted(counts['sources'], 'source')}"
    )
    for split, found in manifest.split_counts().items():
        say(f"{split}: {counted(found['windows'], 'window')}, {counted(found['records'], 'record')}")
    if not keep_going:
        scan.raise_if_damaged()
