"""JSON of honeypots that log no transport protocol: those of T-Pot, OpenCanary and Conpot.

The protocol follows from the service; the other fields have common names. Honeypots with formats of their own, such
as Cowrie, have their own readers.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.formats.any_json import by_alias
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.raw_records import CONNECTION, EVENT

# Honeypots of T-Pot (by `type` in its Elasticsearch) whose services all run over one protocol.
_HONEYPOTS_OF_TCP = """
adbhoney beelzebub citrixhoneypot dicompot elasticpot endlessh galah gopot go-pot h0neytr4p hellpot heralding honeyaml
ipphoney log4pot mailoney medpot miniprint rdphoneypot redishoneypot snare tanner wordpot
"""
_TRANSPORTS = dict.fromkeys(_HONEYPOTS_OF_TCP.split(), "tcp") | {"ddospot": "udp"}
# Programs that T-Pot runs beside its honeypots. They repeat the connections of the honeypots.
_OBSERVERS = ("Fatt", "NGINX", "P0f")
# Services over UDP of OpenCanary (logtype: TFTP, NTP, SNMP, SIP, from its logger.py) and of Conpot (data_type).
_CANARY_UDP = ("10001", "11001", "13001", "15001")
_CONPOT_UDP = ("bacnet", "ipmi", "snmp", "tftp")


def _honeypot(record: Mapping[str, Any]) -> str:
    return str(record.get("type")).lower()


def _over(transport: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a connection over a protocol, unless the record gives its own."""
    found = by_alias(record)
    if found is not None:
        found["protocol"] = found["protocol"] or transport
        # Some honeypots log no source port, but a file of all honeypots has the column.
        found["src_port"] = "0" if found.get("src_port") in (None, "") else found["src_port"]
    return found


def t_pot_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a connection to a honeypot of T-Pot; None for what T-Pot observes beside it."""
    return None if record["type"] in _OBSERVERS else _over(_TRANSPORTS[_honeypot(record)], record)


def opencanary_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of an event of OpenCanary."""
    return _over("udp" if str(record["logtype"]) in _CANARY_UDP else "tcp", record)


def conpot_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of the first event of a session of Conpot; None for CONNECTION_LOST and CONNECTION_TERMINATED."""
    if str(record.get("event_type")).startswith("CONNECTION_"):
        return None
    found = _over("udp" if str(record["data_type"]).lower() in _CONPOT_UDP else "tcp", record)
    if found is not None and "id" in record:
        # Each request is an event.
        found |= {CONNECTION: str(record["id"]), EVENT: (found["timestamp"], record.get("request"))}
    return found


T_POT = Dialect(
    "t-pot", lambda record: _honeypot(record) in _TRANSPORTS or record.get("type") in _OBSERVERS, t_pot_fields
)
OPENCANARY = Dialect("opencanary", lambda record: "logtype" in record and "node_id" in record, opencanary_fields)
CONPOT = Dialect(
    "conpot",
    lambda record: "data_type" in record and ("sensorid" in record or _honeypot(record) == "conpot"),
    conpot_fields,
)
