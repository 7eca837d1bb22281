"""Finds the column of each field of a flow record: as the user maps it, or by common names."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.fields import FIELDS, FLOW_SCHEMA, REQUIRED_FIELDS
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.rejects import escaped

Value = TypeVar("Value")

EXTRA_FIELDS = ("icmp_type", "icmp_code", "date", "timezone")
"""Columns that complete a field: ICMP's type and code, the date of a time of day, and the zone of a local time."""

MAPPABLE_FIELDS = (*FLOW_SCHEMA.names, *EXTRA_FIELDS)
ONE_PROTOCOL = "if all records are of one protocol, put the file into a folder named after it, such as protocol=tcp/"
NUMBERED = "--columns timestamp=1,src_ip=2,dst_ip=3,protocol=4,src_port=5,dst_port=6"
"""An example of a mapping for a table without a line that names its columns."""

_LONGEST_LISTING = 500
_UNIT = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$|\.keyword$")
# Zones of the clock, even beside places. ECS defines `event.timezone` as the zone of times without one.
_CLOCK_ZONES = ("eventtimezone", "eventtimezonename", "observertimezone", "observertimezonename")
_SEPARATORS = re.compile(r"[_\-. @]")
NEEDED_FIELDS = ("timestamp", "src_ip", "protocol", "dst_port")
"""The fields that each input must have; source ports and destinations may be absent."""

# Names of the two ends of a connection, and of the facts about an end. Columns combine both: `client_port`, `ip_dst`.
_SOURCES = ("src", "source", "attacker", "client", "cli", "remote", "peer", "initiator", "orig", "scanner", "foreign")
_DESTINATIONS = (
    *("dst", "dest", "destination", "victim", "target", "server", "srv", "local", "responder", "resp"),
    *("honeypot", "darknet", "telescope", "sensor"),
)
_KINDS = {
    "ip": (
        *("ip", "addr", "address", "ipaddr", "ipaddress", "ipv4", "ipv4addr", "ipv4address"),
        *("ipv6", "ipv6addr", "ipv6address", "host"),
    ),
    "port": ("port", "portnumber", "portno"),
}
# These may be the ends of something else, such as a request that a proxy forwards. Then `host` names a service.
_VAGUE_ENDS = ("client", "cli", "remote", "peer", "victim", "server", "srv", "local")
_NAMES_OF_ENDS = {
    f"{end}_{kind}": [
        name
        for one in ends
        for other in kinds
        if other != "host" or one not in _VAGUE_ENDS
        for name in (one + other, other + one)
    ]
    for end, ends in (("src", _SOURCES), ("dst", _DESTINATIONS))
    for kind, kinds in _KINDS.items()
}
# A program that forwards flows of other programs uses these names for itself.
_SENDERS = ("host", "sensor", "sensorname", "ip")
_LAST_RESORT = ("port", *_SENDERS)


def _names_of(field: str, listed: str) -> tuple[str, ...]:
    """Column names of a field in order of preference: listed names, combined names, and ambiguous names last."""
    known = [name for name in listed.split() if name not in _LAST_RESORT]
    last = [name for name in listed.split() if name in _LAST_RESORT]
    return tuple(dict.fromkeys((*known, *_NAMES_OF_ENDS.get(field, ()), *last)))


# In order of preference; compared without case and with "_", "-", " ", "." and "@" taken out.
ALIASES: dict[str, tuple[str, ...]] = {row.name: _names_of(row.name, row.aliases) for row in FIELDS} | {
    "icmp_type": (
        *("icmptype", "itype", "icmptypeipv4", "icmptypeipv6", "icmpv6type", "icmpicmptype", "icmpv6icmpv6type"),
        *("icmptypecode", "icmptypecodeipv4", "icmptypecodeipv6"),
    ),
    "icmp_code": (
        *("icmpcode", "icode", "icmpcodeipv4", "icmpcodeipv6", "icmpv6code", "icmpicmpcode", "icmpv6icmpv6code"),
    ),
    "date": ("date", "day", "startdate", "flowdate", "logdate", "dt", "ds"),
    "timezone": (
        *_CLOCK_ZONES,
        *("timezone", "tz", "utcoffset", "tzoffset", "timezoneoffset", "gmtoffset", "zoneoffset", "tzname"),
        "timezonename",
    ),
}
# Columns of databases of places, of Argus (also in the Bot-IoT data set), of PAN-OS, of FortiGate and of OPNsense.
_OF_PLACES = frozenset(("lat", "latitude", "lon", "lng", "longitude", "city", "cityname", "regionname", "geo"))
_OF_ARGUS = frozenset(("pkseqid", "ltime", "lasttime"))
_OF_PAN_OS = frozenset(("natsourceport", "natsrcport", "repeatcount", "repeatcnt"))
_OF_FORTIGATE = frozenset(("trandisp", "transip", "tranip"))
_OF_OPNSENSE = frozenset(("rulenr", "subrulenr", "anchorname"))
# Names that mean something else beside such names: a zone where the source is, the number of a record, the flags of a
# session, a translated port, and the name of a rule.
_MEANS_OTHERWISE = {
    **dict.fromkeys(set(ALIASES["timezone"]) - set(_CLOCK_ZONES), _OF_PLACES),
    "seq": _OF_ARGUS,
    "flags": _OF_PAN_OS,
    "transport": _OF_FORTIGATE,
    "label": _OF_OPNSENSE,
}

DEEPEST = 6
"""How many names of a dotted path may precede the name of a field."""

# Names that are too vague at the end of a path: `agent.ip` is not a source, `geo.time` not the time of a flow.
_VAGUE_NAMES = """
ip src source dst dest destination host sensor sensorname port time start first date day epoch ts
label tool flags flg
seq bytes packets octets oct pkt pkts sa da sp dp sip dip ttl pr pro prot transport isn ipid datetime timestamp
localhost remotehost srchost dsthost
"""
_VAGUE = frozenset((*_VAGUE_NAMES.split(), *ALIASES["timezone"])) | {
    name for names in _NAMES_OF_ENDS.values() for name in names if name.startswith(_VAGUE_ENDS)
}
# `date` may be a complete time, or only the date that belongs to a time of day.
_RANKS = {
    alias: [(field, names.index(alias)) for field, names in ALIASES.items() if alias in names]
    for alias in {alias for names in ALIASES.values() for alias in names}
}


def parse_mapping(text: str) -> dict[str, str]:
    """Parses the mapping `field=column,field=column`; an empty column means that the field is not read.

    Raises FlowRecordError for a part that is not of this form, an unknown field or a field given twice.
    """
    mapping: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        field, equals, column = part.partition("=")
        field = field.strip()
        if not equals:
            raise FlowRecordError(f"column mapping {part!r} is not of the form field=column")
        if field in mapping:
            raise FlowRecordError(f"column mapping gives the field {field!r} twice")
        mapping[field] = column.strip()
    if not mapping:
        raise FlowRecordError(f"column mapping {text!r} maps no field")
    check_mapping(mapping)
    return mapping


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raises FlowRecordError if `mapping` is not a dictionary from fields of a flow record to text."""
    if not isinstance(mapping, Mapping):
        raise FlowRecordError(f"a column mapping must be a dictionary from field to column name, not {mapping!r}")
    for field, column in mapping.items():
        if field not in MAPPABLE_FIELDS:
            raise FlowRecordError(
                f"column mapping names the unknown field {field!r}; fields are {', '.join(MAPPABLE_FIELDS)}"
            )
        if not isinstance(column, str):
            raise FlowRecordError(f"column mapping gives {column!r} for {field}; give the name or number as text")


def plain_name(name: str) -> str:
    """A column's name as `ALIASES` writes it, without a trailing unit such as `(s)` or `[UTC]`.

    Elasticsearch calls the plain text of a field `src_ip.keyword`.
    """
    return _SEPARATORS.sub("", _UNIT.sub("", name.lower()))


@lru_cache(maxsize=1 << 14)
def meanings(path: str) -> list[tuple[str, int, int]]:
    """The fields that a dotted path may mean, with the number of leading names dropped and the name's rank.

    `jsonPayload.connection.src_ip` means the source, with two names dropped.
    """
    names = path.split(".")
    for dropped in range(min(len(names), DEEPEST)):
        name = ".".join(names[dropped:])
        plain = plain_name(name)
        if plain in _RANKS and not (dropped and plain in _VAGUE and name[0] != "@"):
            deep = DEEPEST if plain in _SENDERS else dropped
            # Logstash adds `@timestamp`, the time of arrival, to the `timestamp` of a record.
            return [(field, deep, 2 * rank + name.startswith("@")) for field, rank in _RANKS[plain]]
    return []


def _by_path(field: str, names: Sequence[str]) -> str | None:
    """The column whose dotted path ends in a name of a field; None if there is none, or two match equally well."""
    found = sorted(
        (dropped, rank, name)
        for name in names
        if "." in name
        for meant, dropped, rank in meanings(name)
        if meant == field and dropped
    )
    return found[0][2] if found and (len(found) == 1 or found[0][:2] < found[1][:2]) else None


@lru_cache(maxsize=1 << 14)
def doubtful_beside(path: str) -> frozenset[str]:
    """The names, as the last part of a path, beside which a path with a vague last part means something else."""
    name = plain_name(path.rpartition(".")[2])
    return frozenset() if name in ALIASES["timezone"] else _MEANS_OTHERWISE.get(name, frozenset())


def _plain_parts(path: str) -> set[str]:
    """The plain names of a dotted path and of its parts."""
    return {plain_name(name) for name in (path, *path.split("."))}


@lru_cache(maxsize=1 << 14)
def says_place(path: str) -> bool:
    """Whether a column says where something is. Zones of its file are those of the clock only if `is_clock_zone`."""
    return not _OF_PLACES.isdisjoint(_plain_parts(path))


@lru_cache(maxsize=1 << 14)
def is_clock_zone(path: str) -> bool:
    """Whether a zone can only be that of the clock, by the name of its column."""
    return plain_name(path) in _CLOCK_ZONES


def value_by_alias(field: str, plain: Mapping[str, Value]) -> Value | None:
    """The value under the most preferred common name of a field, given values by plain names (see `plain_name`)."""
    return next((plain[alias] for alias in ALIASES[field] if alias in plain), None)


def resolve_columns(names: Sequence[str], mapping: Mapping[str, str] | None, file: str) -> dict[str, str]:
    """The column of each field that a file has, as `find_columns` finds them, if all required fields have one.

    Without a column for the destination port, the port may stand behind the destination, which `Validator` finds out.

    Raises:
        FlowRecordError: if a mapped column is absent or occurs twice, or a required field has no column.
    """
    resolved = find_columns(names, mapping, file)
    found = {*resolved, *(("dst_port",) if "dst_ip" in resolved else ())}
    missing = [field for field in NEEDED_FIELDS if field not in found]
    if missing:
        advice = f"give a mapping such as {missing[0]}=NAME"
        if len(missing) == len(NEEDED_FIELDS):
            advice += "; if this is a line of a log, docs/how-to/formats.md lists the logs that can be read"
        elif missing == ["protocol"]:
            advice += f", or {ONE_PROTOCOL}"
        raise NotFlowRecords(file, f"no column for {', '.join(missing)}; columns are {listed(names)}; {advice}")
    return resolved


def listed(names: Sequence[str]) -> str:
    """Names of columns for a message: escaped, and cut if they are many."""
    return escaped(", ".join(names)[:_LONGEST_LISTING])


def find_columns(names: Sequence[str], mapping: Mapping[str, str] | None, file: str) -> dict[str, str]:
    """The column of each field that the columns called `names` have.

    Required fields that a mapping leaves out are still found by their common names; optional ones are not.

    Raises:
        FlowRecordError: if a mapped column is absent or occurs twice.
    """
    resolved: dict[str, str] = {}
    # If two names mean the same field, the first counts. Logstash's `@timestamp` is the time when a record arrived.
    beside = set().union(*map(_plain_parts, names))
    meant = [name for name in names if _MEANS_OTHERWISE.get(plain_name(name), frozenset()).isdisjoint(beside)]
    preferred = sorted(meant, key=lambda name: "@" in name)
    plain = {plain_name(name): name for name in reversed(preferred)}
    for field in MAPPABLE_FIELDS:
        if mapping and field in mapping:
            column: str | None = mapping[field]
            if column and column not in names:
                raise NotFlowRecords(file, f"no column {column!r} for the field {field}; columns are {listed(names)}")
        elif mapping and field not in (*REQUIRED_FIELDS, "timezone"):
            continue
        else:
            column = value_by_alias(field, plain) or _by_path(field, meant)
        if column:
            if names.count(column) > 1:
                raise FlowRecordError(f"{file}: {names.count(column)} columns are called {escaped(column)!r}")
            resolved[field] = column
    # Beside `parsed.src_ip`, `parsed.timestamp` is the time of the record, and `@timestamp` that of its wrapper.
    wrapper = resolved.get("src_ip", "").rpartition(".")[0] + "."
    inner = {plain_name(name.removeprefix(wrapper)): name for name in reversed(preferred) if name.startswith(wrapper)}
    time = value_by_alias("timestamp", inner)
    return resolved | ({"timestamp": time} if time and "timestamp" not in (mapping or {}) else {})
