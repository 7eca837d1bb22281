"""JSON of no program in particular: fields by their common names, nested or with dots (`source.ip`), or as mapped."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from telescope_transformer.records.columns import ALIASES, plain_name
from telescope_transformer.records.json_records import Dialect

_DEEPEST = 6
_PRESENT = ("timestamp", "src_ip")
# Names that say too little where they end a longer one: `agent.ip` is no source and `geo.time` no time of a flow.
_VAGUE_NAMES = """
ip src source dst dest destination host sensor sensorname port time start first date day epoch ts label tool flags flg
seq bytes packets octets oct pkt pkts sa da sp dp sip dip ttl pr pro prot transport isn ipid datetime timestamp
clientip localip localhost localport remoteip remotehost remoteport
"""
_VAGUE = frozenset(_VAGUE_NAMES.split())
# A program that sends on the flows of others calls itself so.
_LAST_RESORT = frozenset(("host", "sensor", "sensorname", "ip"))
# `date` may be a time by itself, or the date of a time of day.
_RANKS = {
    alias: [(field, names.index(alias)) for field, names in ALIASES.items() if alias in names]
    for alias in {alias for names in ALIASES.values() for alias in names}
}


class _Found(NamedTuple):
    """A value for a field. The value with the fewest `dropped` names counts, then the one with the lowest `rank`."""

    dropped: int
    rank: int
    value: Any


def _leaves(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The plain values of nested objects, named by their path with dots."""
    for key, value in record.items():
        # MongoDB writes `"timestamp": {"$date": ...}`.
        name = prefix.rstrip(".") if key.startswith("$") and prefix else f"{prefix}{key}"
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _leaves(value, f"{name}.", depth + 1)
        else:
            # Kibana gives every value as a list.
            yield name, value[0] if isinstance(value, list) and len(value) == 1 else value


@lru_cache(maxsize=1 << 14)
def _meanings(path: str) -> list[tuple[str, int, int]]:
    """The fields that a path with dots is, how many of its first names were dropped for that, and the name's rank.

    `jsonPayload.connection.src_ip` is the source, with two names dropped.
    """
    names = path.split(".")
    for dropped in range(min(len(names), _DEEPEST)):
        name = ".".join(names[dropped:])
        plain = plain_name(name)
        if plain in _RANKS and not (dropped and plain in _VAGUE):
            deep = _DEEPEST if plain in _LAST_RESORT else dropped
            # Logstash writes `@timestamp`, the time of arrival, beside the `timestamp` of a record.
            return [(field, deep, 2 * rank + name.startswith("@")) for field, rank in _RANKS[plain]]
    return []


def _of_another_log(record: Mapping[str, Any]) -> bool:
    """Whether a document of a Beat or of Security Onion says that it is of a protocol, an alert or a notice.

    Such documents have the ends of a connection too, beside the document of the connection itself.
    """
    if "event" not in record and "event.dataset" not in record:
        return False
    found = dict(_leaves(record))
    dataset, module = str(found.get("event.dataset", "")), found.get("event.module")
    if dataset and (module == "zeek" or dataset.startswith("zeek.")):
        return dataset.rpartition(".")[2] not in ("connection", "conn")
    if module == "suricata" or dataset.startswith("suricata."):
        return found.get("suricata.eve.event_type", "flow") not in ("flow", "netflow")
    return found.get("agent.type") == "packetbeat" and dataset not in ("", "flow")


def _by_alias(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if _of_another_log(record):
        return None
    best: dict[str, _Found] = {}
    for path, value in _leaves(record):
        for field, dropped, rank in _meanings(path):
            if value is None and field == "dst_ip":
                # A destination that is there and null is missing; one that is not there is not.
                _keep_better(best, field, _Found(dropped, 2 * len(ALIASES[field]), ""))
            elif value is not None:
                _keep_better(best, field, _Found(dropped, rank, value))
    fields = {field: best[field].value if field in best else None for field in ALIASES}
    return fields if all(fields[field] is not None for field in _PRESENT) else None


def _keep_better(best: dict[str, _Found], field: str, found: _Found) -> None:
    known = best.get(field)
    if known is None or found[:2] < known[:2]:
        best[field] = found
    elif found[:2] == known[:2] and found.value != known.value:
        # Two places say two things, such as an outer and an inner packet: neither is taken.
        best[field] = found._replace(value=None)


def json_dialect(mapping: Mapping[str, str] | None) -> Dialect:
    """The dialect of any objects that have the fields by their common names, or by a mapping of the user."""

    def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
        if not mapping:
            return _by_alias(record)
        found = dict(_leaves(record))
        if not any(column in found for column in mapping.values()):
            return None
        return {**(_by_alias(record) or {}), **{field: found.get(column) for field, column in mapping.items()}}

    return Dialect("json", lambda record: True, fields)
