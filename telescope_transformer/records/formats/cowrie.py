"""Cowrie's JSON log: a record for each connection (`cowrie.session.connect`); what happens in a session is skipped.

Fields: src/cowrie/ssh/transport.py and src/cowrie/telnet/transport.py of github.com/cowrie/cowrie. `protocol` there is
ssh or telnet, both over TCP. Where the destination is not known, the sensor's name stands for it.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.schema import TCP

_CONNECT = "cowrie.session.connect"


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an event of Cowrie."""
    return str(record.get("eventid", "")).startswith("cowrie.")


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of the beginning of a session."""
    if record["eventid"] != _CONNECT:
        return None
    return {
        "timestamp": record.get("timestamp", record.get("@timestamp")),
        "src_ip": record.get("src_ip"),
        "dst_ip": record.get("dst_ip", record.get("dest_ip")) or record.get("sensor"),
        "protocol": TCP,
        "src_port": record.get("src_port"),
        "dst_port": record.get("dst_port", record.get("dest_port")),
    }


DIALECT = Dialect("cowrie", matches, fields)
