"""Text with a header line, delimited by commas, tabs, semicolons, bars or blanks.

Comments and titles may come before the header.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address

import pyarrow as pa

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.records.columns import NUMBERED, listed, resolve_columns
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.delimited import (
    Header,
    Layout,
    Table,
    find_header,
    first_row,
    has_delimiter,
    text_rows,
    with_row_names,
)
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.partitions import partition_columns
from telescope_transformer.records.text_blocks import TextBlocks, as_utf8, is_text
from telescope_transformer.records.validation import Chunk, Validator


def sniff(head: bytes) -> bool:
    """Whether the head is text with a delimiter in one of its first lines, or a header of names between blanks."""
    if not is_text(head):
        return False
    text = as_utf8(head)
    if has_delimiter(text):
        return True
    try:
        find_header(text, lambda names: resolve_columns(names, None, ""), "")
    except FlowRecordError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _header(
    head: bytes, resolve: Callable[[Sequence[str]], object], name: str, mapping: Mapping[str, str] | None
) -> Header:
    """The header; if there is none and the mapping gives numbers of columns, these are their names."""
    mapped = [column for column in (mapping or {}).values() if column]
    is_numbered = bool(mapped) and all(column.isdecimal() for column in mapped)
    # Titles may come before the rows of a table whose columns are numbered.
    row = first_row(head, lambda values: not is_numbered or any(map(_is_address, values)))
    has_address = any(map(_is_address, row.names))
    # A row of a wide table may hold all these numbers as values, so that it would pass for the header.
    if not (is_numbered and has_address):
        try:
            return with_row_names(find_header(head, resolve, name), head)
        except FlowRecordError:
            if has_address:
                told = f"the first line, {listed(row.names)}, names no columns; give their numbers, as in {NUMBERED}"
                raise NotFlowRecords(name, told) from None
            if not is_numbered:
                raise
    header = row._replace(names=tuple(map(str, range(1, len(row.names) + 1))))
    resolve(header.names)
    return header


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of delimited text. Columns are found by the user's mapping or by their common names."""
    if not is_text(file.head):
        raise NotFlowRecords(file.name, "not delimited text: it holds NUL bytes")
    others = list(file.partitions)

    def resolve(names: Sequence[str]) -> dict[str, str]:
        return resolve_columns([*names, *(name for name in others if name not in names)], context.columns, file.name)

    def stored(names: Sequence[str]) -> list[str]:
        return [column for column in resolve(names).values() if column in names]

    header = _header(as_utf8(file.head), resolve, file.name, context.columns)
    layout = Layout(header.names, header.delimiter, comment=ord("#"))
    table, text = Table(layout, stored(header.names), file.name, stored), TextBlocks(file.blocks(), file.name)
    validator, skipped = Validator(file.name, context, resolve(header.names)), header.lead_in
    for batch in text_rows(text, table, header.end):
        resolved = resolve(table.names)
        constant = partition_columns(file, resolved, table.names, len(batch.rows))
        raw: dict[str, pa.Array] = constant | {
            field: batch.columns[column] for field, column in resolved.items() if column in batch.columns
        }
        yield validator.chunk(raw, batch.rows, batch.malformed, batch.skipped + skipped)
        skipped = 0


FORMAT = Format("csv", sniff, read)
