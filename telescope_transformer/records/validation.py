"""Raw columns of a file to valid flow records and rejects; the one place that decides what a valid record is."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.fields import FIELDS
from telescope_transformer.records.addresses import EMPTY, IPV4, IPV6, MALFORMED, format_addresses, parse_addresses
from telescope_transformer.records.rejects import REJECTS_SCHEMA, rejects_table
from telescope_transformer.records.schema import (
    FLOW_SCHEMA,
    ICMP,
    ICMPV6,
    PORT_PROTOCOLS,
    PROTOCOL_NAMES,
    REQUIRED_FIELDS,
    UNKNOWN_ICMP_TYPE,
    flow_schema,
)
from telescope_transformer.records.sensors import ABSENT_DESTINATION, SensorNames, is_sensor_name
from telescope_transformer.records.text import INVALID, MISSING, VALID, parse_integers, text_view
from telescope_transformer.records.times import parse_times

_REASONS = {
    "timestamp": "not a time",
    "src_ip": "not an address",
    "dst_ip": "neither an address nor a sensor name",
    "protocol": "not a protocol number or name",
    "src_port": "not a port",
    "dst_port": "not a port",
    "tcp_flags": "not TCP flags",
}
_LARGEST = {row.name: row.largest for row in FIELDS if row.largest is not None and not row.required}
_FLAG_LETTERS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "C": 0x80, "W": 0x80}


class Parsed(NamedTuple):
    """One field of n rows: its values (NumPy or Arrow) and the status of each, as in `text.py`."""

    values: np.ndarray | pa.Array
    status: np.ndarray


class Chunk(NamedTuple):
    """What a reader gives at a time: valid records, the rejected rows of the same stretch, and rows left out."""

    batch: pa.RecordBatch
    rejects: pa.Table = REJECTS_SCHEMA.empty_table()
    skipped: int = 0


def parse_numbers(values: pa.Array, largest: int) -> Parsed:
    """Non-negative integers up to `largest` from text, integer, float or boolean columns."""
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        valid = (numbers >= 0) & (numbers <= largest)
    elif pa.types.is_floating(values.type):
        floats = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
        absent = np.isnan(floats)
        valid = ~absent & (floats == np.floor(floats)) & (floats >= 0) & (floats <= largest)
        status = np.where(absent, MISSING, np.where(valid, VALID, INVALID)).astype(np.uint8)
        return Parsed(np.where(valid, floats, 0).astype(np.int64), status)
    elif values.null_count == len(values):
        return Parsed(np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.uint8))
    else:
        numbers, status = parse_integers(text_view(values))
        status[(status == VALID) & (numbers > largest)] = INVALID
        return Parsed(np.where(status == VALID, numbers, 0), status)
    present = np.asarray(values.is_valid())
    status = np.where(present, np.where(valid, VALID, INVALID), MISSING).astype(np.uint8)
    return Parsed(np.where(valid, numbers, 0).astype(np.int64), status)


def _by_distinct_value(values: pa.Array, parse: Callable[[str], int | None]) -> Parsed:
    """Applies a Python `parse` (None means invalid) once to each distinct text of a column with few of them."""
    encoded = values.cast(pa.binary()).fill_null(b"").dictionary_encode()
    texts = [text.decode("utf-8", "replace").strip() for text in encoded.dictionary.to_pylist()]
    parsed = [parse(text) if text else None for text in texts]
    status = [
        VALID if number is not None else (INVALID if text else MISSING)
        for text, number in zip(texts, parsed, strict=True)
    ]
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    numbers = np.array([number or 0 for number in parsed], dtype=np.int64)
    return Parsed(numbers[codes], np.array(status, dtype=np.uint8)[codes])


def _is_text(values: pa.Array) -> bool:
    kind = values.type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)


def protocol_number(text: str) -> int | None:
    """The number of a protocol given by number or name, None if it is neither."""
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= 3 and int(text) <= 255 else None
    return PROTOCOL_NAMES.get(text.lower())


def flags_number(text: str) -> int | None:
    """TCP flags from a number, `0x` hexadecimal or letters (`S`, `.AP.SF`); None if it is none of them."""
    try:
        number = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        letters = text.upper().replace(".", "")
        if not set(letters) <= set(_FLAG_LETTERS):
            return None
        return sum({_FLAG_LETTERS[letter] for letter in letters})
    return number if 0 <= number <= 511 else None


def _protocols(values: pa.Array) -> Parsed:
    return _by_distinct_value(values, protocol_number) if _is_text(values) else parse_numbers(values, 255)


def _sources(values: pa.Array) -> Parsed:
    addresses = parse_addresses(values)
    status = np.select([addresses.kind == EMPTY, addresses.kind == MALFORMED], [MISSING, INVALID], VALID)
    return Parsed(format_addresses(addresses), status.astype(np.uint8))


def _destinations(values: pa.Array, sensors: SensorNames) -> Parsed:
    """Addresses as they are; a sensor name becomes its pseudo-address."""
    addresses = parse_addresses(values)
    odd = np.flatnonzero(addresses.kind == MALFORMED)
    if len(odd) and _is_text(values):
        encoded = values.take(pa.array(odd)).cast(pa.binary()).dictionary_encode()
        texts = [text.decode("utf-8", "replace").strip() for text in encoded.dictionary.to_pylist()]
        numbers = np.array([sensors.number(text) if is_sensor_name(text) else 0 for text in texts], dtype=np.uint64)
        found = numbers[encoded.indices.to_numpy(zero_copy_only=False)]
        addresses.low[odd] = found
        addresses.kind[odd] = np.where(found > 0, IPV4, MALFORMED)
    status = np.select([addresses.kind == EMPTY, addresses.kind == MALFORMED], [MISSING, INVALID], VALID)
    return Parsed(format_addresses(addresses), status.astype(np.uint8))


def _labels(values: pa.Array) -> Parsed:
    try:
        texts = values.cast(pa.string())
    except pa.ArrowInvalid:
        decoded = [None if value is None else value.decode("utf-8", "replace") for value in values.to_pylist()]
        texts = pa.array(decoded, pa.string())
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    texts = pc.if_else(blank, pa.scalar(None, pa.string()), texts)
    return Parsed(texts, np.where(np.asarray(texts.is_valid()), VALID, MISSING).astype(np.uint8))


def _ports(raw: Mapping[str, pa.Array], field: str, protocols: np.ndarray, rows: int) -> Parsed:
    """Ports, 0 where the protocol has none; of ICMP the type or code, from its own column if there is one.

    An ICMP type that the file does not give is `UNKNOWN_ICMP_TYPE`: type 0 is an echo reply.
    """
    if field in raw:
        numbers, status = parse_numbers(raw[field], 65_535)
    else:
        numbers, status = np.zeros(rows, dtype=np.int64), np.full(rows, MISSING, dtype=np.uint8)
    own_column = "icmp_type" if field == "src_port" else "icmp_code"
    icmp = (protocols == ICMP) | (protocols == ICMPV6)
    if own_column in raw:
        icmp_numbers, icmp_status = parse_numbers(raw[own_column], 255)
        use = icmp & (icmp_status != MISSING)
        numbers, status = np.where(use, icmp_numbers, numbers), np.where(use, icmp_status, status)
    if field == "src_port":
        numbers = np.where(icmp & (status == MISSING), UNKNOWN_ICMP_TYPE, numbers)
    # A file without source ports has none to miss.
    optional = ~np.isin(protocols, PORT_PROTOCOLS) if field in raw else np.ones(rows, dtype=bool)
    return Parsed(numbers, np.where(optional & (status == MISSING), VALID, status))


def _parse_fields(raw: Mapping[str, pa.Array], rows: int, sensors: SensorNames) -> dict[str, Parsed]:
    parsed = {
        "timestamp": Parsed(*parse_times(raw["timestamp"])),
        "src_ip": _sources(raw["src_ip"]),
        "protocol": _protocols(raw["protocol"]),
    }
    if "dst_ip" in raw:
        parsed["dst_ip"] = _destinations(raw["dst_ip"], sensors)
    else:
        absent = parse_addresses(pa.repeat(pa.scalar(ABSENT_DESTINATION, pa.int64()), rows))
        parsed["dst_ip"] = Parsed(format_addresses(absent), np.full(rows, VALID, dtype=np.uint8))
    protocols = np.asarray(parsed["protocol"].values)
    # Zeek and others name both kinds of ICMP alike.
    six = (parse_addresses(parsed["src_ip"].values).kind == IPV6) & (protocols == ICMP)
    protocols = np.where(six, ICMPV6, protocols)
    parsed["protocol"] = Parsed(protocols, parsed["protocol"].status)
    for field in ("src_port", "dst_port"):
        parsed[field] = _ports(raw, field, protocols, rows)
    for field, largest in _LARGEST.items():
        if field in raw:
            flags_as_text = field == "tcp_flags" and _is_text(raw[field])
            parsed[field] = (
                _by_distinct_value(raw[field], flags_number) if flags_as_text else parse_numbers(raw[field], largest)
            )
    for field in ("label", "tool"):
        if field in raw:
            parsed[field] = _labels(raw[field])
    return parsed


def _collect_rejects(
    raw: Mapping[str, pa.Array], first_bad: np.ndarray, parsed: Mapping[str, Parsed], rows: np.ndarray, file: str
) -> pa.Table:
    """One reject for each row with a bad field, the first bad one in the order of the schema."""
    names = FLOW_SCHEMA.names
    bad_rows = np.flatnonzero(first_bad)
    fields = [names[index - 1] for index in first_bad[bad_rows]]
    values = [
        raw[field][int(row)].as_py() if field in raw else None for field, row in zip(fields, bad_rows, strict=True)
    ]
    reasons = [
        "missing" if parsed[field].status[row] == MISSING else _REASONS.get(field, "not a number in range")
        for field, row in zip(fields, bad_rows, strict=True)
    ]
    return rejects_table(file, rows[bad_rows], fields, values, reasons)


def _to_column(field: pa.Field, parsed: Parsed, keep: np.ndarray) -> pa.Array:
    if isinstance(parsed.values, pa.Array):
        return parsed.values.filter(pa.array(keep)) if not keep.all() else parsed.values
    numbers = parsed.values
    if field.name == "tcp_flags":
        # The ninth flag (NS, historic by RFC 8311) does not fit and tells no tool apart.
        numbers = numbers & 0xFF
    absent = None if not field.nullable else parsed.status[keep] == MISSING
    return pa.array(numbers[keep], field.type, mask=absent, from_pandas=False)


def validate(raw: Mapping[str, pa.Array], rows: np.ndarray, file: str, sensors: SensorNames) -> Chunk:
    """Turns raw columns (one per field, any type, n rows each) into a chunk of flow records.

    `rows` (n,) are the numbers that a reject of `file` is reported under. A row is rejected for the first of its
    fields that is not valid: a required one that is missing or, of any field, a value that does not parse.
    """
    count = len(rows)
    parsed = _parse_fields(raw, count, sensors)
    first_bad = np.zeros(count, dtype=np.uint8)
    for index, name in reversed(list(enumerate(FLOW_SCHEMA.names, start=1))):
        if name in parsed:
            status = parsed[name].status
            bad = (status != VALID) if name in REQUIRED_FIELDS else (status == INVALID)
            first_bad[bad] = index
    keep = first_bad == 0
    rejects = REJECTS_SCHEMA.empty_table()
    if not keep.all():
        rejects = _collect_rejects(raw, first_bad, parsed, rows, file)
    schema = flow_schema(set(parsed))
    columns = [_to_column(field, parsed[field.name], keep) for field in schema]
    return Chunk(pa.RecordBatch.from_arrays(columns, schema=schema), rejects)
