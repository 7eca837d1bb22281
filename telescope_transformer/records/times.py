"""Reads timestamps of any common form as microseconds since 1970 in UTC.

A number is an epoch time whose unit follows from its size: seconds below 1e11, milliseconds below 1e14, microseconds
below 1e17, nanoseconds above. A second count reaches 1e11 in the year 5138, and the finer units pass their lower
bounds in 1973, so the times of a telescope are never ambiguous. Numbers that this rule would put into the wrong
century are recognised by looking at the whole column; see `NumberForm`. Text may also be an ISO 8601 date and time (or
with slashes, as Argus writes it), or of a form that `dates.py` knows; without an offset it is UTC.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.records import time_kernels as kernels
from telescope_transformer.records.dates import day_comes_first, iso_text, plain_numbers
from telescope_transformer.records.parsing import OddTexts, odd_texts
from telescope_transformer.records.text_columns import INVALID, MISSING, VALID, text_view
from telescope_transformer.records.time_kernels import LAST, MICROS_FROM, MILLIS_FROM, NANOS_FROM, NumberForm

FORM_MEANING = {
    NumberForm.COMPACT: "dates written without separators (20240131235959)",
    NumberForm.EXCEL: "days since 1899-12-30 (Excel)",
    NumberForm.FILETIME: "hundreds of nanoseconds since 1601 (Windows FILETIME)",
    NumberForm.WEBKIT: "microseconds since 1601 (Chrome)",
    NumberForm.TICKS: "hundreds of nanoseconds since the year 1 (.NET)",
    NumberForm.JULIAN: "Julian dates (days)",
    NumberForm.UNCLEAR: "seconds since 1900 or 1904 (NTP, Mac OS), and rejected: convert them to seconds since 1970",
}
# The years 1990 to 2100 in each form. Read as epoch numbers of any unit, all of these lie before 1992 or after 2300,
# when there was no telescope, except for those of an unclear form.
_COMPACT_RANGES = (
    (19900101, 21000101),
    (199001010000, 210001010000),
    (19900101000000, 21000101000000),
    (19900101000000000, 21000101000000000),
)
_RANGES = {
    NumberForm.EXCEL: (32_874, 73_051),
    NumberForm.JULIAN: (2_447_892, 2_488_070),
    NumberForm.FILETIME: (122_756_256_000_000_000, 157_469_184_000_000_000),
    NumberForm.WEBKIT: (12_275_625_600_000_000, 15_746_918_400_000_000),
    NumberForm.TICKS: (627_667_488_000_000_000, 662_380_416_000_000_000),
    # From 2010 in seconds since 1904 to 2030 in seconds since 1900. Since 1970, this would be 2076 to 2100.
    NumberForm.UNCLEAR: (3_345_062_400, 4_102_444_800),
}
_DAYS = (NumberForm.EXCEL, NumberForm.JULIAN)
_SHARE = 0.9
"""Share of a column's numbers that must fit a form; the rest may be garbage."""


def _judged(wholes: np.ndarray, fractions: np.ndarray) -> NumberForm:
    """The form of a column of numbers, by the digits before the point (n,) and whether a fraction follows (n,)."""
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
        # Seconds since the start of a recording may lie in a range of days, but then other values of the column do
        # not. Whole days have no time of day, so they are not timestamps.
        if inside.sum() >= enough and (form not in _DAYS or fractions[inside].any()):
            return form
    return NumberForm.EPOCH


def _is_date(days: np.ndarray) -> np.ndarray:
    """Whether numbers (n,) are eight digits of year, month and day."""
    month, day = days // 100 % 100, days % 100
    return (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)


class TimeReader:
    """Reads the timestamps of one file. The first rows that show how they are written decide for the whole file.

    Attributes:
        form: the form of times written as numbers; None until such times occur.
        day_first: whether dates such as 21/07/2016 begin with the day; None if not known.
    """

    def __init__(self, day_first: bool | None = None) -> None:
        self.form: NumberForm | None = None
        self.day_first = day_first

    def read(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Timestamps of any Arrow type to int64 microseconds UTC (n,) and a status (n,): MISSING, VALID or INVALID.

        Text, integers, floats and decimals follow the rule in the module's docstring; Arrow timestamps carry their
        unit and zone.
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
            kernels.whole_numbers(text.data, text.offsets, wholes, fractions)
            self._judge(wholes, fractions)
        numbers, status = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.uint8)
        kernels.parse_times(text.data, text.offsets, int(self.form or NumberForm.EPOCH), numbers, status)
        odd = odd_texts(values, status == INVALID)
        if odd.texts:
            self._rewrite(odd, numbers, status)
        return numbers, status

    def _rewrite(self, odd: OddTexts, numbers: np.ndarray, status: np.ndarray) -> None:
        """Reads dates of other forms, in place."""
        texts = odd.texts
        if self.day_first is None:
            self.day_first = day_comes_first(texts)
        rewritten = text_view(pa.array([iso_text(text, self.day_first) for text in texts], pa.string()))
        found, how = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.uint8)
        kernels.parse_times(rewritten.data, rewritten.offsets, int(NumberForm.EPOCH), found, how)
        plain = plain_numbers(texts)
        if any(plain):
            others = [place for place, number in enumerate(plain) if number is not None]
            found[others], how[others] = self._from_text(pa.array([plain[place] for place in others], pa.string()))
        good = how[odd.codes] == VALID
        numbers[odd.rows[good]] = found[odd.codes[good]]
        status[odd.rows[good]] = VALID


def _plain_number(number: Any) -> str:
    return str(number) if number.dtype.kind in "iu" else np.format_float_positional(number, trim="-")


_UNITS = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
"""Factor and divisor from each Arrow unit to microseconds."""


def _from_timestamps(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if values.type == pa.date32() else "ms"))
    factor, divisor = _UNITS[values.type.unit]
    counts = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    # The comparison comes before the multiplication, because seconds in distant years would overflow into valid times.
    valid = (counts >= 0) & (counts <= LAST // factor * divisor)
    micros = np.where(valid, counts, 0) * factor // divisor
    status = np.where(np.asarray(values.is_valid()), np.where(valid, VALID, INVALID), MISSING).astype(np.uint8)
    return np.where(status == VALID, micros, 0), status


def _from_epochs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epoch numbers (n,), integer or float, to int64 microseconds and validity, by the rule of the module."""
    size = np.nan_to_num(values.astype(np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
    # Numbers before 1970, or beyond the last time even as nanoseconds, are not times, and their products could
    # overflow.
    size = np.where((size < 0) | (size > 1e3 * LAST), -1.0, size)
    exact = values.astype(np.int64) if values.dtype.kind in "iu" else None
    micros = np.select(
        [size < MILLIS_FROM, size < MICROS_FROM, size < NANOS_FROM],
        [size * 1e6, size * 1e3, size],
        default=size / 1e3,
    )
    result = np.round(np.clip(micros, -1.0, float(LAST))).astype(np.int64)
    if exact is not None:
        # Above 2**53 a float no longer holds every integer, so integers are scaled as integers.
        factor = np.where(size < MILLIS_FROM, 1_000_000, np.where(size < MICROS_FROM, 1_000, 1))
        bounded = np.where(size >= 0, exact, -1)
        result = np.where(size < NANOS_FROM, bounded * factor, bounded // 1_000)
    return result, (size >= 0) & (result >= 0) & (result <= LAST)


def text_of(micros: int) -> str:
    """A time in microseconds since 1970 as ISO 8601, for messages."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).isoformat()
