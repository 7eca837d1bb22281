"""Reads flow records from JSON logs. A dialect says which objects are flow records and what their fields are called.

A file may hold one object per line, an array of objects over any number of lines, or an object that holds such an
array (as Elasticsearch answers a search). Each object is recognised by its own keys, so a first line that is cut, long
or of another kind does no harm. An object that is not a flow record, or that no dialect knows, is skipped. In a log of
all programs of a machine, lines of a firewall are read beside the objects, and those of other programs are skipped.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.columns import NEEDED_FIELDS, ONE_PROTOCOL, listed
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.json_items import (
    Item,
    Stream,
    goes_over_lines,
    items,
    line_items,
    objects,
    unwrapped,
)
from telescope_transformer.records.log_clock import GUESSED, LogClock
from telescope_transformer.records.log_lines import LONGEST_ENTRY
from telescope_transformer.records.partitions import fields_of_partitions
from telescope_transformer.records.raw_records import PLACE, ZONE, RawRecords
from telescope_transformer.records.rejects import rejects_table
from telescope_transformer.records.text_blocks import TextBlocks, as_utf8, is_text
from telescope_transformer.records.validation import Chunk, Validator

BLOCK_BYTES = 4 << 20
_NO_TEXT = "a value holds half of a surrogate pair, which is not a character"

ItemsOf = Callable[[InputFile, TextBlocks], Iterator[list[Item]]]

_SNIFFED_VALUES = 200
"""Values at the beginning of a file that decide the name of its format."""


@dataclass(frozen=True)
class Dialect:
    """How one program writes flow records as JSON.

    Attributes:
        name: name of the format.
        matches: whether this program wrote an object.
        fields: raw values of the fields of one or several flow records; None if the object is not a flow record.
        complete: adds or changes columns of many records at once.
        note: note for the user about records of this dialect.
        absent: note for the user about a file with objects of this dialect, none of which is a flow record.
        fallback: like `fields`, for objects that `fields` leaves out; used only if a file has no other flow records.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    fields: Callable[[Mapping[str, Any]], dict[str, Any] | list[dict[str, Any]] | None]
    complete: Callable[[dict[str, pa.Array]], dict[str, pa.Array]] | None = None
    note: str | None = None
    fallback: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None
    absent: str | None = None


def dialect_of(record: Any, dialects: Sequence[Dialect]) -> Dialect | None:
    """The first dialect that matches an object; None for other values."""
    if not isinstance(record, dict):
        return None
    return next((dialect for dialect in dialects if dialect.matches(record)), None)


def _first_known(found: Iterable[Item], dialects: Sequence[Dialect]) -> Dialect | None:
    """The first dialect that matches one of the values. The last dialect, which matches any object, is not tried."""
    records = (record for item in found for record in map(unwrapped, objects(item.record)))
    return next(filter(None, (dialect_of(record, dialects[:-1]) for record in records)), None)


@lru_cache(maxsize=4)
def _first_dialect(head: bytes, dialects: tuple[Dialect, ...]) -> Dialect | None:
    """The dialect of the first object that a dialect knows; the last dialect for JSON of an unknown kind."""
    text = as_utf8(head)
    begins_so = re.match(rb'\s*(?:\[\s*)?\{\s*"', text) is not None
    if not is_text(head) or (not begins_so and b'{"' not in text):
        return None
    start = goes_over_lines(text)
    found = list(islice(line_items(text, 1) if start is None else Stream(start).feed(text, False), _SNIFFED_VALUES))
    known = _first_known(found, dialects)
    # The first line may be cut off, or longer than the head.
    is_json = begins_so or any(isinstance(item.record, dict) for item in found)
    return known or (dialects[-1] if is_json else None)


def json_formats(dialects: Sequence[Dialect], general: Callable[[Mapping[str, str] | None], Dialect]) -> list[Format]:
    """A format for each dialect, all of which read the objects of every dialect.

    Args:
        dialects: the dialects of programs; the first that matches an object reads it.
        general: makes the dialect for all other objects, or for all objects if the user maps the columns.
    """
    known = (*dialects, general(None))

    def sniffer(dialect: Dialect) -> Callable[[bytes], bool]:
        def sniff(head: bytes) -> bool:
            return _first_dialect(head, known) is dialect

        return sniff

    def reader(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        return read_json(file, context, (general(context.columns),) if context.columns else known)

    return [Format(dialect.name, sniffer(dialect), reader) for dialect in known]


class _Reading:
    """The state of one pass over a file."""

    def __init__(self, file: InputFile, context: ReadContext, dialects: Sequence[Dialect], items_of: ItemsOf) -> None:
        self.file = file
        self.items_of = items_of
        self.context = context
        self.dialects = dialects
        self.validators = {dialect.name: Validator(file.name, context) for dialect in dialects}
        self.clock = LogClock(file.path.stat().st_mtime)
        self.left_out = 0
        self.used: set[str] = set()
        self.met: set[str] = set()
        self.unknown: Mapping[str, Any] | None = None
        self.says_places: bool | None = None

    def chunks(self, block: list[Item], fallback: bool) -> Iterator[Chunk]:
        """The chunks of a block. With `fallback` only the dialects' fallbacks are used, and no lines are rejected."""
        batches: dict[str, RawRecords] = {}
        bad: list[Item] = []
        skipped = 0
        for item in block:
            for record in self._records(item):
                if not isinstance(record, dict):
                    told = item._replace(text=repr(record).encode()[:400], reason="not a JSON object")
                    bad.append(told if item.reason is None else item)
                    continue
                dialect = dialect_of(record, self.dialects)
                fields = self._fields(dialect, record, fallback)
                if dialect is not None:
                    self.met.add(dialect.name)
                if dialect is None or fields is None:
                    skipped += not self._is_for_later(dialect, record, fallback)
                    if dialect is self.dialects[-1] and self.unknown is None:
                        self.unknown = record
                    continue
                for values in fields:
                    if not self.context.accepts(values, self.file.name):
                        skipped += 1
                        continue
                    try:
                        batches.setdefault(dialect.name, RawRecords()).add(item.row, values)
                    except UnicodeEncodeError:
                        bad.append(item._replace(text=repr(values).encode()[:400], reason=_NO_TEXT))
        if not fallback and (bad or skipped):
            yield Chunk(Validator.empty(), self._rejects(bad), skipped)
        for name, batch in batches.items():
            if batch.rows:
                yield self._chunk(name, batch)

    def _records(self, item: Item) -> Iterable[Any]:
        """The objects of a value. A line of the log of another program stands for an object with this message."""
        if item.reason is None:
            # A mapping may be about the wrapper.
            return objects(item.record) if self.context.columns else map(unwrapped, objects(item.record))
        line = item.text[:LONGEST_ENTRY].decode("utf-8", "replace")
        # A line with the beginning of an object is damaged.
        time = None if '{"' in line else self.clock.read(line)
        return [None if time is None else {"timestamp": time, "message": line}]

    def _fields(self, dialect: Dialect | None, record: Any, fallback: bool) -> list[dict[str, Any]] | None:
        take = None if dialect is None else (dialect.fallback if fallback else dialect.fields)
        found = take(record) if take else None
        return [found] if isinstance(found, dict) else found

    def _is_for_later(self, dialect: Dialect | None, record: Any, fallback: bool) -> bool:
        """Whether an object that gave no fields is left to the fallback; counts such objects."""
        later = dialect is not None and not fallback and self._fields(dialect, record, True) is not None
        self.left_out += later
        return later

    def note(self) -> None:
        """Notes programs that wrote objects but no flow records to the file, names that are not known, and years."""
        if self.clock.guessed:
            self.context.note(GUESSED, self.file.name)
        if self.unknown is not None and not self.used and self.file.given:
            told = "no object has a time and a source under a common name; the first has "
            self.context.note(told + listed(list(self.unknown)), self.file.name)
        for dialect in self.dialects:
            if dialect.absent and dialect.name in self.met - self.used:
                self.context.note(dialect.absent, self.file.name)

    def _rejects(self, bad: list[Item]) -> pa.Table:
        return rejects_table(
            self.file.name,
            [item.row for item in bad],
            "row",
            [item.text for item in bad],
            [item.reason or "" for item in bad],
        )

    def _chunk(self, name: str, batch: RawRecords) -> Chunk:
        dialect = next(dialect for dialect in self.dialects if dialect.name == name)
        self.used.add(name)
        if dialect.note:
            self.context.note(dialect.note, self.file.name)
        raw = batch.columns()
        if dialect.complete:
            raw = dialect.complete(raw)
        # The folder names may hold a field that no record has.
        absent = [field for field in raw if raw[field].null_count == len(batch.rows)]
        found = self._with_zones({field: column for field, column in raw.items() if field not in absent})
        found |= fields_of_partitions(self.file, found, len(batch.rows))
        raw = {field: raw[field] for field in absent if field in NEEDED_FIELDS} | found
        if "protocol" in absent and "protocol" not in found:
            self.context.note(f"the records give no protocol: {ONE_PROTOCOL}", self.file.name)
        return self.validators[name].chunk(raw, np.array(batch.rows, dtype=np.int64))

    def _with_zones(self, found: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """The columns, with doubtful zones as those of the clock if no record of the file says where something is."""
        zones = found.pop(ZONE, None)
        if zones is not None and self.says_places is None:
            self.says_places = self._any_place()
        if zones is None or self.says_places:
            return found
        return found | {"timezone": pc.coalesce(found["timezone"], zones) if "timezone" in found else zones}

    def _any_place(self) -> bool:
        blocks = self.items_of(self.file, TextBlocks(self.file.blocks(BLOCK_BYTES), self.file.name))
        records = (record for block in blocks for item in block for record in self._records(item))
        found = (self._fields(dialect_of(record, self.dialects), record, False) or [] for record in records)
        return any(fields.get(PLACE) for several in found for fields in several)


def read_json(
    file: InputFile, context: ReadContext, dialects: Sequence[Dialect], items_of: ItemsOf = items
) -> Iterator[Chunk]:
    """Flow records of a file, whose objects may be of different dialects. `items_of` finds the objects in its text."""
    reading = _Reading(file, context, dialects, items_of)
    text = TextBlocks(file.blocks(BLOCK_BYTES), file.name)
    for block in items_of(file, text):
        yield from reading.chunks(block, fallback=False)
    if reading.left_out and reading.used:
        yield Chunk(Validator.empty(), skipped=reading.left_out)
    elif reading.left_out:
        for block in items_of(file, TextBlocks(file.blocks(BLOCK_BYTES), file.name)):
            yield from reading.chunks(block, fallback=True)
    reading.note()
    text.raise_damage()
