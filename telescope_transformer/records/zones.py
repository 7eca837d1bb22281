"""Reads the zone of local times from a column of its own, such as `tz` or `utc_offset`.

The zone of a column counts for times of its row that have no zone themselves. It may be an offset, an abbreviation
that stands for one zone, or a name of the tz database. Other zones are appended as well, so that these times are
rejected together with what makes them unclear.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.dates import ZONES
from telescope_transformer.records.nulls import is_null
from telescope_transformer.records.parsing import distinct_texts, is_text
from telescope_transformer.records.text import VALID
from telescope_transformer.records.times import TimeReader

# A time of day, a zone behind it (or before the year at the end, as date(1) writes it), and a date and time without
# separators. Other values, such as epoch numbers and dates, have no zone.
_CLOCK = r":\d\d|T\d{4}|\s\d{1,2}\.\d\d\.\d\d"
_WITH_ZONE = (
    r"(?:\d[Zz]|:\d\d(?:[.,]\d+)?\s*[+-]\d\d(?::?\d\d)?|T\d{4,6}(?:[.,]\d+)?[+-]\d\d(?::?\d\d)?|\bUT|[A-Za-z]{3,}|[\])])"
    r"(?:\s+\d{4})?[\s\"']*$"
)
_COMPACT_DATE = r"^[\s\"']*(?:19|20)(?:\d{10}|\d{12})[\s\"']*$"
_HOURS = re.compile(r"(?:UTC|GMT)?\s*([+-]?)(\d{1,2})(?::(\d\d)|(\.\d{1,6}))?")
_FOUR_DIGITS = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d\d)(\d\d)")
_NAME = re.compile(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}")
# Offsets of today's zones lie between these, in minutes, and are multiples of a quarter of an hour (tz database).
_WEST, _EAST, _QUARTER = -12 * 60, 14 * 60, 15
_QUARTER_MICROS = _QUARTER * 60 * 1_000_000


def with_zones(times: pa.Array, zones: pa.Array, reader: TimeReader) -> pa.Array:
    """The times as text, those without a zone with that of their row; see the module.

    Args:
        times: a column of text, or of timestamps without a zone.
        zones: the zones, of any plain type.
        reader: reads the local times, of the same file.

    Returns:
        The column itself if no time gets a zone.
    """
    is_naive = pa.types.is_timestamp(times.type) and times.type.tz is None
    if zones.null_count == len(zones) or not (is_naive or is_text(times.type)):
        return times
    text = (times.cast(pa.string()) if is_naive else times).cast(pa.binary())
    names, codes = distinct_texts(zones if is_text(zones.type) else zones.cast(pa.string()))
    ends = [b"" if is_null(name) else f" {_offset(name) or name}".encode() for name in names]
    added = pa.array(ends, pa.binary()).take(pa.array(codes))
    for place, name in enumerate(names):
        zone = _zone(name)
        if zone is not None:
            rows = codes == place
            found = _offsets_in(zone, text.filter(pa.array(rows)), reader)
            added = pc.replace_with_mask(added, pa.array(rows), pc.coalesce(found, pa.scalar(ends[place])))
    added = pc.if_else(_are_local(text), added, pa.scalar(b"", pa.binary()))
    if not pc.any(pc.greater(pc.binary_length(added), 0)).as_py():
        return times
    return pc.binary_join_element_wise(text, added, pa.scalar(b"", pa.binary()))


def _are_local(text: pa.Array) -> pa.Array:
    """Whether values are times of day without a zone, with or without a date."""
    has_clock = pc.and_not(pc.match_substring_regex(text, _CLOCK), pc.match_substring_regex(text, _WITH_ZONE))
    return pc.fill_null(pc.or_(has_clock, pc.match_substring_regex(text, _COMPACT_DATE)), False)


def _offset(name: str) -> str | None:
    """An offset such as "+02:00" for an offset or an abbreviation; None for other text."""
    plain = name.strip().upper()
    if plain in ZONES:
        return ZONES[plain]
    found = _FOUR_DIGITS.fullmatch(plain) or _HOURS.fullmatch(plain)
    if found is None:
        return None
    sign, hours, minutes, *fraction = found.groups()
    total = 60 * int(hours) + int(minutes or 0) + 60 * float(fraction[0] if fraction and fraction[0] else 0)
    total = -total if sign == "-" else total
    if total % _QUARTER or not _WEST <= total <= _EAST:
        return None
    return f"{'-' if total < 0 else '+'}{int(abs(total)) // 60:02d}:{int(abs(total)) % 60:02d}"


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    """The zone of this name in the tz database; None if there is none."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _offsets_in(zone: ZoneInfo, text: pa.Array, reader: TimeReader) -> pa.Array:
    """What is added to times in a zone; null where the clock was put back or forward, so that a time is not clear."""
    local, status = reader.read(text)
    quarters, where = np.unique(local // _QUARTER_MICROS, return_inverse=True)
    offsets = pa.array([_offset_at(int(quarter), zone) for quarter in quarters], pa.binary()).take(pa.array(where))
    return pc.if_else(pa.array(status == VALID), offsets, pa.scalar(None, pa.binary()))


def _offset_at(quarter: int, zone: ZoneInfo) -> bytes | None:
    """The offset of a zone in a quarter of an hour of its local time; None if it has two, or none."""
    try:
        local = datetime.fromtimestamp(quarter * _QUARTER * 60, UTC).replace(tzinfo=zone)
        first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    except (ValueError, OverflowError):
        return None
    if first is None or first != second or first % timedelta(minutes=_QUARTER):
        return None
    minutes = round(first.total_seconds() / 60)
    return f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}".encode()
