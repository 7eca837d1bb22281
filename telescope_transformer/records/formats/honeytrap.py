"""Honeytrap's attackers.json (github.com/armedpot/honeytrap, which T-Pot runs): one record per attack."""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an attack that honeytrap logged."""
    return isinstance(record.get("attack_connection"), dict)


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of the attacker's connection. The connection that honeytrap opens as a proxy is left out."""
    connection = record["attack_connection"]
    # T-Pot moves addresses and ports out of the connection.
    return {
        "timestamp": record.get("@timestamp", record.get("timestamp")),
        "src_ip": connection.get("remote_ip", record.get("src_ip")),
        "dst_ip": connection.get("local_ip", record.get("dest_ip")),
        "protocol": connection.get("protocol"),
        "src_port": connection.get("remote_port", record.get("src_port")),
        "dst_port": connection.get("local_port", record.get("dest_port")),
    }


DIALECT = Dialect("honeytrap", matches, fields)
