"""Shared code of the columnar formats: turns record batches of any schema into flow records."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import InputError
from telescope_transformer.records.columns import resolve_columns
from telescope_transformer.records.context import ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.partitions import NO_DESTINATION, partition_columns
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.schema import FLOW_SCHEMA
from telescope_transformer.records.validation import Chunk, Validator

ROWS_PER_BATCH = 1 << 18
_DEEPEST = 6
_MAPPED = bytes(10) + b"\xff\xff"
"""What precedes an IPv4 address in an IPv6 address (RFC 4291, section 2.5.5.2)."""

READ_ERRORS = (pa.ArrowException, OSError, UnicodeError, ValueError, OverflowError)
"""What pyarrow raises on a damaged file."""

REPORTED_TWICE = "flows that their source reported are skipped, because the destination reports them too"
"""The note on flow logs of Google Cloud, where both ends of a flow report it."""

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
        if pa.types.is_struct(field.type) and len(path) < _DEEPEST:
            for inner in field.type:
                descend(inner, (*path, inner.name))
        else:
            found.setdefault(".".join(path), Leaf(path, field))

    for field in schema:
        descend(field, (field.name,))
    return found


def resolve_schema(file: InputFile, schema: pa.Schema, context: ReadContext) -> dict[str, str]:
    """The column, or partition, of each field; raises FlowRecordError if a required column is absent."""
    try:
        found = leaves(schema)
    except UnicodeError as error:
        raise InputError(f"{file.name}: column names are not UTF-8: {escaped(error)}") from error
    # A name that occurs twice is listed twice, so that `resolve_columns` refuses it if a field needs it.
    names = [*found, *(name for name, times in Counter(schema.names).items() if times > 1)]
    own = [name for name in file.partitions if name not in names]
    resolved = resolve_columns([*names, *own], context.columns, file.name)
    if "dst_ip" not in resolved:
        context.note(NO_DESTINATION, file.name)
    return resolved


def stored_columns(resolved: dict[str, str], schema: pa.Schema) -> list[str]:
    """The columns of the file to read."""
    found = leaves(schema)
    wanted = [*resolved.values(), *_reporter(found)]
    return list(dict.fromkeys(found[column].path[0] for column in wanted if column in found))


def _reporter(found: Mapping[str, Leaf]) -> list[str]:
    """The column that says which end reported a flow, if this is a flow log of Google Cloud in BigQuery."""
    return [name for name in found if name == "jsonPayload.reporter" and "jsonPayload.connection.src_ip" in found]


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


def checked_batches(file: InputFile, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yields batches of at most ROWS_PER_BATCH rows, each with its row numbers (n,), which start at 1.

    Raises DamagedInput, with the row, if the batches end in an error.
    """
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
            return
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            part = batch.slice(start, ROWS_PER_BATCH)
            yield part, np.arange(first, first + part.num_rows)
            first += part.num_rows


def read_batches(
    file: InputFile,
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    resolved: dict[str, str],
    context: ReadContext,
) -> Iterator[Chunk]:
    """Turns record batches into flow records; raises DamagedInput, with the row, if the batches end in an error."""
    validator, found = Validator(file.name, context, resolved), leaves(schema)
    reporter = _reporter(found)
    if reporter:
        context.note(REPORTED_TWICE, file.name)
    for batch, rows in checked_batches(file, batches):
        skipped = 0
        if reporter:
            mask = pc.fill_null(pc.not_equal(_values(batch, found[reporter[0]]), "SRC"), True)
            batch, rows, skipped = batch.filter(mask), rows[np.asarray(mask)], pc.sum(pc.invert(mask)).as_py() or 0
        yield validator.chunk(_raw(file, batch, found, resolved), rows, skipped=skipped)


def _raw(
    file: InputFile, batch: pa.RecordBatch, found: Mapping[str, Leaf], resolved: Mapping[str, str]
) -> dict[str, pa.Array]:
    """The columns of a batch by field, including those that come from partitions."""
    return partition_columns(file, resolved, found, batch.num_rows) | {
        field: as_stored(field, _values(batch, found[column]), found[column].field)
        for field, column in resolved.items()
        if column in found
    }
