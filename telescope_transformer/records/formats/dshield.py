"""DShield's firewall reports: tab-separated values without a header. The TCP flags may be missing.

Format: https://www.dshield.org/specs.html.
"""

import re

from telescope_transformer.records.log_lines import Fields, line_format

_REPORT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:?\d\d\t")
_NAMES = ("timestamp", "author", "packets", "src_ip", "src_port", "dst_ip", "dst_port", "protocol", "tcp_flags")


def _fields(line: str) -> Fields | None:
    if _REPORT.match(line) is None:
        return None
    values = line.split("\t")
    if len(values) not in (len(_NAMES) - 1, len(_NAMES)):
        return {}
    return dict(zip(_NAMES, [*values, ""], strict=False))


FORMAT = line_format(
    "dshield", lambda clock: _fields, ("packets", "tcp_flags"), marks=lambda line: _fields(line) or None
)
