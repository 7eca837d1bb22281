"""Rows that are no flow records: listed with file, row, field, value and reason, and always counted."""

from collections.abc import Iterable

import pyarrow as pa

REJECTS_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string()),
        pa.field(
            "row", pa.int64(), metadata={"meaning": "1-based data row of a text or Parquet file, else byte offset"}
        ),
        pa.field("field", pa.string()),
        pa.field("value", pa.string()),
        pa.field("reason", pa.string()),
    ]
)

LONGEST_VALUE = 200
"""Characters of a refused value that are kept."""


def printable(value: object) -> str | None:
    """A refused value as bounded text: undecodable bytes are escaped, and what is too long is cut."""
    if value is None:
        return None
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def rejects_table(
    file: str, rows: Iterable[int], fields: Iterable[str], values: Iterable[object], reasons: Iterable[str]
) -> pa.Table:
    """A table of REJECTS_SCHEMA from one value per rejected row."""
    numbers = pa.array(rows, pa.int64())
    columns = [
        pa.array([file] * len(numbers), pa.string()),
        numbers,
        pa.array(fields, pa.string()),
        pa.array((printable(value) for value in values), pa.string()),
        pa.array(reasons, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=REJECTS_SCHEMA)


class RejectLog:
    """Collects rejects up to `limit` rows; `count` goes on counting beyond it."""

    def __init__(self, limit: int) -> None:
        self._tables: list[pa.Table] = []
        self._listed = 0
        self._limit = limit
        self.count = 0

    def add(self, rejects: pa.Table) -> None:
        """Appends as many of `rejects` as the limit allows."""
        self.count += rejects.num_rows
        fitting = rejects.slice(0, self._limit - self._listed)
        if fitting.num_rows:
            self._tables.append(fitting)
            self._listed += fitting.num_rows

    @property
    def unlisted(self) -> int:
        """Rejects that were counted but, beyond the limit, not listed."""
        return self.count - self._listed

    def table(self) -> pa.Table:
        """All listed rejects."""
        return pa.concat_tables([REJECTS_SCHEMA.empty_table(), *self._tables])
