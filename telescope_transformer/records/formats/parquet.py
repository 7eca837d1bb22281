"""Parquet files, alone or as a lake whose folders are hive partitions (`day=2024-01-01/part-0.parquet`)."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError
from telescope_transformer.records.columns import resolve_columns
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import DamagedInput, InputFile
from telescope_transformer.records.schema import FLOW_SCHEMA
from telescope_transformer.records.validation import Chunk, validate

ROWS_PER_BATCH = 1 << 18
# What this package writes says its unit, so that the size of a number need not tell it.
_OWN_TIME = FLOW_SCHEMA.field("timestamp")


def sniff(head: bytes) -> bool:
    """Whether the head is that of a Parquet file."""
    return head.startswith(b"PAR1")


def _plain(values: pa.Array, field: pa.Field) -> pa.Array:
    """A column as the validation takes it: without a dictionary, and a time of our own files with its unit."""
    if field.metadata and field.metadata.get(b"unit") == _OWN_TIME.metadata[b"unit"] and field.type == _OWN_TIME.type:
        return values.cast(pa.timestamp("us"))
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _check_types(schema: pa.Schema, resolved: dict[str, str], file: InputFile) -> None:
    for field, column in resolved.items():
        if column in schema.names and pa.types.is_nested(schema.field(column).type):
            kind = schema.field(column).type
            raise InputError(f"{file.path}: the column {column!r} for the field {field} is nested ({kind})")


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a Parquet file; partition values count as columns.

    Raises InputError if the file is no Parquet file, and DamagedInput, with the row, if a page of it is broken.
    """
    try:
        parquet = pq.ParquetFile(file.path)
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise InputError(f"{file.path}: not a whole Parquet file: {error}") from error
    with parquet:
        schema = parquet.schema_arrow
        own = [name for name in file.partitions if name not in schema.names]
        resolved = resolve_columns([*schema.names, *own], context.columns, file.path)
        _check_types(schema, resolved, file)
        if "dst_ip" not in resolved:
            context.note(f"{file.path}: no destination column; every record has the destination 240.0.0.0")
        stored = [column for column in dict.fromkeys(resolved.values()) if column in schema.names]
        first = 1
        batches = parquet.iter_batches(batch_size=ROWS_PER_BATCH, columns=stored)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise DamagedInput(file.path, None, f"cannot be read from row {first} on ({error})") from error
            if batch is None:
                return
            raw = {
                field: _plain(batch.column(column), schema.field(column))
                if column in schema.names
                else pa.repeat(pa.scalar(file.partitions[column]), batch.num_rows)
                for field, column in resolved.items()
            }
            rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            yield validate(raw, rows, str(file.path), context.sensors)


FORMAT = Format("parquet", sniff, read)
