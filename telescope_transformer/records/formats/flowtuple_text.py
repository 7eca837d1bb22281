"""CAIDA FlowTuple as text, as `cors2ascii` and `cors-ft2ascii` of corsaro 2 print it.

The flows of a minute follow a comment with the time at which the minute begins. For ICMP, the ports are the type and
code.

Format: caida.org/tools/measurement/corsaro/docs/formats.html, and `corsaro_flowtuple_print` of corsaro 2.
"""

import re

from telescope_transformer.records.log_lines import Fields, line_format

_INTERVAL = re.compile(r"# CORSARO_INTERVAL_START \d+ (\d+)")
_NAMES = ("src_ip", "dst_ip", "src_port", "dst_port", "protocol", "ttl", "tcp_flags")


class _Lines:
    """Parses the lines of one file in order, because the time of a flow is in an earlier line."""

    def __init__(self) -> None:
        self._begin: str | None = None

    def __call__(self, line: str) -> Fields | None:
        interval = _INTERVAL.match(line)
        if interval:
            self._begin = interval[1]
        if line[:1] == "#" or "|" not in line:
            return None
        *values, length_and_packets = line.split("|")
        if len(values) != len(_NAMES):
            return {}
        fields: Fields = dict(zip(_NAMES, values, strict=True))
        return fields | {"timestamp": self._begin, "packets": length_and_packets.partition(",")[2]}


FORMAT = line_format(
    "flowtuple-text",
    lambda clock: _Lines(),
    ("ttl", "tcp_flags", "packets"),
    marks=lambda line: {} if _INTERVAL.match(line) else None,
)
