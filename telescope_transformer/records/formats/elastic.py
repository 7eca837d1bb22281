"""Documents of the Elastic Common Schema, as Beats and Malcolm write them; each connection is read once.

Documents about a protocol, an alert or a notice repeat the addresses of a connection that has its own document.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.formats.any_json import by_alias, dotted
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.ports import from_sender

# What the schema says of an event, which other programs do not.
_OF_EVENTS = frozenset(("dataset", "module", "provider", "kind"))


def _is_of_connection(record: Mapping[str, Any]) -> bool:
    found = dict(dotted(record))
    # Malcolm calls the module the provider.
    dataset, module = str(found.get("event.dataset", "")), found.get("event.module", found.get("event.provider"))
    kind = dataset.rpartition(".")[2]
    if dataset and (module == "zeek" or dataset.startswith("zeek.")):
        return kind in ("connection", "conn")
    if module == "suricata" or dataset.startswith("suricata."):
        known = kind if found.get("event.provider") == module else "flow"
        return found.get("suricata.eve.event_type", known) in ("flow", "netflow")
    # Packetbeat repeats a flow while it lasts.
    if str(found.get("flow.final")) == "False":
        return False
    return found.get("agent.type") != "packetbeat" or kind in ("", "flow")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a document about an event."""
    event = record.get("event")
    return "event.dataset" in record or (isinstance(event, dict) and not _OF_EVENTS.isdisjoint(event))


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a connection; None for other documents."""
    return by_alias(record) if _is_of_connection(record) else None


DIALECT = Dialect("elastic", matches, fields, complete=from_sender)
