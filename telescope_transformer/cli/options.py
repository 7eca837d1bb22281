"""Options that several commands share: how flow records are read, and how a command talks."""

import json as json_module
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telescope_transformer.progress import say

if TYPE_CHECKING:
    from telescope_transformer.records import FlowRecords, RecordScan

Columns = Annotated[
    str | None,
    typer.Option(help="Field=column pairs, comma-separated, for tables and JSON: timestamp=ts,src_ip=source,..."),
]
Format = Annotated[str, typer.Option(help="Input format; auto tells by content.")]
PerPacket = Annotated[bool, typer.Option("--per-packet", help="Keep each packet as a record, not each flow.")]
Inactivity = Annotated[
    float, typer.Option(min=0.0, help="Seconds of silence that end a flow record of packets.", show_default=True)
]
Prefixes = Annotated[
    list[str] | None,
    typer.Option(help="Prefix of the telescope (repeatable): only what is sent to it counts."),
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="End with success in spite of damaged files.")]
Networks = Annotated[
    list[Path] | None,
    typer.Option(
        "--networks",
        "--mmdb",
        exists=True,
        dir_okay=False,
        help="Who announces an address (repeatable): MMDB file, iptoasn TSV, or CSV of prefix,name.",
    ),
]
TimeLimit = Annotated[float, typer.Option(min=0.0, help="Seconds that a lower bound may be proved for.")]
Model = Annotated[str | None, typer.Option(help="Checkpoint: a folder or a Hub name; default: the shipped one.")]
Threshold = Annotated[float | None, typer.Option(help="Cosine at which a pair neither attracts nor repels.")]
Window = Annotated[int, typer.Option(min=1, help="Most records in a window.")]
Adapt = Annotated[
    bool, typer.Option(help="Without --model: let the shipped model learn from these records first, without labels.")
]
AdaptSteps = Annotated[
    int | None, typer.Option(min=1, help="Training steps of that; default: 500, a minute or two on two cores.")
]
MinRecords = Annotated[int, typer.Option(min=1, help="Fewest records in a window.")]
SessionGap = Annotated[
    float | None,
    typer.Option(help="Seconds of silence after which a window may end; default: by count alone."),
]
Seed = Annotated[int, typer.Option(help="Seed of the clustering's searches.")]
Granularity = Annotated[bool, typer.Option(help="Walk the sweep of thresholds, for the stability of clusters.")]
Engine = Annotated[str, typer.Option(help="duckdb (here, spills to disk) or spark.")]
Master = Annotated[str, typer.Option(help="Spark's master: local[2], spark://host:7077, ...")]
MemoryLimit = Annotated[str, typer.Option(help="Of DuckDB, or of Spark's driver and executors.")]
Json = Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout; messages stay on stderr.")]
Keep = Annotated[
    str | None,
    typer.Option(help="Let windows and records age out, such as 30d or 12h after the newest; default: never."),
]
Labels = Annotated[Path | None, typer.Option(help="Folder of scanner lists, one file per organisation.")]


def tell(message: str) -> None:
    """Say what a stage did, on stderr, unless the command is quiet; stdout is for results."""
    say(message)


def print_json(summary: Any) -> None:
    """Print the result of a command as one JSON document on stdout."""
    typer.echo(json_module.dumps(summary, indent=1, default=str))


def check_model(model: str | None) -> None:
    """Refuse a checkpoint that does not exist, before any record is read.

    Raises:
        CheckpointError: if there is no such folder.
        HubError: if a Hub id cannot be downloaded.
    """
    if model is not None:
        from telescope_transformer.embedding import resolve_checkpoint

        resolve_checkpoint(model)


def reading(
    *,
    columns: str | None = None,
    format: str = "auto",
    per_packet: bool = False,
    inactivity: float = 60.0,
    telescope: list[str] | None = None,
    keep_going: bool = False,
) -> dict[str, Any]:
    """The options as arguments of `records.read_records` and `records.scan_records`."""
    from telescope_transformer.records import parse_mapping

    return {
        "columns": parse_mapping(columns) if columns else None,
        "format": format,
        "per_packet": per_packet,
        "inactivity_seconds": inactivity,
        "telescope": telescope or (),
        "keep_going": keep_going,
    }


def days_of(keep: str | None) -> float | None:
    """A time such as "30d", "12h" or "4w" in days; raises a usage error for other text."""
    if keep is None:
        return None
    number, unit = keep[:-1], {"h": 1 / 24, "d": 1.0, "w": 7.0}.get(keep[-1:])
    try:
        days = float(number) * unit if unit else 0.0
    except ValueError:
        days = 0.0
    if not 0 < days < 1e6:
        raise typer.BadParameter(f"{keep!r} is no time such as 30d, 12h or 4w")
    return days


def labelled_reader(labels: Path | None, **options: Any) -> Callable[[Sequence[str | Path]], "FlowRecords"]:
    """A function that reads inputs with the options of `reading`, says what was kept, and names sources and tools.

    Args:
        labels: folder of scanner lists, read once; None names no source.
        options: as `reading` takes them.
    """
    from dataclasses import replace

    from telescope_transformer.labels import add_tools, label_records, read_labels
    from telescope_transformer.records import read_records

    arguments = reading(**options)
    lists = None if labels is None else read_labels(labels)
    if lists is not None:
        tell(lists.summary())

    def read(inputs: Sequence[str | Path]) -> "FlowRecords":
        flow = read_records(inputs, **arguments)
        tell(flow.summary())
        # Without these header fields no tool leaves a mark.
        table = flow.table if {"ip_id", "tcp_seq"}.isdisjoint(flow.table.column_names) else add_tools(flow.table)
        return replace(flow, table=table if lists is None else label_records(table, lists))

    return read


def file_reader(labels: Path | None, **options: Any) -> Callable[[Path], "FlowRecords"]:
    """`labelled_reader` for a file at a time, which refuses a damaged one whole: it can come again, repaired."""
    read = labelled_reader(labels, **options)

    def read_file(path: Path) -> "FlowRecords":
        flow = read([path])
        if not options.get("keep_going"):
            flow.raise_if_damaged()
        return flow

    return read_file


@contextmanager
def keeping_rejects(scan: "RecordScan", output: Path) -> Iterator[None]:
    """Write the rejected rows to the output folder even where the block fails because no row was kept."""
    from telescope_transformer.errors import InputError

    try:
        yield
    except InputError:
        if scan.rejects.num_rows and not scan.counts.kept:
            import pyarrow.parquet as pq

            output.mkdir(parents=True, exist_ok=True)
            pq.write_table(scan.rejects, output / "rejects.parquet", compression="zstd")
            tell(f"{output / 'rejects.parquet'} lists the rejected rows")
        raise
