"""What a reader needs beside the file: the user's options, and what is shared by all files of one reading."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from telescope_transformer.records.files import InputFile
from telescope_transformer.records.sensors import SensorNames
from telescope_transformer.records.validation import Chunk

INACTIVITY_SECONDS = 60.0
"""A 5-tuple that is silent for longer than this begins a new flow record."""


@dataclass
class ReadContext:
    """Options and shared state of one reading; readers append to `notes` what the user must be told."""

    columns: Mapping[str, str] | None = None
    per_packet: bool = False
    inactivity_seconds: float = INACTIVITY_SECONDS
    sensors: SensorNames = field(default_factory=SensorNames)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tells the user `text` once, however many files give reason to."""
        if text not in self.notes:
            self.notes.append(text)


class Format(NamedTuple):
    """A file format: its name, whether a file's first bytes are of it, and its reader."""

    name: str
    sniff: Callable[[bytes], bool]
    read: Callable[[InputFile, ReadContext], Iterator[Chunk]]
