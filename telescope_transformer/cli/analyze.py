"""`telescope analyze`: from the files of a telescope to a report."""

from pathlib import Path
from typing import Annotated

import typer

from telescope_transformer.cli.options import (
    Columns,
    Format,
    Inactivity,
    KeepGoing,
    Labels,
    Networks,
    PerPacket,
    Prefixes,
    TimeLimit,
)


def analyze(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs of flow records or packets.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", file_okay=False, writable=True, help="Folder for the report and the tables."),
    ] = Path("out"),
    columns: Columns = None,
    format: Format = "auto",
    per_packet: PerPacket = False,
    inactivity: Inactivity = 60.0,
    telescope: Prefixes = None,
    keep_going: KeepGoing = False,
    labels: Labels = None,
    networks: Networks = None,
    model: Annotated[
        str | None, typer.Option(help="Checkpoint: a folder or a Hub name; default: the shipped one.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Cosine at which a pair neither attracts nor repels.")
    ] = None,
    window: Annotated[int, typer.Option(min=1, help="Most records in a window.")] = 128,
    min_records: Annotated[int, typer.Option(min=1, help="Fewest records in a window.")] = 8,
    granularity: Annotated[
        bool, typer.Option(help="Walk the sweep of thresholds, for the stability of clusters.")
    ] = False,
    time_limit: TimeLimit = 60.0,
    seed: Annotated[int, typer.Option(help="Seed of the clustering's searches.")] = 0,
) -> None:
    """Cluster the sources of flow records by how they behave, and write a report.

    Writes report.html, windows.parquet, sources.parquet, clusters.json, rejects.parquet and sensors.json.

    Example: telescope analyze flows.csv.gz --columns timestamp=ts,src_ip=source,dst_ip=destination --output out
    """
    from telescope_transformer.analysis import Settings
    from telescope_transformer.analysis import analyze as analyze_records
    from telescope_transformer.cli.options import labelled_reader, tell

    settings = Settings(
        model=model,
        threshold=threshold,
        window=window,
        min_records=min_records,
        granularity=granularity,
        time_limit=time_limit,
        seed=seed,
        networks=networks or (),
    )
    read = labelled_reader(
        labels,
        columns=columns,
        format=format,
        per_packet=per_packet,
        inactivity=inactivity,
        telescope=telescope,
        keep_going=keep_going,
    )
    flow = read(inputs)
    report = analyze_records(flow, settings, say=tell).write(output)
    tell(f"open {report}")
    if not keep_going:
        flow.raise_if_damaged()
