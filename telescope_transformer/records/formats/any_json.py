"""JSON of any program. Fields are found by common names, nested or with dots (`source.ip`), or by a mapping."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from telescope_transformer.records.columns import (
    DEEPEST,
    NEEDED_FIELDS,
    doubtful_beside,
    is_clock_zone,
    meanings,
    plain_name,
    says_place,
)
from telescope_transformer.records.json_items import unwrapped
from telescope_transformer.records.json_records import Dialect, dialect_of
from telescope_transformer.records.nulls import is_no_time, is_null
from telescope_transformer.records.ports import from_sender
from telescope_transformer.records.raw_records import PLACE, ZONE

_PRESENT = ("timestamp", "src_ip")


class _Found(NamedTuple):
    """A value for a field. The value with the fewest `dropped` names counts, then the one with the lowest `rank`.

    A value that means a missing one counts only if no other place has the field.
    """

    dropped: int
    rank: int
    value: Any

    def order(self) -> tuple[bool, int, int]:
        """Of several values of a field, the one with the lowest order counts."""
        return isinstance(self.value, str) and is_null(self.value), self.dropped, self.rank


class _Said(NamedTuple):
    """What the path of a value says: its last name, the fields that it may mean (see `meanings`), the names beside
    which it means something else, and whether it is about a place or the direction of a flow."""

    name: str
    meanings: list[tuple[str, int, int]]
    doubtful_beside: frozenset[str]
    is_of_place: bool
    is_direction: bool


@lru_cache(maxsize=1 << 14)
def _said(path: str) -> _Said:
    found = [
        (ZONE if field == "timezone" and not is_clock_zone(path) else field, dropped, rank)
        for field, dropped, rank in meanings(path)
    ]
    name = plain_name(path.rpartition(".")[2])
    return _Said(name, found, doubtful_beside(path), says_place(path), name == "dir" or name.endswith("direction"))


_TYPES = frozenset(("string", "int", "long", "float", "double"))


def dotted(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values of nested objects, each with its path in dotted form."""
    for key, value in record.items():
        # MongoDB writes `"timestamp": {"$date": ...}`, and Avro `{"long": ...}`.
        is_type = prefix and (key.startswith("$") or (len(record) == 1 and key in _TYPES))
        name = prefix.rstrip(".") if is_type else f"{prefix}{key}"
        if isinstance(value, dict) and depth < DEEPEST:
            yield from dotted(value, f"{name}.", depth + 1)
        else:
            # Kibana gives every value as a list.
            yield name, value[0] if isinstance(value, list) and len(value) == 1 else value


# What the destination sent, in the Elastic Common Schema.
_ANSWERS = {"destination.packets": "dst_packets", "destination.bytes": "dst_bytes"}


# Of the direction of a flow, in the Elastic Common Schema, OCSF, UniFi and OPNsense.
_OUT = frozenset(("outbound", "egress", "outgoing", "out"))


def by_alias(record: Mapping[str, Any], outgoing: bool = False) -> dict[str, Any] | None:
    """The fields of an object, found by their common names; None if it has no time or source.

    Flows that say that they went out give None, too, unless `outgoing` is true.
    """
    best: dict[str, _Found] = {}
    leaves = list(dotted(record))
    answers: dict[str, Any] = {}
    is_of_place = False
    for path, value in leaves:
        said = _said(path)
        if said.doubtful_beside and not said.doubtful_beside.isdisjoint(_said(other).name for other, _ in leaves):
            continue
        is_of_place |= said.is_of_place
        if said.is_direction and not outgoing and str(value).lower() in _OUT:
            return None
        if path in _ANSWERS:
            answers[_ANSWERS[path]] = value
        for field, dropped, rank in said.meanings:
            if value is not None:
                # A time of zero is not known; any other place is better.
                deep = dropped + 2 * DEEPEST if field == "timestamp" and is_no_time(value) else dropped
                _keep_better(best, field, _Found(deep, rank, value))
            elif field == "dst_ip":
                # A destination of null counts as a missing value, but a file may have no destination at all.
                _keep_better(best, field, _Found(dropped, rank, ""))
    fields = dict.fromkeys(NEEDED_FIELDS) | {field: found.value for field, found in best.items()} | answers
    if is_of_place:
        fields[PLACE] = True
    if any(fields[field] in (None, "") for field in _PRESENT):
        return None
    return fields


any_by_alias = partial(by_alias, outgoing=True)
"""For files in which all flows say that they went out: the word depends on the place from which they were seen."""


def _keep_better(best: dict[str, _Found], field: str, found: _Found) -> None:
    known = best.get(field)
    if known is None or found.order() < known.order():
        best[field] = found
    elif found.order() == known.order() and found.value != known.value:
        # Equally good values differ, such as those of an outer and an inner packet, so neither is taken.
        best[field] = found._replace(value=None)


def json_dialect(mapping: Mapping[str, str] | None, programs: Sequence[Dialect] = ()) -> Dialect:
    """The dialect of any objects whose fields have common names or are mapped by the user.

    Args:
        mapping: field to path of its value, as the user maps them.
        programs: dialects that find the fields that are not mapped in objects of their program.
    """

    def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
        if not mapping:
            return by_alias(record)
        inner = unwrapped(record)
        found = dict(dotted(record)) | dict(dotted(inner))
        if not any(column in found for column in mapping.values()):
            return None
        mapped = {field: found.get(column) for field, column in mapping.items()}
        program = dialect_of(inner, programs)
        others: Any = (program.fields if program else any_by_alias)(inner) or dict.fromkeys(NEEDED_FIELDS)
        return {**others, **({ZONE: None} if "timezone" in mapping else {}), **mapped}

    return Dialect("json", lambda record: True, fields, from_sender, fallback=None if mapping else any_by_alias)
