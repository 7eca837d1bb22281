"""What a model embeds, from any form of flow records: windows of sources, or sequences that have no source."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.fields import SECOND, WINDOW_FIELDS
from telescope_transformer.preparation import load_split
from telescope_transformer.preparation.manifest import MANIFEST
from telescope_transformer.records import FlowRecords, read_records
from telescope_transformer.records.columns import find_columns, listed
from telescope_transformer.records.files import paths_of
from telescope_transformer.records.in_memory import (
    NAME,
    as_arrow,
    check_spelling,
    field_column,
    has_source,
    read_table,
)
from telescope_transformer.records.text_columns import VALID
from telescope_transformer.records.times import TimeReader
from telescope_transformer.records.validation import EARLIEST_PLAUSIBLE, unpacked
from telescope_transformer.windows import WINDOW, cut_windows

# Seconds since the record before, which sequences may have instead of times.
INTER_ARRIVAL = "inter_arrival"


def collected(records: Any) -> Any:
    """Flow records in a form that can be read more than once.

    Returns:
        Paths and `FlowRecords` unchanged; several sequences as a list of tables; all other records as one table.

    Raises:
        FlowRecordError: if they have another form.
    """
    if hasattr(records, "read"):
        raise FlowRecordError(f"{NAME} are an open file: give its path")
    # A generator, or a dataset that is streamed.
    if (
        isinstance(records, Iterable)
        and not hasattr(records, "__len__")
        and not hasattr(records, "__arrow_c_stream__")
    ):
        records = list(records)
    if isinstance(records, FlowRecords) or paths_of(records) is not None:
        return records
    if isinstance(records, (list, tuple)) and not all(isinstance(record, Mapping) for record in records):
        return [as_arrow(each) for each in records]
    return list(records) if isinstance(records, (list, tuple)) and not records else as_arrow(records)


def windows_of(collected_records: Any, *, columns: Mapping[str, str] | None = None, window: int = WINDOW) -> pa.Table:
    """Cut flow records with sources into windows, in time order.

    Args:
        collected_records: a result of `collected`.
        columns: field to column name; None finds columns by their common names.
        window: most records in a window.

    Returns:
        A row per window, as `cut_windows` returns it; a table of windows and a prepared dataset are not cut again.

    Raises:
        FlowRecordError: if there are no sources, a field is missing or misspelt, or no record is valid.
        InputError: if a file cannot be read.
    """
    records = collected_records
    paths = paths_of(records)
    if paths is not None:
        if len(paths) == 1 and (Path(paths[0]) / MANIFEST).is_file():
            return load_split(paths[0])
        records = read_records(paths, columns=columns)
    elif isinstance(records, list):
        raise FlowRecordError(f"{NAME} are several sequences without sources: give one table that has their sources")
    elif isinstance(records, pa.Table):
        if _are_windows(records):
            return records
        records = read_table(records, columns=columns)
        for note in records.notes:
            warnings.warn(note, stacklevel=3)
    return cut_windows(_valid(records), window=window, min_records=1)


def sequences_of(collected_records: Any, columns: Mapping[str, str] | None) -> list[pa.Table] | None:
    """Sequences without sources, with the columns that the tokenizer reads; None if there are sources or files.

    Columns, spellings and times are those of `telescope analyze`, and fields may be missing. Whole numbers that are no
    times since 1990 are microseconds since any start, as for the tokenizer.

    Args:
        collected_records: a result of `collected`.
        columns: as for `windows_of`.

    Raises:
        FlowRecordError: if a field is misspelt, a sequence has no records, or a time cannot be read.
    """
    tables = collected_records
    if isinstance(tables, pa.Table):
        if _are_windows(tables) or has_source(tables.column_names, columns):
            return None
        # A table without a row is no window; in a list of windows, it is a mistake.
        tables = [tables] if tables.num_rows else []
    elif not isinstance(tables, list) or any(not isinstance(table, pa.Table) for table in tables):
        return None
    for place, table in enumerate(tables):
        if not table.num_rows:
            raise FlowRecordError(f"window {place} has no records")
    named = [_named(table, columns) for table in tables]
    whole = [pc.min(table["timestamp"]).as_py() or 0 for table in named if _has_whole_times(table)]
    relative = min(whole, default=0) * SECOND < EARLIEST_PLAUSIBLE
    reader = TimeReader()
    return [
        table if relative and _has_whole_times(table) else _with_times(table, place, reader)
        for place, table in enumerate(named)
    ]


def _are_windows(table: pa.Table) -> bool:
    """Whether a table has a row per window, not per record."""
    names = set(table.column_names)
    return {"source", "n_records", "timestamp"} <= names and pa.types.is_list(table.schema.field("timestamp").type)


def _named(table: pa.Table, columns: Mapping[str, str] | None) -> pa.Table:
    """A sequence whose columns have the names of their fields, and `inter_arrival` if it has that column."""
    names = [name for name in table.column_names if name != INTER_ARRIVAL]
    found = find_columns(names, columns, NAME)
    # A sequence needs no source.
    check_spelling(names, {"src_ip": "", **found})
    if "timestamp" not in found and len(names) == table.num_columns:
        raise FlowRecordError(f"{NAME} have no column for timestamp, nor {INTER_ARRIVAL}; columns are {listed(names)}")
    named = {
        field: unpacked(field_column(table, name, field)) for field, name in found.items() if field in WINDOW_FIELDS
    }
    return pa.table(named | ({INTER_ARRIVAL: table[INTER_ARRIVAL]} if len(names) < table.num_columns else {}))


def _has_whole_times(table: pa.Table) -> bool:
    return "timestamp" in table.column_names and pa.types.is_integer(table.schema.field("timestamp").type)


def _with_times(table: pa.Table, place: int, reader: TimeReader) -> pa.Table:
    """A sequence with its times in microseconds."""
    if "timestamp" not in table.column_names:
        return table
    times = table["timestamp"].combine_chunks()
    micros, status = reader.read(times)
    odd = np.flatnonzero(status != VALID)
    if len(odd):
        value = times[int(odd[0])].as_py()
        raise FlowRecordError(f"window {place}, record {odd[0]}: the timestamp {value!r} is not a time")
    return table.set_column(table.column_names.index("timestamp"), "timestamp", pa.array(micros))


def _valid(found: FlowRecords) -> pa.Table:
    """The valid records. Warns about rejected ones, and raises an error if none is valid."""
    found.raise_if_damaged()
    if found.counts.rejected:
        first = found.rejects.slice(0, 1).to_pylist()[0]
        fault = f"row {first['row']}, {first['field']} {first['value']!r}: {first['reason']}"
        if not found.counts.kept:
            raise FlowRecordError(f"none of {found.counts.read} records is valid; the first: {fault}")
        warnings.warn(
            f"left out {found.counts.rejected} of {found.counts.read} records that are not valid; the first: {fault}",
            stacklevel=4,
        )
    return found.table
