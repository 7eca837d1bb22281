"""Honeyd's packet log: new connections (`S`) and packets outside connections (`-`). Ends of connections are skipped.

Format: honeyd_log_service and honeyd_log_probe in log.c of Honeyd.
"""

import re

from telescope_transformer.records.log_lines import Fields, line_format

_LINE = re.compile(
    r"^(?P<day>\d{4}-\d\d-\d\d)[- ](?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?) [\w.-]+\((?P<protocol>\d+)\) (?P<kind>[SE-]) "
    r"(?P<src_ip>\S+) (?:(?P<src_port>\d+) )?(?P<dst_ip>[0-9a-fA-F.:]+?)"
    r"(?: (?P<dst_port>\d+))?"
    r"(?:: (?:(?P<icmp_type>\d+)\((?P<icmp_code>\d+)\): )?(?P<bytes>\d+)(?: (?P<tcp_flags>[A-Z]+))?)?"
    r"(?=[ :]|$)"
)


def _fields(line: str) -> Fields | None:
    found = _LINE.match(line)
    if found is None or found["kind"] == "E":
        return None
    fields: Fields = found.groupdict()
    return fields | {"timestamp": f"{found['day']}T{found['clock']}"}


FORMAT = line_format(
    "honeyd",
    lambda clock: _fields,
    ("icmp_type", "icmp_code", "bytes", "tcp_flags"),
    note="Honeyd writes local time, which is taken as UTC",
)
