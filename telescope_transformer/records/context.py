"""What a reader needs besides the file: the user's options, and the state that all files of one scan share."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from telescope_transformer.records.files import InputFile
from telescope_transformer.records.links import SENT, describe_ethertype
from telescope_transformer.records.raw_records import CONNECTION, EVENT, NOTE
from telescope_transformer.records.rejects import printable
from telescope_transformer.records.sensors import SensorNames
from telescope_transformer.words import counted

if TYPE_CHECKING:
    from telescope_transformer.records.validation import Chunk

INACTIVITY_SECONDS = 60.0
"""A 5-tuple that is silent for longer than this begins a new flow record."""

# Files and EtherTypes that a message names, so that it stays readable.
_FILES_NAMED = 3
_ETHERTYPES_NAMED = 8

_MOST_CONNECTIONS = 100_000
"""Connections that are remembered, in some 30 MB."""


class LeftOut(NamedTuple):
    """Values of an optional field that could not be read: their number, and the first of them."""

    times: int
    file: str
    value: str | None


@dataclass
class ReadContext:
    """Options and shared state of one scan; also collects the `notes` for the user."""

    columns: Mapping[str, str] | None = None
    per_packet: bool = False
    inactivity_seconds: float = INACTIVITY_SECONDS
    sensors: SensorNames = field(default_factory=SensorNames)
    _told: dict[str, dict[str, None]] = field(default_factory=dict)
    _left_out: dict[str, LeftOut] = field(default_factory=dict)
    _not_ip: Counter[int] = field(default_factory=Counter)
    _connections: dict[str, str] = field(default_factory=dict)

    def note(self, text: str, file: str | None = None) -> None:
        """Adds a note for the user, listed once with the files that it is about."""
        files = self._told.setdefault(text, {})
        if file is not None:
            files[file] = None

    def left_out(self, field: str, count: int, file: str, value: object) -> None:
        """Counts values of an optional field that could not be read and are left empty."""
        known = self._left_out.get(field, LeftOut(0, file, printable(value)))
        self._left_out[field] = known._replace(times=known.times + count)

    def accepts(self, fields: Mapping[str, Any], file: str) -> bool:
        """Whether the raw fields of a log entry are a record; passes on the note that they may hold.

        An entry about a connection whose other event, its beginning or end, is a record already is not. Rotated logs
        may have the two in different files, in any order.
        """
        if CONNECTION in fields:
            known = self._connections.setdefault(fields[CONNECTION], fields[EVENT])
            if len(self._connections) > _MOST_CONNECTIONS:
                del self._connections[next(iter(self._connections))]
            if known != fields[EVENT]:
                return False
        if NOTE in fields:
            self.note(fields[NOTE], file)
        return True

    def count_ethertypes(self, counts: np.ndarray) -> None:
        """Counts packets that are not IP by their EtherTypes (int64, 65536), and sets the counts to 0."""
        for ethertype in np.flatnonzero(counts).tolist():
            self._not_ip[ethertype] += int(counts[ethertype])
        counts[:] = 0

    def account(self) -> dict[str, Any]:
        """What the notes are made of, as plain values."""
        return {
            "told": {text: list(files) for text, files in self._told.items()},
            "left_out": self._left_out,
            "not_ip": self._not_ip,
        }

    def absorb(self, account: Mapping[str, Any]) -> None:
        """Adds the `account` of the context of another scan; it may come from JSON."""
        for text, files in account["told"].items():
            self._told.setdefault(text, {}).update(dict.fromkeys(files))
        for name, (times, file, value) in account["left_out"].items():
            self.left_out(name, times, file, value)
        self._not_ip.update({int(ethertype): count for ethertype, count in account["not_ip"].items()})

    @property
    def notes(self) -> list[str]:
        """All notes, each text once, with the names of the first files that it is about."""
        notes = []
        for text, files in self._told.items():
            first = list(files)[:_FILES_NAMED]
            more = [f"{len(files) - len(first):,} more"] if len(files) > len(first) else []
            notes.append(f"{', '.join(first + more)}: {text}" if files else text)
        for name, left in self._left_out.items():
            example = f"(first: {left.value!r} in {left.file})"
            notes.append(f"left empty, because not readable: {counted(left.times, 'value')} of {name} {example}")
        others = Counter(self._not_ip)
        if sent := others.pop(SENT, 0):
            notes.append(f"skipped {counted(sent, 'packet')} that the capturing machine sent itself")
        if others:
            common = others.most_common(_ETHERTYPES_NAMED)
            named = ", ".join(f"{count:,} of {describe_ethertype(ethertype)}" for ethertype, count in common)
            packets = counted(others.total(), "packet that is not IP", "packets that are not IP")
            notes.append(f"skipped {packets}: {named}")
        return notes


class Format(NamedTuple):
    """A file format: its name, a test of a file's first bytes, and its reader."""

    name: str
    sniff: Callable[[bytes], bool]
    read: Callable[[InputFile, ReadContext], Iterator["Chunk"]]
