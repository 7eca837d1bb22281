"""Which part of an input is new to a running analysis, told by its content and not by its name."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.records import Counts, FlowRecords
from telescope_transformer.records.files import InputFile

# Readers whose records are not in the order of the file's bytes, because packets are joined to flow records.
JOINING_FORMATS = ("pcap", "pcapng")


@dataclass(frozen=True)
class Content:
    """The decompressed content of a file: its digest, its size, and the digests of its beginnings by their sizes."""

    digest: str
    size: int
    beginnings: dict[int, str]


@dataclass(frozen=True)
class Earlier:
    """What was taken of a path before: digest and size of its content then, and rows in all."""

    digest: str
    size: int
    counts: Counts


def content_of(path: Path, sizes: Sequence[int] = ()) -> Content:
    """Read a file once; another compression of the same data has the same content.

    Args:
        path: the file.
        sizes: of beginnings whose digests are wanted.
    """
    wanted, found = sorted(set(sizes)), {}
    digest, size = hashlib.sha256(), 0
    for block in InputFile(path).blocks():
        view = memoryview(block)
        while wanted and wanted[0] <= size + len(view):
            part = wanted[0] - size
            digest.update(view[:part])
            found[wanted.pop(0)] = digest.copy().hexdigest()
            view, size = view[part:], size + part
        digest.update(view)
        size += len(view)
    return Content(digest.hexdigest(), size, found)


def new_part(path: Path, content: Content, earlier: Earlier | None, flow: FlowRecords) -> FlowRecords:
    """The records of a file that have not been added before.

    Args:
        path: the file.
        content: of it.
        earlier: what was taken of this path before.
        flow: all records of the file.

    Raises:
        InputError: if the path was taken with other content, which this one does not begin with, or its format does
            not tell where the old part ends.
    """
    if earlier is None:
        return flow
    if content.beginnings.get(earlier.size) != earlier.digest:
        raise InputError(
            f"{path}: taken before with other content; if its records are new, give them under another name, and if "
            "they replace what was taken, begin a new state"
        )
    if any(source.format in JOINING_FORMATS for source in flow.sources):
        raise InputError(
            f"{path}: a capture that was taken before has grown; give the new packets as a file of theirs"
        )
    before = earlier.counts
    counts = Counts(*(now - then for now, then in zip(flow.counts, before, strict=True)))
    rejects = flow.rejects.slice(before.rejected)
    return FlowRecords(flow.table.slice(before.kept), rejects, counts, flow.sensors, flow.sources)


def no_records() -> FlowRecords:
    """A day without traffic."""
    from telescope_transformer.records import REQUIRED_FIELDS
    from telescope_transformer.records.rejects import REJECTS_SCHEMA
    from telescope_transformer.records.schema import flow_schema

    empty: pa.Table = flow_schema(set(REQUIRED_FIELDS)).empty_table()
    return FlowRecords(empty, REJECTS_SCHEMA.empty_table(), Counts())
