"""Zeek conn.log: tab-separated text with its own header, fields in any order, or JSON lines; labelled or not.

A record is what the originator sent: `orig_pkts` packets and `orig_ip_bytes` bytes. Of ICMP, Zeek writes the type as
the first port and as the second the code, or, of a request or a reply, the type of its counterpart (ICMP4_counterpart
and ICMP6_counterpart in src/analyzer/protocol/icmp/ICMP.cc); those have the code 0. Row numbers of the text form count
all lines that are not blank.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import InputError
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.delimited import Layout, raw_batches
from telescope_transformer.records.files import InputFile, LineStream
from telescope_transformer.records.json_lines import first_record, json_batches
from telescope_transformer.records.validation import Chunk, parse_numbers, validate

_COLUMNS = {
    "timestamp": "ts",
    "src_ip": "id.orig_h",
    "src_port": "id.orig_p",
    "dst_ip": "id.resp_h",
    "dst_port": "id.resp_p",
    "protocol": "proto",
    "packets": "orig_pkts",
    "bytes": "orig_ip_bytes",
    "label": "label",
}
_PAIRED_ICMP_TYPES = (0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145)
_NEEDED = ("timestamp", "src_ip", "src_port", "dst_ip", "dst_port", "protocol")
_JSON_TYPES = {"src_port": pa.int64(), "dst_port": pa.int64(), "packets": pa.int64(), "bytes": pa.int64()}
# The labelled logs of the IoT-23 data set put three spaces, not tabs, between their last three columns.
_JOINED = "   "


def _header(head: bytes) -> dict[str, str]:
    """The header lines of a text log as a mapping, without their `#`."""
    entries: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").splitlines():
        text = line.strip("\t ")
        if not text.startswith("#"):
            break
        key, _, value = text[1:].partition(" " if text.startswith("#separator") else "\t")
        entries[key] = value
    return entries


def sniff_text(head: bytes) -> bool:
    """Whether the head is that of a Zeek log in text form (a stray tab may come first)."""
    return head.lstrip().startswith(b"#separator")


def _resolve(names: list[str], file: InputFile) -> dict[str, str]:
    resolved = {field: column for field, column in _COLUMNS.items() if column in names}
    missing = [_COLUMNS[field] for field in _NEEDED if field not in resolved]
    if missing:
        raise InputError(f"{file.path}: a Zeek log without the field {', '.join(missing)}; fields are {names}")
    return resolved


def _set_values(column: pa.Array, unset: bytes, empty: bytes) -> pa.Array:
    """Null where Zeek writes that a value is unset or empty."""
    void = pc.is_in(column, value_set=pa.array([unset, empty], pa.binary()))
    return pc.if_else(void, pa.scalar(None, pa.binary()), column)


def _joined_label(column: pa.Array) -> pa.Array:
    """The label within a last column of the form `tunnel_parents   label   detailed-label`."""
    parts = pc.split_pattern(column.cast(pa.string()), _JOINED, max_splits=2)
    enough = pc.greater(pc.list_value_length(parts), 1)
    padded = pc.if_else(enough, parts, pa.scalar(["", ""], pa.list_(pa.string())))
    return pc.list_element(padded, 1).cast(pa.binary())


def read_text(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a conn.log in text form."""
    header = _header(file.head)
    if header.get("path", "conn") != "conn":
        raise InputError(f"{file.path}: a Zeek log of {header['path']!r}, not of connections")
    separator = bytes(header.get("separator", r"\x09"), "ascii").decode("unicode_escape")
    names = header.get("fields", "").split(separator)
    joined = _JOINED in names[-1]
    resolved = _resolve(names, file) | ({"label": names[-1]} if joined and "label" in names[-1] else {})
    unset, empty = header.get("unset_field", "-").encode(), header.get("empty_field", "(empty)").encode()
    layout = Layout(separator, tuple(names), quoted=False, comments=("#",))
    for batch, rows, malformed in raw_batches(
        LineStream(file.blocks(), str(file.path)), layout, list(resolved.values()), str(file.path)
    ):
        columns = {field: batch.column(column) for field, column in resolved.items()}
        if joined and "label" in columns:
            columns["label"] = _joined_label(columns["label"])
        raw = {field: _set_values(column, unset, empty) for field, column in columns.items()}
        chunk = validate(_with_icmp_codes(raw), rows, str(file.path), context.sensors)
        yield chunk._replace(rejects=pa.concat_tables([chunk.rejects, malformed]))


def _with_icmp_codes(raw: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Adds the column `icmp_code`: 0 where the second port is the type of a counterpart, else the second port."""
    paired = np.isin(parse_numbers(raw["src_port"], 255).values, _PAIRED_ICMP_TYPES)
    codes = np.where(paired, 0, parse_numbers(raw["dst_port"], 255).values)
    return raw | {"icmp_code": pa.array(codes)}


def sniff_json(head: bytes) -> bool:
    """Whether the head is that of a Zeek log of connections as JSON lines."""
    record = first_record(head)
    return record is not None and "id.orig_h" in record and "proto" in record


def read_json(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a conn.log as JSON lines, its time a number or ISO text."""
    first: Mapping[str, object] = first_record(file.head) or {}
    time_type = pa.string() if isinstance(first.get("ts"), str) else pa.float64()
    types = {**{field: pa.string() for field in _COLUMNS}, **_JSON_TYPES, "timestamp": time_type}
    schema = pa.schema([pa.field(_COLUMNS[field], types[field]) for field in _COLUMNS])
    for batch in json_batches(file, schema):
        raw = {field: batch.columns[column] for field, column in _COLUMNS.items()}
        if raw["label"].null_count == len(raw["label"]):
            del raw["label"]
        chunk = validate(_with_icmp_codes(raw), batch.rows, str(file.path), context.sensors)
        yield chunk._replace(rejects=pa.concat_tables([chunk.rejects, batch.malformed]))


TEXT_FORMAT = Format("zeek", sniff_text, read_text)
JSON_FORMAT = Format("zeek-json", sniff_json, read_json)
