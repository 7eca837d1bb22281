"""Flows of nfdump, which collects NetFlow and IPFIX: its exports, and its binary files if nfdump is installed.

The CSV export writes local time, which is read as UTC, so export with `TZ=UTC`. Both of its layouts are supported: the
long one up to nfdump 1.7.2 and the short one since then. `tcp_flags` combines the flags of all packets of a flow.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import InputError
from telescope_transformer.records.addresses import IPV4, IPV6, Addresses, format_addresses
from telescope_transformer.records.children import output_of
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.delimited import Layout
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, read_known_table, table_format
from telescope_transformer.records.log_clock import LogClock
from telescope_transformer.records.log_lines import Fields, LineParser, line_format
from telescope_transformer.records.parsing import parse_numbers
from telescope_transformer.records.ports import are_icmp
from telescope_transformer.records.raw_records import first_values
from telescope_transformer.records.text_blocks import as_utf8
from telescope_transformer.records.validation import Chunk

_NO_ZONE = "times of an nfdump export without a zone are taken as UTC"
_NO_TIME = "1970-01-01 00:00:00"
_TRAILERS = (b"Summary", b"No matching flows")

_CSV_HEADERS = (b"ts,te,td,sa,da,sp,dp,pr", b"firstSeen,duration,proto,srcAddr,srcPort")


_NO_ADDRESS = pa.array([b"0.0.0.0", b"::", b"0"], pa.binary())
_PIPE_WORDS = tuple(f"{end}{index}" for end in ("sa", "da") for index in range(4))


def _have_addresses(raw: Raw) -> np.ndarray:
    """Rows with an address. For a flow in a tunnel, `csv` and `pipe` have another row of the tunnel without any."""
    names = [name for name in ("src_ip", "dst_ip", *_PIPE_WORDS) if name in raw]
    absent = np.stack([np.asarray(pc.is_in(raw[name], value_set=_NO_ADDRESS)) for name in names])
    return np.asarray(~absent.all(axis=0))


def _completed(raw: Raw) -> Raw:
    """Drop zero times, and source ports of ICMP. The ICMP destination port is `type.code` or one number."""
    nothing = pa.scalar(None, pa.binary())
    src_port = pc.if_else(are_icmp(raw["protocol"]), nothing, raw["src_port"])
    return raw | {"timestamp": _without_zeros(raw["timestamp"]), "src_port": src_port}


CSV_FORMAT = table_format(
    KnownTable(
        "nfdump-csv",
        {
            "timestamp": ["ts", "firstSeen"],
            "src_ip": ["sa", "srcAddr"],
            "dst_ip": ["da", "dstAddr"],
            "src_port": ["sp", "srcPort"],
            "dst_port": ["dp", "dstPort"],
            "protocol": ["pr", "proto"],
            "tcp_flags": ["flg", "flags"],
            "packets": ["ipkt", "packets"],
            "bytes": ["ibyt", "bytes"],
        },
        note=_NO_ZONE,
        keep=_have_addresses,
        complete=_completed,
        trailers=_TRAILERS,
    ),
    lambda head: as_utf8(head).lstrip().startswith(_CSV_HEADERS),
)

# nfdump(1), "pipe": each address is four 32-bit numbers; IPv4 uses the last. Since nfdump 1.7, times are milliseconds;
# earlier versions wrote seconds and milliseconds in separate columns.
_PIPE_LINE = re.compile(rb"(?:2|10)\|\d+\|\d+\|\d+\|\d+\|\d+\|\d+\|\d+\|\d+\|\d+\|\d+\|")
_PIPE_REST = (
    *("protocol", "sa0", "sa1", "sa2", "sa3", "src_port", "da0", "da1", "da2", "da3", "dst_port"),
    *("src_as", "dst_as", "in", "out", "tcp_flags", "tos", "packets", "bytes"),
)
_PIPE_NAMES = ("family", "timestamp", "last", *_PIPE_REST)
_OLD_PIPE_NAMES = ("family", "timestamp", "millis", "last", "last_millis", *_PIPE_REST)
_WORD = 0xFFFFFFFF


def sniff_pipe(head: bytes) -> bool:
    """Whether the first line belongs to nfdump's pipe export."""
    return _PIPE_LINE.match(head) is not None


def _pipe_address(columns: Raw, end: str, family: np.ndarray) -> pa.Array:
    words = [np.asarray(parse_numbers(columns[f"{end}{index}"], _WORD).values).astype(np.uint64) for index in range(4)]
    six = family == 10
    high = np.where(six, (words[0] << np.uint64(32)) | words[1], np.uint64(0))
    low = np.where(six, (words[2] << np.uint64(32)) | words[3], words[3])
    return format_addresses(Addresses(high, low, np.where(six, IPV6, IPV4).astype(np.uint8)))


def _pipe_completed(raw: Raw) -> Raw:
    family, times = np.asarray(parse_numbers(raw["family"], 255).values), raw["timestamp"]
    if "millis" in raw:
        millis = pc.utf8_lpad(raw["millis"].cast(pa.string()), 3, "0").cast(pa.binary())
        times = pc.binary_join_element_wise(times, millis, pa.scalar(b".", pa.binary()))
    addresses = {"src_ip": _pipe_address(raw, "sa", family), "dst_ip": _pipe_address(raw, "da", family)}
    return raw | addresses | {"timestamp": _without_zeros(times)}


_PIPE = KnownTable(
    "nfdump-pipe",
    {
        **{name: [name] for name in ("timestamp", "millis", "protocol", "src_port", "dst_port", "tcp_flags")},
        **{name: [name] for name in ("packets", "bytes", "family")},
        **{name: [name] for name in _PIPE_WORDS},
        **{"src_ip": ["sa3"], "dst_ip": ["da3"]},
    },
    keep=_have_addresses,
    complete=_pipe_completed,
)


def read_pipe(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of `nfdump -o pipe`."""
    old = as_utf8(file.head).split(b"\n", 1)[0].count(b"|") + 1 == len(_OLD_PIPE_NAMES)
    layout = Layout(_OLD_PIPE_NAMES if old else _PIPE_NAMES, ord("|"), quoted=False, trailers=_TRAILERS)
    yield from read_known_table(replace(_PIPE, layout=layout), file, context)


PIPE_FORMAT = Format("nfdump-pipe", sniff_pipe, read_pipe)

# `-o line` (nfdump's default), `-o long`, `-o extended`, `-o biline`, `-o bilong` and `-o fmt:...`, by the titles of
# their columns (src/output/output_fmt.c of nfdump). A dot separates the port from an IPv6 address. Large numbers are
# rounded (`1.2 M`) and therefore left out. In a flow of both directions (`<->`), the source sent what came in.
_DATE, _NUMBER = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?", r"\d[\d.]*(?: [KMGT])?"
_SIZE = r"(?:(?P<{0}>\d+)|[\d.]+ [KMGT])(?!\S)"
_ADDRESS, _PORT = r"(?P<{0}_ip>[0-9.]+|[0-9a-f:]+)", r"(?P<{0}_port>\d+(?:\.\d+)?)"
_TITLES = {
    "Date first seen": f"(?P<timestamp>{_DATE})",
    "Date last seen": _DATE,
    "Duration": r"(?:\d+d )?[\d.:]+",
    "Proto": r"(?P<protocol>\S+)",
    "Flags": r"(?P<tcp_flags>[.A-Z]{6,8})",
    **{title: _SIZE.format("packets") for title in ("In Pkt", "Packets")},
    **{title: _SIZE.format("bytes") for title in ("In Byte", "Bytes")},
    **dict.fromkeys(("Out Pkt", "Out Byte", "Tos", "pps", "bps", "Bpp", "Flows"), _NUMBER),
    **dict.fromkeys(("Src AS", "Dst AS", "Input", "Output"), r"\d+"),
    **{f"{end} IP Addr:Port": f"{_ADDRESS}[:.]{_PORT}".format(end.lower()) for end in ("Src", "Dst")},
    **{f"{end} IP Addr": _ADDRESS.format(end.lower()) for end in ("Src", "Dst")},
    **{f"{end} Pt": _PORT.format(end.lower()) for end in ("Src", "Dst")},
    # Not titles: what stands between the ends.
    **{arrow: arrow for arrow in ("<->", "->")},
}
_TITLE = re.compile("|".join(map(re.escape, sorted(_TITLES, key=len, reverse=True))))
_LINE_OPTIONAL = ("tcp_flags", "packets", "bytes")


def _layout(titles: str) -> "re.Pattern[str] | None":
    """The form of the lines below a line of titles; None if a title is not known or occurs twice."""
    found = _TITLE.findall(titles)
    if len(set(found)) < len(found) or _TITLE.sub("", titles).strip():
        return None
    return re.compile(r"^\s*" + r"\s+(?:<?->\s+)?".join(map(_TITLES.__getitem__, found)) + r"(?!\S)")


# Without a line of titles (nfdump -q), up to the bytes.
_UNTITLED = tuple(
    _layout(f"Date first seen Duration Proto Src IP Addr:Port {arrow} Dst IP Addr:Port {flags}{sizes}")
    for arrow, sizes in (("->", "Packets Bytes"), ("<->", "Out Pkt In Pkt Out Byte In Byte"))
    for flags in ("", "Flags Tos ")
)


def _line_parser(clock: LogClock) -> LineParser:
    layouts = _UNTITLED

    def parse(line: str) -> Fields | None:
        nonlocal layouts
        if "Date first seen" in line:
            layouts = (_layout(line), *_UNTITLED)
            return None
        found = next(filter(None, (layout.match(line) for layout in layouts if layout)), None)
        if found is None:
            return {} if layouts[0] and layouts is not _UNTITLED and line.lstrip()[:1].isdigit() else None
        return _dated(found)

    return parse


def _dated(found: "re.Match[str]") -> Fields:
    """The fields of a line; nfdump writes a time of zero for events in its layouts for flows, and vice versa."""
    return found.groupdict() | ({"timestamp": None} if found["timestamp"].startswith(_NO_TIME) else {})


LINE_FORMAT = line_format("nfdump-line", _line_parser, _LINE_OPTIONAL, note=_NO_ZONE)

# `-o nsel` and `-o nel`: events of firewalls and address translators. Ends and updates of a connection are left out;
# nfdump 1.7 calls updates UNKNOW.
_EVENT_LINE = re.compile(
    r"^(?P<timestamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\s+(?P<event>[A-Z]+)\s+"
    r"(?:\S.{0,20}?\s+)?(?P<protocol>\S+)\s+"
    r"(?P<src_ip>[0-9.]+|[0-9a-f:]+)[:.](?P<src_port>\d+)\s+->\s+"
    r"(?P<dst_ip>[0-9.]+|[0-9a-f:]+)[:.](?P<dst_port>\d+(?:\.\d+)?)\s"
)
_NOT_NEW = ("DELETE", "UPDATE", "UNKNOW", "UNKNOWN")


def _event_fields(line: str) -> Fields | None:
    found = _EVENT_LINE.match(line)
    if found is None or found["event"] in _NOT_NEW:
        return None
    return _dated(found)


EVENT_FORMAT = line_format("nfdump-events", lambda clock: _event_fields, note=_NO_ZONE)

_JSON_COLUMNS = {
    "src_ip": ["src4_addr", "src6_addr"],
    "dst_ip": ["dst4_addr", "dst6_addr"],
    "protocol": ["proto"],
    "src_port": ["src_port"],
    "dst_port": ["dst_port"],
    "packets": ["in_packets"],
    "bytes": ["in_bytes"],
    "tcp_flags": ["tcp_flags"],
    "icmp_type": ["icmp_type"],
    "icmp_code": ["icmp_code"],
}


def matches_json(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of `nfdump -o json`."""
    return "src4_addr" in record or "src6_addr" in record


def json_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a flow. Up to nfdump 1.6, its time is in `t_first`.

    Events have their time in `t_event`; updates and ends are not new flows.
    """
    is_event = record.get("type") == "EVENT"
    if is_event and record.get("event") in _NOT_NEW:
        return None
    return first_values(record, _JSON_COLUMNS) | {
        "timestamp": record.get("t_event" if is_event else "first", record.get("t_first"))
    }


JSON_DIALECT = Dialect("nfdump-json", matches_json, json_fields, note=_NO_ZONE)

# Raw times and unscaled numbers do not depend on the time zone or on rounding.
_BINARY_FIELDS = {
    "timestamp": "%tsr",
    "protocol": "%pr",
    "src_ip": "%sa",
    "src_port": "%sp",
    "dst_ip": "%da",
    "dst_port": "%dp",
    "tcp_flags": "%flg",
    "packets": "%ipkt",
    "bytes": "%ibyt",
    "icmp_type": "%it",
    "icmp_code": "%ic",
}
# Fields of firewall events (NSEL) and address translation events (NEL).
_EVENT_FIELDS = {"event_time": "%tevt", "event": "%evt"}
_NOT_NEW_EVENTS = pa.array([name.encode() for name in _NOT_NEW], pa.binary())


def sniff_binary(head: bytes) -> bool:
    """Whether the head belongs to an nfdump file of layout 1 or 2."""
    return len(head) >= 4 and head[:2] == b"\x0c\xa5" and head[2:4] in (b"\x01\0", b"\x02\0")


def read_binary(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a binary file, read by nfdump; raises InputError with advice if nfdump is not installed."""
    program = shutil.which("nfdump")
    if program is None:
        raise InputError(
            f"{file.name}: a binary nfdump file; install nfdump to read it, or export it where nfdump is installed: "
            f"TZ=UTC nfdump -r {file.path.name} -o csv > {file.path.stem}.csv"
        )
    fields = _BINARY_FIELDS | (_EVENT_FIELDS if _knows_events(program, file) else {})
    command = [program, "-r", os.path.abspath(file.plain_path), "-q", "-N", "-6"]
    command += ["-o", "fmt:" + ",".join(fields.values())]
    layout = Layout(tuple(fields), quoted=False, trailers=_TRAILERS)
    columns = {field: [field] for field in fields}
    table = KnownTable("nfdump", columns, layout=layout, keep=_are_new, complete=_with_event_times)
    yield from read_known_table(table, file, context, output_of(command, file))


def _knows_events(program: str, file: InputFile) -> bool:
    """Whether nfdump was built with the fields of firewall events."""
    try:
        return b"NSEL" in b"".join(output_of([program, "-V"], file))
    except DamagedInput:
        return False


def _are_new(raw: Raw) -> np.ndarray:
    """Rows that do not end or update a connection."""
    if "event" not in raw:
        return np.ones(len(raw["timestamp"]), dtype=bool)
    return ~np.asarray(pc.is_in(_trimmed(raw["event"]), value_set=_NOT_NEW_EVENTS))


def _with_event_times(raw: Raw) -> Raw:
    """The times of events are in their own column."""
    times = raw["timestamp"]
    if "event" in raw:
        times = pc.if_else(pc.equal(_trimmed(times), pa.scalar(b"0.000")), raw["event_time"], times)
    return raw | {"timestamp": _without_zeros(times)}


def _trimmed(values: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(values.cast(pa.string())).cast(pa.binary())


def _without_zeros(times: pa.Array) -> pa.Array:
    """Times with null instead of zero. nfdump writes zero for the times of events in its layouts for flows."""
    text = times.cast(pa.string())
    zero = pc.match_substring_regex(text, rf"^\s*(?:0(?:\.0+)?\s*$|{_NO_TIME})")
    return pc.if_else(zero, pa.scalar(None, pa.string()), text).cast(pa.binary())


BINARY_FORMAT = Format("nfdump", sniff_binary, read_binary)
