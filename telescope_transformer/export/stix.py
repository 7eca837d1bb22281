"""STIX 2.1: observed traffic and an indicator for each source, and a grouping for each cluster.

Exporting again, even on the next day, updates objects and does not duplicate them. The id of an object is derived from
its subject: the address for an indicator, the lasting number of the cluster for a grouping. `created` is the time of
the first record and never changes; `modified` is the time of the last record.

When MISP imports the bundle (misp-stix), it gets what our MISP export contains: the address as `ip-src`, without
the flag for detection, because similar behaviour is no reason for an alarm. This needs three things. Observed data
holds network traffic with the address as its source, because an address alone becomes `ip-dst`. A grouping refers to
observed data and not to indicators. And an indicator matches its address as a prefix (ISSUBSET), which the traffic
repeats as the prefix of its source. So MISP takes the indicator as part of the observed data. An indicator of its own
would get the flag, and a comparison for equality would give the flag to the address.

The traffic is embedded in its observed data, in the property `objects`. STIX 2.1 deprecates this form from STIX 2.0 in
favour of separate objects for addresses and traffic. But those have no author, no `created` and no `modified`, so they
could not be updated like all other objects.

The objects are plain dictionaries. With the library stix2, which checks each property of each object, the export of
70,000 sources took minutes. Instead, the tests check the bundle with the library and with the validator of OASIS.
"""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from telescope_transformer.errors import ExportError
from telescope_transformer.export.members import Members, stable_uuid, utc
from telescope_transformer.export.options import DEFAULTS, ExportOptions
from telescope_transformer.labels import kind_of

# An identity has no records to take a time from. A fixed time keeps it the same from day to day.
IDENTITY_CREATED = datetime(2024, 1, 1, tzinfo=UTC)
# STIX cannot represent years after 9999 (section 2.16).
LAST_TIME = datetime(9999, 12, 31, tzinfo=UTC)
# The largest `number_observed` (section 4.14).
MOST_OBSERVED = 999_999_999
# Ids of addresses and traffic are derived from their content, in this namespace (section 2.9).
CONTENT_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
# The markings of TLP 1, with their ids from STIX 2.1 (section 7.2.1.4). TLP 2.0 calls white "clear".
TLP_1 = {
    "clear": ("WHITE", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    "green": ("GREEN", "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    "amber": ("AMBER", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"),
    "red": ("RED", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
}
# The OASIS extension for the marking that TLP 2.0 adds (stix2-extensions, tlp-2.0).
TLP_2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
# A service with a port, as `report.service_name` writes it: "tcp/22 ssh".
_SERVICE = re.compile(r"(tcp|udp)/(\d+)\b")

Object = dict[str, Any]


class _Bundle:
    """The parts that all objects of a bundle share."""

    def __init__(self, members: Members, options: ExportOptions) -> None:
        self.members, self.options = members, options
        self.marking = _marking(options.tlp)
        self.author = {
            "type": "identity",
            "spec_version": "2.1",
            "id": self.id("identity"),
            "created": _time(IDENTITY_CREATED),
            "modified": _time(IDENTITY_CREATED),
            "name": options.author,
            "identity_class": "organization",
            "object_marking_refs": [self.marking["id"]],
        }

    def id(self, kind: str, *parts: str) -> str:
        return f"{kind}--{stable_uuid('stix', kind, self.options.author, *parts)}"

    def object(self, kind: str, about: tuple[str, ...], first: datetime, last: datetime, **properties: Any) -> Object:
        """An object with its author, its first and last time, and its TLP marking."""
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": self.id(kind, *about),
            "created_by_ref": self.author["id"],
            "created": _time(first),
            "modified": _time(max(first, last)),
            **properties,
            "object_marking_refs": [self.marking["id"]],
        }


def _time(time: datetime) -> str:
    """A timestamp with milliseconds, the precision of `created` and `modified` (section 3.2)."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marking(tlp: str) -> Object:
    marking: Object = {"type": "marking-definition", "spec_version": "2.1"}
    if tlp not in TLP_1:
        extension = {"extension_type": "property-extension", "tlp_2_0": tlp}
        marking |= {"id": AMBER_STRICT, "created": "2022-10-01T00:00:00.000Z", "name": f"TLP:{tlp.upper()}"}
        return marking | {"extensions": {TLP_2_EXTENSION: extension}}
    name, number = TLP_1[tlp]
    marking |= {"id": number, "created": "2017-01-20T00:00:00.000Z", "name": f"TLP:{name}"}
    return marking | {"definition_type": "tlp", "definition": {"tlp": name.lower()}}


def stix_bundle(members: Members, options: ExportOptions = DEFAULTS) -> str:
    """The clusters as a STIX 2.1 bundle in JSON, with one object per line."""
    bundle = _Bundle(members, options)
    objects = [bundle.marking, bundle.author]
    for cluster in members.clusters:
        objects += _cluster_objects(bundle, cluster)
    head = json.dumps({"type": "bundle", "id": bundle.id("bundle", *(one["id"] for one in objects))})
    lines = ",\n".join(map(json.dumps, objects))
    return f'{head.removesuffix("}")}, "objects": [\n{lines}\n]}}\n'


def _cluster_objects(bundle: _Bundle, cluster: int) -> list[Object]:
    members = bundle.members
    rows = members.of(cluster)
    if not rows:
        # A grouping must refer to at least one object. Indicators of earlier exports expire at their `valid_until`.
        return []
    seen = [_observation(bundle, cluster, row) for row in rows]
    indicators = [] if bundle.options.observed else [_indicator(bundle, cluster, row) for row in rows]
    first = min(utc(row["first_seen"]) for row in rows)
    if cluster in members.born:
        first = _day(members.born[cluster])
    grouping = bundle.object(
        "grouping",
        (members.analysis, str(cluster)),
        first,
        # The member with the newest record may leave the cluster, which would set `modified` back. The newest record
        # of the whole analysis never goes back.
        utc(max(members.newest, *(row["last_seen"] for row in rows))),
        name=members.name(cluster),
        description=members.describe(cluster),
        context="suspicious-activity",
        object_refs=[one["id"] for one in seen],
        labels=_labels(bundle, cluster, None),
    )
    return [*seen, *indicators, grouping]


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text[:10]).replace(tzinfo=UTC)
    except ValueError as error:
        raise ExportError(f"{text[:30]!r} is not a day (YYYY-MM-DD)") from error


def _labels(bundle: _Bundle, cluster: int, label: str | None) -> list[str]:
    """The labels of a source: its cluster, the scanner or malicious group that a list names, and the tools."""
    known = [f"{kind_of(label)}:{label}"] if label else []
    return [f"telescope-cluster:{cluster}", *known, *(f"tool:{tool}" for tool in bundle.members.tools(cluster))]


def _described(row: dict[str, Any], name: str) -> str:
    label = f"; on the list {row['label']}" if row.get("label") else ""
    return f'{row["n_records"]} records, behaves like "{name}"{label}'


def _confident(row: dict[str, Any]) -> dict[str, int]:
    return {} if row["confidence"] is None else {"confidence": row["confidence"]}


def _indicator(bundle: _Bundle, cluster: int, row: dict[str, Any]) -> Object:
    name, life = bundle.members.name(cluster), timedelta(days=bundle.options.valid_days)
    first, last = utc(row["first_seen"]), utc(row["last_seen"])
    kind = "ipv6-addr" if ":" in row["source"] else "ipv4-addr"
    return bundle.object(
        "indicator",
        (row["source"],),
        first,
        last,
        name=f"{row['source']}: {name}",
        description=_described(row, name),
        indicator_types=["anomalous-activity"],
        pattern=f"[{kind}:value ISSUBSET '{_prefix(row['source'])}']",
        pattern_type="stix",
        pattern_version="2.1",
        valid_from=_time(first),
        valid_until=_time(min(last, LAST_TIME - life) + life),
        labels=_labels(bundle, cluster, row.get("label")),
        **_confident(row),
    )


def _observation(bundle: _Bundle, cluster: int, row: dict[str, Any]) -> Object:
    first, last = utc(row["first_seen"]), utc(row["last_seen"])
    return bundle.object(
        "observed-data",
        (row["source"],),
        first,
        last,
        first_observed=_time(first),
        last_observed=_time(last),
        number_observed=min(max(1, row["n_records"]), MOST_OBSERVED),
        objects=_traffic(row["source"], row.get("service") or ""),
        labels=_labels(bundle, cluster, row.get("label")),
        **_confident(row),
    )


def _traffic(source: str, service: str) -> dict[str, Object]:
    """Traffic from a source to its main service, and the source's address."""
    version = "ipv6" if ":" in source else "ipv4"
    address = _content(f"{version}-addr", {"value": source})
    holds: Object = {"src_ref": address["id"], "protocols": [version]}
    if found := _SERVICE.match(service):
        holds |= {"dst_port": int(found[2]), "protocols": [version, found[1]]}
    # `ipfix` does not contribute to the id (section 6.12).
    prefix = {"sourceIPv6Prefix" if version == "ipv6" else "sourceIPv4Prefix": _prefix(source)}
    traffic = _content("network-traffic", holds) | {"ipfix": prefix}
    return {address["id"]: address, traffic["id"]: traffic}


def _prefix(source: str) -> str:
    return f"{source}/{128 if ':' in source else 32}"


def _content(kind: str, holds: Object) -> Object:
    """An object whose id is derived from its content."""
    canonical = json.dumps(holds, sort_keys=True, separators=(",", ":"))
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(CONTENT_NAMESPACE, canonical)}", **holds}
