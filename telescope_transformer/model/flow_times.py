"""The times of flow records as seconds since the previous record."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .flow_fields import is_missing

try:
    import pyarrow as pa
except ImportError:  # Not needed for records that are dictionaries.
    pa = None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        whole = int(timestamp)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"a timestamp must be whole microseconds or a datetime, not {timestamp!r}") from error
    # Times have 64 bits.
    if not -(2**63) <= whole < 2**63:
        raise ValueError(f"a timestamp must be microseconds since 1970, and {timestamp!r} is too large")
    return whole


def seconds_of_records(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Inter-arrival times (n,) float32 in seconds, from the field `inter_arrival` or from timestamps.

    Raises:
        ValueError: if a record has neither, the timestamps are not in order, or an inter-arrival time is negative or
            not a finite number.
    """
    if records and all("inter_arrival" in record for record in records):
        given = [record["inter_arrival"] for record in records]
        return _checked(np.array([np.nan if is_missing(value) else value for value in given]))
    missing = next((row for row, record in enumerate(records) if is_missing(record.get("timestamp"))), None)
    if missing is not None:
        raise ValueError(f"record {missing} has neither a timestamp nor, with all others, an inter_arrival")
    times = np.array([microseconds(record["timestamp"]) for record in records], dtype=np.int64)
    return seconds_between(times, np.array([0, len(times)]))


def seconds_of_table(table: "pa.Table") -> np.ndarray:
    """`seconds_of_records` of a table of n records."""
    if "inter_arrival" in table.column_names:
        return _checked(table["inter_arrival"].to_numpy())
    if "timestamp" not in table.column_names:
        raise ValueError(f"records have neither timestamp nor inter_arrival, only {table.column_names}")
    return seconds_between(_table_microseconds(table).to_numpy(), np.array([0, table.num_rows]))


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


def _checked(given: np.ndarray) -> np.ndarray:
    """Inter-arrival times as float32 (n,). Negative ones are refused, since their embedding would be NaN."""
    try:
        if given.dtype.kind in "mM":
            raise TypeError(f"found {given.dtype}")
        numbers = given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"inter_arrival must be a number of seconds since the previous record: {error}") from error
    with np.errstate(over="ignore"):
        seconds: np.ndarray = numbers.astype(np.float32)
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
