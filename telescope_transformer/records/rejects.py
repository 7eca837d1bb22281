"""Rows that are not valid flow records: all are counted, and listed with file, row, field, value and reason."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

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

MOST_KINDS = 50
"""Kinds of reject that the summary lists. Only rows with different wrong numbers of columns give more kinds."""


def escaped(value: object) -> str:
    """Text from outside, made safe to show: undecodable bytes and control characters are escaped."""
    if isinstance(value, Path):
        value = os.fsencode(value)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
    else:
        # JSON can hold half of a surrogate pair, which is not a character.
        text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def printable(value: object) -> str | None:
    """A refused value as bounded, escaped text."""
    if value is None:
        return None
    text = escaped(value[: LONGEST_VALUE + 1] if isinstance(value, bytes | str) else value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def rejects_table(
    file: str, rows: Iterable[int], fields: Iterable[str] | str, values: Iterable[object], reasons: Iterable[str] | str
) -> pa.Table:
    """A table of REJECTS_SCHEMA from one value per rejected row; a single text counts for all rows."""
    numbers = pa.array(rows, pa.int64())

    def texts(given: Iterable[str | None] | str) -> pa.Array:
        if isinstance(given, str):
            return pa.repeat(pa.scalar(given, pa.string()), len(numbers))
        return pa.array(given, pa.string())

    columns = [texts(file), numbers, texts(fields), texts(printable(value) for value in values), texts(reasons)]
    return pa.Table.from_arrays(columns, schema=REJECTS_SCHEMA)


class Kind(NamedTuple):
    """One kind of reject: how often it occurred, and the first example."""

    times: int
    example: dict[str, object]


class RejectLog:
    """Collects up to `limit` rejects; counts all of them, and keeps the first example of each kind."""

    def __init__(self, limit: int) -> None:
        self._tables: list[pa.Table] = []
        self._listed = 0
        self._limit = limit
        self._kinds: dict[tuple[str, str], Kind] = {}
        self.count = 0

    def add(self, rejects: pa.Table) -> None:
        """Appends as many of `rejects` as the limit allows."""
        if not rejects.num_rows:
            return
        self.count += rejects.num_rows
        self._count_kinds(rejects)
        fitting = rejects.slice(0, self._limit - self._listed)
        if fitting.num_rows:
            self._tables.append(fitting)
            self._listed += fitting.num_rows

    def _count_kinds(self, rejects: pa.Table) -> None:
        numbered = rejects.append_column("at", pa.array(range(rejects.num_rows), pa.int64()))
        found = numbered.group_by(["field", "reason"]).aggregate([("at", "min"), ("at", "count")])
        for row in found.to_pylist():
            key = (row["field"], row["reason"])
            if key in self._kinds:
                known = self._kinds[key]
                self._kinds[key] = known._replace(times=known.times + row["at_count"])
            elif len(self._kinds) < MOST_KINDS:
                self._kinds[key] = Kind(row["at_count"], rejects.slice(row["at_min"], 1).to_pylist()[0])

    @property
    def unlisted(self) -> int:
        """Number of rejects that were counted but not listed, because of the limit."""
        return self.count - self._listed

    def kinds(self) -> list[str]:
        """A line for each kind of reject, the most frequent first."""
        ordered = sorted(self._kinds.values(), key=lambda kind: -kind.times)
        return [
            f"{kind.times:,} rejected: {kind.example['field']}, {kind.example['reason']}"
            f" (first: {kind.example['file']}, row {kind.example['row']}, value {kind.example['value']!r})"
            for kind in ordered
        ]

    def table(self) -> pa.Table:
        """All listed rejects."""
        return pa.concat_tables([REJECTS_SCHEMA.empty_table(), *self._tables])


def join_rejects(*tables: pa.Table) -> pa.Table:
    """The rejects of all `tables`, in the order of their rows."""
    joined = pa.concat_tables(tables)
    return joined.take(pc.sort_indices(joined, [("row", "ascending")])) if joined.num_rows > 1 else joined
