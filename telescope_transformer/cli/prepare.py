"""`telescope prepare`: from the files of a telescope to a dataset of windows."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import (
    Columns,
    Engine,
    Format,
    Inactivity,
    KeepGoing,
    Labels,
    Master,
    MemoryLimit,
    MinRecords,
    PerPacket,
    Prefixes,
    SessionGap,
    Window,
)


def prepare(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs of flow records or packets.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the dataset.")],
    columns: Columns = None,
    format: Format = "auto",
    per_packet: PerPacket = False,
    inactivity: Inactivity = 60.0,
    telescope: Prefixes = None,
    keep_going: KeepGoing = False,
    labels: Labels = None,
    window: Window = 128,
    min_records: MinRecords = 1,
    session_gap: SessionGap = None,
    splits: Annotated[
        bool,
        typer.Option("--splits", help="Cut for training: into train, unseen_sequences, validation, unseen_sources."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the hash that splits the sources.")] = 0,
    append: Annotated[bool, typer.Option("--append", help="Add to the dataset, with its window and seed.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset.")] = False,
    engine: Engine = "duckdb",
    master: Master = "local[*]",
    memory_limit: MemoryLimit = "4GB",
    shards: Annotated[int | None, typer.Option(help="Number of shards, a power of two; default: by size.")] = None,
) -> None:
    """Prepare a dataset: flow records cut into windows, as Parquet shards with a manifest.

    `telescope embed`, `cluster` and `report` go on in the same folder, and give what `telescope analyze` gives.

    Example: telescope prepare captures/ --telescope 198.18.0.0/16 --output dataset
    """
    from telescope_transformer.cli.options import keeping_rejects, reading, tell
    from telescope_transformer.preparation import EngineSettings, PreparationSettings, WindowSettings, read_manifest
    from telescope_transformer.preparation import prepare as prepare_dataset
    from telescope_transformer.records import scan_records

    options = reading(
        columns=columns,
        format=format,
        per_packet=per_packet,
        inactivity=inactivity,
        telescope=telescope,
        keep_going=keep_going,
    )
    scan = scan_records(inputs, **options)
    windows = (
        read_manifest(output).settings if append else WindowSettings(window, min_records, session_gap, splits, seed)
    )
    settings = PreparationSettings(windows, EngineSettings(engine, master, memory_limit), shards, labels)
    with keeping_rejects(scan, output):
        manifest = prepare_dataset(scan, output, settings, append=append, overwrite=overwrite, say=tell)
    tell(scan.summary())
    counts = manifest.ingests[-1].counts
    tell(
        f"{counts['windows']:,} windows of {counts['records_in_windows']:,} records; left out for being short: "
        f"{counts['records_left_out']:,} records, {counts['sources_left_out']:,} of {counts['sources']:,} sources"
    )
    for split, found in manifest.split_counts().items():
        tell(f"{split}: {found['windows']:,} windows, {found['records']:,} records")
    if not keep_going:
        scan.raise_if_damaged()
