"""STIX 2.1: observed data and an indicator for each source, and a grouping for each cluster.

Exporting again, even on the next day, updates objects without duplicating any. An id is derived from what its object
is about: for an indicator from the address, for a grouping from the lasting number of the cluster. `created` is the
time of the first record and never changes; `modified` is the time of the last record.

MISP (misp-stix) imports the addresses without a flag for detection, as in our MISP export, because behaving alike
is no reason for an alarm. This needs two things: a grouping refers to observed data and not to indicators, and an
indicator matches its address as a prefix (ISSUBSET), because an equal address would be flagged.

An address stands inside its observed data, in the property `objects`. STIX 2.1 deprecates this form of STIX 2.0 in
favour of addresses as objects of their own. But those have neither an author nor `created` and `modified`, so that
they could not be updated like all other objects.
"""

import json
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

from telescope_transformer.errors import ExportError
from telescope_transformer.export.members import Members, stable_uuid, utc
from telescope_transformer.export.options import ExportOptions
from telescope_transformer.extras import require
from telescope_transformer.labels import kind_of

# An identity has no records; a fixed time keeps it the same from day to day.
IDENTITY_CREATED = datetime(2024, 1, 1, tzinfo=UTC)
# STIX has no year after 9999 (section 2.16).
LAST_TIME = datetime(9999, 12, 31, tzinfo=UTC)
# STIX 2.1 defines markings of TLP 1 (section 7.2.1.4); TLP 2.0 has the same colours and renames white.
TLP_1 = {"clear": "TLP_WHITE", "green": "TLP_GREEN", "amber": "TLP_AMBER", "red": "TLP_RED"}
# The extension of OASIS for what TLP 2.0 adds (stix2-extensions, tlp-2.0).
TLP_2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"


class _Bundle:
    """What all objects of a bundle share."""

    def __init__(self, members: Members, options: ExportOptions) -> None:
        self.stix2 = require("stix2")
        self.members, self.options = members, options
        self.marking = self._marking()
        self.author = self.stix2.Identity(
            id=self.id("identity"),
            name=options.author,
            identity_class="organization",
            created=IDENTITY_CREATED,
            modified=IDENTITY_CREATED,
            object_marking_refs=[self.marking],
        )

    def id(self, kind: str, *parts: str) -> str:
        return f"{kind}--{stable_uuid('stix', kind, self.options.author, *parts)}"

    def common(self, first: datetime, last: datetime) -> dict[str, Any]:
        """The properties of every object: its author, when it was first and last seen, and how far it may go."""
        return {
            "created_by_ref": self.author.id,
            "created": first,
            "modified": max(first, last),
            "object_marking_refs": [self.marking],
        }

    def _marking(self) -> Any:
        if self.options.tlp in TLP_1:
            return getattr(self.stix2, TLP_1[self.options.tlp])
        return self.stix2.MarkingDefinition(
            id=AMBER_STRICT,
            created="2022-10-01T00:00:00.000Z",
            name="TLP:AMBER+STRICT",
            extensions={TLP_2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": "amber+strict"}},
            allow_custom=True,
        )


def stix_bundle(members: Members, options: ExportOptions | None = None) -> str:
    """The clusters as a STIX 2.1 bundle in JSON.

    Raises:
        MissingExtraError: if the library `stix2` is not installed.
    """
    bundle = _Bundle(members, options or ExportOptions())
    objects: list[Any] = [bundle.marking, bundle.author]
    with warnings.catch_warnings():
        # The deprecated property `objects`, which is used on purpose.
        warnings.simplefilter("ignore", bundle.stix2.exceptions.STIXDeprecationWarning)
        for cluster in members.clusters:
            objects += _cluster_objects(bundle, cluster)
        ids = [str(one["id"]) for one in objects]
        whole = bundle.stix2.Bundle(objects=objects, id=bundle.id("bundle", *ids), allow_custom=True)
        # The library's own indentation takes time in proportion to the square of the number of objects.
        return json.dumps(json.loads(whole.serialize()), indent=1) + "\n"


def _cluster_objects(bundle: _Bundle, cluster: int) -> list[Any]:
    members = bundle.members
    rows = members.of(cluster)
    if not rows:
        # A grouping must refer to something. Indicators of earlier exports end by their `valid_until`.
        return []
    seen = _observations(bundle, cluster, rows)
    indicators = [] if bundle.options.observed else _indicators(bundle, cluster, rows)
    first = min(utc(row["first_seen"]) for row in rows)
    if cluster in members.born:
        first = _day(members.born[cluster])
    grouping = bundle.stix2.Grouping(
        id=bundle.id("grouping", members.analysis, str(cluster)),
        name=members.name(cluster),
        description=members.describe(cluster),
        context="suspicious-activity",
        object_refs=[one["id"] for one in seen],
        labels=_labels(bundle, cluster, None),
        # The member with the newest record may leave a cluster; the newest record of all never goes back.
        **bundle.common(first, utc(max(members.newest, *(row["last_seen"] for row in rows)))),
    )
    return [*seen, *indicators, grouping]


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text[:10]).replace(tzinfo=UTC)
    except ValueError as error:
        raise ExportError(f"{text[:30]!r} is no day") from error


def _labels(bundle: _Bundle, cluster: int, label: str | None) -> list[str]:
    """What is known of a source: its cluster, the scanner or malicious group that a list names, and its tools."""
    known = [f"{kind_of(label)}:{label}"] if label else []
    return [f"telescope-cluster:{cluster}", *known, *(f"tool:{tool}" for tool in bundle.members.tools(cluster))]


def _described(row: dict[str, Any], name: str) -> str:
    label = f"; on the list {row['label']}" if row.get("label") else ""
    return f'{row["n_records"]} records, behaves like "{name}"{label}'


def _confident(row: dict[str, Any]) -> dict[str, int]:
    return {} if row["confidence"] is None else {"confidence": row["confidence"]}


def _indicators(bundle: _Bundle, cluster: int, rows: list[dict[str, Any]]) -> list[Any]:
    name, life = bundle.members.name(cluster), timedelta(days=bundle.options.valid_days)
    answer = []
    for row in rows:
        first, last = utc(row["first_seen"]), utc(row["last_seen"])
        kind, length = ("ipv6-addr", 128) if ":" in row["source"] else ("ipv4-addr", 32)
        answer.append(
            bundle.stix2.Indicator(
                id=bundle.id("indicator", row["source"]),
                name=f"{row['source']}: {name}",
                description=_described(row, name),
                indicator_types=["anomalous-activity"],
                pattern=f"[{kind}:value ISSUBSET '{row['source']}/{length}']",
                pattern_type="stix",
                valid_from=first,
                valid_until=min(last, LAST_TIME - life) + life,
                labels=_labels(bundle, cluster, row.get("label")),
                **_confident(row),
                **bundle.common(first, last),
            )
        )
    return answer


def _observations(bundle: _Bundle, cluster: int, rows: list[dict[str, Any]]) -> list[Any]:
    answer = []
    for row in rows:
        first, last = utc(row["first_seen"]), utc(row["last_seen"])
        kind = bundle.stix2.IPv6Address if ":" in row["source"] else bundle.stix2.IPv4Address
        seen = bundle.stix2.ObservedData(
            id=bundle.id("observed-data", row["source"]),
            first_observed=first,
            last_observed=last,
            number_observed=min(max(1, row["n_records"]), 999_999_999),
            objects={"0": kind(value=row["source"])},
            labels=_labels(bundle, cluster, row.get("label")),
            **_confident(row),
            **bundle.common(first, last),
        )
        answer.append(seen)
    return answer
