"""Delimited text in batches of byte columns, every row with its number; what all text table formats share."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from telescope_transformer.errors import InputError
from telescope_transformer.records.files import LineStream
from telescope_transformer.records.rejects import rejects_table

BLOCK_BYTES = 8 << 20
_DELIMITERS = b",\t;|"


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    Without `names` the first line names the columns. A line of another number of columns is a malformed row unless
    it begins with one of `comments`, or comes after a line that is one of `trailers`.
    """

    delimiter: str = ","
    names: tuple[str, ...] | None = None
    quoted: bool = True
    comments: tuple[str, ...] = ()
    trailers: tuple[str, ...] = ()


class RawBatch(NamedTuple):
    """Columns as bytes, the numbers of their rows (n,), and the malformed rows met meanwhile as rejects."""

    columns: pa.RecordBatch
    rows: np.ndarray
    malformed: pa.Table


class _Malformed(NamedTuple):
    line: int
    text: str
    expected: int
    actual: int
    counts: bool


class RowNumbers:
    """Numbers the rows of a stream whose malformed lines the parser leaves out and tells apart.

    The parser counts the line of column names as line 1 and blank lines not at all, so that then data row n is its
    line n + 1; comments count as rows.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._malformed: list[_Malformed] = []
        self._in_trailer = False
        self._reported = 0
        self._next = 1

    def skip(self, row: arrow_csv.InvalidRow) -> str:
        """The handler that the parser calls for a line with a wrong number of columns."""
        text = row.text.strip()
        self._in_trailer = self._in_trailer or text in self._layout.trailers
        counts = not self._in_trailer and not text.startswith(self._layout.comments or ("\0",))
        line = row.number - (1 if self._layout.names is None else 0)
        self._malformed.append(_Malformed(line, row.text, row.expected_columns, row.actual_columns, counts))
        return "skip"

    def number(self, count: int) -> np.ndarray:
        """The numbers of the next `count` well-formed rows."""
        gaps = np.array([found.line for found in self._malformed], dtype=np.int64)
        ordinals = np.arange(self._next, self._next + count, dtype=np.int64)
        # The i-th malformed line (from 0) precedes a well-formed row if that row's ordinal is at least its line - i.
        shifts = np.searchsorted(gaps - np.arange(len(gaps)), ordinals, side="right")
        self._next += count
        return ordinals + shifts

    def new_rejects(self, file: str) -> pa.Table:
        """Rejects of the malformed rows met since the last call."""
        fresh = [found for found in self._malformed[self._reported :] if found.counts]
        self._reported = len(self._malformed)
        return rejects_table(
            file,
            [found.line for found in fresh],
            ["row"] * len(fresh),
            [found.text for found in fresh],
            [f"{found.actual} columns where {found.expected} are expected" for found in fresh],
        )


def header_line(head: bytes) -> bytes:
    """The first line of a file's head, without a byte order mark."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").split(b"\n", 1)[0].rstrip(b"\r")


def find_delimiter(line: bytes) -> str:
    """The delimiter that a header line has most of; a comma if it has none."""
    counts = [line.count(bytes([delimiter])) for delimiter in _DELIMITERS]
    return chr(_DELIMITERS[counts.index(max(counts))])


def has_delimiter(line: bytes) -> bool:
    """Whether a line has any of the delimiters."""
    return any(delimiter in line for delimiter in _DELIMITERS)


def column_names(head: bytes, delimiter: str) -> list[str]:
    """The column names of a header line, as the parser will see them."""
    options = arrow_csv.ParseOptions(delimiter=delimiter)
    return arrow_csv.read_csv(io.BytesIO(header_line(head) + b"\n"), parse_options=options).column_names


def _open(stream: LineStream, layout: Layout, columns: list[str], numbers: RowNumbers) -> arrow_csv.CSVStreamingReader:
    """A reader of `columns` as bytes, block by block; one thread, because only so rows keep their numbers."""
    return arrow_csv.open_csv(
        pa.PythonFile(io.BufferedReader(stream, 1 << 20), mode="r"),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=layout.names),
        parse_options=arrow_csv.ParseOptions(
            delimiter=layout.delimiter,
            quote_char='"' if layout.quoted else False,
            invalid_row_handler=numbers.skip,
        ),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=columns,
            column_types={name: pa.binary() for name in columns},
            strings_can_be_null=False,
        ),
    )


def raw_batches(stream: LineStream, layout: Layout, columns: list[str], file: str) -> Iterator[RawBatch]:
    """The text of `columns` in batches.

    Raises InputError, naming `file`, if it does not parse, and DamagedInput after the last whole line before damage.
    """
    numbers = RowNumbers(layout)
    try:
        reader = _open(stream, layout, columns, numbers)
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            rows = numbers.number(batch.num_rows)
            yield RawBatch(batch, rows, numbers.new_rejects(file))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if stream.damage is None:
            raise InputError(f"{file}: not delimited text of one layout: {error}") from error
    left = numbers.new_rejects(file)
    if left.num_rows:
        nothing = pa.record_batch({name: pa.array([], pa.binary()) for name in columns})
        yield RawBatch(nothing, np.empty(0, dtype=np.int64), left)
    if stream.damage is not None:
        raise stream.damage
