"""Convert flow records of any form to columns of numbers, one per field; missing or invalid values become `MISSING`.

A destination is four octets: those of its IPv4 address, or of its IPv6 address folded to 32 bits. The first octet of
the fold is 240 plus 4 hashed bits of the /32. The other octets are 8 hashed bits each of the /48, of the /64 and of
the whole address. The hash is the finaliser of SplitMix64. Addresses of one prefix share leading octets, as in IPv4.
240.0.0.0/4 is reserved (RFC 1112), so a folded address never equals a public IPv4 address. The fold cannot be
inverted.
"""

import difflib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Names (IANA) of the protocols of nearly all telescope traffic.
PROTOCOL_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "ipv6-icmp": 58, "sctp": 132}
# Names that a tokenizer reads.
RECORD_NAMES = {*FIELD_SIZES, "dst_ip", "timestamp", "inter_arrival"}
# Names with at least this difflib ratio count as misspelt: "dport" and "dst_port" have 0.77, "dst" and "dst_ip" 0.67,
# but "src_asn" and "src_port" 0.53.
ALIKE = 0.6
# Common names of the destination, which are not like "dst_ip". "dst_adress" has 0.95 with one of them, but "duration"
# 0.63 with "destination".
DESTINATION_NAMES = ("daddr", "dst_addr", "dst_address", "dest_addr", "destination", "destination_ip")
ALIKE_DESTINATION = 0.8


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def fold_address(address: Any) -> int | None:
    """An address as an unsigned 32-bit number, or None if it is not an address.

    Args:
        address: IPv4 or IPv6 text, an address of `ipaddress`, or a number that is already folded (an IPv4 address is
            its own fold); None and NaN are missing.

    Raises:
        TypeError: if it has another type.
    """
    if isinstance(address, (str, ipaddress.IPv4Address, ipaddress.IPv6Address)):
        text = str(address).strip()
        if not text.isdecimal():
            return _fold_text(text)
        address = int(text)
    # Only NaN differs from itself.
    if address is None or address != address:
        return None
    if not isinstance(address, (int, float, np.number)):
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
    if field.startswith("dst_octet_"):
        folded = fold_address(record.get("dst_ip"))
        return MISSING if folded is None else folded >> (8 * (4 - int(field[-1]))) & 255
    return number_of(record.get(field), field)


def number_of(value: Any, field: str) -> int:
    """A value of a field other than the destination as a number, or `MISSING`.

    Args:
        value: a number, digits, or the name of a protocol; None and NaN are missing.
        field: a name of `FIELD_SIZES`.

    Raises:
        ValueError: if `value` is text but neither digits nor the name of a protocol.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if field == "protocol" and text in PROTOCOL_NUMBERS:
            value = PROTOCOL_NUMBERS[text]
        elif not text.isdecimal():
            names = f", or one of {', '.join(PROTOCOL_NUMBERS)}" if field == "protocol" else ""
            raise ValueError(f"{field} must be a number{names}, not {value!r}")
    # Only NaN differs from itself.
    return int(value) if value is not None and value == value and 0 <= int(value) < FIELD_SIZES[field] else MISSING


def check_names(sequence: Any, fields: Sequence[str]) -> None:
    """Refuse a sequence that lacks a field and has another name that looks like a misspelling of it.

    Args:
        sequence: a list of records, a dictionary of columns, or an Arrow table.
        fields: the fields of a token.

    Raises:
        TypeError: if `sequence` has another type.
        ValueError: names the missing field and the likely misspelling.
    """
    if hasattr(sequence, "column_names"):
        names = set(sequence.column_names)
    elif isinstance(sequence, Mapping):
        names = set(sequence)
    else:
        names = {name for record in _records(sequence) for name in record}
    wanted = {"dst_ip" if name.startswith("dst_octet_") else name for name in fields}
    if names.isdisjoint(("timestamp", "inter_arrival")):
        wanted.add("timestamp")
    # Other fields of a flow record, which this model does not read, are not misspellings.
    odd = sorted(str(name) for name in names - wanted - {*FIELD_SIZES, "src_ip", "timestamp", "inter_arrival"})
    for name in odd if wanted - names else ():
        found = difflib.get_close_matches(name, wanted - names, n=1, cutoff=ALIKE)
        if not found and "dst_ip" in wanted - names:
            near = difflib.get_close_matches(name, DESTINATION_NAMES, n=1, cutoff=ALIKE_DESTINATION)
            found = ["dst_ip"] if near else []
        if found:
            raise ValueError(f"records have a field {name!r} and none called {found[0]!r}: rename it")


def _records(sequence: Any) -> Iterator[Mapping[str, Any]]:
    """The records of a list of records."""
    for record in sequence if isinstance(sequence, Iterable) else [sequence]:
        if not isinstance(record, Mapping):
            raise TypeError(f"a record must be a dictionary from field to value, not {type(record).__name__}")
        yield record


def as_sequences(records: Any) -> Any:
    """One sequence or several, in a form that can be read more than once.

    Returns:
        A list, a dictionary of columns or an Arrow table. Generators, arrays and datasets become lists, and tables
        with a row per sequence (as `datasets` returns the rows of a prepared dataset) lists of dictionaries of
        columns.

    Raises:
        TypeError: if `records` cannot be a sequence.
    """
    records = as_table(records)
    if _is_arrow(records):
        return records.to_pylist() if any(map(_is_list, records.schema.types)) else records
    if isinstance(records, Mapping):
        return records_of(records) if any(_is_nested(values) for values in records.values()) else records
    if isinstance(records, (str, list, tuple)):
        return records
    if isinstance(records, Iterable):
        return list(records)
    # The datasets of PyTorch define no iterator.
    if hasattr(records, "__len__") and hasattr(records, "__getitem__"):
        return [records[place] for place in range(len(records))]
    raise TypeError(f"records must be a sequence of records or several, not {type(records).__name__}")


def as_table(sequence: Any) -> Any:
    """A data frame as an Arrow table; other sequences are returned unchanged."""
    return pa.table(sequence) if _is_frame(sequence) else sequence


def _is_frame(sequence: Any) -> bool:
    """Whether this is a data frame: it exports Arrow data and has columns, but is not an Arrow table."""
    has_columns = hasattr(sequence, "columns") or hasattr(sequence, "schema")
    return hasattr(sequence, "__arrow_c_stream__") and has_columns and not hasattr(sequence, "column_names")


def _is_arrow(records: Any) -> bool:
    """Whether this is an Arrow table; the datasets of `datasets` have column names, too, but no schema."""
    return hasattr(records, "column_names") and hasattr(records, "schema")


def _is_list(kind: "pa.DataType") -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_nested(values: Any) -> bool:
    """Whether a column has a list for each row."""
    return isinstance(values, (list, tuple)) and len(values) > 0 and isinstance(values[0], (list, np.ndarray))


def microseconds(timestamp: "int | datetime | np.datetime64") -> int:
    """A time as microseconds since 1970 in UTC; a `datetime` without a zone is UTC.

    Raises:
        ValueError: if it is neither a time nor a number.
    """
    if isinstance(timestamp, np.datetime64):
        return int(timestamp.astype("datetime64[us]").astype(np.int64))
    if isinstance(timestamp, datetime):
        since = (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)) - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    # `time.time()` is seconds with a fraction. Read as microseconds, it would give wrong inter-arrival times.
    if isinstance(timestamp, (float, np.floating)) and float(timestamp) % 1:
        raise ValueError(f"a timestamp must be whole microseconds or a datetime, not {timestamp!r}")
    try:
        return int(timestamp)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a timestamp must be whole microseconds or a datetime, not {timestamp!r}") from error


def is_single(value: Any) -> bool:
    """Whether this is one value and not a column; arrays and tensors without axes are single values."""
    return isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or getattr(value, "shape", None) == ()


def records_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """A dictionary of columns as a list of records. Single values of names that are no fields are left out.

    Raises:
        TypeError: if a field has a single value, or there is no column.
        ValueError: if the columns differ in length.
    """
    single = {name: values for name, values in columns.items() if is_single(values)}
    for name, value in single.items():
        # The rows of a prepared dataset also have the source and the number of records of the window.
        if name in RECORD_NAMES or len(single) == len(columns):
            raise TypeError(f"{name} is one value, {value!r}, not a column of values: put a record into a list")
    columns = {name: values for name, values in columns.items() if name not in single}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of one sequence must have one length, not {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def column_numbers(column: "pa.Array | pa.ChunkedArray", field: str) -> "pa.Array | pa.ChunkedArray":
    """Convert an Arrow column (n,) to numbers. It may be text, such as addresses or "tcp"; invalid addresses become
    null.

    All octets come from one column of folded addresses, so a caller that reads several octets converts it only once.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _folded(column) if field.startswith("dst_octet_") else _parsed(column, field)
    return column


def column_values(column: "pa.Array | pa.ChunkedArray", field: str) -> np.ndarray:
    """Values of a field (n,) from a column of numbers, with `MISSING` for nulls and values out of range.

    Args:
        column: (n,) integers; for an octet, folded addresses.
        field: name of the field.
    """
    octet = field.startswith("dst_octet_")
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


def is_sequence(records: Any) -> bool:
    """Whether `records` is one sequence of flow records, not a list of sequences."""
    if isinstance(records, Mapping) or _is_arrow(records) or _is_frame(records):
        return True
    first = next(iter(records), None)
    return isinstance(first, Mapping) and not any(isinstance(value, (list, np.ndarray)) for value in first.values())


def seconds_of_records(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Inter-arrival times (n,) float32 in seconds, from the field `inter_arrival` or from timestamps.

    Raises:
        ValueError: if a record has neither, the timestamps are not in order, or an inter-arrival time is negative or
            not a finite number.
    """
    if records and all("inter_arrival" in record for record in records):
        given = [record["inter_arrival"] for record in records]
        return _checked(np.array([np.nan if value is None else value for value in given], dtype=np.float32))
    missing = next((row for row, record in enumerate(records) if _is_missing(record.get("timestamp"))), None)
    if missing is not None:
        raise ValueError(f"record {missing} has neither a timestamp nor, with all others, an inter_arrival")
    times = np.array([microseconds(record["timestamp"]) for record in records], dtype=np.int64)
    return seconds_between(times, np.array([0, len(times)]))


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or NaT; the last two differ from themselves."""
    return value is None or bool(value != value)


def seconds_of_table(table: "pa.Table") -> np.ndarray:
    """`seconds_of_records` of a table of n records."""
    if "inter_arrival" in table.column_names:
        return _checked(table["inter_arrival"].to_numpy().astype(np.float32))
    if "timestamp" not in table.column_names:
        raise ValueError(f"records have neither timestamp nor inter_arrival, only {table.column_names}")
    return seconds_between(_table_microseconds(table).to_numpy(), np.array([0, table.num_rows]))


def _checked(seconds: np.ndarray) -> np.ndarray:
    """Refuse inter-arrival times that are negative or not finite, because their embedding would be NaN."""
    wrong = ~(np.isfinite(seconds) & (seconds >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"record {row} has the inter_arrival {seconds[row]}: it must be a number of at least 0 seconds"
        )
    return seconds


def _table_microseconds(table: "pa.Table") -> "pa.ChunkedArray":
    times = table["timestamp"]
    if times.null_count:
        raise ValueError(f"record {times.to_pylist().index(None)} has no timestamp")
    if pa.types.is_timestamp(times.type):
        # Nanoseconds are cut off, as they are from a `datetime`.
        return times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    try:
        return times.cast(pa.int64())
    except pa.ArrowException as error:
        raise ValueError(f"timestamps must be whole microseconds or times: {error}") from error


def seconds_between(timestamps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Seconds since the previous record, float32 (n,), 0 for the first of each sequence.

    Args:
        timestamps: (n,) int64 microseconds.
        offsets: (sequences + 1,) first record of each sequence, and n.

    Raises:
        ValueError: names the first record that is earlier than its predecessor.
    """
    differences = np.diff(timestamps, prepend=timestamps[:1])
    differences[offsets[:-1][offsets[:-1] < len(timestamps)]] = 0
    if len(differences) and differences.min() < 0:
        row = int(np.argmax(differences < 0))
        sequence = int(np.searchsorted(offsets, row, side="right")) - 1
        raise ValueError(
            f"record {row - int(offsets[sequence])} of sequence {sequence} is {-int(differences[row])} us earlier "
            "than the record before it: records must be in time order"
        )
    return (differences / 1e6).astype(np.float32)


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
