"""Delimited text with a header line: plain, gzip, zstd, bzip2 or xz; comma, tab, semicolon or bar."""

from collections.abc import Iterator

import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.records.columns import resolve_columns
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.delimited import (
    Layout,
    column_names,
    find_delimiter,
    has_delimiter,
    header_line,
    raw_batches,
)
from telescope_transformer.records.files import InputFile, LineStream
from telescope_transformer.records.validation import Chunk, validate


def sniff(head: bytes) -> bool:
    """Whether the head is text whose first line has a delimiter."""
    return b"\0" not in head and has_delimiter(header_line(head))


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of delimited text, its columns found by the user's mapping or by their common names."""
    if b"\0" in file.head:
        raise InputError(f"{file.path}: not delimited text: it holds NUL bytes")
    name, delimiter = str(file.path), find_delimiter(header_line(file.head))
    resolved = resolve_columns(column_names(file.head, delimiter), context.columns, name)
    if "dst_ip" not in resolved:
        context.note(f"{name}: no destination column; every record has the destination 240.0.0.0")
    wanted = list(dict.fromkeys(resolved.values()))
    # Where nothing is quoted, a stray quote is a character like any other and must not swallow the rows behind it.
    layout = Layout(delimiter, quoted=b'"' in file.head)
    for batch, rows, malformed in raw_batches(LineStream(file.blocks(), name), layout, wanted, name):
        raw = {field: batch.column(column) for field, column in resolved.items()}
        chunk = validate(raw, rows, name, context.sensors)
        yield chunk._replace(rejects=pa.concat_tables([chunk.rejects, malformed]))


FORMAT = Format("csv", sniff, read)
