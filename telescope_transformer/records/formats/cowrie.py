"""Cowrie's logs: one record per connection (`cowrie.session.connect`); the other events of a session are skipped.
ADBHoney writes its events in the same form.

Fields: src/cowrie/ssh/transport.py and src/cowrie/telnet/transport.py of github.com/cowrie/cowrie. Their `protocol` is
ssh or telnet, both over TCP. If the destination is unknown, the name of the sensor is used. Sessions that Cowrie and
Kippo send by hpfeeds (src/cowrie/output/hpfeeds3.py) use other field names. In the text log (`cowrie.log`,
`kippo.log`), only the lines of new connections are read.
"""

import re
from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.log_lines import Fields, line_format
from telescope_transformer.records.raw_records import first_values
from telescope_transformer.records.schema import TCP

_PROGRAMS = ("cowrie.", "adbhoney.")
_CONNECT = ("cowrie.session.connect", "adbhoney.session.connect")

_COLUMNS = {
    "timestamp": ["startTime", "timestamp", "@timestamp"],
    "src_ip": ["src_ip", "peerIP"],
    "dst_ip": ["dst_ip", "dest_ip", "hostIP", "sensor"],
    "src_port": ["src_port", "peerPort"],
    "dst_port": ["dst_port", "dest_port", "hostPort"],
}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an event of Cowrie, or a session that it sends by hpfeeds."""
    return str(record.get("eventid", "")).startswith(_PROGRAMS) or ("peerIP" in record and "hostIP" in record)


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a new session; None for other events."""
    if "peerIP" not in record and record["eventid"] not in _CONNECT:
        return None
    return first_values(record, _COLUMNS) | {"protocol": TCP}


DIALECT = Dialect("cowrie", matches, fields)

_TWISTED = r"^(?P<timestamp>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d{4})?) \[[^\]]*\] "
_LINE = re.compile(
    _TWISTED
    + r"New connection: (?P<src_ip>\S+):(?P<src_port>\d+) \((?P<dst_ip>[^\s)]+):(?P<dst_port>\d+)\) \[session: "
)
_OTHER_LINE = re.compile(_TWISTED + r".*(?:HoneyPot|[Cc]owrie|[Kk]ippo)")


def line_fields(line: str) -> Fields | None:
    """The fields of a line of the text log that reports a new connection; None for other lines."""
    found = _LINE.match(line)
    return {**found.groupdict(), "protocol": TCP} if found else None


def _is_of_log(line: str) -> Fields | None:
    return line_fields(line) or ({} if _OTHER_LINE.match(line) else None)


TEXT_FORMAT = line_format("cowrie-text", lambda clock: line_fields, marks=_is_of_log)
