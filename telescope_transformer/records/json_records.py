"""JSON logs to flow records: a dialect says which objects are flow records and what their fields are called.

A file may hold an object a line, an array of objects over any number of lines, or such an array within an object (as
Elasticsearch answers a search). Every object is told by its own keys, so that a first line that is cut, long or of
another kind does no harm. An object that no dialect knows, or that is known to be no flow record, is skipped.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.lines import LONGEST_LINE, TextBlocks, as_utf8
from telescope_transformer.records.parsing import record_columns
from telescope_transformer.records.partitions import NO_DESTINATION, fields_of_partitions
from telescope_transformer.records.rejects import rejects_table
from telescope_transformer.records.validation import Chunk, Validator

BLOCK_BYTES = 4 << 20
_REQUIRED = ("timestamp", "src_ip", "protocol", "dst_port")
_DIALECT_OBJECTS = 200
"""Objects at the beginning of a file by which its format gets its name."""

_CONTAINER = re.compile(rb'^\s*\{[^\[]{0,4096}?"(?:hits|Records|records|flows|events|results|data)"\s*:\s*\[')
_NEXT_OBJECT = re.compile(r"\n[\s,\[]*\{")


@dataclass(frozen=True)
class Dialect:
    """How one program writes flow records as JSON.

    Attributes:
        name: of the format.
        matches: whether an object is of this program.
        fields: raw values of the fields of a flow record; None if the object is no flow record.
        complete: adds to or changes the columns of many records at once.
        note: what the user must be told about records of this dialect.
        fallback: what `fields` is for objects that `fields` leaves out, used only where a file has no others.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    fields: Callable[[Mapping[str, Any]], dict[str, Any] | None]
    complete: Callable[[dict[str, pa.Array]], dict[str, pa.Array]] | None = None
    note: str | None = None
    fallback: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None


class Item(NamedTuple):
    """One value of a file: the number of its line or object, and its content or why it cannot be parsed."""

    row: int
    record: Any
    text: bytes = b""
    reason: str | None = None


def _loads(text: bytes | str) -> Any:
    """Parses JSON; numbers stay text, so that none is too large and no digit is lost."""
    return json.loads(text, parse_float=str, parse_int=str)


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


def _parsed(row: int, text: bytes) -> Item:
    try:
        return Item(row, _loads(text))
    except (ValueError, RecursionError) as error:
        return Item(row, None, text, f"not a JSON object: {error}")


def _line_items(block: bytes, first: int) -> Iterator[Item]:
    """The values of a block of lines; brackets and commas of an array with a value a line are passed over."""
    for row, line in enumerate(block.split(b"\n"), start=first):
        text = line.strip().rstrip(b",")
        if not text or text in (b"[", b"]", b"[]"):
            continue
        if text[:1] == b"[" and text[-1:] != b"]":
            text = text[1:]
        elif text[-1:] == b"]" and text[:1] == b"{":
            text = text[:-1]
        yield _parsed(row, text)


class _Stream:
    """Values that go over lines, found one after another in a text; a malformed one ends at the next line with one."""

    def __init__(self, start: int) -> None:
        self._skip = start
        self._contained = start > 0
        self._held = ""
        self._row = 0
        self._over = False

    def feed(self, block: bytes, final: bool) -> Iterator[Item]:
        """The values that are complete with this block."""
        if self._skip:
            block, self._skip = block[self._skip :], max(0, self._skip - len(block))
        # Text is clean UTF-8 already.
        text, at = self._held + block.decode("utf-8", "replace"), 0
        while not self._over:
            while at < len(text) and text[at] in " \t\n,[]}":
                # The array that an object holds is over; what follows it are no records.
                self._over = self._contained and text[at] == "]"
                at += 1
            if self._over or at >= len(text):
                break
            try:
                record, at = _DECODER.raw_decode(text, at)
            except RecursionError as error:
                reason, needs_more = f"not a JSON object: {error}", False
            except json.JSONDecodeError as error:
                reason = f"not a JSON object: {error.msg}"
                needs_more = "Unterminated" in error.msg or error.pos >= len(text) - 8
            else:
                self._row += 1
                yield Item(self._row, record)
                continue
            if needs_more and not final and len(text) - at <= LONGEST_LINE:
                break
            self._row += 1
            following = _NEXT_OBJECT.search(text, at)
            end = following.start() if following else text.find("\n", at)
            end = end if end > at else len(text)
            yield Item(self._row, None, text[at : at + 400].encode("utf-8", "replace"), reason)
            at = end
        self._held = "" if self._over else text[at:]


def _goes_over_lines(head: bytes) -> int | None:
    """Where the values of a text begin that are not one a line; None if they are."""
    found = _CONTAINER.match(head)
    if found:
        return found.end()
    text = head.lstrip()
    first = text.split(b"\n", 1)[0].strip()
    if first[:1] == b"[" and first.rstrip(b",") not in (b"[",) and len(first) < len(text):
        # An array that begins on its first line with an object over several lines.
        return 0 if _parsed(1, first.lstrip(b"[").rstrip(b",")).reason else None
    if first[:1] == b"[" and len(first) == len(text):
        return 0
    after = text.split(b"\n", 2)[1].strip() if first == b"[" and b"\n" in text else first
    if after[:1] == b"{" and _parsed(1, after.rstrip(b",").rstrip(b"]")).reason:
        # Either an object over several lines, or a line that is damaged.
        rest = text[text.find(b"{") :].decode("utf-8", "ignore")
        try:
            return 0 if _DECODER.raw_decode(rest)[1] > len(after) else None
        except (ValueError, RecursionError):
            return None
    return None


def items(file: InputFile, text: TextBlocks) -> Iterator[list[Item]]:
    """The values of a file, block by block."""
    start = _goes_over_lines(as_utf8(file.head))
    if start is not None:
        stream = _Stream(start)
        for block in text:
            yield list(stream.feed(block, final=False))
        yield list(stream.feed(b"", final=True))
        return
    row = 1
    for block in text:
        yield list(_line_items(block, row))
        row += block.count(b"\n")


def _objects(item: Item) -> Iterator[Any]:
    """The objects of a value: itself, the elements of an array, or the hits of a search."""
    record = item.record
    if isinstance(record, list):
        yield from record
    elif isinstance(record, dict) and isinstance(record.get("hits"), dict):
        hits = record["hits"].get("hits")
        yield from hits if isinstance(hits, list) else [record]
    else:
        yield record


def _unwrapped(record: Any) -> Any:
    """The document of a hit: Elasticsearch keeps it as `_source`, Kibana's exports give its `fields`."""
    if isinstance(record, dict):
        for name in ("_source", "fields"):
            if isinstance(record.get(name), dict) and ("_index" in record or name == "_source"):
                return record[name]
    return record


def _dialect_of(record: Any, dialects: Sequence[Dialect]) -> Dialect | None:
    if not isinstance(record, dict):
        return None
    return next((dialect for dialect in dialects if dialect.matches(record)), None)


def _first_known(found: Iterator[Item], dialects: Sequence[Dialect]) -> Dialect | None:
    """The first dialect but the last, which takes any object, that one of the first objects is of."""
    for count, item in enumerate(found):
        for record in map(_unwrapped, _objects(item)):
            dialect = _dialect_of(record, dialects[:-1])
            if dialect is not None:
                return dialect
        if count >= _DIALECT_OBJECTS:
            break
    return None


@lru_cache(maxsize=4)
def _first_dialect(head: bytes, dialects: tuple[Dialect, ...]) -> Dialect | None:
    """The dialect of the first object of a head that one knows."""
    text = as_utf8(head)
    if text.lstrip()[:1] not in (b"{", b"[") and b"\n{" not in text:
        return None
    start = _goes_over_lines(text)
    return _first_known(_line_items(text, 1) if start is None else _Stream(start).feed(text, final=False), dialects)


def _is_json(head: bytes) -> bool:
    """Whether a text begins as JSON does, even if its first line is cut or longer than the head."""
    text = as_utf8(head).lstrip()
    return bool(re.match(rb'(?:\[\s*)?\{\s*"', text)) and b"\0" not in head[:512]


def json_formats(dialects: Sequence[Dialect], general: Callable[[Mapping[str, str] | None], Dialect]) -> list[Format]:
    """A format for each dialect, all of which read the objects of every dialect.

    Args:
        dialects: of programs; the first that matches an object reads it.
        general: makes the dialect of all other objects, or of all objects where the user maps the columns.
    """
    known = (*dialects, general(None))

    def sniffer(dialect: Dialect) -> Callable[[bytes], bool]:
        def sniff(head: bytes) -> bool:
            first = _first_dialect(head, known)
            return first is dialect or (dialect is known[-1] and first is None and _is_json(head))

        return sniff

    def reader(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
        return read_json(file, context, (general(context.columns),) if context.columns else known)

    return [Format(dialect.name, sniffer(dialect), reader) for dialect in known]


class _Batch:
    """Records of one dialect from one block."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.records: list[dict[str, Any]] = []

    def columns(self) -> dict[str, pa.Array]:
        """The records as byte columns."""
        return record_columns(self.records, dict.fromkeys(name for record in self.records for name in record))


class _Reading:
    """The state of one pass over a file."""

    def __init__(self, file: InputFile, context: ReadContext, dialects: Sequence[Dialect]) -> None:
        self.file = file
        self.context = context
        self.dialects = dialects
        self.validators = {dialect.name: Validator(file.name, context) for dialect in dialects}
        self.left_out = 0
        self.used: set[str] = set()

    def chunks(self, block: list[Item], fallback: bool) -> Iterator[Chunk]:
        """The chunks of a block; with `fallback` only what the dialects' fallbacks give, and no rejects of lines."""
        batches: dict[str, _Batch] = {}
        bad: list[Item] = []
        skipped = 0
        for item in block:
            if item.reason is not None:
                bad.append(item)
                continue
            for record in map(_unwrapped, _objects(item)):
                dialect = _dialect_of(record, self.dialects)
                fields = None
                if not isinstance(record, dict):
                    bad.append(item._replace(text=repr(record).encode()[:400], reason="not a JSON object"))
                    continue
                if dialect is not None:
                    take = dialect.fallback if fallback else dialect.fields
                    fields = take(record) if take else None
                if dialect is None or fields is None:
                    later = dialect is not None and not fallback and dialect.fallback and dialect.fallback(record)
                    self.left_out += bool(later)
                    skipped += not later
                    continue
                batch = batches.setdefault(dialect.name, _Batch())
                batch.rows.append(item.row)
                batch.records.append(fields)
        malformed = rejects_table(
            self.file.name,
            [item.row for item in bad],
            ["row"] * len(bad),
            [item.text for item in bad],
            [item.reason or "" for item in bad],
        )
        if not fallback and (malformed.num_rows or skipped):
            yield Chunk(Validator.empty(), malformed, skipped)
        for name, batch in batches.items():
            yield self._chunk(name, batch)

    def _chunk(self, name: str, batch: _Batch) -> Chunk:
        dialect = next(dialect for dialect in self.dialects if dialect.name == name)
        self.used.add(name)
        if dialect.note:
            self.context.note(dialect.note, self.file.name)
        raw = batch.columns()
        if dialect.complete:
            raw = dialect.complete(raw)
        for field in [field for field in raw if field not in _REQUIRED and raw[field].null_count == len(batch.rows)]:
            # No record has it.
            del raw[field]
        raw = fields_of_partitions(self.file, raw, len(batch.rows)) | raw
        if "dst_ip" not in raw:
            self.context.note(NO_DESTINATION, self.file.name)
        return self.validators[name].chunk(raw, np.array(batch.rows, dtype=np.int64))


def read_json(file: InputFile, context: ReadContext, dialects: Sequence[Dialect]) -> Iterator[Chunk]:
    """Flow records of a file of JSON, of whichever dialects its objects are."""
    reading = _Reading(file, context, dialects)
    text = TextBlocks(file.blocks(BLOCK_BYTES), file.name)
    for block in items(file, text):
        yield from reading.chunks(block, fallback=False)
    if reading.left_out and reading.used:
        yield Chunk(Validator.empty(), skipped=reading.left_out)
    elif reading.left_out:
        for block in items(file, TextBlocks(file.blocks(BLOCK_BYTES), file.name)):
            yield from reading.chunks(block, fallback=True)
    text.raise_damage()
