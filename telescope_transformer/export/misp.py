"""A MISP event: an attribute for each source, with its cluster as comment and tag."""

import uuid
from typing import Any

from telescope_transformer.export.members import Members, describe, library, utc
from telescope_transformer.export.stix import NAMESPACE


def misp_event(members: Members) -> str:
    """The clusters as one MISP event in JSON, unpublished, with analysis still to be done.

    Raises:
        ExportError: if the library `pymisp` is not installed.
    """
    rows = members.sources.to_pylist()
    event = library("pymisp").MISPEvent()
    event.info = f"Network telescope: {len(members.clusters)} clusters of sources with like behaviour"
    event.uuid = str(uuid.uuid5(NAMESPACE, "|".join(f"{row['cluster']} {row['source']}" for row in rows)))
    event.distribution, event.threat_level_id, event.analysis = 0, 4, 0
    latest = max((row["last_seen"] for row in rows), default=0)
    event.set_date(utc(latest).date())
    event.timestamp = event.publish_timestamp = latest // 1_000_000
    for row in rows:
        _add_source(event, row, describe(members.profiles[row["cluster"]]), latest)
    return event.to_json(indent=1, sort_keys=True)


def _add_source(event: Any, row: dict[str, Any], description: str, latest: int) -> None:
    sure = "" if row["confidence"] is None else f", confidence {row['confidence']} %"
    attribute = event.add_attribute(
        "ip-src",
        row["source"],
        uuid=str(uuid.uuid5(NAMESPACE, f"attribute {row['cluster']} {row['source']}")),
        comment=f"cluster {row['cluster']}{sure}: {description}",
        to_ids=False,
        first_seen=utc(row["first_seen"]),
        last_seen=utc(row["last_seen"]),
        timestamp=latest // 1_000_000,
    )
    attribute.add_tag(f'telescope:cluster="{row["cluster"]}"')
