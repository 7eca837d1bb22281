"""Zeek conn.log: tab-separated text with its own header and fields in any order, JSON lines or CSV; labelled or not.

A record counts what the originator sent: `orig_pkts` packets and `orig_ip_bytes` bytes. If only the responder sent
packets, it is the source. For ICMP, Zeek writes the type as the first port. The second port is the code or, for
requests and replies, the type of the counterpart (ICMP4_counterpart and ICMP6_counterpart in
src/analyzer/protocol/icmp/ICMP.cc); the code of these is 0. Row numbers of the text form count all lines that are not
blank.

Each `#fields` line applies to the rows after it, so concatenated or rotated logs can be read as they are.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records.columns import plain_name, value_by_alias
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.delimited import Layout, RawBatch, Table
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, table_format
from telescope_transformer.records.parsing import parse_numbers
from telescope_transformer.records.ports import from_sender
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.text_blocks import TextBlocks
from telescope_transformer.records.validation import Chunk, Validator

_COLUMNS = {
    "timestamp": "ts",
    "src_ip": "id.orig_h",
    "src_port": "id.orig_p",
    "dst_ip": "id.resp_h",
    "dst_port": "id.resp_p",
    "protocol": "proto",
    "packets": "orig_pkts",
    "bytes": "orig_ip_bytes",
    "dst_packets": "resp_pkts",
    "dst_bytes": "resp_ip_bytes",
    "label": "label",
}
# Since Zeek 7.1: the number of the protocol, also if `proto` is unknown_transport.
_PROTOCOL_NUMBER = "ip_proto"
_PAIRED_ICMP_TYPES = (0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145)
_NEEDED = ("timestamp", "src_ip", "src_port", "dst_ip", "dst_port", "protocol")
# The labelled logs of the IoT-23 data set put three spaces, not tabs, between their last three columns.
_JOINED = "   "
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
# Fields that only conn.log has, not the logs of protocols, notices and files.
_OF_CONNECTIONS = ("conn_state", "orig_pkts", "orig_ip_bytes", "orig_bytes", "missed_bytes", "local_orig", "history")
OTHER_LOG = re.compile(
    rb'(?![^\n]*\b(?:%s)\b)[^#\n]*\bid[._]orig_h"?[,;|\t][^\n]*\b(?:query|note|analyzer|facility)\b'
    % "|".join(_OF_CONNECTIONS).encode()
)
"""The names of the columns of dns.log, notice.log, dpd.log or syslog.log. Zeek's other logs have no protocol."""

_FIRST_LINE = re.compile(rb"(?:#.*\n)*?#(?:separator |(?:set_separator|empty_field|unset_field|path|open|fields)\t)")
_HEADER_LINE = re.compile(rb"^[\t ]*#.*$", re.MULTILINE)


def sniff_text(head: bytes) -> bool:
    """Whether the head is of a Zeek log in text form, which may begin with blanks or comments or lack header lines."""
    return _FIRST_LINE.match(head.removeprefix(b"\xef\xbb\xbf").lstrip()) is not None


class _Section:
    """The header lines so far, and the table that they describe."""

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._entries: dict[str, str] = {}
        self._separator = "\t"
        self.other = ""
        self.resolved: dict[str, str] = {}
        self.table: Table | None = None
        self.next_row = 1

    def take(self, line: bytes) -> None:
        """Reads a header line, which is counted as a row."""
        text = line.decode("utf-8", "replace").strip("\t ")[1:]
        key, _, value = text.partition(" " if text.startswith("separator") else self._separator)
        self._entries[key] = value
        if key == "separator":
            self._separator = _unescaped(value)
            if len(self._separator.encode("utf-8", "backslashreplace")) != 1:
                told = f"the separator {escaped(self._separator)!r} is not a single byte"
                raise FlowRecordError(f"{self._file.name}: {told}")
            self._entries.pop("path", None)
        if key == "fields":
            self._describe(value.split(self._separator))
        self.next_row += 1

    def _describe(self, names: list[str]) -> None:
        file = self._file.name
        guessed = "another kind" if OTHER_LOG.match("\t".join(names).encode()) else "conn"
        path = self._entries.get("path", guessed)
        self.resolved = _resolved(names)
        missing = [_COLUMNS[field] for field in _NEEDED if field not in self.resolved]
        if path != "conn":
            self.other = f"a Zeek log of {escaped(path)!r}, not of connections"
            self.resolved = {}
        elif missing:
            told = f"a Zeek log without the field {', '.join(missing)}; fields are {escaped(names)}"
            raise NotFlowRecords(file, told) if self.table is None else InputError(f"{file}: {told}")
        elif _JOINED in names[-1] and "label" in names[-1]:
            self.resolved["label"] = names[-1]
        if self.resolved and _PROTOCOL_NUMBER in names:
            self.resolved["number"] = _PROTOCOL_NUMBER
        layout = Layout(tuple(names), ord(self._separator), quoted=False, comment=ord("#"))
        self.table = Table(layout, list(self.resolved.values()), file)

    def unset(self) -> pa.Array:
        """The texts that stand for a missing value."""
        unset, empty = self._entries.get("unset_field", "-"), self._entries.get("empty_field", "(empty)")
        return pa.array([unset.encode(), empty.encode()], pa.binary())


def _resolved(names: list[str]) -> dict[str, str]:
    """The column of each field: by Zeek's name, or by a common name (`id_orig_h`, `source.ip`) if it was renamed."""
    found = {field: column for field, column in _COLUMNS.items() if column in names}
    plain = {plain_name(name): name for name in reversed(names)}
    renamed = {field: value_by_alias(field, plain) for field in _NEEDED if field not in found}
    return found | {field: column for field, column in renamed.items() if column}


def _unescaped(separator: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), separator)


def _columns(batch: RawBatch, section: _Section) -> dict[str, pa.Array]:
    """The raw fields of a batch."""
    raw = {field: batch.columns[column] for field, column in section.resolved.items()}
    if _JOINED in section.resolved.get("label", ""):
        raw["label"] = _joined_label(raw["label"])
    unset = section.unset()
    nothing = pa.scalar(None, pa.binary())
    return {field: pc.if_else(pc.is_in(column, value_set=unset), nothing, column) for field, column in raw.items()}


def _joined_label(column: pa.Array) -> pa.Array:
    """The label in a last column of the form `tunnel_parents   label   detailed-label`."""
    parts = pc.split_pattern(column.cast(pa.string()), _JOINED, max_splits=2)
    enough = pc.greater(pc.list_value_length(parts), 1)
    padded = pc.if_else(enough, parts, pa.scalar(["", ""], pa.list_(pa.string())))
    return pc.list_element(padded, 1).cast(pa.binary())


def _completed(raw: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Adds the ICMP code, which is 0 if the second port is the counterpart's type; prefers the protocol's number.

    Zeek calls the receiver of backscatter its originator, also of any packets from a port that it knows as a server's.
    """
    raw = from_sender(raw)
    paired = np.isin(np.asarray(parse_numbers(raw["src_port"], 255).values), _PAIRED_ICMP_TYPES)
    codes = parse_numbers(raw["dst_port"], 65_535).values
    completed = raw | {"icmp_code": pa.array(np.where(paired, 0, codes).astype(str)).cast(pa.binary())}
    number = completed.pop("number", None)
    if number is not None:
        completed["protocol"] = pc.coalesce(number, completed["protocol"])
    return completed


def _segments(block: bytes) -> Iterator[tuple[bytes, bool]]:
    """Header lines of a block and the rows between them, each with whether it is a header line."""
    at = 0
    for found in _HEADER_LINE.finditer(block):
        if found.start() > at:
            yield block[at : found.start()], False
        yield found.group(), True
        at = found.end() + 1
    if at < len(block):
        yield block[at:], False


def read_text(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a conn.log in text form."""
    section, validator = _Section(file), Validator(file.name, context, _COLUMNS)
    text = TextBlocks(file.blocks(), file.name)
    # A file without any connections is not a conn.log, and its rows are not counted.
    of_others, has_connections = 0, False
    for block in text:
        for segment, is_header in _segments(block):
            if is_header:
                section.take(segment)
                has_connections |= bool(section.resolved)
            elif section.table is None:
                if segment.strip():
                    raise InputError(f"{file.name}: a Zeek log whose rows come before its #fields line")
            else:
                chunk = _read_segment(segment, section, validator)
                of_others += chunk.skipped
                if has_connections:
                    yield chunk._replace(skipped=of_others)
                    of_others = 0
    if section.other and not has_connections:
        raise NotFlowRecords(file.name, section.other)
    text.raise_damage()


def _read_segment(segment: bytes, section: _Section, validator: Validator) -> Chunk:
    """The flow records of rows with one header; rows of other Zeek logs are skipped."""
    if section.table is None:
        raise ValueError("rows before their header")
    section.table.next_row = section.next_row
    batch, _ = section.table.split(segment)
    section.next_row = section.table.next_row
    if not section.resolved:
        return Chunk(Validator.empty(), skipped=len(batch.rows) + batch.malformed.num_rows)
    return validator.chunk(_completed(_columns(batch, section)), batch.rows, batch.malformed, batch.skipped)


TEXT_FORMAT = Format("zeek", sniff_text, read_text)

# Tables that other programs make of conn.log (zeek-cut -c writes one with tabs).
CSV_FORMAT = table_format(
    KnownTable(
        "zeek-csv",
        {field: [column] for field, column in _COLUMNS.items()}
        | {"protocol": [_PROTOCOL_NUMBER, _COLUMNS["protocol"]]},
        marks=("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto"),
        complete=_completed,
    )
)


def _row(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with Zeek's own names of its fields.

    Collectors write `id_orig_h` or `"id": {"orig_h": ...}`.
    """
    if "id.orig_h" in record:
        return record
    if "id_orig_h" in record:
        return {name.replace("id_", "id.", 1) if name.startswith("id_") else name: record[name] for name in record}
    ends = record.get("id")
    if isinstance(ends, dict) and "orig_h" in ends:
        return {**record, **{f"id.{name}": value for name, value in ends.items()}}
    return record


def matches_json(record: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a row of a Zeek log, of connections or of another kind."""
    row = _row(record)
    return "id.orig_h" in row or ("_path" in row and "ts" in row)


def json_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The raw fields of a row of conn.log; None for rows of other logs."""
    record = _row(record)
    path = record.get("_path")
    if path is not None and path != "conn":
        return None
    if path is None and not any(name in record for name in _OF_CONNECTIONS):
        return None
    fields = {field: record.get(column) for field, column in _COLUMNS.items()}
    return fields | {"number": record.get(_PROTOCOL_NUMBER)}


JSON_DIALECT = Dialect("zeek-json", matches_json, json_fields, complete=_completed)
