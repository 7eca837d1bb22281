"""The fields of flow records as numbers; missing or invalid values become `MISSING`.

A destination is four octets: those of its IPv4 address, or of its IPv6 address folded to 32 bits. The first octet of
the fold is 240 plus 4 hashed bits of the /32. The other octets are 8 hashed bits each of the /48, of the /64 and of
the whole address. The hash is the finaliser of SplitMix64. Addresses of one prefix share leading octets, as in IPv4.
240.0.0.0/4 is reserved (RFC 1112), so a folded address never equals a public IPv4 address. The fold cannot be
inverted.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

import numpy as np

from .configuration_telescope import FIELD_SIZES

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError:  # Not needed for records that are dictionaries.
    pa = None

MISSING = -1
# For ICMP and ICMPv6, the source port is the ICMP type. Readers write this number if the type is unknown.
ICMP_PROTOCOLS = (1, 58)
UNKNOWN_ICMP_TYPE = 65_535
# 64-bit arithmetic, and the increment of SplitMix64 (see `_mix`).
_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15
# Names (IANA) of the protocols of nearly all telescope traffic.
PROTOCOL_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "ipv6-icmp": 58, "sctp": 132}


def column_of(field: str) -> str:
    """The column of a record that a field is read from: the four octets come from `dst_ip`."""
    return "dst_ip" if field.startswith("dst_octet_") else field


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT, or the NA of pandas."""
    if value is None:
        return True
    try:
        # Only NaN and NaT differ from themselves.
        return bool(value != value)
    except (TypeError, ValueError, RuntimeError):
        # NA of pandas is neither true nor false, and neither are arrays and tensors, which are refused elsewhere.
        return type(value).__name__ == "NAType"


def fold_address(address: Any) -> int | None:
    """An address as an unsigned 32-bit number, or None if it is not an address.

    Args:
        address: IPv4 or IPv6 text, an address of `ipaddress`, or a number that is already folded (an IPv4 address is
            its own fold), also as an array or tensor without axes; None and NaN are missing.

    Raises:
        TypeError: if it has another type.
    """
    if isinstance(address, (str, ipaddress.IPv4Address, ipaddress.IPv6Address)):
        text = str(address).strip()
        if not text.isdecimal():
            return _fold_text(text)
        address = int(text)
    if is_missing(address):
        return None
    if getattr(address, "shape", None) == ():
        address = address.item()
    if not isinstance(address, (int, float)):
        raise TypeError(f"dst_ip must be text, a number or an address of ipaddress, not {address!r}")
    return int(address) if 0 <= address <= 0xFFFFFFFF else None


def _fold_text(text: str) -> int | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if parsed.version == 6:
        parsed = parsed.ipv4_mapped or parsed
    if parsed.version == 4:
        return int(parsed)
    high, low = int(parsed) >> 64, int(parsed) & _MASK
    per_32 = _mix((high >> 32) + _GOLDEN) >> 60
    per_48 = _mix((high >> 16) + 2 * _GOLDEN) >> 56
    per_64 = _mix(high + 3 * _GOLDEN)
    per_128 = _mix(low ^ per_64) >> 56
    return (240 | per_32) << 24 | per_48 << 16 | (per_64 >> 56) << 8 | per_128


def field_value(record: Mapping[str, Any], field: str) -> int:
    """Value of a field of one record, or `MISSING`."""
    if column_of(field) == "dst_ip":
        folded = fold_address(record.get("dst_ip"))
        return MISSING if folded is None else folded >> (8 * (4 - int(field[-1]))) & 255
    return number_of(record.get(field), field)


def number_of(value: Any, field: str) -> int:
    """A value of a field other than the destination as a number, or `MISSING`.

    Args:
        value: a number, digits, or the name of a protocol; None and NaN are missing.
        field: a name of `FIELD_SIZES`.

    Raises:
        ValueError: if `value` is neither missing nor one of these; the message names the field and the value.
    """
    names = PROTOCOL_NUMBERS if field == "protocol" else {}
    if isinstance(value, str):
        text = value.strip().lower()
        # `int` would also read signs and underscores.
        number = names.get(text, int(text) if text.isdecimal() else None)
    elif is_missing(value):
        return MISSING
    else:
        try:
            number = int(value)
        except OverflowError:
            # Infinity is out of range, like any other number that is too large.
            return MISSING
        except (TypeError, ValueError, RuntimeError):
            number = None
    if number is None:
        or_names = f", or one of {', '.join(names)}" if names else ""
        raise ValueError(f"{field} must be a number{or_names}, not {value!r}")
    return number if 0 <= number < FIELD_SIZES[field] else MISSING


# Types of columns whose values are numbers.
NUMERIC = () if pa is None else (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)


def column_numbers(column: "pa.Array | pa.ChunkedArray", field: str) -> "pa.Array | pa.ChunkedArray":
    """Convert an Arrow column (n,) to numbers. It may be text, such as addresses or "tcp"; invalid addresses become
    null.

    All octets come from one column of folded addresses, so a caller that reads several octets converts it only once.

    Raises:
        TypeError: if the column holds neither numbers nor text.
        ValueError: if a text is not a value of the field.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _folded(column) if column_of(field) == "dst_ip" else _parsed(column, field)
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.int64())
    if not any(is_kind(kind) for is_kind in NUMERIC):
        raise TypeError(f"{column_of(field)} must be a column of numbers or text, not of {kind}")
    return column


def column_values(column: "pa.Array | pa.ChunkedArray", field: str) -> np.ndarray:
    """Values of a field (n,) from a column of numbers, with `MISSING` for nulls and values out of range.

    Args:
        column: (n,) integers; for an octet, folded addresses.
        field: name of the field.
    """
    octet = column_of(field) == "dst_ip"
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    complete = whole.null_count == 0
    values = (whole if complete else whole.fill_null(0)).to_numpy(zero_copy_only=False)
    size = FIELD_SIZES[field]
    limit = 1 << 32 if octet else size
    fits = values.dtype.kind == "u" and np.iinfo(values.dtype).max < limit
    known = None if complete else np.asarray(whole.is_valid())
    if not fits:
        inside = (values >= 0) & (values < limit)
        known = inside if known is None else known & inside
        # NaN and infinity cannot be converted to whole numbers.
        values = np.where(inside, values, 0)
    if octet:
        # An octet of a column of 32-bit numbers is a view of its bytes with a stride of four.
        octets = np.ascontiguousarray(values.astype("<u4", copy=False)).view(np.uint8)
        values = octets[4 - int(field[-1]) :: 4]
    return values if known is None or known.all() else np.where(known, values.astype(np.int64), MISSING)


def _folded(column: "pa.Array | pa.ChunkedArray") -> "pa.Array | pa.ChunkedArray":
    """Convert addresses from text to uint32, parsing each distinct text once; null for text that is not an address."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    folds = pa.array([fold_address(text) for text in encoded.dictionary.to_pylist()], pa.uint32())
    return pc.take(folds, encoded.indices)


def _parsed(column: "pa.Array | pa.ChunkedArray", field: str) -> "pa.Array":
    """Convert numbers and protocol names from text to int64, parsing each distinct text once."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    numbers = pa.array([number_of(text, field) for text in encoded.dictionary.to_pylist()], pa.int64())
    return pc.take(numbers, encoded.indices)


def flatten_windows(windows: "pa.Table") -> tuple[np.ndarray, "pa.Table"]:
    """Offsets (windows + 1,) int64, and the list columns of a table of windows as one flat table of records."""
    lists = [name for name in windows.column_names if pa.types.is_list(windows.schema.field(name).type)]
    columns = {name: windows[name].combine_chunks() for name in lists}
    sizes = pc.list_value_length(columns["timestamp"]).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    flat = {name: column.flatten() for name, column in columns.items()}
    if "protocol" in flat and "src_port" in flat:
        flat["src_port"] = _known_icmp_types(flat["src_port"], flat["protocol"])
    return offsets, pa.table(flat)


def _known_icmp_types(src_ports: "pa.Array", protocols: "pa.Array") -> "pa.Array":
    """Source ports (n,) with 0 for unknown ICMP types, as in the training of the shipped model."""
    icmp = pc.is_in(protocols, pa.array(ICMP_PROTOCOLS, protocols.type))
    unknown = pc.and_(icmp, pc.equal(src_ports, pa.scalar(UNKNOWN_ICMP_TYPE, src_ports.type)))
    return pc.if_else(unknown, pa.scalar(0, src_ports.type), src_ports)
