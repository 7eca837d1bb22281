"""Tables of known programs. For each field, a table lists the columns that may hold it.

Most are text. Some programs also write the same columns to Parquet (`columnar.py`) or as JSON (`json_records.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.columns import NEEDED_FIELDS
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.delimited import Layout, Table, find_header, first_lines, text_rows
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.nulls import NULL_TEXTS
from telescope_transformer.records.partitions import fields_of_partitions
from telescope_transformer.records.text_blocks import TextBlocks, as_utf8, is_text
from telescope_transformer.records.validation import Chunk, Validator

Raw = dict[str, pa.Array]


@dataclass(frozen=True)
class KnownTable:
    """A program's table.

    Attributes:
        name: the name of the format.
        columns: for each field, the columns that may hold it, in order of preference. Each row takes the first that
            has a value. Names that are not fields of a record are columns for `keep` and `complete`.
        marks: columns that a table must have to be recognised as this program's; `a|b` means either.
        layout: the layout of a text without a header line.
        keep: says which rows are flow records; the others are skipped.
        complete: adds or changes columns.
        day_first: whether dates begin with the day.
        note: a message to the user about these tables.
        trailers: of a text with a header line; see `delimited.Layout`.
    """

    name: str
    columns: Mapping[str, Sequence[str]]
    marks: Sequence[str] = ()
    layout: Layout | None = None
    keep: Callable[[Raw], np.ndarray] | None = None
    complete: Callable[[Raw], Raw] | None = None
    day_first: bool | None = None
    note: str | None = None
    trailers: tuple[bytes, ...] = ()

    def resolved(self, names: Sequence[str]) -> dict[str, list[str]]:
        """For each field, the columns of `names` that may hold it."""
        found = {field: [column for column in columns if column in names] for field, columns in self.columns.items()}
        return {field: columns for field, columns in found.items() if columns}

    def check(self, names: Sequence[str], name: str) -> None:
        """Raises NotFlowRecords if the columns of a file are not this program's or lack a required field."""
        if not all(set(mark.split("|")) & set(names) for mark in self.marks):
            raise NotFlowRecords(name, f"not a table of {self.name}")
        resolved = self.resolved(names)
        missing = ["/".join(self.columns[field]) for field in NEEDED_FIELDS if field not in resolved]
        if missing:
            raise NotFlowRecords(name, f"a table of {self.name} without the column {', '.join(missing)}")

    def has(self, names: Sequence[str]) -> bool:
        """Whether the columns of a file are this program's."""
        try:
            self.check(names, "")
        except NotFlowRecords:
            return False
        return True

    def validator(self, file: InputFile, context: ReadContext, names: Sequence[str]) -> Validator:
        """A validator for a file with these columns; also notes what the user should know about the table."""
        if self.note:
            context.note(self.note, file.name)
        labels = {field: "/".join(columns) for field, columns in self.resolved(names).items()}
        return Validator(file.name, context, labels, day_first=self.day_first)

    def flow_rows(
        self, stored: Mapping[str, pa.Array], names: Sequence[str], rows: np.ndarray, file: InputFile
    ) -> tuple[Raw, np.ndarray]:
        """The raw column of each field, and the row numbers of the flow records.

        Args:
            stored: the columns of the file, as bytes.
            names: the names of all columns of the file.
            rows: int64 (n,), the row numbers.
            file: the input file; its folders may hold further fields.
        """
        raw = {
            field: _coalesced([stored[name] for name in columns]) for field, columns in self.resolved(names).items()
        }
        if self.keep is not None:
            mask = self.keep(raw)
            raw, rows = {name: column.filter(pa.array(mask)) for name, column in raw.items()}, rows[mask]
        raw |= fields_of_partitions(file, raw, len(rows))
        return (self.complete(raw) if self.complete is not None else raw), rows


def sniffer(table: KnownTable) -> Callable[[bytes], bool]:
    """A function that checks whether one of the first lines has the marks and the required columns of a table."""
    # Searching a line for names is faster than splitting it.
    needed = [[name.encode() for name in table.columns[field]] for field in NEEDED_FIELDS]
    needed += [mark.encode().split(b"|") for mark in table.marks]

    def is_header(line: bytes) -> bool:
        try:
            find_header(line, lambda names: table.check(names, ""), "")
        except NotFlowRecords:
            return False
        return True

    def sniff(head: bytes) -> bool:
        return is_text(head) and any(
            is_header(line)
            for line in first_lines(as_utf8(head))
            if all(any(name in line for name in names) for names in needed)
        )

    return sniff


def read_known_table(
    table: KnownTable, file: InputFile, context: ReadContext, blocks: Iterator[bytes] | None = None
) -> Iterator[Chunk]:
    """Flow records of a program's text table: of the content of the file, or of the `blocks` that stand for it."""

    def columns_of(names: Sequence[str]) -> list[str]:
        table.check(names, file.name)
        return [column for columns in table.resolved(names).values() for column in columns]

    if context.columns:
        told = f"the column mapping is not used for a table of {table.name}; the format csv uses it"
        context.note(told, file.name)
    layout, begin, lead_in = table.layout, 0, 0
    if layout is None:
        names, delimiter, begin, lead_in = find_header(as_utf8(file.head), columns_of, file.name)
        layout = Layout(names, delimiter, comment=ord("#"), trailers=table.trailers)
    rows_of = Table(layout, columns_of(layout.names), file.name, columns_of if table.layout is None else None)
    validator = table.validator(file, context, layout.names)
    text = TextBlocks(file.blocks() if blocks is None else blocks, file.name)
    for batch in text_rows(text, rows_of, begin):
        raw, rows = table.flow_rows(batch.columns, rows_of.names, batch.rows, file)
        yield validator.chunk(raw, rows, batch.malformed, batch.skipped + len(batch.rows) - len(rows) + lead_in)
        lead_in = 0


def _coalesced(columns: Sequence[pa.Array]) -> pa.Array:
    """For each row, the first value that is not missing."""
    if len(columns) == 1:
        return columns[0]
    nulls = pa.array([text.encode() for text in NULL_TEXTS] + [b""], pa.binary())
    nothing = pa.scalar(None, pa.binary())
    return pc.coalesce(*(pc.if_else(pc.is_in(column, value_set=nulls), nothing, column) for column in columns))


def table_format(table: KnownTable, sniff: Callable[[bytes], bool] | None = None) -> Format:
    """The format of a table, recognised by its header line unless `sniff` says otherwise."""

    def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        return read_known_table(table, file, context)

    return Format(table.name, sniff or sniffer(table), read)
