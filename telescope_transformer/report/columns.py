"""Checks the columns of an analysis's tables, and converts each to the type that an analysis writes.

Somebody else may have made the tables. A value that no analysis writes would give a traceback wherever it is first
used.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.arrays import with_column
from telescope_transformer.errors import InputError
from telescope_transformer.records.time_kernels import LAST

# Sums up to here are exact in JSON (RFC 8259, section 6), and the database of the search can add them.
MOST_RECORDS = 2**53


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


class _Kind(NamedTuple):
    """What a column may hold: which types are taken, the type that they become, and the bounds of integers."""

    meaning: str
    takes: Callable[[pa.DataType], bool]
    becomes: pa.DataType
    bounds: tuple[int, int] | None = None


TIME = _Kind("of integers from 1970 to 9999, in microseconds", pa.types.is_integer, pa.int64(), (0, LAST))
COUNT = _Kind("of integers of at least 0", pa.types.is_integer, pa.int64(), (0, MOST_RECORDS))
CLUSTER = _Kind("of integers, the numbers of clusters", pa.types.is_integer, pa.int32(), (0, 2**31 - 1))
NUMBER = _Kind("of type number", _is_number, pa.float32())
TEXT = _Kind("of type text", _is_text, pa.string())
TEXTS = _Kind(
    "of type list of texts",
    lambda kind: pa.types.is_list(kind) and _is_text(kind.value_type),
    pa.list_(pa.string()),
)

# Columns that every analysis writes, without gaps.
WINDOWS = {"window_id": COUNT, "source": TEXT, "start": TIME, "end": TIME, "n_records": COUNT, "cluster": CLUSTER}
SOURCES = {"source": TEXT, "n_records": COUNT, "first_seen": TIME, "last_seen": TIME}
TIMES = tuple(name for name, kind in (WINDOWS | SOURCES).items() if kind is TIME)
# Columns that only some analyses write, and that may have gaps. A source without windows is in no cluster.
OPTIONAL = {"cluster": CLUSTER, "n_windows": COUNT, "label": TEXT, "tool": TEXT, "service": TEXT, "services": TEXTS}
OPTIONAL |= dict.fromkeys(("margin", "agreement", "placement"), NUMBER)


def checked_columns(table: pa.Table, needed: Mapping[str, _Kind]) -> pa.Table:
    """The table with every known column in the type that an analysis writes.

    Args:
        table: the content of a file.
        needed: columns that must be there, without gaps.

    Raises:
        InputError: if a column is missing or an analysis cannot have written it.
    """
    for name, kind in (OPTIONAL | dict(needed)).items():
        if name in table.column_names:
            column = _converted(table[name], kind)
            if column is None or (name in needed and column.null_count):
                gaps = ", without gaps" if name in needed else ""
                raise InputError(f"column {name} must be {kind.meaning}{gaps}")
            table = with_column(table, name, column)
        elif name in needed:
            raise InputError(f"no column {name}")
    if (pc.sum(table["n_records"].cast(pa.float64())).as_py() or 0) > MOST_RECORDS:
        raise InputError(f"n_records has a sum above {MOST_RECORDS:,}")
    return table


def with_timestamps(table: pa.Table) -> pa.Table:
    """The table with its times as UTC timestamps with microseconds."""
    for name in TIMES:
        if name in table.column_names:
            table = with_column(table, name, table[name].cast(pa.timestamp("us", "UTC")))
    return table


def _converted(column: pa.ChunkedArray, kind: _Kind) -> pa.ChunkedArray | None:
    """The column in the type of its kind; None if it holds something else."""
    if not kind.takes(column.type):
        return None
    if kind.bounds is not None:
        found = pc.min_max(column).as_py()
        if found["min"] is not None and not kind.bounds[0] <= found["min"] <= found["max"] <= kind.bounds[1]:
            return None
    return column.cast(kind.becomes, safe=False)
