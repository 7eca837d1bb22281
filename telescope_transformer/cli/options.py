"""Options that several commands share: how flow records are read, and how a command talks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from telescope_transformer.records import FlowRecords

Columns = Annotated[
    str | None,
    typer.Option(help="Field=column pairs, comma-separated, for CSV and Parquet: timestamp=ts,src_ip=source,..."),
]
Format = Annotated[str, typer.Option(help="Input format; auto tells by content.")]
PerPacket = Annotated[bool, typer.Option("--per-packet", help="Keep each packet as a record, not each flow.")]
Prefixes = Annotated[
    list[str] | None,
    typer.Option(help="Prefix of the telescope (repeatable): only what is sent to it counts."),
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="End with success in spite of damaged files.")]
Labels = Annotated[Path | None, typer.Option(help="Folder of scanner lists, one file per organisation.")]


def tell(message: str) -> None:
    """Say what a stage did, on stderr: stdout is for results."""
    typer.echo(message, err=True)


def read_labelled(
    inputs: list[str],
    *,
    columns: str | None,
    format: str,
    per_packet: bool,
    telescope: list[str] | None,
    keep_going: bool,
    labels: Path | None,
) -> "FlowRecords":
    """Read the inputs, say what was kept and rejected, and label the sources where lists are given."""
    from dataclasses import replace

    from telescope_transformer.labels import add_tools, label_records, read_labels
    from telescope_transformer.records import parse_mapping, read_records

    flow = read_records(
        inputs,
        columns=parse_mapping(columns) if columns else None,
        format=format,
        per_packet=per_packet,
        telescope=telescope or (),
        keep_going=keep_going,
    )
    tell(flow.summary())
    # Without these header fields no tool leaves a mark.
    table = flow.table if {"ip_id", "tcp_seq"}.isdisjoint(flow.table.column_names) else add_tools(flow.table)
    if labels is not None:
        lists = read_labels(labels)
        tell(lists.summary())
        table = label_records(table, lists)
    return replace(flow, table=table)
