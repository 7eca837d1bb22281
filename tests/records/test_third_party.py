"""A reader that another package registers as an entry point."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records
from telescope_transformer.records.registry import format_names, formats

READER = """
import numpy as np
import pyarrow as pa

from telescope_transformer.records.context import Format
from telescope_transformer.records.validation import Validator


def sniff(head):
    return head.startswith(b"TELEX ")


def read(file, context):
    rows = [line.split() for line in file.head.splitlines()]
    names = ("", "timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port")
    raw = {name: pa.array([row[at] for row in rows]) for at, name in enumerate(names) if name}
    yield Validator(file.name, context).chunk(raw, np.arange(1, len(rows) + 1))


FORMAT = Format("telex", sniff, read)
"""
ENTRY = "[telescope_transformer.readers]\ntelex = {}\n"
CONTENT = "TELEX 1469123456 192.0.2.1 198.51.100.7 tcp 40000 23\nTELEX noon 192.0.2.1 198.51.100.7 tcp 40000 23\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, one of which has a reader."""
    folder = tmp_path / "site"
    (folder / "telex_reader-1.dist-info").mkdir(parents=True)
    (folder / "telex_reader-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: telex-reader\nVersion: 1\n"
    )
    (folder / "telex_reader.py").write_text(READER)
    monkeypatch.syspath_prepend(folder)
    formats.cache_clear()
    yield folder
    formats.cache_clear()
    sys.modules.pop("telex_reader", None)


def test_a_reader_of_another_package_is_found_and_asked_first(tmp_path: Path, site: Path) -> None:
    (site / "telex_reader-1.dist-info" / "entry_points.txt").write_text(ENTRY.format("telex_reader:FORMAT"))
    (tmp_path / "log").write_text(CONTENT)
    records = read_records(tmp_path / "log")
    assert format_names()[1] == "telex"
    assert records.sources[0].format == "telex"
    assert records.counts == (2, 1, 1, 0)
    assert read_records(tmp_path / "log", format="telex").counts.kept == 1


def test_a_reader_that_cannot_be_loaded_is_named(tmp_path: Path, site: Path) -> None:
    (site / "telex_reader-1.dist-info" / "entry_points.txt").write_text(ENTRY.format("telex_reader:ABSENT"))
    (tmp_path / "log").write_text(CONTENT)
    with pytest.raises(InputError, match=r"the reader telex \(telex_reader:ABSENT\) cannot be loaded"):
        read_records(tmp_path / "log")
    (site / "telex_reader-1.dist-info" / "entry_points.txt").write_text(ENTRY.format("telex_reader:read"))
    with pytest.raises(InputError, match=r"telex \(telex_reader:read\) cannot be used: it is of type function"):
        read_records(tmp_path / "log")
