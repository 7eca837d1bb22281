"""`telescope update`: new files into a running analysis."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import Columns, Format, Inactivity, Labels, PerPacket, Prefixes


def update(
    state: Annotated[Path, typer.Argument(help="State file of the running analysis; it is made where there is none.")],
    inputs: Annotated[list[str] | None, typer.Argument(help="New files, folders or globs, oldest first.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report and tables of the whole to this folder.")
    ] = None,
    columns: Columns = None,
    format: Format = "auto",
    per_packet: PerPacket = False,
    inactivity: Inactivity = 60.0,
    telescope: Prefixes = None,
    labels: Labels = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint; the first update fixes it.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Cosine at which a pair weighs 0; the first fixes it.")
    ] = None,
    window: Annotated[int, typer.Option(help="Most records in a window; the first update fixes it.")] = 128,
    min_records: Annotated[int, typer.Option(help="Fewest records in a window; the first update fixes it.")] = 8,
    time_limit: Annotated[float, typer.Option(help="Seconds for the first clustering and for the bound.")] = 60.0,
) -> None:
    """Take new files into a running analysis: clusters keep their numbers, files seen before are passed over.

    Each file is one transaction: after a kill at any moment, run the same command again.

    Example: telescope update state.duckdb monday.csv.gz tuesday.csv.gz --output out
    """
    from telescope_transformer.analysis import Settings
    from telescope_transformer.cli.options import file_reader, tell
    from telescope_transformer.records.files import find_inputs
    from telescope_transformer.update import State
    from telescope_transformer.update import update as take
    from telescope_transformer.update.summary import write_summary

    settings = Settings(
        model=model, threshold=threshold, window=window, min_records=min_records, time_limit=time_limit
    )

    read = file_reader(
        labels, columns=columns, format=format, per_packet=per_packet, inactivity=inactivity, telescope=telescope
    )

    with State(state) as opened:
        if inputs:
            take(opened, [file.path for file in find_inputs(inputs)], read, settings, say=tell)
        if output is not None:
            tell(f"open {write_summary(opened, output, time_limit=time_limit)}")
