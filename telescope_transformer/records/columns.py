"""Finds the column of each field of a flow record: as the user maps it, or by common names."""

import re
from collections.abc import Mapping, Sequence

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.fields import FIELDS, FLOW_SCHEMA, REQUIRED_FIELDS
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.rejects import escaped

EXTRA_FIELDS = ("icmp_type", "icmp_code", "date")
"""Columns that complete a field: ICMP's type and code, and the date that belongs to a time of day."""

MAPPABLE_FIELDS = (*FLOW_SCHEMA.names, *EXTRA_FIELDS)
ONE_PROTOCOL = "if all records are of one protocol, put the file into a folder named after it, such as protocol=tcp/"
_LONGEST_LISTING = 500
_UNIT = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_SEPARATORS = re.compile(r"[_\-. @]")
_NEEDED_FIELDS = ("timestamp", "src_ip", "protocol", "dst_port")

# In order of preference; compared without case and with "_", "-", " ", "." and "@" taken out.
ALIASES: dict[str, tuple[str, ...]] = {row.name: tuple(row.aliases.split()) for row in FIELDS} | {
    "icmp_type": (
        *("icmptype", "itype", "icmptypeipv4", "icmptypeipv6"),
        *("icmptypecode", "icmptypecodeipv4", "icmptypecodeipv6"),
    ),
    "icmp_code": ("icmpcode", "icode", "icmpcodeipv4", "icmpcodeipv6"),
    "date": ("date", "day", "startdate", "flowdate", "logdate"),
}


def parse_mapping(text: str) -> dict[str, str]:
    """The mapping of `field=column,field=column`; an empty column means that the field is not to be read.

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
    check_mapping(mapping)
    return mapping


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raises FlowRecordError if `mapping` names a field that a flow record does not have."""
    for field in mapping:
        if field not in MAPPABLE_FIELDS:
            raise FlowRecordError(
                f"column mapping names the unknown field {field!r}; fields are {', '.join(MAPPABLE_FIELDS)}"
            )


def plain_name(name: str) -> str:
    """A column's name as `ALIASES` writes it, without a unit behind it such as `(s)` or `[UTC]`."""
    return _SEPARATORS.sub("", _UNIT.sub("", name.lower()))


def _by_alias(field: str, plain: Mapping[str, str]) -> str | None:
    return next((plain[alias] for alias in ALIASES[field] if alias in plain), None)


def resolve_columns(names: Sequence[str], mapping: Mapping[str, str] | None, file: str) -> dict[str, str]:
    """The column of each field that a file has, given the `names` of its columns.

    Required fields that a mapping leaves out are still found by their common names; optional ones are not.

    Raises:
        FlowRecordError: if a mapped column is absent or there twice, or a required field has no column.
    """
    resolved: dict[str, str] = {}
    listed = escaped(", ".join(names)[:_LONGEST_LISTING])
    # Of two names that mean one field the first counts; Logstash writes `@timestamp` when it takes a record in.
    preferred = sorted(names, key=lambda name: name.startswith("@"))
    plain = {plain_name(name): name for name in reversed(preferred)}
    for field in MAPPABLE_FIELDS:
        if mapping and field in mapping:
            column: str | None = mapping[field]
            if column and column not in names:
                raise NotFlowRecords(file, f"no column {column!r} for the field {field}; columns are {listed}")
        elif mapping and field not in REQUIRED_FIELDS:
            continue
        else:
            column = _by_alias(field, plain)
        if column:
            if names.count(column) > 1:
                raise FlowRecordError(f"{file}: {names.count(column)} columns are called {escaped(column)!r}")
            resolved[field] = column
    missing = [field for field in _NEEDED_FIELDS if field not in resolved]
    if missing:
        raise NotFlowRecords(
            file,
            f"no column for {', '.join(missing)}; columns are {listed}; give a mapping such as {missing[0]}=NAME"
            + (f", or {ONE_PROTOCOL}" if missing == ["protocol"] else ""),
        )
    return resolved
