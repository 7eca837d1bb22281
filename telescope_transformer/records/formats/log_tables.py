"""Tables with a column of log lines or JSON, as log stores export them: Splunk's `_raw`, `message` of Graylog, Kibana
and CloudWatch, Grafana's `Line`. Each row is read like an object of a log shipper, which holds the line as well.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.records.columns import resolve_columns
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.delimited import Header, find_header
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_items import MESSAGES, Item, unwrapped
from telescope_transformer.records.json_records import Dialect, dialect_of, read_json
from telescope_transformer.records.splitting import BLANKS
from telescope_transformer.records.text_blocks import TextBlocks, as_utf8, is_text
from telescope_transformer.records.validation import Chunk

_NAMES = frozenset(name.lower() for name in MESSAGES)
_SNIFFED_ROWS = 200
_ROWS_PER_BLOCK = 10_000


def _check(names: Sequence[str]) -> None:
    """Raises FlowRecordError for columns without a log line, and for those that have the fields themselves."""
    if _NAMES.isdisjoint(map(str.lower, names)):
        raise NotFlowRecords("", "no column of log lines")
    try:
        resolve_columns(names, None, "")
    except FlowRecordError:
        return
    raise NotFlowRecords("", "a table of flow records")


def _lines(blocks: Iterator[bytes], skip: int) -> Iterator[str]:
    """The lines behind the first `skip` bytes."""
    for block in blocks:
        yield from io.StringIO(block[skip:].decode("utf-8", "replace"))
        skip = max(0, skip - len(block))


def _items(header: Header, blocks: Iterator[bytes]) -> Iterator[Item]:
    """The rows below a header as objects with names in lower case."""
    # A single column has no delimiter.
    delimiter = "," if header.delimiter == BLANKS else chr(header.delimiter)
    rows = csv.reader(_lines(blocks, header.end), delimiter=delimiter)
    names = [name.lower() for name in header.names]
    for number in count(1):
        try:
            values = next(rows, None)
        except csv.Error as error:
            yield Item(number, None, b"", f"not a row: {error}")
            continue
        if values is None:
            return
        if values:
            yield Item(number, dict(zip(names, values, strict=False)))


def row_items(file: InputFile, text: TextBlocks) -> Iterator[list[Item]]:
    """The rows of a file as objects, block by block."""
    found = _items(find_header(as_utf8(file.head), _check, file.name), iter(text))
    while rows := list(islice(found, _ROWS_PER_BLOCK)):
        yield rows


def log_table_format(dialects: Sequence[Dialect], general: Callable[[Mapping[str, str] | None], Dialect]) -> Format:
    """The format of these tables, whose lines are those of `dialects`; see `json_formats` for the arguments."""

    def is_known(row: dict[str, str]) -> bool:
        lines = {name: value for name, value in row.items() if name in _NAMES}
        return unwrapped(lines) is not lines or dialect_of(lines, dialects) is not None

    def sniff(head: bytes) -> bool:
        if not is_text(head):
            return False
        try:
            header = find_header(as_utf8(head), _check, "")
        except FlowRecordError:
            return False
        found = islice(_items(header, iter([as_utf8(head)])), _SNIFFED_ROWS)
        is_table = header.delimiter != BLANKS or len(header.names) == 1
        return is_table and any(is_known(item.record) for item in found if item.record)

    def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        known = (general(context.columns),) if context.columns else (*dialects, general(None))
        return read_json(file, context, known, row_items)

    return Format("log-table", sniff, read)
