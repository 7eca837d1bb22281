"""Reads delimited text in batches of byte columns with the number of each row; all text table formats use it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.rejects import rejects_table
from telescope_transformer.records.splitting import (
    BLANKS,
    COMMENT,
    GOOD,
    OPEN_QUOTE,
    gather,
    measure,
    split_rows,
)
from telescope_transformer.records.text_blocks import TextBlocks
from telescope_transformer.words import counted

_DELIMITERS = b",\t;|\x01\x1f^"
"""Ctrl-A separates values in the text tables of Hive."""
_MOST_LEAD_IN = 30
"""Lines of titles that may come before the header. Comments, which begin with `#`, may be any number of lines."""

_MOST_COLUMNS = 10_000
_MOST_DOUBTFUL_LINES = 1_000
"""Different lines without numbers that are tried as headers among the rows; concatenated tables have a few."""

_MOST_CHANGES = 1_000
"""Changes of the columns within one file. Each change costs time, so more of them are taken for an attack."""

# A line in which no value begins with a number, as in headers and hardly any row. The pattern includes the line feed
# before the line, so that the search skips from line to line and looks at the first value first.
_WITHOUT_NUMBERS = re.compile(
    rb"""\n(?!["']?[-+.]?\d)(?![^\n]*[,;|\t\x01\x1f^ ]["']?[-+.]?\d)(?=[^\n]*[A-Za-z])([^\n]+)$""", re.MULTILINE
)
# The header of W3C's extended log format, which IIS and the firewall of Windows write, and of flow-tools.
_W3C_HEADER = re.compile(rb"^#+:?\s*(?:Fields:\s*)?")
# The lines between header and rows that psql, MySQL and Markdown draw, and the number of rows at the end.
_RULER = re.compile(rb"\s*(?:(?=[^-=]*[-=]{3})[-+|=:\s]+|\(\d+ rows?\)|\d+ rows? in set.*)")
# Values such as `="40000"`, which spreadsheets leave as they are; the whole may be quoted.
_FORMULA = re.compile(rb"""(?<![^,;\t|\n])(?:="([^",;\t|\n]*)"|"=""([^",;\t|\n]*)\"\"")(?![^,;\t|\r\n])""")
_DATE_AND_TIME = re.compile(rb"(\d{4}[-/]\d\d[-/]\d\d) +(\d\d:\d\d)")


@dataclass(frozen=True)
class Layout:
    """The layout of a text table.

    Attributes:
        names: the columns, in order.
        delimiter: a byte, or `splitting.BLANKS`.
        quoted: whether `"` may enclose values.
        comment: the byte that a comment line begins with, 0 for none.
        trailers: lines that begin the summary at the end of an export; malformed rows after them are ignored.
    """

    names: tuple[str, ...]
    delimiter: int = ord(",")
    quoted: bool = True
    comment: int = 0
    trailers: tuple[bytes, ...] = ()


class Header(NamedTuple):
    """The line that names the columns: the names, the delimiter, where the rows begin, and the lines before it."""

    names: tuple[str, ...]
    delimiter: int
    end: int
    lead_in: int


class RawBatch(NamedTuple):
    """Columns as bytes, the numbers of their rows (n,), malformed rows as rejects, and the number of comments."""

    columns: dict[str, pa.Array]
    rows: np.ndarray
    malformed: pa.Table
    skipped: int


def _without_formulas(text: bytes) -> bytes:
    """The text with values of the form `="40000"` made plain."""
    return _FORMULA.sub(rb"\1\2", text) if b'="' in text else text


def _split_header(line: bytes, delimiter: int) -> list[str]:
    """The column names in a header line."""
    if delimiter == BLANKS:
        values = line.split()
    else:
        values = []
        rest, mark = line, bytes([delimiter])
        while len(values) <= _MOST_COLUMNS:
            value, found, after = rest.partition(mark)
            name, closed, behind = rest.lstrip(b" ")[1:].partition(b'"')
            # Behind the name of a value in JSON, the value follows.
            if rest.lstrip(b" ").startswith(b'"') and closed and not behind.partition(mark)[0].strip():
                value, (_, found, after) = name, behind.partition(mark)
            rest = after
            values.append(value)
            if not found:
                break
    names = [value.decode("utf-8", "replace").strip().strip("\"'").strip() for value in values]
    # A delimiter after the last name adds an empty name.
    return names[:-1] if len(names) > 1 and not names[-1] else names


def _delimiters_of(line: bytes, given: int | None) -> list[int]:
    """The possible delimiters of a line, the most frequent first, blanks last."""
    if given is not None:
        return [given]
    present = [delimiter for delimiter in _DELIMITERS if delimiter in line]
    return [*sorted(present, key=lambda delimiter: -line.count(delimiter)), BLANKS]


def _lead_in(head: bytes) -> Iterator[tuple[int, int, int]]:
    """The lines that may be the header: all comments at the beginning, and the first lines after them.

    For each line that is not blank, this gives where it begins and ends, and how many such lines come before it.
    """
    before, titles, start = 0, 0, 0
    while start < len(head) and titles < _MOST_LEAD_IN:
        end = head.find(b"\n", start)
        end = len(head) if end < 0 else end
        if text := head[start:end].strip():
            yield start, end, before
            before += 1
            titles += not text.startswith(b"#")
        start = end + 1


def first_lines(head: bytes) -> list[bytes]:
    """The lines that may be the header."""
    return [head[start:end] for start, end, _ in _lead_in(head)]


def has_delimiter(head: bytes) -> bool:
    """Whether one of the first lines has a delimiter other than blanks."""
    return any(delimiter in line for line in first_lines(head) for delimiter in _DELIMITERS)


def _header_ends(head: bytes, start: int, end: int) -> int:
    """Where the header that begins at `start` ends; a quoted name may contain line feeds."""
    stop = end
    for _ in range(5):
        if head.count(b'"', start, stop) % 2 == 0:
            return stop
        stop = head.find(b"\n", stop + 1)
        if stop < 0:
            break
    return end


def find_header(head: bytes, resolve: Callable[[Sequence[str]], object], name: str) -> Header:
    """Finds the first line whose names `resolve` accepts; comments and titles may come before it.

    Args:
        head: the beginning of a text as clean UTF-8.
        resolve: raises FlowRecordError for names in which the fields of a flow record are not found.
        name: of the file.

    Raises:
        FlowRecordError: if there is no such line; the message says what the first line that is not a comment lacks.
    """
    given: int | None = None
    first: FlowRecordError | None = None
    for start, end, before in _lead_in(head):
        text = head[start:end].strip()
        separator = head[start:end].strip(b'" \r')
        if separator[:4].lower() == b"sep=" and len(separator) == 5:
            given = separator[4]
            continue
        stop = _header_ends(head, start, end)
        line = _without_formulas(_W3C_HEADER.sub(b"", head[start:stop].strip(b" ")))
        for delimiter in _delimiters_of(line, given):
            names = _split_header(line, delimiter)
            try:
                resolve(names)
            except FlowRecordError as error:
                if first is None and not text.startswith(b"#"):
                    first = error
                continue
            return _behind_ruler(Header(tuple(names), delimiter, stop + 1, before), head)
    raise first or NotFlowRecords(name, "not delimited text with a line that names its columns")


def _behind_ruler(header: Header, head: bytes) -> Header:
    """The header with the rows beginning after the line that may be drawn below it."""
    end = head.find(b"\n", header.end)
    ruler = end >= 0 and _RULER.fullmatch(head, header.end, end)
    return header._replace(end=end + 1, lead_in=header.lead_in + 1) if ruler else header


def first_row(head: bytes, is_row: Callable[[Sequence[str]], bool]) -> Header:
    """The first line whose values `is_row` accepts, as if it named the columns, but with the rows beginning there.

    If there is none, this is the first line that is not a comment.
    """
    first: Header | None = None
    for start, end, before in _lead_in(head):
        line = head[start:end].strip()
        if line.startswith(b"#"):
            continue
        delimiter = _delimiters_of(line, None)[0]
        row = Header(tuple(_split_header(line, delimiter)), delimiter, start, before)
        if is_row(row.names):
            return row
        first = first or row
    return first or Header((), BLANKS, len(head), 0)


def with_row_names(header: Header, head: bytes) -> Header:
    """The header with an empty name added for a column of row numbers, which R and pandas leave without a name."""
    first = next((line for line in head[header.end :].split(b"\n") if line.strip()), b"")
    if header.delimiter == BLANKS:
        first = _DATE_AND_TIME.sub(rb"\1T\2", first)
    values = _split_header(first, header.delimiter)
    if len(values) == len(header.names) + 1 and values[0] in ("0", "1"):
        return header._replace(names=("", *header.names))
    return header


def _lines_without_numbers(block: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """The lines from `start` on that may be headers, and where each begins."""
    end = block.find(b"\n", start)
    # The pattern needs a line feed before a line, which the first line may lack.
    first = _WITHOUT_NUMBERS.match(b"\n" + block[start : end if end >= 0 else len(block)])
    if first:
        yield start, first[1]
    for found in _WITHOUT_NUMBERS.finditer(block, start):
        yield found.start() + 1, found[1]


class Table:
    """The rows of a text table, block by block; see `RawBatch`.

    Args:
        layout: how it is written.
        columns: names of the columns that are needed.
        name: of the file.
        columns_of: says which columns of a header among the rows are needed (concatenated tables have such headers),
            and raises FlowRecordError for a line that is not a header. Without it, such headers are not looked for.
    """

    def __init__(
        self,
        layout: Layout,
        columns: Sequence[str],
        name: str,
        columns_of: Callable[[Sequence[str]], Sequence[str]] | None = None,
    ) -> None:
        self._name = name
        self._columns_of = columns_of
        self._in_trailer = False
        self._tried: dict[bytes, Header | None] = {}
        self._changes = 0
        self.next_row = 1
        self._use(layout, columns)

    def _use(self, layout: Layout, columns: Sequence[str]) -> None:
        self._layout = layout
        self._columns = list(dict.fromkeys(columns))
        self._wanted = np.array([layout.names.index(column) for column in self._columns], dtype=np.int64)
        self._joins: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the next rows."""
        return self._layout.names

    def sections(self, block: bytes, start: int) -> Iterator[tuple[bytes, bool]]:
        """The lines of a block from `start` on, cut before each header that changes the columns.

        Each section comes with a flag that says whether it is the last. A header applies to the section that it
        begins. Header lines in the sections are turned into comments.

        Raises:
            InputError: if the columns change too often.
        """
        rest, at = block[start:], 0
        # Most blocks have no header and need no copy.
        changed: bytearray | None = None
        for begin, line in _lines_without_numbers(block, start) if self._columns_of else ():
            header = self._header(line)
            if header is None:
                continue
            changed, place = changed or bytearray(rest), begin - start
            changed[place] = self._layout.comment
            if (header.names, header.delimiter) == (self._layout.names, self._layout.delimiter):
                continue
            yield bytes(changed[at:place]), False
            self._changes += 1
            if self._changes > _MOST_CHANGES:
                raise InputError(f"{self._name}: the columns change more than {_MOST_CHANGES:,} times")
            layout = replace(self._layout, names=header.names, delimiter=header.delimiter)
            self._use(layout, self._columns_of(header.names) if self._columns_of else ())
            at = place
        yield bytes(changed[at:]) if changed else rest, True

    def _header(self, line: bytes) -> Header | None:
        """A line among the rows read as a header; None if it is not a header."""
        if self._columns_of is not None and line not in self._tried and len(self._tried) < _MOST_DOUBTFUL_LINES:
            try:
                self._tried[line] = find_header(line, self._columns_of, self._name)
            except FlowRecordError:
                self._tried[line] = None
        return self._tried.get(line)

    def _joined_dates(self, block: bytes) -> bytes:
        """Joins times such as `2016-07-21 17:50:56` into one value where blanks separate the values."""
        if self._layout.delimiter != BLANKS:
            return block
        if self._joins is None and block.strip():
            lines = (line for line in block.split(b"\n") if line.strip() and not line.startswith(b"#"))
            first = next(lines, b"")
            width = len(self._layout.names)
            self._joins = len(first.split()) > width == len(_DATE_AND_TIME.sub(rb"\1T\2", first).split())
        return _DATE_AND_TIME.sub(rb"\1T\2", block) if self._joins else block

    def split(self, block: bytes, final: bool = True) -> tuple[RawBatch, bytes]:
        """The rows of a block of whole lines, and the rest for the next block: a row whose quote is still open."""
        block = self._joined_dates(_without_formulas(block))
        lines = block.count(b"\n") + 1
        width = len(self._wanted)
        data = np.frombuffer(block, dtype=np.uint8)
        starts, stops = np.empty((lines, width), dtype=np.int64), np.empty((lines, width), dtype=np.int64)
        bounds, counts = np.empty((lines, 2), dtype=np.int64), np.empty(lines, dtype=np.int64)
        kinds = np.empty(lines, dtype=np.uint8)
        layout = self._layout
        rows = split_rows(
            data,
            layout.delimiter,
            layout.quoted,
            layout.comment,
            len(layout.names),
            self._wanted,
            starts,
            stops,
            bounds,
            kinds,
            counts,
        )
        carried = b""
        kinds = kinds[:rows]
        if not final and (kinds == OPEN_QUOTE).any():
            rows = int((kinds == OPEN_QUOTE).argmax())
            carried, kinds = block[bounds[rows, 0] :], kinds[:rows]
        good = np.flatnonzero(kinds == GOOD)
        columns = {column: _gathered(data, starts, stops, index, good) for index, column in enumerate(self._columns)}
        malformed, skipped = self._malformed(block, bounds, kinds, counts)
        numbers = good + self.next_row
        self.next_row += rows
        return RawBatch(columns, numbers, malformed, skipped), carried

    def _malformed(
        self, block: bytes, bounds: np.ndarray, kinds: np.ndarray, counts: np.ndarray
    ) -> tuple[pa.Table, int]:
        """Rejects of the malformed rows, and how many rows are comments or rulers."""
        places = np.flatnonzero((kinds != GOOD) & (kinds != COMMENT))
        texts = [block[bounds[place, 0] : bounds[place, 1]] for place in places]
        rows = [index for index, text in enumerate(texts) if not _RULER.fullmatch(text)]
        rulers = len(texts) - len(rows)
        places, texts = places[rows], [texts[index] for index in rows]
        if self._layout.trailers:
            kept = []
            for index, text in enumerate(texts):
                self._in_trailer = self._in_trailer or text.strip() in self._layout.trailers
                if not self._in_trailer:
                    kept.append(index)
            places, texts = places[kept], [texts[index] for index in kept]
        expected = len(self._layout.names)
        reasons = [
            "a quote is not closed"
            if kinds[place] == OPEN_QUOTE
            else f"{counted(int(counts[place]), 'column')} where {expected} are expected"
            for place in places
        ]
        rejects = rejects_table(self._name, places + self.next_row, "row", texts, reasons)
        return rejects, int((kinds == COMMENT).sum()) + rulers


def _gathered(data: np.ndarray, starts: np.ndarray, stops: np.ndarray, column: int, rows: np.ndarray) -> pa.Array:
    """The values of a column in `rows`."""
    offsets = np.empty(len(rows) + 1, dtype=np.int32)
    out = np.empty(measure(starts, stops, column, rows, offsets), dtype=np.uint8)
    gather(data, starts, column, rows, offsets, out)
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(out)])


def text_rows(text: TextBlocks, table: Table, skip: int = 0) -> Iterator[RawBatch]:
    """The rows of a text after its first `skip` bytes; raises DamagedInput after the last line before damage.

    If a line among the rows names the columns again, its names apply from there on: see `table.names`.
    """
    carried = b""
    for block in text:
        if skip >= len(block):
            skip -= len(block)
            continue
        at, skip = skip, 0
        for section, is_last in table.sections(block, at):
            batch, carried = table.split(carried + section, final=not is_last)
            yield batch
    if carried:
        yield table.split(carried)[0]
    text.raise_damage()
