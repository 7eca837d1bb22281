"""JSON of no program in particular: fields by their common names, nested or with dots (`source.ip`), or as mapped."""

from collections.abc import Iterator, Mapping
from typing import Any

from telescope_transformer.records.columns import ALIASES, plain_name
from telescope_transformer.records.json_records import Dialect

_DEEPEST = 6
_PRESENT = ("timestamp", "src_ip")


def _leaves(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The plain values of nested objects, named by their path with dots."""
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _leaves(value, f"{name}.", depth + 1)
        else:
            # Kibana gives every value as a list.
            yield name, value[0] if isinstance(value, list) and len(value) == 1 else value


def _by_alias(record: Mapping[str, Any]) -> dict[str, Any] | None:
    found = {plain_name(name): value for name, value in _leaves(record) if value is not None}
    fields = {
        field: next((found[alias] for alias in aliases if alias in found), None) for field, aliases in ALIASES.items()
    }
    return fields if all(fields[field] is not None for field in _PRESENT) else None


def json_dialect(mapping: Mapping[str, str] | None) -> Dialect:
    """The dialect of any objects that have the fields by their common names, or by a mapping of the user."""

    def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
        if not mapping:
            return _by_alias(record)
        found = dict(_leaves(record))
        if not any(column in found for column in mapping.values()):
            return None
        return {**(_by_alias(record) or {}), **{field: found.get(column) for field, column in mapping.items()}}

    return Dialect("json", lambda record: True, fields)
