"""Flows as yafscii writes them, one per line, with the end and the counters of the reverse flow.

Format: yfPrintString in src/yafcore.c of CERT NetSA's yaf. `programs.py` reads the output of `--tabular` as a table.
"""

import re

from telescope_transformer.records.log_lines import Fields, line_format

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


FORMAT = line_format("yafscii", _fields, _OPTIONAL)
