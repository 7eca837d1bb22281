"""The values of a JSON file, written as one value per line, an array over many lines, or an array within an object."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from telescope_transformer.records.columns import meanings
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.text_blocks import LONGEST_LINE, TextBlocks, as_utf8

_NAMES = "hits Records records flows flow_logs events logEvents results data resourceLogs scopeLogs logRecords"
_CONTAINERS = frozenset(_NAMES.split())
"""Keys under which an object may hold an array of records: those of Elasticsearch, AWS, IBM, OpenTelemetry and common
exports."""

_CONTAINER = re.compile(rb'^\s*\{[^\[]{0,4096}?"(?:%s)"\s*:\s*\[' % "|".join(sorted(_CONTAINERS)).encode())
_ENVELOPES = (
    *(("_source", None), ("fields", "_index"), ("result", "preview"), ("event", "sourcetype"), ("data", "decoder")),
    *(("json", "@timestamp"), ("jsonPayload", None), ("payload", "channel"), ("payload", "topic")),
    *(("payload", "schema"), ("value", "topic")),
)
"""Keys under which a store holds a whole record, and a key beside it by which the store is known: Elasticsearch,
Kibana's exports, Splunk's exports and its HTTP Event Collector, Wazuh, Filebeat, Google's Cloud Logging, hpfeeds and
consumers of Kafka. Records that tell more of themselves may stand under any key."""

MESSAGES = (
    *("MESSAGE", "message", "@message", "log", "_raw", "event", "line", "msg", "full_message", "short_message"),
    *("textPayload", "payload", "value", "original", "stringValue", "RawData"),
)
"""Keys that may hold a log line or a record as text: those of journald, Filebeat and rsyslog, CloudWatch, Docker,
Splunk, Loki, Graylog, Google's Cloud Logging, hpfeeds, Kafka, Elastic's schema, OpenTelemetry and Sentinel."""

_HOLD_MESSAGES = frozenset(MESSAGES)
_DEEPEST_WRAPPERS = 4
"""Our choice: a batch of a cloud holds an entry of a shipper, which holds a record."""

_NEXT_OBJECT = re.compile(r"\n[\s,\[]*\{")

_TIME_OF_SHIPPER = re.compile(
    rb"^(?:\d{4}-\d\d-\d\dT\S+(?:\t[^\t]+\t| (?:std(?:out|err) [FP] )?)"
    rb"|(?:CreateTime|LogAppendTime):\d+\t(?:[^\t]*\t)*)$"
)
"""The time that Fluentd (with a tag), Kubernetes (with a stream), Docker and Kafka's consumer write first."""

_LONGEST_PREFIX = 512
"""Bytes that syslog may write before an object: a time, a host, a program and its process number."""


class Item(NamedTuple):
    """One value of a file: the number of its line or object, and its content or the reason why it cannot be parsed."""

    row: int
    record: Any
    text: bytes = b""
    reason: str | None = None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Of several values with one name the last counts, but of several objects the first.

    tshark writes the layers of a packet from the outermost on, and calls those of an inner packet the same.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        found |= {name: value for name, value in reversed(pairs) if isinstance(value, dict)}
    return found


# Numbers stay text, so that no number is too large and no digit is lost.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=_object)
# A tab or another control character within text costs no line.
_LINE_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, strict=False, object_pairs_hook=_object)
# JSON has no escape `\x`: NGINX writes it, and `text_blocks.py` for bytes that are not UTF-8.
_BYTE_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\x")


def _as_json(text: str) -> str:
    return _BYTE_ESCAPE.sub(r"\1\\\\x", text) if "\\x" in text else text


def _parsed(row: int, text: bytes) -> Item:
    try:
        return Item(row, _LINE_DECODER.decode(_as_json(text.decode("utf-8"))))
    except (ValueError, RecursionError) as error:
        # Without the place of the error, which would make nearly every line a kind of its own.
        return Item(row, None, text, f"not a JSON object: {getattr(error, 'msg', error)}")


def line_items(block: bytes, first: int) -> Iterator[Item]:
    """The values of a block of lines; skips the brackets and commas of an array that has one value per line.

    Also skips text that syslog or Docker write before an object, and the record separators of RFC 7464.
    """
    for row, line in enumerate(block.split(b"\n"), start=first):
        text = line.strip(b" \t\x1e\r,")
        if not text or text in (b"[", b"]", b"[]"):
            continue
        if text[:1] == b"[" and text[-1:] != b"]":
            text = text[1:].lstrip()
        elif text[-1:] == b"]" and text[:1] == b"{":
            text = text[:-1]
        if text[:1] not in b"{[":
            text = _behind_prefix(text)
        yield _parsed(row, text)


def _behind_prefix(text: bytes) -> bytes:
    """The object at the end of a log line, or the whole line if it does not end in an object."""
    at = text.find(b'{"', 0, _LONGEST_PREFIX)
    prefix = text[: max(at, 0)]
    if _TIME_OF_SHIPPER.match(prefix):
        return text[at:]
    # An object in a column of a table is not a record by itself.
    if prefix.rstrip()[-1:] not in (b":", b"|", b"]", b"-") or prefix.count(b"|") > 1 or set(prefix) & set(b",;\t"):
        return text
    return text[at:]


class Stream:
    """Finds values that span several lines. After a malformed value it goes on at the next line with an object."""

    def __init__(self, start: int) -> None:
        self._skip = start
        self._contained = start > 0
        self._held = ""
        self._row = 0
        self._over = False

    def feed(self, block: bytes, final: bool) -> Iterator[Item]:
        """The values that this block completes."""
        if self._skip:
            block, self._skip = block[self._skip :], max(0, self._skip - len(block))
        # The text is clean UTF-8 already.
        text, at = _as_json(self._held + block.decode("utf-8", "replace")), 0
        while not self._over:
            while at < len(text) and text[at] in " \t\n,[]}":
                # The array in the object has ended; what follows it are not records.
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


def goes_over_lines(head: bytes) -> int | None:
    """Where the first value begins, if values span several lines; None if each line holds a value."""
    text = head.lstrip()
    lines = [line.strip() for line in text.split(b"\n", 2)]
    first = lines[0]
    if first == b"[" and len(lines) > 1:
        # masscan and others write an array with one object per line.
        first = lines[1]
    if first[:1] not in (b"{", b"["):
        return None
    alone = len(lines) == 1 or not any(lines[1:])
    if not _parsed(1, first.rstrip(b",")).reason or not _parsed(1, first.strip(b"[],")).reason:
        # A whole array on one line may exceed the limit on the length of a line.
        return 0 if alone and first[:1] == b"[" else None
    found = _CONTAINER.match(head)
    if found:
        return found.end()
    if alone or first[:1] == b"[":
        return 0
    # Either an object over several lines, or a damaged line.
    try:
        rest = _as_json(text[text.find(b"{") :].decode("utf-8", "ignore"))
        return 0 if _DECODER.raw_decode(rest)[1] > len(first) else None
    except (ValueError, RecursionError):
        return None


def items(file: InputFile, text: TextBlocks) -> Iterator[list[Item]]:
    """The values of a file, block by block."""
    start = goes_over_lines(as_utf8(file.head))
    if start is not None:
        stream = Stream(start)
        for block in text:
            yield list(stream.feed(block, final=False))
        yield list(stream.feed(b"", final=True))
        return
    row = 1
    for block in text:
        yield list(line_items(block, row))
        row += block.count(b"\n")


def _has_rows(value: Any) -> bool:
    return isinstance(value, dict | list)


def _listed(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _numbered(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(key.isdigit() for key in value)


def _table_rows(record: dict[str, Any]) -> list[Any] | None:
    """The rows of an object that is a whole table, by rows or by columns; None for any other object.

    pandas writes columns and rows by their numbers (`to_json`), or names and rows (`orient="split"`), as databases and
    Elasticsearch answer queries (Splunk calls the names `fields`); other programs write a list for each column.
    """
    columns = list(record.values())
    names: Any = next((record[name] for name in ("columns", "meta", "fields") if name in record), None)
    if names is None and not (columns and _has_rows(columns[0])):
        return None
    rows = next((record[name] for name in ("data", "rows", "values") if _listed(record.get(name))), None)
    if _listed(names) and rows and all(isinstance(row, list) for row in rows):
        names = [str(name.get("name")) if isinstance(name, dict) else str(name) for name in names]
        return [dict(zip(names, row, strict=False)) for row in rows]
    # nProbe's records also have numbers as keys, but their values are not objects.
    if _numbered(record) and all(isinstance(row, dict) for row in columns):
        return columns
    # All columns must have the same length, so that a small file cannot ask for many rows with many names.
    if len(columns) < 2 or not all(map(_has_rows, columns)) or len(set(map(len, columns))) > 1:
        return None
    if all(map(_numbered, columns)):
        return [{name: column.get(row) for name, column in record.items()} for row in columns[0]]
    if all(map(_listed, columns)):
        return [dict(zip(record, row, strict=True)) for row in zip(*columns, strict=True)]
    return None


def _lines_of_loki(record: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The lines of an answer of Loki's interface (query_range), each with its time; None for other objects."""
    data = record.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "streams" or not isinstance(data.get("result"), list):
        return None
    entries = [stream.get("values") for stream in data["result"] if isinstance(stream, dict)]
    pairs = [pair for values in entries if isinstance(values, list) for pair in values]
    return [{"timestamp": pair[0], "line": pair[1]} for pair in pairs if isinstance(pair, list) and len(pair) > 1]


def objects(record: Any, depth: int = 0) -> Iterator[Any]:
    """The objects of a value: itself, the elements of an array, or the elements of an array or table inside it."""
    rows = (_lines_of_loki(record) or _table_rows(record)) if isinstance(record, dict) else None
    if rows is not None:
        yield from rows
        return
    if isinstance(record, dict) and _CONTAINERS.isdisjoint(record):
        yield record
        return
    while isinstance(record, dict):
        inner = next((record[name] for name in sorted(_CONTAINERS) if isinstance(record.get(name), dict | list)), None)
        # A record has a time; an object that only holds records does not.
        if inner is None or any(name in record for name in ("timestamp", "@timestamp", "ts", "time")):
            break
        if isinstance(inner, list) and not all(isinstance(element, dict) for element in inner):
            break
        if isinstance(inner, dict) and not any(isinstance(inner.get(name), list) for name in _CONTAINERS):
            break
        record = inner
    if not isinstance(record, list) or depth > _DEEPEST_WRAPPERS:
        yield record
        return
    for element in record:
        # The element may be a batch of a log store.
        yield from objects(element, depth + 1) if isinstance(element, dict) else (element,)


def message_of(record: Mapping[str, Any]) -> str:
    """The log line that a record holds; empty if it holds none."""
    if _HOLD_MESSAGES.isdisjoint(record):
        return ""
    return next((text for name in MESSAGES if isinstance(text := record.get(name), str) and text), "")


@lru_cache(maxsize=1 << 12)
def _told(names: tuple[str, ...]) -> frozenset[str]:
    """The fields of a flow record that an object with these names tells itself, not within other objects."""
    return frozenset(field for name in names for field, dropped, _ in meanings(name) if not dropped)


def _of_envelope(record: dict[str, Any], inner: Any) -> Any:
    """What an envelope holds, with the time beside it if it has none."""
    time = next((record[name] for name in ("timestamp", "@timestamp", "time") if name in record), None)
    return inner if time is None or "timestamp" in _told(tuple(inner)) else {"timestamp": time, **inner}


def unwrapped(record: Any, depth: int = 0) -> Any:
    """Removes the wrapper that a log store or another program has put around a record or its values.

    An object that tells a protocol, or a source and a port, is a record itself: what it holds as text may come from
    an attacker. An object within another one is the record if it tells a source and a time, but not within a document
    of the Elastic Common Schema with its own source. Other objects stay.
    """
    if not isinstance(record, dict) or depth > _DEEPEST_WRAPPERS:
        return record
    layers = record.get("layers")
    if isinstance(layers, dict):
        # With -e, tshark gives each field as a list of its values in the packet and in those inside it.
        first = {name: value[0] if isinstance(value, list) and value else value for name, value in layers.items()}
        return {**record, "layers": first}
    told = _told(tuple(record))
    if "protocol" in told or told >= {"src_ip", "dst_port"}:
        return record
    for name, beside in _ENVELOPES:
        inner = record.get(name)
        # The flow logs of Google's networks are read with their entry.
        if isinstance(inner, dict) and (beside is None or beside in record) and "connection" not in inner:
            return unwrapped(_of_envelope(record, inner), depth + 1)
    ends = record.get("source")
    is_document = isinstance(ends, dict) and ("ip" in ends or "address" in ends)
    parts = [] if is_document else [value for value in record.values() if isinstance(value, dict)]
    tells_protocol = any("protocol" in _told(tuple(part)) for part in parts)
    for inner in (unwrapped(part, depth + 1) for part in parts):
        told = _told(tuple(inner))
        # A record may be divided into objects, of which another one tells the protocol.
        if told >= {"src_ip", "timestamp"} and ("protocol" in told or not tells_protocol):
            return inner
    for name in () if _HOLD_MESSAGES.isdisjoint(record) else MESSAGES:
        inner = record.get(name)
        if isinstance(inner, str) and inner.startswith('{"'):
            inner = _parsed(0, inner.strip().encode("utf-8", "replace")).record
            if isinstance(inner, dict):
                return unwrapped(_of_envelope(record, inner), depth + 1)
    return record
