"""Flow logs of Azure: of network security groups (versions 1 and 2) and of virtual networks.

Each object holds many flows, each a text of values separated by commas. Only incoming flows are read. Azure writes a
flow again while it lasts and when it ends; only the first of these entries is read. The ICMP type is not given.
Formats: learn.microsoft.com/azure/network-watcher, "NSG flow logs" and "Virtual network flow logs" (log format).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.ports import without_icmp_ports

_GROUPS, _NETWORKS = "NetworkSecurityGroupFlowEvent", "FlowLogFlowEvent"
# Positions of the values in a flow of both kinds of logs, as Azure documents them.
_PLACES = {"timestamp": 0, "src_ip": 1, "dst_ip": 2, "src_port": 3, "dst_port": 4, "protocol": 5}
_DIRECTION = 6
# Position of the state of a flow. Version 1 of the logs of security groups has no state.
_STATE = {_GROUPS: 8, _NETWORKS: 7}
_DEEPEST = 8


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an entry of a flow log."""
    return str(record.get("category")) in _STATE


def _tuples(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts in lists under the key `flowTuples`, at any depth up to `_DEEPEST`."""
    if depth > _DEEPEST or not isinstance(value, dict | list):
        return
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if name == "flowTuples" and isinstance(inner, list):
            yield from (text for text in inner if isinstance(text, str))
        else:
            yield from _tuples(inner, depth + 1)


def fields(record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The incoming flows of an entry; None if it has none."""
    flows = []
    place = _STATE[record["category"]]
    for text in _tuples(record):
        values = text.split(",")
        values += [""] * (_DIRECTION + 1 - len(values))
        # B marks the beginning of a flow, D a denied flow.
        if values[_DIRECTION] == "O" or "".join(values[place : place + 1]) not in ("", "B", "D"):
            continue
        flows.append({field: values[position] for field, position in _PLACES.items()})
    return flows or None


DIALECT = Dialect("azure-flow-log", matches, fields, complete=without_icmp_ports)
