"""Flow records that are already in memory: lists of dictionaries, data frames and Arrow tables."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.records.columnar import as_stored
from telescope_transformer.records.columns import (
    ALIASES,
    MAPPABLE_FIELDS,
    check_mapping,
    find_columns,
    plain_name,
    resolve_columns,
)
from telescope_transformer.records.context import ReadContext
from telescope_transformer.records.reading import Counts, FlowRecords
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.validation import Validator

NAME = "the records"
# Similarity ratio of difflib from which a column counts as a misspelt field, as in the tokenizer of the model.
ALIKE = 0.7
# Stricter for the source, because a wrong guess would change the kind of the records: "scrip" and "srcip" have 0.8,
# "sourceport" and "sourceip" 0.78.
ALIKE_SOURCE = 0.79


def read_table(records: Any, *, columns: Mapping[str, str] | None = None) -> FlowRecords:
    """Validate flow records that are in memory, as `read_records` does for files.

    Args:
        records: a list of dictionaries, a dictionary of columns, an Arrow table, a `datasets.Dataset`, or a data frame
            of pandas, Polars or any other library that exports Arrow data (`__arrow_c_stream__`).
        columns: field to column name; without it, columns are found by their common names.

    Returns:
        Valid records as a table of `FLOW_SCHEMA`, and the rejected ones with row, field, value and reason.

    Raises:
        FlowRecordError: if `records` has none of these forms, a required column is missing, or a column's name looks
            like a misspelt field.

    Example:
        >>> read_table([{"time": "2026-01-01T00:00:00Z", "src": "192.0.2.1", "proto": "tcp", "dport": 23}]).counts.kept
        1
    """
    table = as_arrow(records)
    if columns is not None:
        check_mapping(columns)
    # Before required fields are asked for, because the answer to a misspelt one is its name.
    check_spelling(table.column_names, find_columns(table.column_names, columns, NAME))
    resolved = resolve_columns(table.column_names, columns, NAME)
    raw = {field: field_column(table, column, field) for field, column in resolved.items()}
    context = ReadContext()
    chunk = Validator(NAME, context, resolved).chunk(raw, np.arange(1, table.num_rows + 1, dtype=np.int64))
    counts = Counts().plus(chunk.batch.num_rows, chunk.rejects.num_rows, chunk.skipped)
    found = pa.Table.from_batches([chunk.batch])
    return FlowRecords(found, chunk.rejects, counts, context.sensors.addresses(), notes=context.notes)


def has_source(names: Sequence[str], columns: Mapping[str, str] | None = None) -> bool:
    """Whether one of the columns is the source address, by the mapping or by its name or a misspelling of it."""
    if columns is not None:
        check_mapping(columns)
        if columns.get("src_ip"):
            return True
    plain = [plain_name(name) for name in names]
    # "daddr" is the destination, not a misspelling of "saddr".
    others = {alias for field, aliases in ALIASES.items() if field != "src_ip" for alias in aliases}
    plain = [name for name in plain if name not in others]
    return any(difflib.get_close_matches(name, ALIASES["src_ip"], n=1, cutoff=ALIKE_SOURCE) for name in plain)


def as_arrow(records: Any) -> pa.Table:
    """The same records as an Arrow table; see `read_table` for what is accepted.

    Raises:
        FlowRecordError: if they have another form, or a column mixes types.
    """
    try:
        if isinstance(records, pa.Table):
            return records
        if isinstance(records, pa.RecordBatch):
            return pa.Table.from_batches([records])
        if hasattr(records, "__arrow_c_stream__"):
            return _from_frame(records)
        if _is_dataset(records):
            return records.with_format("arrow")[:]
        if isinstance(records, Mapping):
            _check_names(records)
            _check_columns(records)
            return pa.table({name: _array(values) for name, values in records.items()})
        if isinstance(records, Sequence) and all(isinstance(record, Mapping) for record in records):
            # All names of all records, because the first record may lack a field.
            names = dict.fromkeys(name for record in records for name in record)
            _check_names(names)
            return pa.table({name: _array([record.get(name) for record in records]) for name in names})
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise FlowRecordError(f"{NAME} are not a table: {' '.join(str(error).split())}") from error
    if isinstance(records, (list, tuple)):
        odd = next(record for record in records if not isinstance(record, Mapping))
        raise FlowRecordError(f"a record must be a dictionary from field to value, not {type(odd).__name__}")
    raise FlowRecordError(
        f"{NAME} must be a list of dictionaries, a dictionary of columns, a data frame or an Arrow table, "
        f"not {type(records).__name__}"
    )


def _from_frame(records: Any) -> pa.Table:
    """A data frame; pandas refuses to export columns that mix numbers and text, so they are read value by value."""
    try:
        return pa.table(records)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        if not hasattr(records, "columns"):
            raise
        return as_arrow(records.to_dict("list"))


def _check_names(names: Iterable[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise FlowRecordError(f"{NAME} have the name {name!r} for a column: names are text")


def _check_columns(columns: Mapping[str, Any]) -> None:
    """Refuse a dictionary of single values, which is one record, and a dictionary of tables, such as splits."""
    for name, values in columns.items():
        if hasattr(values, "column_names") or hasattr(values, "columns"):
            raise FlowRecordError(f"{NAME} are a dictionary in which {name!r} is a table: give one table or a list")
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            raise FlowRecordError(
                f"{NAME} are a dictionary in which {name!r} is a single value, {values!r}, not a column of values: "
                "put a single record into a list"
            )


def _is_dataset(records: Any) -> bool:
    """Whether this is a `datasets.Dataset`, judged by its module, so that `datasets` need not be installed."""
    return type(records).__name__ == "Dataset" and type(records).__module__.partition(".")[0] == "datasets"


def _array(values: Any) -> pa.Array:
    """A column; one that mixes numbers and text, as `protocol` may, becomes text. NaN, NaT and pandas.NA are null."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    # Arrays of NumPy and tensors, such as the columns of a dataset in PyTorch's format.
    if hasattr(values, "__dlpack__"):
        return pa.array(np.asarray(values))
    try:
        return pa.array(values, from_pandas=True)
    # Integers beyond 64 bits raise an OverflowError. As text, they are rejected like any value that is too large.
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return pa.array([value if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str:
    # Half of a surrogate pair is not a character, and becomes an escape that no field accepts.
    return value.isoformat() if isinstance(value, datetime) else escaped(value)


def field_column(table: pa.Table, name: str, field: str) -> pa.Array:
    """The column of a field in one chunk, read as in a file."""
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type) and pa.types.is_string_view(column.type.value_type):
        # Arrow cannot look up values in the categories of Polars.
        column = pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.string()))
    return as_stored(field, column, table.schema.field(name))


def check_spelling(names: Sequence[str], resolved: Mapping[str, str]) -> None:
    """Refuse a column that looks like a misspelling of a field that no column has."""
    absent = [field for field in MAPPABLE_FIELDS if field not in resolved]
    aliases = {alias: field for field in absent for alias in (*ALIASES[field], field)}
    for name in names:
        if name in resolved.values():
            continue
        if found := difflib.get_close_matches(name.lower(), list(aliases), n=1, cutoff=ALIKE):
            raise FlowRecordError(
                f"{NAME} have a column {name!r} and none for {aliases[found[0]]}: rename it, "
                f"or map it with columns={{{aliases[found[0]]!r}: {name!r}}}"
            )
