"""STIX 2.1: a grouping per cluster with an indicator for each of its sources."""

import uuid
from typing import Any

from telescope_transformer.export.members import Members, describe, library, utc

# Of ids that follow from their content (STIX 2.1, section 2.9), so that a repeated export updates and does not double.
NAMESPACE = uuid.UUID("6f0b0b7e-1c55-5a52-9d8e-2f6f5d9a7c11")


def stix_bundle(members: Members) -> str:
    """The clusters as a STIX 2.1 bundle in JSON.

    Raises:
        ExportError: if the library `stix2` is not installed.
    """
    stix2 = library("stix2")
    latest = utc(max(members.sources["last_seen"].to_pylist(), default=0))
    author = stix2.Identity(
        id=_id("identity", "telescope"), name="telescope", identity_class="system", created=latest, modified=latest
    )
    objects: list[Any] = [author]
    for cluster in members.clusters:
        objects += _cluster_objects(stix2, members, cluster, author)
    return stix2.Bundle(objects=objects, id=_id("bundle", *(str(o["id"]) for o in objects))).serialize(pretty=True)


def _cluster_objects(stix2: Any, members: Members, cluster: int, author: Any) -> list[Any]:
    rows = members.of(cluster)
    indicators = [_indicator(stix2, row, author) for row in rows]
    seen = max(utc(row["last_seen"]) for row in rows)
    grouping = stix2.Grouping(
        id=_id("grouping", str(cluster), *(row["source"] for row in rows)),
        created_by_ref=author,
        created=seen,
        modified=seen,
        name=f"Cluster {cluster}",
        description=describe(members.profiles[cluster]),
        context="suspicious-activity",
        object_refs=[indicator["id"] for indicator in indicators],
    )
    return [*indicators, grouping]


def _indicator(stix2: Any, row: dict[str, Any], author: Any) -> Any:
    kind = "ipv6-addr" if ":" in row["source"] else "ipv4-addr"
    confidence = {} if row["confidence"] is None else {"confidence": row["confidence"]}
    return stix2.Indicator(
        id=_id("indicator", str(row["cluster"]), row["source"]),
        created_by_ref=author,
        created=utc(row["last_seen"]),
        modified=utc(row["last_seen"]),
        name=f"Source in cluster {row['cluster']}",
        indicator_types=["anomalous-activity"],
        pattern=f"[{kind}:value = '{row['source']}']",
        pattern_type="stix",
        valid_from=utc(row["first_seen"]),
        **confidence,
    )


def _id(kind: str, *parts: str) -> str:
    return f"{kind}--{uuid.uuid5(NAMESPACE, '|'.join((kind, *parts)))}"
