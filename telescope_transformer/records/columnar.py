"""What the columnar formats share: record batches of any schema to flow records."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records.columns import resolve_columns
from telescope_transformer.records.context import ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.partitions import NO_DESTINATION, partition_columns
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.schema import FLOW_SCHEMA, REQUIRED_FIELDS
from telescope_transformer.records.validation import Chunk, Validator

ROWS_PER_BATCH = 1 << 18
READ_ERRORS = (pa.ArrowException, OSError, UnicodeError, ValueError, OverflowError)
"""What pyarrow raises on a damaged file."""

# What this package writes says its unit, so that the size of a number need not tell it.
_OWN_TIME = FLOW_SCHEMA.field("timestamp")


def resolve_schema(file: InputFile, schema: pa.Schema, context: ReadContext) -> dict[str, str]:
    """The column, or partition, of each field; raises FlowRecordError where a needed one is absent or nested."""
    try:
        names = list(schema.names)
    except UnicodeError as error:
        raise InputError(f"{file.name}: names of columns that are not UTF-8: {escaped(error)}") from error
    own = [name for name in file.partitions if name not in names]
    resolved = resolve_columns([*names, *own], context.columns, file.name)
    for field, column in list(resolved.items()):
        if column in names and pa.types.is_nested(schema.field(column).type):
            if field in REQUIRED_FIELDS:
                kind = schema.field(column).type
                told = f"the column {escaped(column)!r} for the field {field} is nested ({kind})"
                raise FlowRecordError(f"{file.name}: {told}")
            del resolved[field]
    if "dst_ip" not in resolved:
        context.note(NO_DESTINATION, file.name)
    return resolved


def stored_columns(resolved: dict[str, str], schema: pa.Schema) -> list[str]:
    """The columns to read."""
    return [column for column in dict.fromkeys(resolved.values()) if column in schema.names]


def _as_stored(values: pa.Array, field: pa.Field) -> pa.Array:
    """A time of our own files with its unit; addresses in binary columns as fixed-size binary."""
    if field.metadata and field.metadata.get(b"unit") == _OWN_TIME.metadata[b"unit"] and field.type == _OWN_TIME.type:
        return values.cast(pa.timestamp("us"))
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return _packed(values)
    return values


def _packed(values: pa.Array) -> pa.Array:
    """A binary column as fixed-size binary if all its values have the size of an address and some are no text."""
    found = [value for value in values.to_pylist() if value is not None]
    widths = {len(value) for value in found}
    if len(widths) == 1 and widths <= {4, 16} and not all(value.isascii() and value.isalnum() for value in found):
        printable = all(all(32 <= byte < 127 for byte in value) for value in found)
        if not printable:
            return values.cast(pa.binary()).cast(pa.binary(widths.pop()))
    return values


def read_batches(
    file: InputFile,
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    resolved: dict[str, str],
    context: ReadContext,
) -> Iterator[Chunk]:
    """Flow records of record batches; raises DamagedInput, with the row, where the batches end in an error."""
    validator, first = Validator(file.name, context, resolved), 1
    while True:
        try:
            batch = next(batches, None)
            if batch is not None:
                # Offsets and codes come from the file, and kernels trust them.
                batch.validate(full=True)
        except READ_ERRORS as error:
            raise DamagedInput(file.name, None, f"cannot be read from row {first} on ({escaped(error)})") from error
        if batch is None:
            return
        rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
        first += batch.num_rows
        raw = partition_columns(file, resolved, batch.schema.names, batch.num_rows) | {
            field: _as_stored(batch.column(column), schema.field(column))
            for field, column in resolved.items()
            if column in batch.schema.names
        }
        yield validator.chunk(raw, rows)
