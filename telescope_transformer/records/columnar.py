"""Reads flow records from columnar files, such as Parquet, of any schema."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.columns import DEEPEST, resolve_columns
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.known_tables import KnownTable
from telescope_transformer.records.partitions import partition_columns
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.schema import FLOW_SCHEMA
from telescope_transformer.records.validation import Chunk, Validator
from telescope_transformer.words import counted

ROWS_PER_BATCH = 1 << 18
_MAPPED = bytes(10) + b"\xff\xff"
"""What precedes an IPv4 address in an IPv6 address (RFC 4291, section 2.5.5.2)."""

READ_ERRORS = (pa.ArrowException, OSError, UnicodeError, ValueError, OverflowError)
"""What pyarrow raises on a damaged file."""

# Files of this package state the unit of times, so it need not be inferred from the size of the numbers.
_OWN_TIME = FLOW_SCHEMA.field("timestamp")


class Leaf(NamedTuple):
    """A column that holds values, perhaps nested in other columns: the names on the path to it, and its field."""

    path: tuple[str, ...]
    field: pa.Field


def leaves(schema: pa.Schema) -> dict[str, Leaf]:
    """The columns of a schema by name; names within structs are joined by dots (`source.ip`)."""
    found: dict[str, Leaf] = {}

    def descend(field: pa.Field, path: tuple[str, ...]) -> None:
        if pa.types.is_struct(field.type) and len(path) < DEEPEST:
            for inner in field.type:
                descend(inner, (*path, inner.name))
        else:
            found.setdefault(".".join(path), Leaf(path, field))

    for field in schema:
        descend(field, (field.name,))
    return found


class Stored(NamedTuple):
    """An opened file.

    Attributes:
        schema: its schema.
        batches: gives its record batches; takes the names of the columns that are needed.
        rows: number of rows by its own account; None if it has none.
    """

    schema: pa.Schema
    batches: Callable[[list[str]], Iterator[pa.RecordBatch]]
    rows: int | None


def columnar_format(
    title: str,
    sniff: Callable[[bytes], bool],
    open_file: Callable[[pa.NativeFile], Stored],
    tables: Sequence[KnownTable],
) -> Format:
    """The format of a kind of columnar files; its name is the title in lower case.

    Args:
        title: for messages.
        sniff: whether the first bytes belong to such a file.
        open_file: opens a file; may raise READ_ERRORS.
        tables: tables of programs that are recognised by their columns, unless the user maps the columns.
    """

    def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        # As bytes, because a name need not be UTF-8.
        with pa.OSFile(os.fsencode(file.plain_path)) as source:
            try:
                stored = open_file(source)
                found = leaves(stored.schema)
            except READ_ERRORS as error:
                raise DamagedInput(file.name, None, f"not a whole {title} file: {escaped(error)}") from error
            names = list(found)
            known = None if context.columns else next((table for table in tables if table.has(names)), None)
            if known is None:
                yield from _read_any(file, context, stored, found)
            else:
                yield from _read_known(known, file, context, stored, found)

    return Format(title.lower(), sniff, read)


def _read_any(file: InputFile, context: ReadContext, stored: Stored, found: Mapping[str, Leaf]) -> Iterator[Chunk]:
    """Flow records of a file whose columns are found by their common names, or by the user's mapping."""
    # A name that occurs twice is listed twice, so that `resolve_columns` refuses it if a field needs it.
    names = [*found, *(name for name, times in Counter(stored.schema.names).items() if times > 1)]
    own = [name for name in file.partitions if name not in names]
    resolved = resolve_columns([*names, *own], context.columns, file.name)
    validator = Validator(file.name, context, resolved)
    for batch, rows in _checked_batches(file, stored, found, resolved.values()):
        raw = partition_columns(file, resolved, found, batch.num_rows) | {
            field: as_stored(field, _values(batch, found[column]), found[column].field)
            for field, column in resolved.items()
            if column in found
        }
        yield validator.chunk(raw, rows)


def _read_known(
    table: KnownTable, file: InputFile, context: ReadContext, stored: Stored, found: Mapping[str, Leaf]
) -> Iterator[Chunk]:
    """Flow records of a program's table, read as its text would be."""
    names = list(found)
    validator = table.validator(file, context, names)
    columns = [column for columns in table.resolved(names).values() for column in columns]
    for batch, numbers in _checked_batches(file, stored, found, columns):
        texts = {name: _values(batch, found[name]).cast(pa.string()).cast(pa.binary()) for name in columns}
        raw, rows = table.flow_rows(texts, names, numbers, file)
        yield validator.chunk(raw, rows, skipped=len(numbers) - len(rows))


def _values(batch: pa.RecordBatch, leaf: Leaf) -> pa.Array:
    values = batch.column(leaf.path[0])
    for name in leaf.path[1:]:
        values = pc.struct_field(values, name)
    return values


def as_stored(field: str, values: pa.Array, stored: pa.Field) -> pa.Array:
    """Gives times in our own files their unit, and turns binary columns of addresses into fixed-size binary."""
    own = stored.metadata and stored.metadata.get(b"unit") == _OWN_TIME.metadata[b"unit"]
    if own and stored.type == _OWN_TIME.type:
        return values.cast(pa.timestamp("us"))
    if field in ("src_ip", "dst_ip") and values.type in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return _packed(values)
    return values


def _packed(values: pa.Array) -> pa.Array:
    """A binary column as fixed-size binary if all its values have the size of an address and some are not text."""
    found = [value or None for value in values.to_pylist()]
    present = [value for value in found if value is not None]
    widths = {len(value) for value in present}
    if not present or not widths <= {4, 16} or all(32 <= byte < 127 for value in present for byte in value):
        return values
    # A column may mix IPv4 and IPv6, as INET6_ATON of MySQL makes them.
    wide = [_MAPPED + value if value and len(value) < max(widths) else value for value in found]
    return pa.array(wide, pa.binary(max(widths)))


def _checked_batches(
    file: InputFile, stored: Stored, found: Mapping[str, Leaf], columns: Iterable[str]
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Batches of at most ROWS_PER_BATCH rows with the given columns, each with its row numbers (n,) from 1 on.

    Raises DamagedInput, with the row, if the batches end in an error or do not have as many rows as the file says.
    """
    batches = stored.batches(list(dict.fromkeys(found[name].path[0] for name in columns if name in found)))
    first = 1
    while True:
        try:
            batch = next(batches, None)
            if batch is not None:
                # Offsets and codes come from the file, and kernels trust them.
                batch.validate(full=True)
        except READ_ERRORS as error:
            raise DamagedInput(file.name, None, f"cannot be read from row {first} on ({escaped(error)})") from error
        if batch is None:
            break
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            part = batch.slice(start, ROWS_PER_BATCH)
            yield part, np.arange(first, first + part.num_rows)
            first += part.num_rows
    if stored.rows not in (None, first - 1):
        raise DamagedInput(file.name, None, f"{counted(first - 1, 'row')} where the footer says {stored.rows:,}")
