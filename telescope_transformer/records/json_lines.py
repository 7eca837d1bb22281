"""JSON lines in batches of typed columns: Arrow's parser for blocks that it takes, line by line where it does not."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.json as arrow_json

from telescope_transformer.records.files import InputFile, LineStream
from telescope_transformer.records.rejects import REJECTS_SCHEMA, rejects_table

BLOCK_BYTES = 4 << 20


class JsonBatch(NamedTuple):
    """Columns by name, the numbers of their lines (n,), and the lines that are no such object as rejects."""

    columns: dict[str, pa.Array]
    rows: np.ndarray
    malformed: pa.Table


def first_record(head: bytes) -> Mapping[str, Any] | None:
    """The object of the first line of a file's head, None if that is not a JSON object."""
    line = head.lstrip().split(b"\n", 1)[0]
    if not line.startswith(b"{"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _fits(value: Any, kind: pa.DataType) -> Any:
    """`value` as a Python value of the Arrow type `kind`; raises TypeError or ValueError if it is not one."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        if not isinstance(value, dict):
            raise TypeError("an object is expected")
        return {field.name: _fits(value.get(field.name), field.type) for field in kind}
    if isinstance(value, dict | list):
        raise TypeError("a plain value is expected")
    if pa.types.is_string(kind):
        return str(value)
    if isinstance(value, bool):
        raise TypeError("a number is expected")
    return int(value) if pa.types.is_integer(kind) else float(value)


def _by_line(lines: list[bytes], first: int, schema: pa.Schema, file: str) -> JsonBatch:
    """Parses line by line, so that only what is malformed is lost."""
    good: list[dict[str, Any]] = []
    rows: list[int] = []
    bad: list[tuple[int, bytes, str]] = []
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise TypeError("not an object")
            good.append({field.name: _fits(record.get(field.name), field.type) for field in schema})
            rows.append(number)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            bad.append((number, line, f"not a JSON object of the format: {error}"))
    table = pa.Table.from_pylist(good, schema=schema)
    malformed = rejects_table(
        file,
        [number for number, *_ in bad],
        ["row"] * len(bad),
        [line for _, line, _ in bad],
        [why for *_, why in bad],
    )
    return _batch(table, np.array(rows, dtype=np.int64), malformed)


def _batch(table: pa.Table, rows: np.ndarray, malformed: pa.Table) -> JsonBatch:
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return JsonBatch(columns, rows, malformed)


def _parse_block(block: bytes, first: int, schema: pa.Schema, file: str) -> JsonBatch:
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    try:
        table = arrow_json.read_json(
            io.BytesIO(block), arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1), options
        )
    except pa.ArrowInvalid:
        return _by_line(lines, first, schema, file)
    # An object over several lines or several on one would put the numbers out of step.
    if table.num_rows != len(lines):
        return _by_line(lines, first, schema, file)
    rows = np.arange(first, first + len(lines), dtype=np.int64)
    return _batch(table.select(schema.names), rows, REJECTS_SCHEMA.empty_table())


def json_batches(file: InputFile, schema: pa.Schema) -> Iterator[JsonBatch]:
    """The fields of `schema` from the objects of `file`, one a line; absent ones are null, others are passed over.

    Raises DamagedInput after the last whole line before damage.
    """
    stream = LineStream(file.blocks(), str(file.path))
    reader = io.BufferedReader(stream, 1 << 20)
    first = 1
    while block := reader.read(BLOCK_BYTES):
        block += reader.readline()
        yield _parse_block(block, first, schema, str(file.path))
        first += block.count(b"\n")
    if stream.damage is not None:
        raise stream.damage
