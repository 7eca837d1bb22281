"""Timestamps of any common form to microseconds since 1970 in UTC.

A number is an epoch time whose unit follows from its size: seconds below 1e11, milliseconds below 1e14, microseconds
below 1e17, nanoseconds above. A second count reaches 1e11 in the year 5138, and the finer units pass their lower
bounds in 1973, so telescope data are never ambiguous. Numbers that this rule would put in the wrong century are
recognised by the column as a whole: see `NumberForm`.
Text may also be an ISO 8601 date and time (or with slashes, as Argus writes it), or of a form that `dates.py` knows;
without an offset it is UTC.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from telescope_transformer.records.dates import day_comes_first, iso_text
from telescope_transformer.records.text import INVALID, MISSING, VALID, digits_at, text_view, trim

_MILLIS_FROM, _MICROS_FROM, _NANOS_FROM = 10**11, 10**14, 10**17
_MALFORMED_TIME = 10**15
# The last microsecond of the year 9999: beyond it Python's and DuckDB's dates end.
_LAST = 253_402_300_799_999_999
_DAY = 86_400_000_000


class NumberForm(IntEnum):
    """How a column writes times as numbers."""

    EPOCH = 0
    COMPACT = 1
    EXCEL = 2
    FILETIME = 3
    WEBKIT = 4
    TICKS = 5


FORM_MEANING = {
    NumberForm.COMPACT: "dates written without separators (20240131235959)",
    NumberForm.EXCEL: "days since 1899-12-30 (Excel)",
    NumberForm.FILETIME: "hundreds of nanoseconds since 1601 (Windows FILETIME)",
    NumberForm.WEBKIT: "microseconds since 1601 (Chrome)",
    NumberForm.TICKS: "hundreds of nanoseconds since the year 1 (.NET)",
}
# The years 1990 to 2100 in each form. As epoch numbers of any unit all of these lie before 1992 or after 2300, when
# there was no telescope.
_COMPACT_RANGES = (
    (19900101, 21000101),
    (199001010000, 210001010000),
    (19900101000000, 21000101000000),
    (19900101000000000, 21000101000000000),
)
_RANGES = {
    NumberForm.EXCEL: (32_874, 73_051),
    NumberForm.FILETIME: (122_756_256_000_000_000, 157_469_184_000_000_000),
    NumberForm.WEBKIT: (12_275_625_600_000_000, 15_746_918_400_000_000),
    NumberForm.TICKS: (627_667_488_000_000_000, 662_380_416_000_000_000),
}
_SHARE = 0.9
"""Of a column's numbers that must be of a form; the rest may be garbage."""

# From 1601-01-01 and 0001-01-01 to 1970-01-01 in microseconds, and days from 1899-12-30.
_SINCE_1601, _SINCE_1 = 11_644_473_600_000_000, 62_135_596_800_000_000
_EXCEL_DAYS = 25_569


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
def _compact(whole: int, data: np.ndarray, start: int, stop: int) -> int:
    """Microseconds of a date of 8, 12, 14 or 17 digits, the last with milliseconds; a fraction may follow 14."""
    part = 0
    if whole >= 10**16:
        part = whole % 1000 * 1000
        whole //= 1000
    elif start < stop:
        if data[start] != 46:
            return -1
        part, start = _fraction(data, start + 1, stop, 6)
        if start != stop:
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
    """Microseconds of the number `whole` and the fraction that may follow it; -1 if it is no time of the form."""
    if form == NumberForm.EPOCH:
        return _epoch(whole, data, start, stop)
    if form == NumberForm.COMPACT:
        return _compact(whole, data, start, stop)
    part = 0
    if start < stop:
        if data[start] != 46:
            return -1
        part, start = _fraction(data, start + 1, stop, 12)
        if start != stop:
            return -1
    if form == NumberForm.EXCEL:
        # A fraction of a day, rounded to milliseconds: Excel keeps 15 digits of the whole.
        millis = (part // 1000 * 86_400 + 500_000) // 1_000_000
        return (whole - _EXCEL_DAYS) * _DAY + millis * 1000
    if form == NumberForm.FILETIME:
        return whole // 10 - _SINCE_1601
    if form == NumberForm.WEBKIT:
        return whole - _SINCE_1601
    return whole // 10 - _SINCE_1


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
    if count == 0 or day < 1 or day > _days_in(year, month):
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
def _times(data: np.ndarray, offsets: np.ndarray, form: int, values: np.ndarray, status: np.ndarray) -> None:
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
        if 0 <= micros <= _LAST:
            values[row] = micros
            status[row] = VALID


@njit(cache=True, nogil=True)
def _wholes(data: np.ndarray, offsets: np.ndarray, wholes: np.ndarray, fractions: np.ndarray) -> None:
    """The digits before the point of each number, -1 for other text, and whether a fraction follows."""
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


def _judged(wholes: np.ndarray, fractions: np.ndarray) -> NumberForm:
    """The form of a column of numbers, by the digits before their points (n,) and whether there are others (n,)."""
    numbers = wholes >= 0
    enough = _SHARE * numbers.sum()
    if not enough:
        return NumberForm.EPOCH
    compact = np.zeros(len(wholes), dtype=bool)
    for low, high in _COMPACT_RANGES:
        compact |= (wholes >= low) & (wholes < high) & _is_date(wholes // 10 ** (len(str(low)) - 8))
    if compact.sum() >= enough:
        return NumberForm.COMPACT
    for form, (low, high) in _RANGES.items():
        inside = (wholes >= low) & (wholes < high)
        # Seconds since the start of a recording can lie in Excel's range, but then others do not; whole days tell
        # no time of day, and so are no timestamps.
        if inside.sum() >= enough and (form != NumberForm.EXCEL or fractions[inside].any()):
            return form
    return NumberForm.EPOCH


def _is_date(days: np.ndarray) -> np.ndarray:
    """Whether numbers (n,) read as year, month and day of eight digits."""
    month, day = days // 100 % 100, days % 100
    return (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)


class TimeReader:
    """Reads the timestamps of one file; how they are written is judged by the first rows that tell, and then holds.

    Attributes:
        form: of times written as numbers; None until some were met.
        day_first: whether dates such as 21/07/2016 begin with the day; None if not known.
    """

    def __init__(self, day_first: bool | None = None) -> None:
        self.form: NumberForm | None = None
        self.day_first = day_first

    def read(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Timestamps of any Arrow type to int64 microseconds UTC (n,) and a status (n,): MISSING, VALID or INVALID.

        Text, integers, floats and decimals follow the rule of the module; Arrow timestamps carry their own unit and
        zone.
        """
        kind = values.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return _from_timestamps(values)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._from_numbers(values)
        return self._from_text(values)

    def _judge(self, wholes: np.ndarray, fractions: np.ndarray) -> NumberForm:
        if self.form is None and (wholes >= 0).any():
            self.form = _judged(wholes, fractions)
        return self.form or NumberForm.EPOCH

    def _from_numbers(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        present = np.asarray(values.is_valid())
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        sane = np.nan_to_num(numbers.astype(np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
        wholes = np.where(present & (sane >= 0) & (sane < 9e18), sane, -1).astype(np.int64)
        if self._judge(wholes, sane != np.floor(sane)) != NumberForm.EPOCH:
            texts = [_plain_number(number) if there else None for number, there in zip(numbers, present, strict=True)]
            return self._from_text(pa.array(texts, pa.string()))
        micros, valid = _from_epochs(numbers)
        absent = ~present | (np.isnan(numbers) if numbers.dtype.kind == "f" else False)
        status = np.where(absent, MISSING, np.where(valid, VALID, INVALID)).astype(np.uint8)
        return np.where(status == VALID, micros, 0), status

    def _from_text(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        text = text_view(values)
        rows = len(values)
        if self.form is None:
            wholes, fractions = np.empty(rows, dtype=np.int64), np.zeros(rows, dtype=bool)
            _wholes(text.data, text.offsets, wholes, fractions)
            self._judge(wholes, fractions)
        numbers, status = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.uint8)
        _times(text.data, text.offsets, int(self.form or NumberForm.EPOCH), numbers, status)
        odd = np.flatnonzero(status == INVALID)
        if len(odd):
            self._rewrite(values, odd, numbers, status)
        return numbers, status

    def _rewrite(self, values: pa.Array, odd: np.ndarray, numbers: np.ndarray, status: np.ndarray) -> None:
        """Reads the rows `odd` as dates of other forms, in place."""
        encoded = values.take(pa.array(odd)).cast(pa.binary()).dictionary_encode()
        texts = [text.decode("utf-8", "replace").strip() for text in encoded.dictionary.to_pylist()]
        if self.day_first is None:
            self.day_first = day_comes_first(texts)
        rewritten = text_view(pa.array([iso_text(text, self.day_first) for text in texts], pa.string()))
        found, how = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.uint8)
        _times(rewritten.data, rewritten.offsets, int(NumberForm.EPOCH), found, how)
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        good = how[codes] == VALID
        numbers[odd[good]] = found[codes[good]]
        status[odd[good]] = VALID


def _plain_number(number: Any) -> str:
    return str(number) if number.dtype.kind in "iu" else np.format_float_positional(number, trim="-")


_UNITS = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
"""Factor and divisor from each Arrow unit to microseconds."""


def _from_timestamps(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if values.type == pa.date32() else "ms"))
    factor, divisor = _UNITS[values.type.unit]
    counts = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    # Compared before it is multiplied: seconds of far years would overflow and come back as others.
    valid = (counts >= 0) & (counts <= _LAST // factor * divisor)
    micros = np.where(valid, counts, 0) * factor // divisor
    status = np.where(np.asarray(values.is_valid()), np.where(valid, VALID, INVALID), MISSING).astype(np.uint8)
    return np.where(status == VALID, micros, 0), status


def _from_epochs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def text_of(micros: int) -> str:
    """A time in microseconds since 1970 as ISO 8601, for messages."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).isoformat()


def parse_times(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """`TimeReader.read` of a column that is complete in itself."""
    return TimeReader().read(values)
