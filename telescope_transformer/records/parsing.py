"""Turns columns of any Arrow type into values of a field, each with a status; nothing here raises on a value."""

import re
from collections.abc import Callable
from decimal import Decimal
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.addresses import (
    EMPTY,
    IPV4,
    IPV6,
    MALFORMED,
    Addresses,
    format_addresses,
    parse_addresses,
)
from telescope_transformer.records.nulls import is_null
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.sensors import SensorNames, is_sensor_name
from telescope_transformer.records.text_columns import INVALID, MISSING, VALID, parse_integers, text_view

_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3}){1,5}")
_SCIENTIFIC = re.compile(r"\d(?:\.(\d{1,20}))?[eE]\+?(\d{1,2})")


class Parsed(NamedTuple):
    """One field of n rows: its values (NumPy or Arrow) and the status of each, as in `text_columns.py`."""

    values: np.ndarray | pa.Array
    status: np.ndarray


def is_text_type(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are text or bytes."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def distinct_texts(values: pa.Array) -> tuple[list[str], np.ndarray]:
    """The distinct texts of a column, stripped of blanks (a null is ""), and each row's index into them (n,)."""
    if not is_text_type(values.type):
        values = values.cast(pa.string())
    encoded = values.cast(pa.binary()).fill_null(b"").dictionary_encode()
    texts = [text.decode("utf-8", "replace").strip() for text in encoded.dictionary.to_pylist()]
    return texts, encoded.indices.to_numpy(zero_copy_only=False)


class OddTexts(NamedTuple):
    """The texts in some rows of a column: the numbers of these rows, and what `distinct_texts` gives for them."""

    rows: np.ndarray
    texts: list[str]
    codes: np.ndarray


def odd_texts(values: pa.Array, are_odd: np.ndarray) -> OddTexts:
    """The texts of a column that a fast parser could not read (bool, n); none if the column is not text."""
    rows = np.flatnonzero(are_odd)
    if not len(rows) or not is_text_type(values.type):
        return OddTexts(rows[:0], [], rows[:0])
    return OddTexts(rows, *distinct_texts(values.take(pa.array(rows))))


def mark_nulls(values: pa.Array, status: np.ndarray) -> None:
    """Turns INVALID into MISSING, in place, where the text means a missing value."""
    odd = odd_texts(values, status == INVALID)
    void = np.array([is_null(text) for text in odd.texts], dtype=bool)
    status[odd.rows[void[odd.codes]]] = MISSING


def parse_numbers(values: pa.Array, largest: int) -> Parsed:
    """Non-negative integers up to `largest` from a column of text, integers or floats."""
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        valid = (numbers >= 0) & (numbers <= largest)
        absent = ~np.asarray(values.is_valid())
    elif pa.types.is_floating(values.type):
        numbers = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
        absent = np.isnan(numbers)
        valid = ~absent & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers <= largest)
    else:
        numbers, status = parse_integers(text_view(values))
        _read_other_numbers(values, numbers, status)
        status[(status == VALID) & (numbers > largest)] = INVALID
        mark_nulls(values, status)
        return Parsed(np.where(status == VALID, numbers, 0), status)
    status = np.where(absent, MISSING, np.where(valid, VALID, INVALID)).astype(np.uint8)
    return Parsed(np.where(status == VALID, numbers, 0).astype(np.int64), status)


def _plain_number(text: str) -> str | None:
    """A number written as `40,000` (by Kibana) or `4.0e+04` (by NumPy) as digits, None for other text."""
    if _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return format(Decimal(text), "f") if _SCIENTIFIC.fullmatch(text) else None


def _read_other_numbers(values: pa.Array, numbers: np.ndarray, status: np.ndarray) -> None:
    """Reads the numbers that `_plain_number` knows, in place."""
    odd = odd_texts(values, status == INVALID)
    plain = [_plain_number(text) for text in odd.texts]
    if any(plain):
        found, how = parse_integers(text_view(pa.array(plain, pa.string())))
        good = how[odd.codes] == VALID
        numbers[odd.rows[good]], status[odd.rows[good]] = found[odd.codes[good]], VALID


def parse_words(values: pa.Array, parse: Callable[[str], int | None]) -> Parsed:
    """Applies a Python `parse` (None means invalid) once to each distinct text of a column with few of them."""
    texts, codes = distinct_texts(values)
    parsed = [None if is_null(text) else parse(text.strip("\"'")) for text in texts]
    status = [
        VALID if number is not None else (MISSING if is_null(text) else INVALID)
        for text, number in zip(texts, parsed, strict=True)
    ]
    numbers = np.array([number or 0 for number in parsed], dtype=np.int64)
    return Parsed(numbers[codes], np.array(status, dtype=np.uint8)[codes])


def _packed_addresses(values: pa.Array) -> Addresses:
    """Reads addresses of 4 or 16 bytes in network order, as databases store them in columns of fixed-size binary."""
    rows, width = len(values), values.type.byte_width
    data = b"".join(value or bytes(width) for value in values.to_pylist())
    present = np.asarray(values.is_valid())
    high, low = np.zeros(rows, dtype=np.uint64), np.zeros(rows, dtype=np.uint64)
    if width == 4:
        low[:] = np.frombuffer(data, dtype=">u4")
        kind = np.where(present, IPV4, EMPTY)
    elif width == 16:
        halves = np.frombuffer(data, dtype=">u8").reshape(rows, 2)
        mapped = (halves[:, 0] == 0) & (halves[:, 1] >> np.uint64(32) == 0xFFFF)
        high[:] = halves[:, 0]
        low[:] = np.where(mapped, halves[:, 1] & np.uint64(0xFFFFFFFF), halves[:, 1])
        kind = np.where(present, np.where(mapped, IPV4, IPV6), EMPTY)
    else:
        kind = np.where(present, MALFORMED, EMPTY)
    return Addresses(high, low, kind.astype(np.uint8))


# These accept a host name before the address (as Java writes it) or after it in parentheses, and a port after it.
_NAMED_ADDRESS = re.compile(r"(?:[A-Za-z][\w.-]*)?/(?P<java>[0-9a-fA-F.:]+)|(?P<plain>[0-9a-fA-F.:]+) \([\w.-]+\)")
_WITH_PORT = re.compile(r"(?P<four>(?:\d{1,3}\.){3}\d{1,3}):\d{0,5}|\[(?P<six>[0-9a-fA-F:.]+)\]:\d{0,5}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{8}")
_LARGE_NUMBER = re.compile(r"-?\d{8,39}(?:\.0*)?")


def _plain_address(text: str) -> str | None:
    """The usual form of an address that is written with a name or a port, or as a large number; else None."""
    found = _NAMED_ADDRESS.fullmatch(text) or _WITH_PORT.fullmatch(text)
    if found:
        return found[1] or found[2]
    if _HEXADECIMAL.fullmatch(text):
        return str(IPv4Address(int(text, 16)))
    if not _LARGE_NUMBER.fullmatch(text):
        return None
    number = int(text.partition(".")[0])
    if number < 0:
        # Java and Spark have no unsigned type.
        number = number & 0xFFFFFFFF if number >= -(1 << 31) else -1
    # Numbers between the IPv4 addresses and the IPv6 addresses in use are times and identifiers.
    return str(ip_address(number)) if 0 <= number < 1 << 32 or 1 << 112 <= number < 1 << 128 else None


def _addresses(values: pa.Array) -> Addresses:
    if pa.types.is_int32(values.type):
        # Java and Spark have no unsigned type: addresses from 128.0.0.0 on are negative.
        values = pc.bit_wise_and(values.cast(pa.int64()), pa.scalar(0xFFFFFFFF, pa.int64()))
    if pa.types.is_fixed_size_binary(values.type):
        return _packed_addresses(values)
    addresses = parse_addresses(values)
    odd = odd_texts(values, addresses.kind == MALFORMED)
    plain = [_plain_address(text) for text in odd.texts]
    if any(plain):
        found = parse_addresses(pa.array(plain, pa.string()))
        good = np.isin(found.kind, (IPV4, IPV6))[odd.codes]
        for column, read in zip(addresses, found, strict=True):
            column[odd.rows[good]] = read[odd.codes][good]
    return addresses


def _parsed_addresses(values: pa.Array, addresses: Addresses) -> Parsed:
    status = np.select([addresses.kind == EMPTY, addresses.kind == MALFORMED], [MISSING, INVALID], VALID)
    status = status.astype(np.uint8)
    mark_nulls(values, status)
    return Parsed(format_addresses(addresses), status)


def parse_sources(values: pa.Array) -> Parsed:
    """Canonical text of addresses."""
    return _parsed_addresses(values, _addresses(values))


def parse_destinations(values: pa.Array, sensors: SensorNames, kept: np.ndarray) -> Parsed:
    """Canonical text of addresses; a sensor name is replaced by its pseudo-address.

    Args:
        values: the destinations of n rows.
        sensors: learns the names that stand in rows to keep.
        kept: whether a row is kept if it has a destination (bool, n).
    """
    addresses = _addresses(values)
    odd = odd_texts(values, addresses.kind == MALFORMED)
    named = np.array([is_sensor_name(text) for text in odd.texts], dtype=bool)
    numbers = np.zeros(len(odd.texts), dtype=np.uint64)
    for code in np.unique(odd.codes[kept[odd.rows]]).tolist():
        numbers[code] = sensors.number(odd.texts[code]) if named[code] else 0
    addresses.low[odd.rows] = numbers[odd.codes]
    addresses.kind[odd.rows] = np.where(named[odd.codes], IPV4, MALFORMED)
    return _parsed_addresses(values, addresses)


def parse_labels(values: pa.Array) -> Parsed:
    """Any plain value as text, with control characters escaped; text that means a missing value becomes null."""
    texts, codes = distinct_texts(values)
    labels = pa.array([None if is_null(text) else escaped(text) for text in texts], pa.string())
    labels = labels.take(pa.array(codes))
    return Parsed(labels, np.where(np.asarray(labels.is_valid()), VALID, MISSING).astype(np.uint8))
