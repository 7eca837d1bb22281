"""JSON of any program. Fields are found by common names, nested or with dots (`source.ip`), or by a mapping."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from telescope_transformer.records.columns import (
    DEEPEST,
    NEEDED_FIELDS,
    doubtful_beside,
    is_clock_zone,
    meanings,
    plain_name,
    says_place,
)
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.nulls import is_no_time, is_null
from telescope_transformer.records.ports import from_sender
from telescope_transformer.records.protocols import IPV6_EXTENSIONS
from telescope_transformer.records.raw_records import PLACE, ZONE

_PRESENT = ("timestamp", "src_ip")


class _Found(NamedTuple):
    """A value for a field. The value with the fewest `dropped` names counts, then the one with the lowest `rank`.

    A value that means a missing one counts only if no other place has the field.
    """

    dropped: int
    rank: int
    value: Any

    def order(self) -> tuple[bool, int, int]:
        """Of several values of a field, the one with the lowest order counts."""
        return isinstance(self.value, str) and is_null(self.value), self.dropped, self.rank


class _Said(NamedTuple):
    """What the path of a value says: its last name, the fields that it may mean (see `meanings`), the names beside
    which it means something else, and whether it is about a place."""

    name: str
    meanings: list[tuple[str, int, int]]
    doubtful_beside: frozenset[str]
    is_of_place: bool


@lru_cache(maxsize=1 << 14)
def _said(path: str) -> _Said:
    found = [
        (ZONE if field == "timezone" and not is_clock_zone(path) else field, dropped, rank)
        for field, dropped, rank in meanings(path)
    ]
    return _Said(plain_name(path.rpartition(".")[2]), found, doubtful_beside(path), says_place(path))


_TYPES = frozenset(("string", "int", "long", "float", "double"))


def _leaves(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values of nested objects, each with its path in dotted form."""
    for key, value in record.items():
        # MongoDB writes `"timestamp": {"$date": ...}`, and Avro `{"long": ...}`.
        is_type = prefix and (key.startswith("$") or (len(record) == 1 and key in _TYPES))
        name = prefix.rstrip(".") if is_type else f"{prefix}{key}"
        if isinstance(value, dict) and depth < DEEPEST:
            yield from _leaves(value, f"{name}.", depth + 1)
        else:
            # Kibana gives every value as a list, and tshark -e all values of a packet and of those inside it.
            is_first = isinstance(value, list) and (len(value) == 1 or (value and prefix.endswith("layers.")))
            yield name, value[0] if is_first else value


_OBSERVERS = ("Fatt", "NGINX", "P0f")


def _of_another_log(record: Mapping[str, Any]) -> bool:
    """Whether a document of a log store or a firewall is skipped because another one reports its connection.

    Documents about a protocol, an alert or a notice repeat the addresses of a connection that has its own document.
    """
    if "LogType" in record and "DeviceSN" in record:
        # PAN-OS: if both start and end of a connection are logged, the end counts, as in its text format.
        return bool(record["LogType"] != "TRAFFIC" or record.get("Subtype", record.get("SubType")) == "start")
    if "logid" in record and "devid" in record and "vd" in record:
        # FortiGate: the logs of its other modules repeat a connection of the traffic log.
        return str(record.get("type")) != "traffic"
    if str(record.get("event_type")).startswith("CONNECTION_") or str(record.get("type")) in _OBSERVERS:
        # CONNECTION_LOST and CONNECTION_TERMINATED of Conpot, and what T-Pot observes beside its honeypots.
        return True
    if "event" not in record and "event.dataset" not in record:
        return False
    found = dict(_leaves(record))
    # Malcolm calls the module the provider.
    dataset, module = str(found.get("event.dataset", "")), found.get("event.module", found.get("event.provider"))
    kind = dataset.rpartition(".")[2]
    if dataset and (module == "zeek" or dataset.startswith("zeek.")):
        return kind not in ("connection", "conn")
    if module == "suricata" or dataset.startswith("suricata."):
        known = kind if found.get("event.provider") == module else "flow"
        return found.get("suricata.eve.event_type", known) not in ("flow", "netflow")
    # Packetbeat repeats a flow while it lasts.
    if str(found.get("flow.final")) == "False":
        return True
    return found.get("agent.type") == "packetbeat" and kind not in ("", "flow")


# What the destination sent, in the Elastic Common Schema.
_ANSWERS = {"destination.packets": "dst_packets", "destination.bytes": "dst_bytes"}


def by_alias(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of an object, found by their common names; None if it has no time or source."""
    if _of_another_log(record):
        return None
    best: dict[str, _Found] = {}
    leaves = list(_leaves(record))
    answers: dict[str, Any] = {}
    is_of_place = False
    for path, value in leaves:
        said = _said(path)
        if said.doubtful_beside and not said.doubtful_beside.isdisjoint(_said(other).name for other, _ in leaves):
            continue
        is_of_place |= said.is_of_place
        if path in _ANSWERS:
            answers[_ANSWERS[path]] = value
        for field, dropped, rank in said.meanings:
            if value is not None:
                # A time of zero is not known; any other place is better.
                deep = dropped + 2 * DEEPEST if field == "timestamp" and is_no_time(value) else dropped
                _keep_better(best, field, _Found(deep, rank, value))
            elif field == "dst_ip":
                # A destination of null counts as a missing value, but a file may have no destination at all.
                _keep_better(best, field, _Found(dropped, rank, ""))
    fields = dict.fromkeys(NEEDED_FIELDS) | {field: found.value for field, found in best.items()} | answers
    if is_of_place:
        fields[PLACE] = True
    if any(fields[field] in (None, "") for field in _PRESENT):
        return None
    if fields["protocol"] in IPV6_EXTENSIONS and ":" in str(fields["src_ip"]):
        fields["protocol"] = _layer_above(record, fields["protocol"])
    transport = _transport_of_honeypot(record)
    if transport is not None:
        fields["protocol"] = fields["protocol"] or transport
        # Some honeypots log no source port, but a file of all honeypots has the column.
        fields["src_port"] = "0" if fields.get("src_port") in (None, "") else fields["src_port"]
    return fields


# Honeypots of T-Pot (by `type` in its Elasticsearch) whose services all run over one protocol, which their logs omit.
_HONEYPOTS_OF_TCP = """
adbhoney beelzebub citrixhoneypot dicompot elasticpot endlessh galah gopot go-pot h0neytr4p hellpot heralding honeyaml
ipphoney log4pot mailoney medpot miniprint rdphoneypot redishoneypot snare tanner wordpot
"""
_TRANSPORTS = dict.fromkeys(_HONEYPOTS_OF_TCP.split(), "tcp") | {"ddospot": "udp"}
# Services over UDP of OpenCanary (logtype: TFTP, NTP, SNMP, SIP, from its logger.py) and of Conpot (data_type).
_CANARY_UDP = ("10001", "11001", "13001", "15001")
_CONPOT_UDP = ("bacnet", "ipmi", "snmp", "tftp")


def _transport_of_honeypot(record: Mapping[str, Any]) -> str | None:
    """The protocol of a connection to a honeypot that does not log it; None for other records."""
    honeypot = str(record.get("type")).lower()
    if honeypot in _TRANSPORTS:
        return _TRANSPORTS[honeypot]
    if "logtype" in record and "node_id" in record:
        return "udp" if str(record["logtype"]) in _CANARY_UDP else "tcp"
    if "data_type" in record and ("sensorid" in record or honeypot == "conpot"):
        return "udp" if str(record["data_type"]).lower() in _CONPOT_UDP else "tcp"
    return None


def _layer_above(record: Mapping[str, Any], extension: str) -> str | None:
    """The protocol of a packet of tshark behind an IPv6 extension header; of other records what they say."""
    within = record.get("_source", record)
    layers = within.get("layers") if isinstance(within, dict) else None
    if not isinstance(layers, dict):
        return extension
    # `tcp`, or with -e `tcp.srcport` or `tcp_srcport`.
    names = {key.replace("_", ".").partition(".")[0] for key in layers}
    return next((name for name in ("tcp", "udp", "icmpv6", "sctp", "dccp") if name in names), None)


def _keep_better(best: dict[str, _Found], field: str, found: _Found) -> None:
    known = best.get(field)
    if known is None or found.order() < known.order():
        best[field] = found
    elif found.order() == known.order() and found.value != known.value:
        # Equally good values differ, such as those of an outer and an inner packet, so neither is taken.
        best[field] = found._replace(value=None)


def json_dialect(mapping: Mapping[str, str] | None) -> Dialect:
    """The dialect of any objects whose fields have common names or are mapped by the user."""

    def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
        if not mapping:
            return by_alias(record)
        found = dict(_leaves(record))
        if not any(column in found for column in mapping.values()):
            return None
        mapped = {field: found.get(column) for field, column in mapping.items()}
        return {**(by_alias(record) or {}), **({ZONE: None} if "timezone" in mapping else {}), **mapped}

    return Dialect("json", lambda record: True, fields, complete=from_sender)
