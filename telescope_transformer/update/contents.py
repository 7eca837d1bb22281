"""Finds the part of an input that is new to a running analysis, by its content rather than its name."""

import hashlib
from dataclasses import dataclass

import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.records import REQUIRED_FIELDS, Counts, FlowRecords
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.rejects import REJECTS_SCHEMA
from telescope_transformer.records.schema import flow_schema

# Readers of these formats join packets into flow records, so the records are not in the order of the file.
JOINING_FORMATS = ("pcap", "pcapng")


@dataclass(frozen=True)
class Content:
    """The decompressed content of a file: its digest and size, and the digest of its beginning if asked for."""

    digest: str
    size: int
    beginning: str | None


@dataclass(frozen=True)
class Earlier:
    """What was added from a path earlier: digest and size of the content at that time, and the counts of its rows."""

    digest: str
    size: int
    counts: Counts


def content_of(file: InputFile, first: int | None = None) -> Content:
    """Compute the digests of the decompressed content of a file in one pass.

    Args:
        file: the file.
        first: length of the beginning, in bytes; None asks for no digest of it.
    """
    digest, size, beginning = hashlib.sha256(), 0, None
    for block in file.blocks():
        view = memoryview(block)
        if first is not None and beginning is None and first <= size + len(view):
            digest.update(view[: first - size])
            beginning = digest.hexdigest()
            view, size = view[first - size :], first
        digest.update(view)
        size += len(view)
    return Content(digest.hexdigest(), size, beginning)


def new_part(name: str, content: Content, earlier: Earlier | None, flow: FlowRecords) -> FlowRecords:
    """Select the records of a file that have not been added before.

    Args:
        name: the file.
        content: the digests of the file.
        earlier: what was added from this path before; None if nothing was.
        flow: all records of the file.

    Raises:
        InputError: if the file does not begin with the content that was added before, or if the end of the old part
            cannot be found in this format.
    """
    if earlier is None:
        return flow
    if content.beginning != earlier.digest:
        raise InputError(
            f"{name}: was added before with other content; if its records are new, rename the file, and if "
            "they replace the old ones, begin a new state"
        )
    if any(source.format in JOINING_FORMATS for source in flow.sources):
        raise InputError(
            f"{name}: this capture was added before and has grown; put the new packets into a file of their own"
        )
    before = earlier.counts
    counts = Counts(*(now - then for now, then in zip(flow.counts, before, strict=True)))
    rejects = flow.rejects.slice(before.rejected)
    return FlowRecords(flow.table.slice(before.kept), rejects, counts, flow.sensors, flow.sources)


def no_records() -> FlowRecords:
    """Flow records of a day without traffic."""
    empty: pa.Table = flow_schema(set(REQUIRED_FIELDS)).empty_table()
    return FlowRecords(empty, REJECTS_SCHEMA.empty_table(), Counts())
