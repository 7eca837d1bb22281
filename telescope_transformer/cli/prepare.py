"""`telescope prepare`: from the files of a telescope to a dataset of windows."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Columns, Format, Inactivity, KeepGoing, Labels, PerPacket, Prefixes


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
    window: Annotated[int, typer.Option(help="Most records in a window.")] = 128,
    min_records: Annotated[int, typer.Option(help="Fewest records in a window.")] = 8,
    session_gap: Annotated[
        float | None,
        typer.Option(help="Seconds of silence after which a window may end; default: by count alone."),
    ] = None,
    splits: Annotated[
        bool,
        typer.Option("--splits", help="Cut for training: into train, unseen_sequences, validation, unseen_sources."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the hash that splits the sources.")] = 0,
    append: Annotated[bool, typer.Option("--append", help="Add to the dataset, with its window and seed.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset.")] = False,
    engine: Annotated[str, typer.Option(help="duckdb (here, spills to disk) or spark.")] = "duckdb",
    master: Annotated[str, typer.Option(help="Spark's master: local[2], spark://host:7077, ...")] = "local[*]",
    memory_limit: Annotated[str, typer.Option(help="Of DuckDB, or of Spark's driver and executors.")] = "4GB",
    shards: Annotated[int | None, typer.Option(help="Number of shards, a power of two; default: by size.")] = None,
) -> None:
    """Prepare a dataset: flow records cut into windows, as Parquet shards with a manifest.

    Example: telescope prepare captures/ --telescope 198.18.0.0/16 --output dataset
    """
    from telescope_transformer.cli.options import reading, tell
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
