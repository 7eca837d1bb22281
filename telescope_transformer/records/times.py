"""Timestamps of any common form to microseconds since 1970 in UTC.

A number is an epoch time whose unit follows from its size: seconds below 1e11, milliseconds below 1e14, microseconds
below 1e17, nanoseconds above. A second count reaches 1e11 in the year 5138, and the finer units pass their lower
bounds in 1973, so telescope data are never ambiguous, and the rule needs no look at the other rows.
Text may also be an ISO 8601 date and time (or with slashes, as Argus writes it); without an offset it is UTC.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from telescope_transformer.records.text import INVALID, MISSING, VALID, digits_at, text_view, trim

_MILLIS_FROM, _MICROS_FROM, _NANOS_FROM = 10**11, 10**14, 10**17
_MALFORMED_TIME = 10**15
# The last microsecond of the year 9999: beyond it Python's and DuckDB's dates end.
_LAST = 253_402_300_799_999_999


@njit(cache=True, nogil=True)
def _days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a Gregorian date (H. Hinnant, "chrono-compatible low-level date algorithms")."""
    if month <= 2:
        year -= 1
    era = year // 400
    year_of_era = year - era * 400
    shifted = month - 3 if month > 2 else month + 9
    day_of_year = (153 * shifted + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146097 + day_of_era - 719468


@njit(cache=True, nogil=True)
def _fraction(data: np.ndarray, start: int, stop: int, scale: int) -> tuple[int, int]:
    """The decimal fraction at `start` in units of 10**-scale, cut off, and where it ends."""
    value = 0
    kept = 0
    while start < stop and 48 <= data[start] <= 57:
        if kept < scale:
            value = value * 10 + (data[start] - 48)
            kept += 1
        start += 1
    while kept < scale:
        value *= 10
        kept += 1
    return value, start


@njit(cache=True, nogil=True)
def _epoch(whole: int, data: np.ndarray, start: int, stop: int) -> int:
    """Microseconds of the epoch number `whole` followed by an optional fraction; -1 if what follows is not one."""
    if whole < _MILLIS_FROM:
        factor, scale, divisor = 1_000_000, 6, 1
    elif whole < _MICROS_FROM:
        factor, scale, divisor = 1_000, 3, 1
    elif whole < _NANOS_FROM:
        factor, scale, divisor = 1, 0, 1
    else:
        factor, scale, divisor = 1, 0, 1_000
    part = 0
    if start < stop:
        if data[start] != 46:
            return -1
        part, start = _fraction(data, start + 1, stop, scale)
        if start != stop:
            return -1
    return whole * factor // divisor + part


@njit(cache=True, nogil=True)
def _offset_seconds(data: np.ndarray, start: int, stop: int) -> tuple[int, bool]:
    """Seconds east of UTC of `Z`, `+02`, `+0200` or `+02:00`; nothing means UTC."""
    while start < stop and data[start] == 32:
        start += 1
    if start == stop:
        return 0, True
    if stop - start == 1 and (data[start] | 32) == 122:
        return 0, True
    if data[start] != 43 and data[start] != 45:
        return 0, False
    sign = 1 if data[start] == 43 else -1
    hours, count = digits_at(data, start + 1, stop, 2)
    if count != 2 or hours > 23:
        return 0, False
    start += 3
    if start == stop:
        return sign * hours * 3600, True
    if data[start] == 58:
        start += 1
    minutes, count = digits_at(data, start, stop, 2)
    if count != 2 or minutes > 59 or start + 2 != stop:
        return 0, False
    return sign * (hours * 3600 + minutes * 60), True


@njit(cache=True, nogil=True)
def _time_of_day(data: np.ndarray, start: int, stop: int) -> int:
    """Microseconds after midnight UTC (less the offset) of `HH:MM[:SS[.f]][offset]`; _MALFORMED_TIME if malformed."""
    hours, count = digits_at(data, start, stop, 2)
    if count != 2 or hours > 23 or start + 2 >= stop or data[start + 2] != 58:
        return _MALFORMED_TIME
    minutes, count = digits_at(data, start + 3, stop, 2)
    if count != 2 or minutes > 59:
        return _MALFORMED_TIME
    start += 5
    seconds = 0
    part = 0
    if start < stop and data[start] == 58:
        seconds, count = digits_at(data, start + 1, stop, 2)
        if count != 2 or seconds > 60:
            return _MALFORMED_TIME
        start += 3
        if start < stop and (data[start] == 46 or data[start] == 44):
            part, start = _fraction(data, start + 1, stop, 6)
    east, valid = _offset_seconds(data, start, stop)
    if not valid:
        return _MALFORMED_TIME
    return (hours * 3600 + minutes * 60 + seconds - east) * 1_000_000 + part


@njit(cache=True, nogil=True)
def _calendar(year: int, data: np.ndarray, start: int, stop: int) -> int:
    """Microseconds of the date whose year was read and whose first separator is at `start`; -1 if malformed."""
    separator = data[start]
    month, count = digits_at(data, start + 1, stop, 2)
    start += 1 + count
    if count == 0 or month < 1 or month > 12 or start >= stop or data[start] != separator:
        return -1
    day, count = digits_at(data, start + 1, stop, 2)
    start += 1 + count
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 30 + ((month + month // 8) % 2) if month != 2 else (29 if leap else 28)
    if count == 0 or day < 1 or day > longest:
        return -1
    midnight = _days_from_civil(year, month, day) * 86_400_000_000
    if start == stop:
        return midnight
    if data[start] != 32 and (data[start] | 32) != 116:
        return -1
    while start < stop and (data[start] == 32 or (data[start] | 32) == 116):
        start += 1
    within = _time_of_day(data, start, stop)
    return -1 if within == _MALFORMED_TIME else midnight + within


@njit(cache=True, nogil=True)
def _times(data: np.ndarray, offsets: np.ndarray, values: np.ndarray, status: np.ndarray) -> None:
    for row in range(len(offsets) - 1):
        start, stop = trim(data, offsets[row], offsets[row + 1])
        if start == stop:
            continue
        status[row] = INVALID
        whole, count = digits_at(data, start, stop, 19)
        if count == 0 or (count == 19 and whole < 0):
            continue
        after = start + count
        if count == 4 and after < stop and (data[after] == 45 or data[after] == 47):
            micros = _calendar(whole, data, after, stop)
        else:
            micros = _epoch(whole, data, after, stop)
        if 0 <= micros <= _LAST:
            values[row] = micros
            status[row] = VALID


def _from_numbers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epoch numbers (n,), integer or float, to int64 microseconds and validity, by the rule of the module."""
    size = np.nan_to_num(values.astype(np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
    exact = values.astype(np.int64) if values.dtype.kind in "iu" else None
    micros = np.select(
        [size < _MILLIS_FROM, size < _MICROS_FROM, size < _NANOS_FROM],
        [size * 1e6, size * 1e3, size],
        default=size / 1e3,
    )
    result = np.round(np.clip(micros, -1.0, float(_LAST))).astype(np.int64)
    if exact is not None:
        # Above 2**53 a float no longer holds every integer, so whole numbers are scaled as such.
        factor = np.where(size < _MILLIS_FROM, 1_000_000, np.where(size < _MICROS_FROM, 1_000, 1))
        bounded = np.where(size >= 0, exact, -1)
        result = np.where(size < _NANOS_FROM, bounded * factor, bounded // 1_000)
    return result, (size >= 0) & (result >= 0) & (result <= _LAST)


def parse_times(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Timestamps of any Arrow type to int64 microseconds UTC (n,) and a status (n,): MISSING, VALID or INVALID.

    Text, integers, floats and decimals follow the rule of the module; Arrow timestamps carry their own unit and zone.
    """
    kind = values.type
    present = np.asarray(values.is_valid())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micros = values.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        numbers = micros.fill_null(0).to_numpy(zero_copy_only=False)
        valid = (numbers >= 0) & (numbers <= _LAST)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers, valid = _from_numbers(values.fill_null(0).to_numpy(zero_copy_only=False))
    else:
        text = text_view(values.cast(pa.string()) if pa.types.is_decimal(kind) else values)
        numbers = np.zeros(len(values), dtype=np.int64)
        status = np.zeros(len(values), dtype=np.uint8)
        _times(text.data, text.offsets, numbers, status)
        return numbers, status
    status = np.where(present, np.where(valid, VALID, INVALID), MISSING).astype(np.uint8)
    return np.where(status == VALID, numbers, 0), status
