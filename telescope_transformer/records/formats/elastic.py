"""Documents of the Elastic Common Schema, as Beats and Malcolm write them; each connection is read once.

Documents about a protocol, an alert or a notice repeat the addresses of a connection that has its own document.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from telescope_transformer.records.formats.any_json import by_alias, dotted
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.ports import from_sender
from telescope_transformer.records.raw_records import CONNECTION, EVENT

# What the schema says of an event, which other programs do not.
_OF_EVENTS = frozenset(("dataset", "module", "provider", "kind"))
# Their documents are about a whole connection.
_ONCE = ("zeek", "suricata")


def _is_of_connection(found: Mapping[str, Any]) -> bool:
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


def fields(record: Mapping[str, Any], outgoing: bool = False) -> dict[str, Any] | None:
    """The fields of a connection; None for other documents. See `by_alias`."""
    found = dict(dotted(record))
    if not _is_of_connection(found):
        return None
    values, kinds = by_alias(record, outgoing), found.get("event.type")
    ends = [end for end in ("start", "end") if end in (kinds if isinstance(kinds, list) else [kinds])]
    program = found.get("event.module") or str(found.get("event.dataset")).partition(".")[0]
    if values is not None and len(ends) == 1 and program not in _ONCE:
        # Firewalls log the start of a connection, its end, or both.
        ports = (values.get("src_port"), values["dst_port"])
        connection = (values["src_ip"], values.get("dst_ip"), values["protocol"], *ports)
        values |= {CONNECTION: ",".join(map(str, connection)), EVENT: ends[0]}
    return values


DIALECT = Dialect("elastic", matches, fields, complete=from_sender, fallback=partial(fields, outgoing=True))
