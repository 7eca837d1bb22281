"""Reads logs with one record per line of free text; a function extracts the fields of a line."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.lines import TextBlocks, as_utf8, is_text
from telescope_transformer.records.parsing import encoded, record_columns
from telescope_transformer.records.rejects import rejects_table
from telescope_transformer.records.validation import Chunk, Validator

Fields = dict[str, Any]
LineParser = Callable[[str], Fields | None]
"""Gives the fields of a line: None if it is not a flow record, empty if it is a flow record of an unknown form."""

PART_OF_RECORD: Fields = {"": None}
"""Stands for the fields of a line whose record ends in a later line."""

TUPLE = ("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port")
_SNIFFED_LINES = 200
_LONGEST_LINE = 1 << 14
"""Characters of a line that are parsed; syslog lines are shorter (RFC 5424, section 6.1, asks for 2,048 octets)."""


def has_records(head: bytes, parse: LineParser) -> bool:
    """Whether one of the first lines of a text is a record."""
    if not is_text(head):
        return False
    lines = as_utf8(head).split(b"\n", _SNIFFED_LINES)[:_SNIFFED_LINES]
    return any(parse(line[:_LONGEST_LINE].decode("utf-8", "replace")) is not None for line in lines)


def read_lines(file: InputFile, context: ReadContext, parse: LineParser, optional: Sequence[str]) -> Iterator[Chunk]:
    """Reads the flow records of a log; skips all other lines.

    Args:
        optional: names of the fields besides those of TUPLE that `parse` may give.
    """
    validator, row = Validator(file.name, context), 1
    text = TextBlocks(file.blocks(), file.name)
    for block in text:
        rows, records, bad, skipped = [], [], [], 0
        for number, line in enumerate(block.decode("utf-8", "replace").split("\n"), start=row):
            fields = parse(line[:_LONGEST_LINE]) if line else None
            if fields is None:
                skipped += bool(line.strip())
            elif fields is PART_OF_RECORD:
                continue
            elif not fields:
                bad.append((number, line))
            else:
                rows.append(number)
                records.append(encoded(fields))
        row += block.count(b"\n")
        malformed = rejects_table(
            file.name,
            [number for number, _ in bad],
            ["row"] * len(bad),
            [line for _, line in bad],
            ["a message with a known number, but in an unknown form"] * len(bad),
        )
        columns = record_columns(records, (*TUPLE, *optional))
        yield validator.chunk(columns, np.array(rows, dtype=np.int64), malformed, skipped)
    text.raise_damage()


def line_format(
    name: str,
    parse: LineParser,
    optional: Sequence[str],
    *,
    marks: LineParser | None = None,
    note: str | None = None,
) -> Format:
    """The format of a log that is recognised by its first lines.

    Args:
        name: name of the format.
        parse: gives the fields of a line.
        optional: names of the fields besides those of TUPLE that `parse` may give.
        marks: recognises a line of the log; None means that `parse` does.
        note: note for the user about every such file.
    """

    def sniff(head: bytes) -> bool:
        return has_records(head, marks or parse)

    def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        if note:
            context.note(note, file.name)
        yield from read_lines(file, context, parse, optional)

    return Format(name, sniff, read)
