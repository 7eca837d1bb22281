"""Flow logs of an AWS VPC, as text, JSON or Parquet, and those of Alibaba Cloud, which have the same names.

Values in the text are separated by blanks. A header line names the columns; without one, the columns are those of the
default format. In Parquet, in tables that Athena writes and in JSON, names have underscores instead of hyphens.
CloudWatch exports lines of the default format as messages in JSON.

Format: docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html. Rows with the status NODATA or SKIPDATA are no
flows, and those with the direction `egress` are not sent to the telescope. Flow logs do not contain the ICMP type:
both ports are 0, and the type is unknown. If a packet passes an intermediate layer, `pkt_srcaddr` and `pkt_dstaddr`
hold its original addresses.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.delimited import Layout
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_items import message_of
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, read_known_table, sniffer
from telescope_transformer.records.ports import without_icmp_ports
from telescope_transformer.records.raw_records import first_values
from telescope_transformer.records.splitting import BLANKS
from telescope_transformer.records.text_blocks import as_utf8
from telescope_transformer.records.validation import Chunk

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
    "status": ["log-status", "log_status"],
    "direction": ["flow-direction", "flow_direction"],
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
# Rows with one of these are skipped; the texts are compared in any case of their letters.
_SKIPPED = {"status": ("NODATA", "SKIPDATA"), "direction": ("EGRESS",)}


def _are_flows(raw: Raw) -> np.ndarray:
    keep = np.ones(len(raw["src_ip"]), dtype=bool)
    for name in raw.keys() & _SKIPPED.keys():
        texts = pc.utf8_upper(raw[name].cast(pa.string()))
        keep &= ~np.asarray(pc.is_in(texts, value_set=pa.array(_SKIPPED[name])))
    return keep


TABLE = KnownTable(
    "aws-vpc",
    _COLUMNS,
    marks=("srcaddr", "dstaddr", "start"),
    keep=_are_flows,
    complete=without_icmp_ports,
)


def _headless(head: bytes) -> KnownTable | None:
    """The layout of a text whose first line is a record in the default format; None for other texts."""
    line = _DEFAULT_LINE.match(as_utf8(head).lstrip().split(b"\n", 1)[0])
    if line is None:
        return None
    before, after = (tuple(f"({end} {n})" for n in range(len(line[end].split()))) for end in ("before", "after"))
    names = (*before, *_DEFAULT_NAMES, *after)
    return replace(TABLE, marks=(), layout=Layout(names, BLANKS, comment=ord("#")))


_STATUS = _COLUMNS["status"]
_is_delimited = sniffer(replace(TABLE, marks=(*TABLE.marks, "|".join(_STATUS))))


def sniff(head: bytes) -> bool:
    """Whether the first line is a flow log's header, or a record in the default format."""
    first = as_utf8(head).lstrip().split(b"\n", 1)[0].split()
    if {b"srcaddr", b"dstaddr", b"start"} <= set(first) or _headless(head) is not None:
        return True
    return _is_delimited(head)


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a flow log."""
    yield from read_known_table(_headless(file.head) or TABLE, file, context)


FORMAT = Format("aws-vpc", sniff, read)


def _values_of_message(record: Mapping[str, Any]) -> list[str] | None:
    """The values of the record in the default format that is the message of a CloudWatch event; None without one."""
    message = message_of(record)
    line = _DEFAULT_LINE.match(message.encode("utf-8", "replace")) if message else None
    return None if line is None else message.split()[len(line["before"].split()) :]


def matches_json(record: Mapping[str, Any]) -> bool:
    """Whether an object is a record with a status, or a CloudWatch event whose message is one."""
    has_names = all(name in record for name in TABLE.marks) and any(name in record for name in _STATUS)
    return has_names or _values_of_message(record) is not None


def json_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a record or of the message of an event; None if it is not a flow."""
    values = _values_of_message(record)
    fields = first_values(record if values is None else dict(zip(_DEFAULT_NAMES, values, strict=False)), _COLUMNS)
    return None if any(str(fields[name]).upper() in skipped for name, skipped in _SKIPPED.items()) else fields


JSON_DIALECT = Dialect("aws-vpc-json", matches_json, json_fields, complete=without_icmp_ports)
