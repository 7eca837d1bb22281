"""Flows as yafscii of CERT NetSA's yaf writes them: as a table (`--tabular --print-header`), or one per line.

A line has the end and the counters of the reverse flow, too. In the table, ICMP is in dp, as in NetFlow.
Formats: tools.netsa.cert.org/yaf/yafscii.html, and yfPrintString in src/yafcore.c of yaf.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.log_lines import Fields, line_format


def _completed(raw: Raw) -> Raw:
    """Prefix sequence numbers with 0x: yaf writes hexadecimal digits without a prefix."""
    if "tcp_seq" in raw:
        prefix, nothing = pa.scalar(b"0x", pa.binary()), pa.scalar(b"", pa.binary())
        raw = raw | {"tcp_seq": pc.binary_join_element_wise(prefix, raw["tcp_seq"], nothing)}
    return raw


TABLE_FORMAT = table_format(
    KnownTable(
        "yaf",
        {
            "timestamp": ["start-time"],
            "src_ip": ["sip"],
            "dst_ip": ["dip"],
            "protocol": ["proto"],
            "src_port": ["sp"],
            "dst_port": ["dp"],
            "packets": ["pkt"],
            "bytes": ["oct"],
            "tcp_flags": ["iflags"],
            "tcp_seq": ["isn"],
        },
        marks=("start-time", "sip", "dip"),
        complete=_completed,
    )
)

_FLOW = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (?:- \S+ \([\d.]+ sec\) )?"
    r"(?:(?P<name>tcp|udp) (?P<src>\S+):(?P<sport>\d+) => (?P<dst>\S+):(?P<dport>\d+)"
    r"|(?P<icmp>icmp6?) \[(?P<type>\d+):(?P<code>\d+)\] (?P<icmp_src>\S+) => (?P<icmp_dst>\S+)"
    r"|ip (?P<number>\d+) (?P<ip_src>\S+) => (?P<ip_dst>\S+))"
    r"(?: (?P<isn>[0-9a-f]{8})(?::[0-9a-f]{8})?)?(?: (?P<flags>[A-Z0]+)/\S+)?(?: vlan \S+)?"
    r" \((?P<packets>\d+)/(?P<bytes>\d+) "
)
_OPTIONAL = ("icmp_type", "icmp_code", "tcp_seq", "tcp_flags", "packets", "bytes")


def _fields(line: str) -> Fields | None:
    found = _FLOW.match(line)
    if found is None:
        return None
    return {
        "timestamp": found["time"],
        "src_ip": found["src"] or found["icmp_src"] or found["ip_src"],
        "dst_ip": found["dst"] or found["icmp_dst"] or found["ip_dst"],
        "protocol": found["name"] or found["icmp"] or found["number"],
        "src_port": found["sport"],
        "dst_port": found["dport"],
        "icmp_type": found["type"],
        "icmp_code": found["code"],
        "tcp_seq": found["isn"] and f"0x{found['isn']}",
        "tcp_flags": found["flags"],
        "packets": found["packets"],
        "bytes": found["bytes"],
    }


LINE_FORMAT = line_format("yafscii", lambda clock: _fields, _OPTIONAL)
