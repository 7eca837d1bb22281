"""Reads logs with one record per line of free text; a function extracts the fields of a line."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.log_clock import GUESSED, LogClock
from telescope_transformer.records.raw_records import RawRecords
from telescope_transformer.records.rejects import rejects_table
from telescope_transformer.records.schema import REQUIRED_FIELDS
from telescope_transformer.records.text_blocks import TextBlocks, as_utf8, is_text
from telescope_transformer.records.validation import Chunk, Validator

Fields = dict[str, Any]
LineParser = Callable[[str], Fields | None]
"""Gives the fields of a line: None if it is not a flow record, empty if it is a flow record of an unknown form."""

PART_OF_RECORD: Fields = {"": None}
"""Stands for the fields of a line whose record ends in a later line."""

_UNKNOWN_FORM = "a message with a known number, but in an unknown form"
_SNIFFED_LINES = 200
LONGEST_ENTRY = 1 << 14
"""Characters of a line that are parsed; syslog lines are shorter (RFC 5424, section 6.1, asks for 2,048 octets)."""


def line_format(
    name: str,
    parser: Callable[[LogClock], LineParser],
    optional: Sequence[str] = (),
    *,
    marks: LineParser | None = None,
    note: str | None = None,
) -> Format:
    """The format of a log that is recognised by its first lines.

    Args:
        name: name of the format.
        parser: makes the function that parses the lines of one file, in order; may use the clock for their times.
        optional: names of the optional fields that it may give.
        marks: recognises a line of the log; None means that `parser` does.
        note: note for the user about every such file.
    """

    def sniff(head: bytes) -> bool:
        if not is_text(head):
            return False
        lines = as_utf8(head).split(b"\n", _SNIFFED_LINES)[:_SNIFFED_LINES]
        parse = marks or parser(LogClock(0))
        return any(parse(line[:LONGEST_ENTRY].decode("utf-8", "replace")) is not None for line in lines)

    def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        if note:
            context.note(note, file.name)
        clock = LogClock(file.path.stat().st_mtime)
        yield from _read_lines(file, context, parser(clock), (*REQUIRED_FIELDS, *optional))
        if clock.guessed:
            context.note(GUESSED, file.name)

    return Format(name, sniff, read)


def _read_lines(file: InputFile, context: ReadContext, parse: LineParser, names: Sequence[str]) -> Iterator[Chunk]:
    """Reads the flow records of a log; skips all other lines."""
    validator, row = Validator(file.name, context), 1
    text = TextBlocks(file.blocks(), file.name)
    for block in text:
        records, skipped = RawRecords(), 0
        bad: dict[int, str] = {}
        for number, line in enumerate(block.decode("utf-8", "replace").split("\n"), start=row):
            fields = parse(line[:LONGEST_ENTRY]) if line else None
            if fields is None:
                skipped += bool(line.strip())
            elif fields is PART_OF_RECORD:
                continue
            elif not fields:
                bad[number] = line
            elif context.accepts(fields, file.name):
                records.add(number, fields)
            else:
                skipped += 1
        row += block.count(b"\n")
        malformed = rejects_table(file.name, bad.keys(), "row", bad.values(), _UNKNOWN_FORM)
        yield validator.chunk(records.columns(names), np.array(records.rows, dtype=np.int64), malformed, skipped)
    text.raise_damage()
