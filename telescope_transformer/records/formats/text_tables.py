"""Text tables of known programs. For each field, a table lists the columns that may hold it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.columns import NEEDED_FIELDS
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.delimited import Layout, Table, find_header, first_lines, text_rows
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.lines import TextBlocks, as_utf8, is_text
from telescope_transformer.records.nulls import NULL_TEXTS
from telescope_transformer.records.partitions import NO_DESTINATION, fields_of_partitions
from telescope_transformer.records.splitting import BLANKS
from telescope_transformer.records.validation import Chunk, Validator

Raw = dict[str, pa.Array]


@dataclass(frozen=True)
class TextTable:
    """A program's text table.

    Attributes:
        name: the name of the format.
        columns: for each field, the columns that may hold it, in order of preference. Each row takes the first that
            has a value.
        marks: columns that a header line must have to be recognised as this program's.
        delimiters: the delimiters that the program can write.
        names: the columns of a table without a header line.
        constants: values of fields that the program does not write.
        keep: says which rows are flow records; the others are skipped.
        complete: adds or changes columns.
        day_first: whether dates begin with the day.
        note: a message to the user about these tables.
        trailers: see `delimited.Layout`.
    """

    name: str
    columns: Mapping[str, Sequence[str]]
    marks: Sequence[str] = ()
    delimiters: bytes = b",\t;|"
    names: tuple[str, ...] | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    keep: Callable[[Mapping[str, pa.Array]], np.ndarray] | None = None
    complete: Callable[[Raw], Raw] | None = None
    day_first: bool | None = None
    note: str | None = None
    trailers: tuple[bytes, ...] = ()

    def resolved(self, names: Sequence[str]) -> dict[str, list[str]]:
        """For each field, the columns of `names` that may hold it."""
        found = {field: [column for column in columns if column in names] for field, columns in self.columns.items()}
        return {field: columns for field, columns in found.items() if columns}

    def check(self, names: Sequence[str], name: str) -> None:
        """Raises NotFlowRecords if a header line is not this program's or lacks a required field."""
        if not set(self.marks) <= set(names):
            raise NotFlowRecords(name, f"not a table of {self.name}")
        resolved = self.resolved(names)
        missing = [
            "/".join(self.columns[field])
            for field in NEEDED_FIELDS
            if field not in resolved and field not in self.constants
        ]
        if missing:
            raise NotFlowRecords(name, f"a table of {self.name} without the column {', '.join(missing)}")


def sniffer(table: TextTable) -> Callable[[bytes], bool]:
    """A function that checks whether one of the first lines has the marks and the required columns of a table."""
    marks = [mark.encode() for mark in table.marks]

    def is_header(line: bytes) -> bool:
        try:
            find_header(line, lambda names: table.check(names, ""), "")
        except NotFlowRecords:
            return False
        return True

    def sniff(head: bytes) -> bool:
        return is_text(head) and any(
            is_header(line) for line in first_lines(as_utf8(head)) if all(mark in line for mark in marks)
        )

    return sniff


def _coalesced(columns: Sequence[pa.Array]) -> pa.Array:
    """For each row, the first value that is not missing."""
    if len(columns) == 1:
        return columns[0]
    nulls = pa.array([text.encode() for text in NULL_TEXTS] + [b""], pa.binary())
    nothing = pa.scalar(None, pa.binary())
    return pc.coalesce(*(pc.if_else(pc.is_in(column, value_set=nulls), nothing, column) for column in columns))


def read_table(table: TextTable, file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a program's text table."""
    if table.names is not None:
        names, delimiter, start, lead_in = table.names, table.delimiters[0] if table.delimiters else BLANKS, 0, 0
    else:
        header = find_header(as_utf8(file.head), lambda names: table.check(names, file.name), file.name)
        names, delimiter, start, lead_in = header

    def columns_of(names: Sequence[str]) -> list[str]:
        table.check(names, file.name)
        return [column for columns in table.resolved(names).values() for column in columns]

    resolved = table.resolved(names)
    if "dst_ip" not in resolved and "dst_ip" not in fields_of_partitions(file, resolved, 0):
        context.note(NO_DESTINATION, file.name)
    if table.note:
        context.note(table.note, file.name)
    if context.columns:
        told = f"the column mapping is not used for a table of {table.name}; the format csv uses it"
        context.note(told, file.name)
    layout = Layout(names, delimiter, comment=ord("#"), trailers=table.trailers)
    rows_of = Table(layout, columns_of(names), file.name, columns_of if table.names is None else None)
    text = TextBlocks(file.blocks(), file.name)
    labels = {field: "/".join(columns) for field, columns in resolved.items()}
    validator = Validator(file.name, context, labels, day_first=table.day_first)
    for batch in text_rows(text, rows_of, start):
        raw, rows = flow_rows(table, table.resolved(rows_of.names), batch.columns, batch.rows, file)
        yield validator.chunk(raw, rows, batch.malformed, batch.skipped + len(batch.rows) - len(rows) + lead_in)
        lead_in = 0


def flow_rows(
    table: TextTable,
    resolved: Mapping[str, Sequence[str]],
    stored: Mapping[str, pa.Array],
    rows: np.ndarray,
    file: InputFile,
) -> tuple[Raw, np.ndarray]:
    """The raw column of each field, and the row numbers of the flow records.

    Args:
        table: says what the columns mean.
        resolved: the columns of each field, see `TextTable.resolved`.
        stored: the columns of the file, as bytes.
        rows: int64 (n,), the row numbers.
        file: the input file; its folders may hold further fields.
    """
    raw = {field: _coalesced([stored[name] for name in columns]) for field, columns in resolved.items()}
    raw |= {
        name: pa.repeat(pa.scalar(value.encode()), len(rows))
        for name, value in table.constants.items()
        if name not in raw
    }
    if table.keep is not None:
        mask = table.keep(raw)
        raw, rows = {name: column.filter(pa.array(mask)) for name, column in raw.items()}, rows[mask]
    raw = {name: column for name, column in raw.items() if not name.startswith("_")}
    raw |= fields_of_partitions(file, raw, len(rows))
    return (table.complete(raw) if table.complete is not None else raw), rows


def without_ports(raw: Raw, rows: pa.Array) -> Raw:
    """The columns without the ports of those rows where `rows` is true."""
    nothing = pa.scalar(None, pa.binary())
    return raw | {name: pc.if_else(rows, nothing, raw[name]) for name in ("src_port", "dst_port") if name in raw}


def table_format(table: TextTable, sniff: Callable[[bytes], bool] | None = None) -> Format:
    """The format of a table, recognised by its header line unless `sniff` says otherwise."""

    def read(file: InputFile, context: ReadContext) -> Iterator[Any]:
        return read_table(table, file, context)

    return Format(table.name, sniff or sniffer(table), read)
