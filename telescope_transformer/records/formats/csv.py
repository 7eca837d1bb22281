"""Delimited text with a header line: plain, gzip, zstd, bzip2 or xz; comma, tab, semicolon or bar."""

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from telescope_transformer.errors import InputError
from telescope_transformer.records.columns import resolve_columns
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile, LineStream
from telescope_transformer.records.rejects import rejects_table
from telescope_transformer.records.validation import Chunk, validate

BLOCK_BYTES = 8 << 20
_DELIMITERS = b",\t;|"


class RowNumbers:
    """Numbers the rows of a stream whose malformed lines the parser leaves out and tells apart.

    The parser counts the header as line 1 and blank lines not at all, so data row n is its line n + 1.
    """

    def __init__(self) -> None:
        self._malformed: list[tuple[int, str, int, int]] = []
        self._next = 1

    def skip(self, row: arrow_csv.InvalidRow) -> str:
        """The handler that the parser calls for a line with a wrong number of columns."""
        self._malformed.append((row.number - 1, row.text, row.expected_columns, row.actual_columns))
        return "skip"

    def number(self, count: int) -> np.ndarray:
        """The numbers of the next `count` well-formed rows."""
        gaps = np.array([number for number, *_ in self._malformed], dtype=np.int64)
        # The i-th malformed line precedes all rows whose count among the well-formed ones exceeds its number - i.
        ordinals = np.arange(self._next, self._next + count, dtype=np.int64)
        shifts = np.searchsorted(gaps - np.arange(len(gaps)), ordinals, side="right")
        self._next += count
        return ordinals + shifts

    def rejects(self, file: str, reported: int) -> pa.Table:
        """Rejects of the malformed lines met since the first `reported`."""
        fresh = self._malformed[reported:]
        return rejects_table(
            file,
            [number for number, *_ in fresh],
            ["row"] * len(fresh),
            [text for _, text, *_ in fresh],
            [f"{actual} columns where the header has {expected}" for _, _, expected, actual in fresh],
        )

    @property
    def malformed(self) -> int:
        return len(self._malformed)


def header_line(head: bytes) -> bytes:
    """The first line of a file's head, without a byte order mark."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").split(b"\n", 1)[0].rstrip(b"\r")


def find_delimiter(line: bytes) -> str:
    """The delimiter that a header line has most of; a comma if it has none."""
    counts = [line.count(bytes([delimiter])) for delimiter in _DELIMITERS]
    return chr(_DELIMITERS[counts.index(max(counts))])


def sniff(head: bytes) -> bool:
    """Whether the head is text whose first line has a delimiter."""
    line = header_line(head)
    return b"\0" not in head and any(delimiter in line for delimiter in _DELIMITERS)


def column_names(head: bytes, delimiter: str) -> list[str]:
    """The column names of a header line, as the parser will see them."""
    options = arrow_csv.ParseOptions(delimiter=delimiter)
    header = io.BytesIO(header_line(head) + b"\n")
    return arrow_csv.read_csv(header, parse_options=options).column_names


def open_rows(
    stream: LineStream, delimiter: str, columns: list[str], numbers: RowNumbers
) -> arrow_csv.CSVStreamingReader:
    """A reader of `columns` as bytes, block by block; one thread, because only so rows keep their numbers."""
    return arrow_csv.open_csv(
        pa.PythonFile(io.BufferedReader(stream, 1 << 20), mode="r"),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=numbers.skip),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=columns,
            column_types={name: pa.binary() for name in columns},
            strings_can_be_null=False,
        ),
    )


def raw_batches(
    file: InputFile, columns: list[str], delimiter: str
) -> Iterator[tuple[pa.RecordBatch, np.ndarray, pa.Table]]:
    """The text of `columns`: batches with their row numbers and the malformed rows met meanwhile.

    Raises InputError, naming the file, if it does not parse, and DamagedInput after the last whole line before damage.
    """
    stream, numbers, reported = LineStream(file), RowNumbers(), 0
    try:
        reader = open_rows(stream, delimiter, columns, numbers)
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            rows = numbers.number(batch.num_rows)
            malformed = numbers.rejects(str(file.path), reported)
            reported += malformed.num_rows
            yield batch, rows, malformed
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if stream.damage is None:
            raise InputError(f"{file.path}: not delimited text with one header line: {error}") from error
    left = numbers.rejects(str(file.path), reported)
    if left.num_rows:
        empty = pa.record_batch({name: pa.array([], pa.binary()) for name in columns})
        yield empty, np.empty(0, dtype=np.int64), left
    if stream.damage is not None:
        raise stream.damage


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of delimited text, its columns found by the user's mapping or by their common names."""
    if b"\0" in file.head:
        raise InputError(f"{file.path}: not delimited text: it holds NUL bytes")
    delimiter = find_delimiter(header_line(file.head))
    resolved = resolve_columns(column_names(file.head, delimiter), context.columns, file.path)
    if "dst_ip" not in resolved:
        context.note(f"{file.path}: no destination column; every record has the destination 240.0.0.0")
    wanted = list(dict.fromkeys(resolved.values()))
    for batch, rows, malformed in raw_batches(file, wanted, delimiter):
        raw = {field: batch.column(column) for field, column in resolved.items()}
        chunk = validate(raw, rows, str(file.path), context.sensors)
        yield chunk._replace(rejects=pa.concat_tables([chunk.rejects, malformed]))


FORMAT = Format("csv", sniff, read)
