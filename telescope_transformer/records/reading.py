"""Reads flow records from files of any format: one scan over all inputs that accounts for every row."""

import logging
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from telescope_transformer.errors import FlowRecordError, InputError, NoRecordsError
from telescope_transformer.records.columns import check_mapping
from telescope_transformer.records.context import INACTIVITY_SECONDS, Format, ReadContext
from telescope_transformer.records.damage import DamagedInput, NotFlowRecords
from telescope_transformer.records.files import InputFile, find_inputs
from telescope_transformer.records.registry import find_format
from telescope_transformer.records.rejects import RejectLog, escaped
from telescope_transformer.records.schema import REQUIRED_FIELDS, flow_schema
from telescope_transformer.records.telescope import Telescope
from telescope_transformer.words import counted

logger = logging.getLogger(__name__)

REJECTS_LISTED = 500_000
"""Rejected rows that are listed; any more are only counted. Each takes a few hundred bytes of memory."""

LIBRARY_ERRORS = (pa.ArrowException, ArithmeticError, LookupError, RecursionError, TypeError, ValueError, struct.error)
"""Exceptions that the libraries behind a reader raise on unexpected content. Readers turn the errors that they know
into rejects or a more specific InputError. Catching these here makes sure that no traceback reaches a user, and that
the other files are read."""

# Files and sensors that a message names, so that it stays readable.
_SKIPPED_NAMED = 5
_SENSORS_NAMED = 5


class Counts(NamedTuple):
    """Rows of the inputs: read = kept + rejected. Skipped rows are not flow records, or not sent to the telescope."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    skipped: int = 0

    def plus(self, kept: int, rejected: int, skipped: int) -> "Counts":
        return Counts(self.read + kept + rejected, self.kept + kept, self.rejected + rejected, self.skipped + skipped)


class Source(NamedTuple):
    """One input file as it was read: its name, format and counts, and the path of its content."""

    file: str
    format: str
    counts: Counts
    path: Path


@dataclass
class FlowRecords:
    """Flow records in memory, and the account of how they were read.

    `table` follows `schema.FLOW_SCHEMA` without the optional columns that no input has; `rejects` follows
    `rejects.REJECTS_SCHEMA`; `sensors` maps sensor names to pseudo-addresses; `damage` lists the files that were cut
    off or corrupt, and `notes` holds all other notes for the user.
    """

    table: pa.Table
    rejects: pa.Table
    counts: Counts
    sensors: dict[str, str] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    damage: list[DamagedInput] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """The account in lines of text: counts, notes and damage."""
        return _summary(self.counts, self.notes, self.damage)

    def raise_if_damaged(self) -> None:
        """Raises the first damage, if there is any. Call this after using the records before the damage."""
        if self.damage:
            raise self.damage[0]


class RecordScan:
    """Iterates over the record batches of all inputs, once; the account is complete when the iteration is.

    All batches of a file have the same schema; `schema.align` brings batches of several files to a common schema.

    Args:
        is_part: whether other scans read the rest of the inputs, so that a part without a single row is not an error.
    """

    def __init__(
        self,
        files: list[InputFile],
        context: ReadContext,
        format: str,
        telescope: Telescope,
        keep_going: bool,
        is_part: bool = False,
    ) -> None:
        self._is_part = is_part
        self._files = files
        self._context = context
        self._format = format
        self._telescope = telescope
        self._keep_going = keep_going
        self._rejects = RejectLog(REJECTS_LISTED)
        self._passed_over: list[NotFlowRecords] = []
        self.counts = Counts()
        self.sources: list[Source] = []
        self.damage: list[DamagedInput] = []

    @property
    def paths(self) -> list[Path]:
        """The input files, whether read yet or not."""
        return [Path(file.path) for file in self._files]

    @property
    def rejects(self) -> pa.Table:
        """The rejected rows so far, at most REJECTS_LISTED of them."""
        return self._rejects.table()

    @property
    def sensors(self) -> dict[str, str]:
        """Sensor names seen so far, and their pseudo-addresses."""
        return self._context.sensors.addresses()

    @property
    def notes(self) -> list[str]:
        """Notes for the user, besides the counts."""
        notes = [*self._context.notes, self._telescope.note()]
        if self.sensors:
            named = ", ".join(list(self.sensors)[:_SENSORS_NAMED])
            more = f" and {len(self.sensors) - _SENSORS_NAMED:,} more" if len(self.sensors) > _SENSORS_NAMED else ""
            notes.append(f"destinations that are sensor names get pseudo-addresses: {escaped(named)}{more}")
        notes += [
            f"the sensor name {name!r} has the same hash as another sensor name"
            for name in self._context.sensors.collisions
        ]
        if self._passed_over:
            # What follows a semicolon is advice for a file that was meant to be read.
            told = [(Path(left.path).name, left.reason.partition(";")[0]) for left in self._passed_over]
            named = "; ".join(f"{name}: {reason}" for name, reason in told[:_SKIPPED_NAMED])
            others = len(self._passed_over) - _SKIPPED_NAMED
            notes.append(
                f"passed over {counted(len(self._passed_over), 'file')} without flow records ({escaped(named)[:1000]}"
                f"{f'; and {others:,} more' if others > 0 else ''})"
            )
        notes += self._rejects.kinds()
        if self._rejects.unlisted:
            notes.append(f"counted but not listed: {counted(self._rejects.unlisted, 'further rejected row')}")
        return notes

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for file in self._files:
            try:
                yield from self._file_batches(file)
            except DamagedInput as damage:
                self._record(damage)
            except InputError as error:
                if isinstance(error, NotFlowRecords) and not file.given:
                    self._passed_over.append(error)
                elif self._keep_going:
                    self._record(DamagedInput(file.name, None, str(error).removeprefix(f"{file.name}: ")))
                else:
                    raise
        if not self.counts.read and not self.counts.skipped and not self._is_part:
            self._raise_for_nothing()

    def _raise_for_nothing(self) -> None:
        """Raises the cause if no file holds a single row."""
        if self.damage:
            raise self.damage[0]
        if self._passed_over and len(self._passed_over) == len(self._files):
            raise self._passed_over[0]
        raise NoRecordsError(f"{', '.join(file.name for file in self._files[:5])}: no records in the input")

    def parts(self) -> list["RecordScan"]:
        """One scan per file, for workers that read files separately; `absorb` adds their accounts to this scan."""
        context = self._context
        return [
            RecordScan(
                [file],
                ReadContext(context.columns, context.per_packet, context.inactivity_seconds),
                self._format,
                self._telescope,
                self._keep_going,
                is_part=True,
            )
            for file in self._files
        ]

    def account(self) -> dict[str, Any]:
        """What was read, without the rejects, as plain values."""
        return {
            "sources": [
                [source.file, source.format, list(source.counts), str(source.path)] for source in self.sources
            ],
            "passed_over": [[left.path, left.reason] for left in self._passed_over],
            "damage": [[found.path, found.offset, found.reason] for found in self.damage],
            "context": self._context.account(),
            "sensors": self.sensors,
            "unlisted": self._rejects.unlisted,
        }

    def absorb(self, account: dict[str, Any], rejects: pa.Table) -> None:
        """Add the `account` and the rejects of a part that was read elsewhere.

        Raises:
            InputError: if different workers gave two sensor names the same pseudo-address.
        """
        for file, format, counts, path in account["sources"]:
            self.sources.append(Source(file, format, Counts(*counts), Path(path)))
            self.counts = Counts(*(a + b for a, b in zip(self.counts, counts, strict=True)))
        self._rejects.add(rejects)
        self._rejects.count += account["unlisted"]
        self.damage += [DamagedInput(*found) for found in account["damage"]]
        self._passed_over += [NotFlowRecords(*left) for left in account["passed_over"]]
        self._context.absorb(account["context"])
        for name in account["sensors"]:
            self._context.sensors.number(name)
        if any(self.sensors[name] != address for name, address in account["sensors"].items()):
            raise InputError("two sensor names share a pseudo-address: prepare with --engine duckdb")

    def _record(self, damage: DamagedInput) -> None:
        logger.warning("%s", damage)
        self.damage.append(damage)

    def _file_batches(self, file: InputFile) -> Iterator[pa.RecordBatch]:
        if not file.given and file.is_empty:
            raise NotFlowRecords(file.name, "the file is empty")
        reader = find_format(file, self._format)
        try:
            yield from self._batches(file, reader)
        except (InputError, OSError):
            raise
        except LIBRARY_ERRORS as error:
            told = f"cannot be read as {reader.name}: {type(error).__name__}: {escaped(error)[:300]}"
            raise DamagedInput(file.name, None, told) from error

    def _batches(self, file: InputFile, reader: Format) -> Iterator[pa.RecordBatch]:
        counts, is_passed_over = Counts(), False
        try:
            for chunk in reader.read(file, self._context):
                batch, outside = self._telescope.select(chunk.batch)
                counts = counts.plus(batch.num_rows, chunk.rejects.num_rows, chunk.skipped + outside)
                self._rejects.add(chunk.rejects)
                if batch.num_rows:
                    yield batch
        except NotFlowRecords:
            is_passed_over = True
            raise
        finally:
            if any(counts) or not is_passed_over:
                self.sources.append(Source(file.name, reader.name, counts, file.path))
            self.counts = self.counts.plus(counts.kept, counts.rejected, counts.skipped)

    def summary(self) -> str:
        """The account in lines of text: counts, notes and damage."""
        return _summary(self.counts, self.notes, self.damage)

    def raise_if_damaged(self) -> None:
        """Raises the first damage, if there is any. Call this after using the records before the damage."""
        if self.damage:
            raise self.damage[0]


def _summary(counts: Counts, notes: Sequence[str], damage: Sequence[DamagedInput]) -> str:
    # The same wording for any number, because scripts look for this line.
    lines = [f"read {counts.read:,} flow records = kept {counts.kept:,} + rejected {counts.rejected:,}"]
    if counts.skipped:
        entries = counted(counts.skipped, "entry that is not a flow record", "entries that are not flow records")
        lines.append(f"skipped {entries} of traffic to the telescope")
    return "\n".join([*lines, *notes, *(f"warning: {found}" for found in damage)])


def scan_records(
    inputs: Sequence[str | Path | InputFile] | str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    format: str = "auto",
    per_packet: bool = False,
    inactivity_seconds: float = INACTIVITY_SECONDS,
    telescope: Sequence[str] | str = (),
    keep_going: bool = False,
) -> RecordScan:
    """Opens `inputs` (files, folders, globs, pipes, URLs) for one pass in bounded memory.

    The options are those of `read_records`.
    """
    if columns is not None:
        check_mapping(columns)
    if not isinstance(inactivity_seconds, (int, float)) or not inactivity_seconds >= 0:
        raise FlowRecordError(f"inactivity_seconds must be a number of at least 0, not {inactivity_seconds!r}")
    context = ReadContext(columns=columns, per_packet=per_packet, inactivity_seconds=inactivity_seconds)
    return RecordScan(find_inputs(inputs), context, format, Telescope(_prefixes(telescope)), keep_going)


def _prefixes(given: Any) -> Sequence[str]:
    # A network of `ipaddress` is an iterable over its addresses.
    if isinstance(given, Iterable) and not isinstance(given, (str, IPv4Network, IPv6Network)):
        return list(given)
    return [] if given is None else [given]


def read_records(
    inputs: Sequence[str | Path | InputFile] | str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    format: str = "auto",
    per_packet: bool = False,
    inactivity_seconds: float = INACTIVITY_SECONDS,
    telescope: Sequence[str] | str = (),
    keep_going: bool = False,
) -> FlowRecords:
    """Reads `inputs` (files, folders, globs, `-` for standard input, URLs; one or several) into one table.

    Args:
        columns: field to column name, for tables and JSON; without it, columns are found by their common names.
        format: a name of `registry.format_names()`; `auto` decides by content.
        per_packet: keep each packet of a capture as a record, instead of one flow record per 5-tuple.
        inactivity_seconds: a silence after which a 5-tuple of a capture begins a new flow record.
        telescope: prefixes (CIDR) of the telescope; only records that are sent to them count. If empty, all count.
        keep_going: continue after a file that cannot be read at all.

    Files of a folder or a glob that hold no flow records are skipped, and a note counts them. From a damaged file all
    records before the damage are read, and `damage` lists it; see `FlowRecords.raise_if_damaged`.

    Raises:
        InputError: if an input does not exist, is empty, or cannot be read.
    """
    scan = scan_records(
        inputs,
        columns=columns,
        format=format,
        per_packet=per_packet,
        inactivity_seconds=inactivity_seconds,
        telescope=telescope,
        keep_going=keep_going,
    )
    tables = [pa.Table.from_batches([batch]) for batch in scan]
    present = {name for table in tables for name in table.schema.names}
    empty = flow_schema(present or set(REQUIRED_FIELDS)).empty_table()
    table = pa.concat_tables([empty, *tables], promote_options="default")
    return FlowRecords(table, scan.rejects, scan.counts, scan.sensors, scan.sources, scan.damage, scan.notes)
