"""Turns raw columns into valid flow records and rejects; the only place that decides what a valid record is."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.fields import DAY, FIELDS
from telescope_transformer.records.addresses import IPV6, format_addresses, parse_addresses
from telescope_transformer.records.context import ReadContext
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.dates import clock_text, is_time_of_day
from telescope_transformer.records.parsing import (
    Parsed,
    distinct_texts,
    is_text_type,
    mark_nulls,
    parse_destinations,
    parse_labels,
    parse_numbers,
    parse_sources,
    parse_words,
)
from telescope_transformer.records.ports import parse_ports, with_ports_of_addresses
from telescope_transformer.records.protocols import flags_number, protocol_number, transport_of_service
from telescope_transformer.records.rejects import REJECTS_SCHEMA, escaped, join_rejects, rejects_table
from telescope_transformer.records.schema import (
    ICMP,
    ICMPV6,
    OPTIONAL_FIELDS,
    REQUIRED_FIELDS,
    TCP,
    flow_schema,
)
from telescope_transformer.records.sensors import ABSENT_DESTINATION
from telescope_transformer.records.text_columns import INVALID, MISSING, VALID
from telescope_transformer.records.time_kernels import NumberForm
from telescope_transformer.records.times import FORM_MEANING, TimeReader, text_of
from telescope_transformer.records.zones import read_with_zones, zone_in_title

_REASONS = {
    "timestamp": "not a time",
    "src_ip": "not an address",
    "dst_ip": "neither an address nor a sensor name",
    "protocol": "not a protocol number or name",
    "src_port": "not a port",
    "dst_port": "not a port",
}
_ICMP_REASONS = {"src_port": "not an ICMP type (0 to 255)", "dst_port": "not an ICMP code (0 to 255)"}
_LARGEST = {row.name: row.largest for row in FIELDS if row.largest is not None and not row.required}
EARLIEST_PLAUSIBLE = 631_152_000_000_000
"""1990-01-01 in microseconds; there were no telescopes before that."""

_TCP_FIELDS = ("tcp_flags", "tcp_seq")
_RDP, _REMOTE_DESKTOP = 27, 3389
"""The Reliable Data Protocol, and the port of Remote Desktop (IANA)."""

_AHEAD = 2 * DAY
"""Microseconds that a record may be ahead of this machine's clock: two days, to allow for wrong clocks and zones."""


class Chunk(NamedTuple):
    """One piece of a reader's output: valid records, rejected rows, and the number of skipped rows."""

    batch: pa.RecordBatch
    rejects: pa.Table = REJECTS_SCHEMA.empty_table()
    skipped: int = 0


def _fits(field: str, kind: pa.DataType) -> bool:
    """Whether a column of an Arrow type can hold values of a field."""
    number = bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
    if is_text_type(kind) or pa.types.is_null(kind):
        return True
    if field == "timestamp":
        return bool(number or pa.types.is_timestamp(kind) or pa.types.is_date(kind))
    if field in ("src_ip", "dst_ip"):
        return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind))
    if field in ("label", "tool", "date", "timezone"):
        dated = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        return bool(number or dated or pa.types.is_boolean(kind))
    return number


def unpacked(values: pa.Array) -> pa.Array:
    """A column as one of the plain types that the parsers take: no dictionary, extension type or view."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_run_end_encoded(values.type):
        values = pc.run_end_decode(values)
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())
    if pa.types.is_time(values.type):
        values = values.cast(pa.string()).cast(pa.binary())
    # As text, decimals keep all their digits. Zeros after the point could pass for thousands.
    if pa.types.is_null(values.type) or pa.types.is_decimal(values.type):
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "").cast(pa.binary())
    return values


class Validator:
    """Turns raw columns of one file into chunks, and remembers what earlier rows have shown about the file.

    Args:
        file: name of the file, for rejects and messages.
        context: collects the notes and holds the sensor names.
        columns: the file's name for each field, for messages.
        day_first: whether dates such as 21/07/2016 begin with the day, if the format determines it.
    """

    def __init__(
        self,
        file: str,
        context: ReadContext,
        columns: Mapping[str, str] | None = None,
        *,
        day_first: bool | None = None,
    ) -> None:
        self._file = file
        self._context = context
        self._columns = columns or {}
        self._times = TimeReader(day_first)
        self._has_ports = False
        self._last_plausible = int(time.time() * 1_000_000) + _AHEAD

    @staticmethod
    def empty() -> pa.RecordBatch:
        """An empty batch, for a chunk of only rejected or skipped rows."""
        return pa.RecordBatch.from_pylist([], schema=flow_schema(set()))

    def chunk(
        self,
        raw: Mapping[str, pa.Array],
        rows: np.ndarray,
        malformed: pa.Table | None = None,
        skipped: int = 0,
    ) -> Chunk:
        """A chunk of flow records from raw columns, one per field, of any type and n rows each.

        A row is rejected for the first of its required fields that is missing or does not parse. An optional value
        that does not parse is left out and counted in a note.

        Args:
            rows: int64 (n,), the numbers that rejects are reported under.
            malformed: rejects of the same part of the file.
            skipped: number of rows of this part that are not flow records.

        Raises:
            FlowRecordError: if a column has a type that its field cannot have, or no column holds destination ports.
        """
        raw = with_ports_of_addresses(self._usable(raw))
        self._check_ports(raw, len(rows))
        times, raw["timestamp"] = self._read_times(raw)
        parsed = self._parse(raw, times, len(rows))
        first_bad = np.zeros(len(rows), dtype=np.uint8)
        for index, field in reversed(list(enumerate(REQUIRED_FIELDS, start=1))):
            first_bad[parsed[field].status != VALID] = index
        keep = first_bad == 0
        rejects = REJECTS_SCHEMA.empty_table()
        if not keep.all():
            rejects = self._collect_rejects(raw, first_bad, parsed, rows)
        if malformed is not None and malformed.num_rows:
            rejects = join_rejects(rejects, malformed)
        self._note_optional(raw, parsed, keep)
        self._note_times(np.asarray(parsed["timestamp"].values)[keep])
        self._note_aggregated(parsed, keep)
        schema = flow_schema(set(parsed))
        columns = [_to_column(field, parsed[field.name], keep) for field in schema]
        return Chunk(pa.RecordBatch.from_arrays(columns, schema=schema), rejects, skipped)

    def _usable(self, raw: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """The columns whose types their fields can have; other columns are left out if the field is optional."""
        usable = {}
        for field, values in raw.items():
            plain = unpacked(values)
            undated = field == "timestamp" and "date" not in raw and pa.types.is_time(values.type)
            if _fits(field, plain.type) and not undated:
                usable[field] = plain
                continue
            column = escaped(self._columns.get(field, field))
            told = (
                f"the column {column!r} for the field {field} has the type {values.type}, which this field cannot have"
            )
            if field in REQUIRED_FIELDS:
                raise FlowRecordError(f"{self._file}: {told}")
            self._context.note(f"{told}: it is left out", self._file)
        return usable

    def _check_ports(self, raw: Mapping[str, pa.Array], rows: int) -> None:
        """Refuses a table without destination ports, be it in a column or behind the addresses of its first rows."""
        column = self._columns.get("dst_ip")
        if rows and column and not self._has_ports and "dst_port" not in raw:
            told = f"no column for dst_port, and no ports behind the addresses in {escaped(column)!r}"
            raise NotFlowRecords(self._file, f"{told}; give a mapping such as dst_port=NAME")
        self._has_ports = self._has_ports or rows > 0

    def _read_times(self, raw: Mapping[str, pa.Array]) -> tuple[Parsed, pa.Array]:
        """The timestamps, completed by the date and the zone of their row if these have columns, and as text."""
        times, zone = _with_dates(raw), zone_in_title(self._columns.get("timestamp", ""))
        if "timezone" in (self._context.columns or {}):
            # The user says which column holds the zone, or that none does.
            zone = None
        if "timezone" in raw or zone:
            zones = raw.get("timezone", pa.repeat(pa.scalar(zone, pa.string()), len(times)))
            numbers, status, times, used = read_with_zones(times, zones, self._times)
            if used:
                column = escaped(self._columns.get("timezone" if "timezone" in raw else "timestamp", "timezone"))
                self._context.note(
                    f"times without a zone are read in the zone that the column {column!r} gives", self._file
                )
        else:
            numbers, status = self._times.read(times)
        mark_nulls(times, status)
        return Parsed(numbers, status), times

    def _parse(self, raw: Mapping[str, pa.Array], times: Parsed, rows: int) -> dict[str, Parsed]:
        parsed = {"timestamp": times, "src_ip": parse_sources(raw["src_ip"])}
        protocols = self._protocols(raw["protocol"])
        # Zeek and other programs use the same name for ICMP and ICMPv6.
        six = (parse_addresses(parsed["src_ip"].values).kind == IPV6) & (protocols.values == ICMP)
        parsed["protocol"] = Parsed(np.where(six, ICMPV6, protocols.values), protocols.status)
        parsed["src_port"], parsed["dst_port"] = parse_ports(raw, np.asarray(parsed["protocol"].values))
        if is_text_type(raw["protocol"].type):
            # Honeypots write RDP for Remote Desktop; the Reliable Data Protocol has no such port.
            desktop = (parsed["protocol"].values == _RDP) & (np.asarray(parsed["dst_port"].values) == _REMOTE_DESKTOP)
            parsed["protocol"] = parsed["protocol"]._replace(values=np.where(desktop, TCP, parsed["protocol"].values))
        parsed["dst_ip"] = self._destinations(raw, parsed, rows)
        for field, largest in _LARGEST.items():
            if field in raw:
                words = field == "tcp_flags" and is_text_type(raw[field].type)
                parsed[field] = parse_words(raw[field], flags_number) if words else parse_numbers(raw[field], largest)
        # Many exporters write a value for each protocol, but captures have none. Records must not differ by that.
        not_tcp = np.asarray(parsed["protocol"].values) != TCP
        for field in filter(parsed.__contains__, _TCP_FIELDS):
            status = parsed[field].status
            parsed[field] = parsed[field]._replace(status=np.where(not_tcp, MISSING, status).astype(np.uint8))
        for field in ("label", "tool"):
            if field in raw:
                parsed[field] = parse_labels(raw[field])
        return parsed

    def _destinations(self, raw: Mapping[str, pa.Array], parsed: Mapping[str, Parsed], rows: int) -> Parsed:
        """The destinations of rows whose other required fields are parsed."""
        if "dst_ip" in raw:
            kept = np.logical_and.reduce([field.status == VALID for field in parsed.values()])
            return parse_destinations(raw["dst_ip"], self._context.sensors, kept)
        self._context.note("no destination column; every record has the destination 240.0.0.0", self._file)
        absent = parse_addresses(pa.repeat(pa.scalar(ABSENT_DESTINATION, pa.int64()), rows))
        return Parsed(format_addresses(absent), np.full(rows, VALID, dtype=np.uint8))

    def _protocols(self, values: pa.Array) -> Parsed:
        """The protocol numbers; the name of a service means the protocol that carries it."""
        if not is_text_type(values.type):
            return parse_numbers(values, 255)
        services: list[str] = []

        def number(text: str) -> int | None:
            found = protocol_number(text)
            if found is None and (found := transport_of_service(text)) is not None:
                services.append(text)
            return found

        parsed = parse_words(values, number)
        if services:
            self._context.note("where the protocol is a service name, such as ssh, TCP is assumed", self._file)
        return parsed

    def _collect_rejects(
        self, raw: Mapping[str, pa.Array], first_bad: np.ndarray, parsed: Mapping[str, Parsed], rows: np.ndarray
    ) -> pa.Table:
        """One reject for each row with a bad required field, naming the first bad field in the order of the schema."""
        places = np.flatnonzero(first_bad)
        fields = [REQUIRED_FIELDS[index - 1] for index in first_bad[places]]
        values = [
            _shown(raw[field][int(row)]) if field in raw else None for field, row in zip(fields, places, strict=True)
        ]
        icmp = np.isin(np.asarray(parsed["protocol"].values), (ICMP, ICMPV6))
        reasons = [
            _reason(field, value, parsed[field].status[row] == MISSING, bool(icmp[row]))
            for field, value, row in zip(fields, values, places, strict=True)
        ]
        return rejects_table(self._file, rows[places], fields, values, reasons)

    def _note_optional(self, raw: Mapping[str, pa.Array], parsed: Mapping[str, Parsed], keep: np.ndarray) -> None:
        for field in OPTIONAL_FIELDS:
            if field in parsed:
                bad = np.flatnonzero((parsed[field].status == INVALID) & keep)
                if len(bad):
                    self._context.left_out(field, len(bad), self._file, _shown(raw[field][int(bad[0])]))

    def _note_aggregated(self, parsed: Mapping[str, Parsed], keep: np.ndarray) -> None:
        """Notes records that were added up over fields: nfdump -A, for example, writes 0 for these fields."""
        without = keep & (np.asarray(parsed["protocol"].values) == 0)
        if without.any() and "0.0.0.0" in pc.unique(pc.filter(parsed["dst_ip"].values, pa.array(without))).to_pylist():
            told = "some records have protocol 0 and destination 0.0.0.0, as in exports that are added up over both"
            self._context.note(f"{told} (nfdump -A): read an export that keeps all fields", self._file)

    def _note_times(self, times: np.ndarray) -> None:
        form = self._times.form or NumberForm.EPOCH
        if form != NumberForm.EPOCH:
            self._context.note(f"times written as numbers are read as {FORM_MEANING[form]}", self._file)
        if len(times) > 1 and not (times % DAY).any():
            self._context.note("all times are midnight: is the time of day in another column?", self._file)
        if len(times) and (times.min() < EARLIEST_PLAUSIBLE or times.max() > self._last_plausible):
            odd = times[(times < EARLIEST_PLAUSIBLE) | (times > self._last_plausible)]
            self._context.note(
                "times lie before 1990 or in the future; check that their unit is one that the documentation lists",
                f"{self._file} ({text_of(int(odd[0]))})",
            )


_CLOCK_DIGITS = len("175056")


def _with_dates(raw: Mapping[str, pa.Array]) -> pa.Array:
    """The timestamps; a value that is only a time of day gets the date from the date column."""
    times = raw["timestamp"]
    if "date" not in raw or not is_text_type(times.type):
        return times
    texts, codes = distinct_texts(times)
    # A spreadsheet has taken the leading zeros of clocks without separators.
    is_compact = any(len(text) == _CLOCK_DIGITS and text.isdigit() for text in texts)
    clocks = [clock_text(text.zfill(_CLOCK_DIGITS) if is_compact and text.isdigit() else text) for text in texts]
    if not any(clocks):
        return times
    days = raw["date"]
    if pa.types.is_timestamp(days.type):
        # A data frame has no type for a date alone.
        days = days.cast(pa.date32(), safe=False)
    days = days.cast(pa.string()).cast(pa.binary())
    clock = pa.array([text and text.encode() for text in clocks], pa.binary()).take(pa.array(codes))
    joined = pc.binary_join_element_wise(days, clock, pa.scalar(b" ", pa.binary()))
    return pc.coalesce(joined, times.cast(pa.binary()))


def _shown(value: pa.Scalar) -> object:
    """A value for a message; the bare number of a time in years that Python's datetime does not have."""
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return value.value


def _reason(field: str, value: object, missing: bool, icmp: bool) -> str:
    if missing:
        return "missing"
    if icmp and field in _ICMP_REASONS:
        return _ICMP_REASONS[field]
    if field == "timestamp":
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if is_time_of_day(text):
            return "not a time: a time of day without a date"
    return _REASONS[field]


def _to_column(field: pa.Field, parsed: Parsed, keep: np.ndarray) -> pa.Array:
    if isinstance(parsed.values, pa.Array):
        return parsed.values.filter(pa.array(keep)) if not keep.all() else parsed.values
    numbers = parsed.values
    if field.name == "tcp_flags":
        # The ninth flag and the reserved bits before it do not fit into a byte, and do not help to recognise a tool.
        numbers = numbers & 0xFF
    absent = None if not field.nullable else parsed.status[keep] != VALID
    return pa.array(numbers[keep], field.type, mask=absent, from_pandas=False)
