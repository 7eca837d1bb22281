"""Flow logs of an AWS VPC, as text, JSON or Parquet, and those of Alibaba Cloud, which have the same names.

Values in the text are separated by blanks. A header line names the columns; without one, the columns are those of the
default format. In Parquet, in tables that Athena writes and in JSON, names have underscores instead of hyphens.
CloudWatch exports lines of the default format as messages in JSON.

Format: docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html. Rows with the status NODATA or SKIPDATA are not
flows. Flow logs do not contain the ICMP type: both ports are 0, and the type is unknown. If a packet passes an
intermediate layer, `pkt_srcaddr` and `pkt_dstaddr` hold its original addresses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.columnar import checked_batches
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.formats.text_tables import (
    Raw,
    TextTable,
    flow_rows,
    read_table,
    sniffer,
    without_ports,
)
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.lines import as_utf8
from telescope_transformer.records.nulls import is_null
from telescope_transformer.records.validation import Chunk, Validator

_COLUMNS = {
    "timestamp": ["start"],
    "src_ip": ["pkt-srcaddr", "pkt_srcaddr", "srcaddr"],
    "dst_ip": ["pkt-dstaddr", "pkt_dstaddr", "dstaddr"],
    "protocol": ["protocol"],
    "src_port": ["srcport"],
    "dst_port": ["dstport"],
    "packets": ["packets"],
    "bytes": ["bytes"],
    "tcp_flags": ["tcp-flags", "tcp_flags"],
    "_status": ["log-status", "log_status"],
}
_DEFAULT_NAMES = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets"),
    *("bytes", "start", "end", "action", "log-status"),
)
# CloudWatch's command line puts the time of the event, or the names of group and stream, before the record.
_DEFAULT_LINE = re.compile(
    rb"^(?P<before>(?:\S+\s+){0,4})2 (?:\d{12}|-|unknown) \S+(?: \S+){7} \d{10} \d{10} \S+ (?:OK|NODATA|SKIPDATA)"
    rb"(?P<after>(?:\s+\S+)?)\s*$"
)
_NO_FLOWS = pa.array([b"NODATA", b"SKIPDATA"], pa.binary())
_ICMP = pa.array([b"1", b"58"], pa.binary())


def _are_flows(raw: Mapping[str, pa.Array]) -> np.ndarray:
    if "_status" not in raw:
        return np.ones(len(raw["src_ip"]), dtype=bool)
    return ~np.asarray(pc.is_in(raw["_status"], value_set=_NO_FLOWS))


def _without_icmp_type(raw: Raw) -> Raw:
    return without_ports(raw, pc.is_in(raw["protocol"], value_set=_ICMP))


_WITH_HEADER = TextTable(
    "aws-vpc",
    _COLUMNS,
    marks=("srcaddr", "dstaddr", "start"),
    keep=_are_flows,
    complete=_without_icmp_type,
)


def _headless(head: bytes) -> TextTable | None:
    """The layout of a text whose first line is a record in the default format; None for other texts."""
    line = _DEFAULT_LINE.match(as_utf8(head).lstrip().split(b"\n", 1)[0])
    if line is None:
        return None
    before, after = (tuple(f"({end} {n})" for n in range(len(line[end].split()))) for end in ("before", "after"))
    names = (*before, *_DEFAULT_NAMES, *after)
    return replace(_WITH_HEADER, marks=(), names=names, delimiters=b"")


def is_flow_log(names: Sequence[str]) -> bool:
    """Whether a Parquet file has all columns of a flow log that are needed."""
    return {*_WITH_HEADER.marks, "protocol", "dstport"} <= set(names)


def columnar_chunks(
    file: InputFile, batches: Iterator[pa.RecordBatch], names: Sequence[str], context: ReadContext
) -> Iterator[Chunk]:
    """Flow records of a flow log in Parquet."""
    resolved = _WITH_HEADER.resolved(names)
    validator = Validator(file.name, context, {field: "/".join(columns) for field, columns in resolved.items()})
    for batch, numbers in checked_batches(file, batches):
        stored = {
            name: batch.column(name).cast(pa.string()).cast(pa.binary())
            for columns in resolved.values()
            for name in columns
        }
        raw, rows = flow_rows(_WITH_HEADER, resolved, stored, numbers, file)
        yield validator.chunk(raw, rows, skipped=len(numbers) - len(rows))


_STATUS = _COLUMNS["_status"]
_DELIMITED = [sniffer(replace(_WITH_HEADER, marks=(*_WITH_HEADER.marks, status))) for status in _STATUS]


def sniff(head: bytes) -> bool:
    """Whether the first line is a flow log's header, or a record in the default format."""
    first = as_utf8(head).lstrip().split(b"\n", 1)[0].split()
    if {b"srcaddr", b"dstaddr", b"start"} <= set(first) or _headless(head) is not None:
        return True
    return any(is_flow_log(head) for is_flow_log in _DELIMITED)


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a flow log."""
    yield from read_table(_headless(file.head) or _WITH_HEADER, file, context)


FORMAT = Format("aws-vpc", sniff, read)


def _values_of_message(record: Mapping[str, Any]) -> list[str] | None:
    """The values of the record in the default format that is the message of a CloudWatch event; None without one."""
    message = record.get("message", record.get("@message"))
    line = _DEFAULT_LINE.match(message.encode("utf-8", "replace")) if isinstance(message, str) else None
    return None if line is None else message.split()[len(line["before"].split()) :]


def matches_json(record: Mapping[str, Any]) -> bool:
    """Whether an object is a record with a status, or a CloudWatch event whose message is one."""
    has_names = all(name in record for name in _WITH_HEADER.marks) and any(name in record for name in _STATUS)
    return has_names or _values_of_message(record) is not None


def json_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a record or of the message of an event; None if it is not a flow."""
    values = _values_of_message(record)
    if values is not None:
        record = dict(zip(_DEFAULT_NAMES, values, strict=False))
    fields = {
        field: next((record[name] for name in names if not is_null(str(record.get(name)))), None)
        for field, names in _COLUMNS.items()
    }
    if fields.pop("_status") in ("NODATA", "SKIPDATA"):
        return None
    if str(fields["protocol"]) in ("1", "58"):
        fields |= {"src_port": None, "dst_port": None}
    return fields


JSON_DIALECT = Dialect("aws-vpc-json", matches_json, json_fields)
