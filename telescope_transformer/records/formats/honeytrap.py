"""Honeytrap's attackers.json (github.com/armedpot/honeytrap, which T-Pot runs): one record per attack."""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.raw_records import first_values

_COLUMNS = {
    "timestamp": ["@timestamp", "timestamp"],
    "src_ip": ["remote_ip", "src_ip"],
    "dst_ip": ["local_ip", "dest_ip"],
    "protocol": ["protocol"],
    "src_port": ["remote_port", "src_port"],
    "dst_port": ["local_port", "dest_port"],
}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an attack that honeytrap logged."""
    return isinstance(record.get("attack_connection"), dict)


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of the attacker's connection. The connection that honeytrap opens as a proxy is left out."""
    # T-Pot moves addresses and ports out of the connection.
    return first_values({**record, **record["attack_connection"]}, _COLUMNS)


DIALECT = Dialect("honeytrap", matches, fields)
