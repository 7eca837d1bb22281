"""Records as readers find them, with values of any kind by field, and how they become columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from telescope_transformer.records.nulls import is_no_time, is_null

NOTE, CONNECTION, EVENT = "_note", "_connection", "_event"
"""Keys beside the fields of a record: a note for the user about such records, what identifies a connection, and
whether the record is about its beginning or its end."""

ZONE, PLACE = "_zone", "_place"
"""Keys beside the fields of a record: a zone that may be that of a place, and whether it says where something is."""


def first_values(record: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """For each field, the first value of `record` under one of its names that is not missing."""
    found = {}
    for field, several in names.items():
        values = [value for name in several if (value := record.get(name)) is not None]
        known = (
            value for value in values if not is_null(str(value)) and not (field == "timestamp" and is_no_time(value))
        )
        # A single text that means a missing value stays, so that a reject shows it.
        found[field] = values[0] if len(values) == 1 else next(known, None)
    return found


def _plain_value(value: dict[str, Any]) -> Any:
    """The value of MongoDB's extended JSON, such as `{"$date": {"$numberLong": "1469123456000"}}`."""
    plain: Any = value
    while isinstance(plain, dict) and len(plain) == 1 and next(iter(plain)).startswith("$"):
        plain = next(iter(plain.values()))
    return plain


class RawRecords:
    """Records with the numbers of their rows."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._records: list[dict[str, bytes | None]] = []

    def add(self, row: int, fields: Mapping[str, Any]) -> None:
        """Adds a record; raises UnicodeEncodeError if one of its values holds half of a surrogate pair."""
        plain = {name: _plain_value(value) if isinstance(value, dict) else value for name, value in fields.items()}
        record = {name: None if value is None else str(value).encode("utf-8") for name, value in plain.items()}
        self._records.append(record)
        self.rows.append(row)

    def columns(self, names: Iterable[str] | None = None) -> dict[str, pa.Array]:
        """The records as byte columns, of the fields that any record has unless `names` lists them."""
        if names is None:
            names = dict.fromkeys(name for record in self._records for name in record)
        return {name: pa.array([record.get(name) for record in self._records], pa.binary()) for name in names}
