"""HoneyPy's log, and the JSON of its loggers and of HoneyDB: TCP connections, and UDP packets from clients.

The other events of a session repeat its addresses. Format: plugins/ and loggers/ of github.com/foospidy/HoneyPy.
"""

import re
from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.formats.any_json import by_alias
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.log_lines import Fields, line_format

_FIRST = {"TCP": "CONNECT", "UDP": "RX"}
_EVENTS = ("CONNECT", "RX", "TX")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an event of HoneyPy."""
    return {"local_host", "remote_host", "service"} <= record.keys() and record.get("event") in _EVENTS


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a TCP connection or a UDP packet from the client; None for other events."""
    return by_alias(record) if record["event"] == _FIRST.get(str(record.get("protocol"))) else None


DIALECT = Dialect("honeypy-json", matches, fields)

_LINE = re.compile(
    r"^(?P<second>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(?P<fraction>\d{6}),(?P<zone>[+-]\d{4}) \[[^\]]*\] \S+ "
    r"(?P<protocol>TCP|UDP) (?P<event>CONNECT|RX|TX) (?P<dst_ip>\S+) (?P<dst_port>\d+) .+? "
    r"(?P<src_ip>[0-9a-fA-F.:]+) (?P<src_port>\d+)(?= |$)"
)


def line_fields(line: str) -> Fields | None:
    """The fields of a line about a TCP connection or a UDP packet from the client; None for other lines."""
    found = _LINE.match(line)
    if found is None or found["event"] != _FIRST[found["protocol"]]:
        return None
    values = {name: found[name] for name in ("src_ip", "dst_ip", "protocol", "src_port", "dst_port")}
    return {**values, "timestamp": f"{found['second']}.{found['fraction']}{found['zone']}"}


FORMAT = line_format("honeypy", lambda clock: line_fields)
