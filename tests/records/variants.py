"""Inputs in the shapes that people have, each with the records that must be read from it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records

SECOND = 1_469_123_456
"""2016-07-21T17:50:56Z, the time of every record unless a variant says otherwise."""

Tuple = tuple[str, str, int, int, int]
TCP: Tuple = ("192.0.2.1", "198.51.100.7", 6, 40_000, 23)
UDP: Tuple = ("192.0.2.1", "198.51.100.7", 17, 40_000, 53)
PING: Tuple = ("192.0.2.1", "198.51.100.7", 1, 8, 0)
TCP6: Tuple = ("2001:db8::1", "2001:db8::7", 6, 40_000, 23)
PING6: Tuple = ("2001:db8::1", "2001:db8::7", 58, 128, 0)
_NAMES = ("src_ip", "dst_ip", "protocol", "src_port", "dst_port")


@dataclass(frozen=True)
class Variant:
    """An input and the records that must be read from it.

    Attributes:
        name: what is special about the input.
        content: the content of the file, or a function that writes it into a folder and returns its path.
        expected: source, destination, protocol and ports of each record; None if the file must be refused.
        second: the time of all records; None if they differ.
        format, rejected, skipped, told: the format's name, the counts, and a text in the summary, if they matter.
    """

    name: str
    content: str | bytes | Callable[[Path], Path]
    expected: list[Tuple] | None
    second: int | None = SECOND
    format: str | None = None
    rejected: int | None = None
    skipped: int | None = None
    told: str | None = None

    def check(self, folder: Path) -> None:
        """Reads the input in `folder` and compares the records with the expected ones."""
        if callable(self.content):
            path = self.content(folder)
        else:
            path = folder / "log"
            path.write_bytes(self.content.encode() if isinstance(self.content, str) else self.content)
        if self.expected is None:
            with pytest.raises(InputError):
                read_records(path)
            return
        records = read_records(path)
        rows = records.table.to_pylist()
        assert [tuple(row[name] for name in _NAMES) for row in rows] == self.expected
        assert records.counts.read == records.counts.kept + records.counts.rejected
        if self.second is not None:
            assert {row["timestamp"] // 1_000_000 for row in rows} <= {self.second}
        assert self.format in (None, records.sources[0].format)
        assert self.rejected in (None, records.counts.rejected)
        assert self.skipped in (None, records.counts.skipped)
        assert self.told is None or self.told in records.summary()


class Variants(list[Variant]):
    """The variants that `add` collects."""

    def add(self, name: str, content: Any, expected: list[Tuple] | None, **more: Any) -> None:
        """See `Variant`."""
        self.append(Variant(name, content, expected, **more))


def json_lines(*records: Any) -> str:
    """JSON objects, one per line."""
    return "".join(json.dumps(record) + "\n" for record in records)
