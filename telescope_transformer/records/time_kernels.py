"""Compiled parsing of timestamps; `times.py` is their interface on Arrow columns."""

from enum import IntEnum

import numpy as np
from numba import njit

from telescope_transformer.fields import DAY
from telescope_transformer.records.text_columns import INVALID, VALID, digits_at, trim

MILLIS_FROM, MICROS_FROM, NANOS_FROM = 10**11, 10**14, 10**17
"""Epoch numbers from these values on are milliseconds, microseconds and nanoseconds; smaller numbers are seconds."""

LAST = 253_402_300_799_999_999
"""The last microsecond of the year 9999, where the dates of Python and DuckDB end."""

# Microseconds of more than 11,000 days, which no time of a day is.
_MALFORMED_TIME = 10**15


class NumberForm(IntEnum):
    """How a column writes times as numbers."""

    EPOCH = 0
    COMPACT = 1
    EXCEL = 2
    FILETIME = 3
    WEBKIT = 4
    TICKS = 5
    JULIAN = 6
    UNCLEAR = 7


# From 1601-01-01 and 0001-01-01 to 1970-01-01 in microseconds; from 1899-12-30 in days, and from noon on 4714-11-24 BC
# (Julian day 0) to 1970-01-01 in days and half a day.
_SINCE_1601, _SINCE_1 = 11_644_473_600_000_000, 62_135_596_800_000_000
_EXCEL_DAYS = 25_569
_JULIAN_DAYS, _HALF_DAY = 2_440_587, DAY // 2


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
def _days_in(year: int, month: int) -> int:
    """Days of a month in the Gregorian calendar."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        return 29 if leap else 28
    return 30 + (month + month // 8) % 2


@njit(cache=True, nogil=True)
def _fraction(data: np.ndarray, start: int, stop: int, scale: int) -> tuple[int, int]:
    """The decimal fraction at `start` in units of 10**-scale, truncated, and where it ends."""
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
def _rest(data: np.ndarray, start: int, stop: int, scale: int) -> int:
    """What follows a whole number, nothing or a point and a fraction, in units of 10**-scale; -1 for anything else."""
    if start == stop:
        return 0
    if data[start] != 46:
        return -1
    part, end = _fraction(data, start + 1, stop, scale)
    return part if end == stop else -1


@njit(cache=True, nogil=True)
def _compact(whole: int, data: np.ndarray, start: int, stop: int) -> int:
    """Microseconds of a date of 8, 12, 14 or (with milliseconds) 17 digits; a fraction may follow 14 digits."""
    if whole >= 10**16:
        part = whole % 1000 * 1000
        whole //= 1000
    else:
        part = _rest(data, start, stop, 6)
        if part < 0:
            return -1
    if whole < 10**8:
        whole *= 1_000_000
    elif whole < 10**12:
        whole *= 100
    second, minute, hour = whole % 100, whole // 100 % 100, whole // 10_000 % 100
    day, month, year = whole // 10**6 % 100, whole // 10**8 % 100, whole // 10**10
    if not (second <= 60 and minute < 60 and hour < 24 and 1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
        return -1
    return ((_days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + part


@njit(cache=True, nogil=True)
def _number(whole: int, data: np.ndarray, start: int, stop: int, form: int) -> int:
    """Microseconds of the number `whole` with an optional fraction; -1 if it is not a time of this form."""
    if form == NumberForm.EPOCH:
        return _epoch(whole, data, start, stop)
    if form == NumberForm.COMPACT:
        return _compact(whole, data, start, stop)
    if form == NumberForm.UNCLEAR:
        return -1
    part = _rest(data, start, stop, 12)
    if part < 0:
        return -1
    if form == NumberForm.EXCEL or form == NumberForm.JULIAN:
        # A fraction of a day, rounded to milliseconds: Excel keeps 15 digits of the whole.
        micros = (part // 1000 * 86_400 + 500_000) // 1_000_000 * 1000
        if form == NumberForm.EXCEL:
            return (whole - _EXCEL_DAYS) * DAY + micros
        return (whole - _JULIAN_DAYS) * DAY - _HALF_DAY + micros
    if form == NumberForm.FILETIME:
        return whole // 10 - _SINCE_1601
    if form == NumberForm.WEBKIT:
        return whole - _SINCE_1601
    return whole // 10 - _SINCE_1


@njit(cache=True, nogil=True)
def _epoch(whole: int, data: np.ndarray, start: int, stop: int) -> int:
    """Microseconds of the epoch number `whole` followed by an optional fraction; -1 if anything else follows."""
    if whole < MILLIS_FROM:
        factor, scale, divisor = 1_000_000, 6, 1
    elif whole < MICROS_FROM:
        factor, scale, divisor = 1_000, 3, 1
    elif whole < NANOS_FROM:
        factor, scale, divisor = 1, 0, 1
    else:
        factor, scale, divisor = 1, 0, 1_000
    part = _rest(data, start, stop, scale)
    if part < 0:
        return -1
    return whole * factor // divisor + part


@njit(cache=True, nogil=True)
def _offset_seconds(data: np.ndarray, start: int, stop: int) -> tuple[int, bool]:
    """Seconds east of UTC of `Z`, `+02`, `+0200` or `+02:00`; empty text means UTC."""
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
    """Microseconds of a date in `year` (already read) whose first separator is at `start`; -1 if malformed."""
    separator = data[start]
    month, count = digits_at(data, start + 1, stop, 2)
    start += 1 + count
    if count == 0 or month < 1 or month > 12 or start >= stop or data[start] != separator:
        return -1
    day, count = digits_at(data, start + 1, stop, 2)
    start += 1 + count
    if count == 0 or day < 1 or day > _days_in(year, month):
        return -1
    midnight = _days_from_civil(year, month, day) * DAY
    if start == stop:
        return midnight
    if data[start] != 32 and (data[start] | 32) != 116:
        return -1
    while start < stop and (data[start] == 32 or (data[start] | 32) == 116):
        start += 1
    within = _time_of_day(data, start, stop)
    return -1 if within == _MALFORMED_TIME else midnight + within


@njit(cache=True, nogil=True)
def parse_times(data: np.ndarray, offsets: np.ndarray, form: int, values: np.ndarray, status: np.ndarray) -> None:
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
            micros = _number(whole, data, after, stop, form)
        if 0 <= micros <= LAST:
            values[row] = micros
            status[row] = VALID


@njit(cache=True, nogil=True)
def whole_numbers(data: np.ndarray, offsets: np.ndarray, wholes: np.ndarray, fractions: np.ndarray) -> None:
    """Writes the digits before the point of each number, -1 for other text, and whether a fraction follows."""
    for row in range(len(offsets) - 1):
        start, stop = trim(data, offsets[row], offsets[row + 1])
        whole, count = digits_at(data, start, stop, 19)
        wholes[row] = -1
        if count == 0 or whole < 0:
            continue
        after = start + count
        if after == stop:
            wholes[row] = whole
        elif data[after] == 46:
            _, end = _fraction(data, after + 1, stop, 6)
            if end == stop:
                wholes[row] = whole
                fractions[row] = True
