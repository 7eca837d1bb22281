"""A MISP event with an attribute for each source. Its comment and tag name the cluster of the source.

A running analysis is one event, which later exports update. The uuid of the event is derived from the author and the
analysis, and the uuid of an attribute from its event and address.
"""

from typing import Any

from telescope_transformer.export.members import Members, stable_uuid, utc
from telescope_transformer.export.options import DEFAULTS, ExportOptions
from telescope_transformer.extras import require
from telescope_transformer.labels import kind_of
from telescope_transformer.words import counted

# The MISP galaxy cluster for each tool whose mark `labels.tools` recognises.
GALAXIES = {
    "mirai": 'misp-galaxy:malpedia="Mirai (ELF)"',
    "masscan": 'misp-galaxy:mitre-attack-pattern="Scanning IP Blocks - T1595.001"',
    "zmap": 'misp-galaxy:mitre-attack-pattern="Scanning IP Blocks - T1595.001"',
    "nmap": 'misp-galaxy:mitre-attack-pattern="Active Scanning - T1595"',
    "unicornscan": 'misp-galaxy:mitre-attack-pattern="Active Scanning - T1595"',
}


def misp_event(members: Members, options: ExportOptions = DEFAULTS) -> str:
    """The clusters as one MISP event in JSON: unpublished, and marked as not yet analysed.

    Raises:
        MissingExtraError: if the library `pymisp` is not installed.
    """
    rows = members.sources.to_pylist()
    event = require("pymisp").MISPEvent(force_timestamps=True)
    event.info = f"Network telescope: {counted(len(members.clusters), 'cluster')} of sources that behave alike"
    event.uuid = stable_uuid("misp", "event", options.author, members.analysis)
    # In the MISP core format: distribution to your organisation only, undefined threat level, initial analysis.
    event.distribution, event.threat_level_id, event.analysis = 0, 4, 0
    event.Orgc = {"name": options.author, "uuid": stable_uuid("misp", "organisation", options.author)}
    latest = max((row["last_seen"] for row in rows), default=members.newest)
    event.set_date(utc(min((row["first_seen"] for row in rows), default=members.newest)).date())
    event.timestamp = latest // 1_000_000
    event.add_tag(f"tlp:{options.tlp}")
    for row in rows:
        _add_source(event, row, members)
    text: str = event.to_json(indent=1, sort_keys=True)
    return text


def _add_source(event: Any, row: dict[str, Any], members: Members) -> None:
    cluster = row["cluster"]
    sure = "" if row["confidence"] is None else f", confidence {row['confidence']} %"
    attribute = event.add_attribute(
        "ip-src",
        row["source"],
        uuid=stable_uuid("misp", "attribute", event.uuid, row["source"]),
        comment=f"{members.name(cluster)} (cluster {cluster}{sure}): {members.describe(cluster)}",
        to_ids=False,
        first_seen=utc(row["first_seen"]),
        last_seen=utc(row["last_seen"]),
        timestamp=row["last_seen"] // 1_000_000,
    )
    attribute.add_tag(f'telescope:cluster="{cluster}"')
    if row.get("label"):
        attribute.add_tag(f'telescope:{kind_of(row["label"])}="{_quoted(row["label"])}"')
    for tool in members.tools(cluster):
        attribute.add_tag(f'telescope:tool="{_quoted(tool)}"')
        if tool in GALAXIES:
            attribute.add_tag(GALAXIES[tool])
    # The library leaves out the timestamp of an attribute that it considers edited.
    attribute.edited = False


def _quoted(value: str) -> str:
    """Clean the value of a machine tag of control characters and double quotes, because it is written in quotes."""
    return "".join(letter for letter in value if letter.isprintable()).replace('"', "'")
