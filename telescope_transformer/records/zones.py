"""Reads the zone of local times from a column of its own, such as `tz` or `utc_offset`, or from their column's name.

The zone of a column counts for times of its row that have no zone themselves. It may be an offset, an abbreviation
that stands for one zone, or a name of the tz database. Times in other zones are rejected, together with what makes
them unclear.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.dates import UNCLEAR_ZONES, ZONES
from telescope_transformer.records.nulls import is_null
from telescope_transformer.records.parsing import distinct_texts, is_text_type
from telescope_transformer.records.text_columns import INVALID, VALID
from telescope_transformer.records.time_kernels import LAST, NumberForm
from telescope_transformer.records.times import TimeReader

# Text with a time of day and no zone after it, only AM or PM, or the year (as date(1) writes it). An offset such as
# `+02:00` looks like a time of day too, but comes after one.
_COMPACT = r"(?:\d{8}[\sT_-]+|T)\d{4}"
_ENDS_WITH_CLOCK = (
    rf"(?:(?::\d\d|\s\d{{1,2}}\.\d\d\.\d\d)(?:[.,:]\d+)?|{_COMPACT}(?:\d\d(?:[.,]?\d+)?)?)"
    r"\s*(?:[AaPp]\.?\s?[Mm]\.?)?(?:\s+\d{4})?[\s\"'\])]*$"
)
_ENDS_WITH_OFFSET = rf"(?::\d\d|\s\d{{1,2}}\.\d\d\.\d\d|{_COMPACT}).*[+-]\d\d:\d\d[\s\"'\])]*$"
# Numbers of these forms are local times; those of the other forms count from a moment in UTC.
_LOCAL_FORMS = (NumberForm.COMPACT, NumberForm.EXCEL)
# Dates written as numbers of eight digits have no time of day.
_NUMBER_WITH_CLOCK = r"^[\s\"']*(?:\d{5}|\d{12,17})(?:[.,]\d+)?[\s\"']*$"
_HOURS = re.compile(r"(?:UTC|GMT)?\s*([+-]?)(\d{1,2})(?::(\d\d)|(\.\d{1,6}))?")
_FOUR_DIGITS = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d\d)(\d\d)")
_NAME = re.compile(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}")
# Offsets of today's zones lie between these, in minutes, and are multiples of a quarter of an hour (tz database).
_WEST, _EAST, _QUARTER = -12 * 60, 14 * 60, 15
_MINUTE = 60 * 1_000_000


class ZonedTimes(NamedTuple):
    """Times of n rows, with the zones of their rows.

    Attributes:
        micros: int64 (n,), microseconds since 1970 in UTC.
        status: (n,) MISSING, VALID or INVALID.
        shown: the times as messages show them: the column, with the zone behind a time that it makes unclear.
        used: whether some time is in the zone of its row.
    """

    micros: np.ndarray
    status: np.ndarray
    shown: pa.Array
    used: bool


def read_with_zones(times: pa.Array, zones: pa.Array, reader: TimeReader) -> ZonedTimes:
    """Reads times, those without a zone in that of their row; see the module.

    Args:
        times: a column of any type that a time can have.
        zones: the zones, of any plain type.
        reader: reads the times of the same file.
    """
    micros, status = reader.read(times)
    if zones.null_count == len(zones):
        return ZonedTimes(micros, status, times, used=False)
    names, codes = distinct_texts(zones)
    known = np.array([not is_null(name) for name in names], dtype=bool)
    local = (status == VALID) & _are_local(times, reader.form) & known[codes]
    places = np.flatnonzero(local)
    places = places[np.argsort(codes[places], kind="stable")]
    for rows in np.split(places, 1 + np.flatnonzero(np.diff(codes[places]))):
        offsets = _offsets(names[codes[rows[0]]], micros[rows]) if len(rows) else np.empty(0)
        micros[rows] -= np.nan_to_num(offsets).astype(np.int64) * _MINUTE
        status[rows[np.isnan(offsets) | (micros[rows] < 0) | (micros[rows] > LAST)]] = INVALID
    micros[status == INVALID] = 0
    unclear = pa.array(local & (status == INVALID))
    if pc.any(unclear).as_py():
        text = times if is_text_type(times.type) else times.cast(pa.string())
        behind = pa.array([name.encode() for name in names], pa.binary()).take(pa.array(codes))
        told = pc.binary_join_element_wise(text.cast(pa.binary()), behind, pa.scalar(b" ", pa.binary()))
        times = pc.if_else(unclear, told, text.cast(pa.binary()))
    return ZonedTimes(micros, status, times, used=bool(local.any()))


def _are_local(times: pa.Array, form: NumberForm | None) -> np.ndarray:
    """Whether values (n,) are times of day without a zone, with or without a date."""
    if pa.types.is_timestamp(times.type):
        return np.full(len(times), times.type.tz is None)
    if pa.types.is_date(times.type):
        return np.zeros(len(times), dtype=bool)
    if pa.types.is_floating(times.type):
        # As text, large floats would have an exponent.
        times = pc.round(times).cast(pa.int64(), safe=False) if form == NumberForm.COMPACT else times
    text = (times if is_text_type(times.type) else times.cast(pa.string())).cast(pa.binary())
    found = pc.and_not(
        pc.match_substring_regex(text, _ENDS_WITH_CLOCK), pc.match_substring_regex(text, _ENDS_WITH_OFFSET)
    )
    if form in _LOCAL_FORMS:
        found = pc.or_(found, pc.match_substring_regex(text, _NUMBER_WITH_CLOCK))
    marks: np.ndarray = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return marks


def _offsets(name: str, local: np.ndarray) -> np.ndarray:
    """Minutes by which times (n,) in a zone are ahead of UTC; NaN where the zone or the time is not clear."""
    zone = _zone(name)
    if zone is None:
        return np.full(len(local), _offset(name))
    quarters, where = np.unique(local // (_QUARTER * _MINUTE), return_inverse=True)
    return np.array([_offset_at(int(quarter), zone) for quarter in quarters])[where]


_IN_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]+?)\s*[)\]]\s*$")


def zone_in_title(title: str) -> str | None:
    """The zone in brackets behind a column's name, as in `Time (UTC+2)`; None if there is none, or if it is UTC."""
    found = _IN_BRACKETS.search(title)
    zone = found[1] if found else ""
    is_offset = re.match(r"(?:UTC|GMT)?[+-]", zone.upper()) or zone.upper() in ZONES
    is_zone = zone.upper() in UNCLEAR_ZONES or _zone(zone) or (is_offset and abs(_offset(zone)) > 0)
    return zone if is_zone else None


def _offset(name: str) -> float:
    """Minutes of an offset or an abbreviation; NaN for other text."""
    plain = name.strip().upper()
    plain = ZONES.get(plain, plain)
    found = _FOUR_DIGITS.fullmatch(plain) or _HOURS.fullmatch(plain)
    if found is None:
        return np.nan
    sign, hours, minutes, *fraction = found.groups()
    total = 60 * int(hours) + int(minutes or 0) + 60 * float(fraction[0] if fraction and fraction[0] else 0)
    total = -total if sign == "-" else total
    return np.nan if total % _QUARTER or not _WEST <= total <= _EAST else total


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    """The zone of this name in the tz database; None for other names."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _offset_at(quarter: int, zone: ZoneInfo) -> float:
    """Minutes of a zone in a quarter of an hour of its local time; NaN where the clock was put back or forward."""
    try:
        local = datetime.fromtimestamp(quarter * _QUARTER * 60, UTC).replace(tzinfo=zone)
        first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    except (ValueError, OverflowError):
        return np.nan
    if first is None or first != second or first % timedelta(minutes=_QUARTER):
        return np.nan
    return first.total_seconds() / 60
