"""Rewrites other dates as ISO 8601: days and months in either order, names of months, 12-hour clocks.

Such text is rare enough that each distinct value is rewritten in Python.
"""

import re
from calendar import isleap
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from telescope_transformer.words import MONTHS

MONTH_NUMBERS = {name[:3].lower(): number for number, name in enumerate(MONTHS, start=1)}
# RFC 5322, section 4.3, and the abbreviations of the tz database that stand for only one zone.
ZONES = {
    **{"Z": "+00:00", "UTC": "+00:00", "UT": "+00:00", "GMT": "+00:00", "WET": "+00:00", "WEST": "+01:00"},
    **{"CET": "+01:00", "CEST": "+02:00", "EET": "+02:00", "EEST": "+03:00", "MSK": "+03:00", "JST": "+09:00"},
    **{"EST": "-05:00", "EDT": "-04:00", "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00"},
    **{"PST": "-08:00", "PDT": "-07:00", "AKST": "-09:00", "AKDT": "-08:00", "HST": "-10:00", "NDT": "-02:30"},
    **{"SAST": "+02:00", "EAT": "+03:00", "WIB": "+07:00", "HKT": "+08:00", "SGT": "+08:00", "AWST": "+08:00"},
    **{"KST": "+09:00", "AEST": "+10:00", "AEDT": "+11:00", "NZST": "+12:00", "NZDT": "+13:00"},
    **{"BRT": "-03:00", "ART": "-03:00"},
}
UNCLEAR_ZONES = ("ADT", "AMT", "AST", "BST", "CST", "ECT", "GST", "IST", "SST")
"""Abbreviations that stand for several zones; times with one of them are rejected."""

_CLOCK = r"(?P<h>\d{1,2})[:.](?P<min>\d{2})(?:[:.](?P<s>\d{2})(?:[.,:](?P<f>\d+))?)?\s*(?P<half>[AaPp]\.?\s?[Mm]\.?)?"
_ZONE = rf"\s*\[?(?P<zone>{'|'.join(sorted(ZONES, reverse=True))}|[+-]\d{{2}}:?\d{{2}}|[+-]\d{{1,2}}(?::\d{{2}})?)?\]?"
_END = rf"(?:(?:[\sT,@:_\-]|\bat\b)+{_CLOCK}{_ZONE})?$"
_NUMBERS = re.compile(rf"^(?P<a>\d{{1,2}})(?P<sep>[/.\-])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}){_END}")
_SHORT_YEAR = re.compile(rf"^(?P<a>\d{{1,2}})/(?P<b>\d{{1,2}})/(?P<y>\d{{2}}){_END}")
_YEAR_FIRST = re.compile(rf"^(?P<y>\d{{4}})(?P<sep>[/.\-])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_END}")
_COMPACT = re.compile(
    r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?:[\sT_\-]*(?P<h>\d{2}):?(?P<min>\d{2})(?::?(?P<s>\d{2})(?:[.,]?(?P<f>\d+))?)?"
    rf"(?P<half>){_ZONE}|(?P<digits>\d{{12}}))$"
)
_WEEKDAY, _MONTH = r"(?:[A-Za-z]{3,9},?\s+)?", r"(?P<m>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DAY_NAME = re.compile(rf"^{_WEEKDAY}{_DAY}[\s/\-]*{_MONTH}[\s/\-,]*(?P<y>\d{{4}}){_END}")
_NAME_DAY = re.compile(rf"^{_WEEKDAY}{_MONTH}\s+{_DAY},?\s+(?P<y>\d{{4}}){_END}")
_YEAR_NAME = re.compile(rf"^(?P<y>\d{{4}})[\s\-]{_MONTH}[\s\-]{_DAY}{_END}")
# Oracle writes 21-JUL-16.
_SHORT_NAME = re.compile(rf"^(?P<d>\d{{1,2}})-(?P<m>[A-Za-z]{{3}})-(?P<y>\d{{2}})(?=\s|$){_END}")
# Snort with -y. Other programs write the day or the month first, and no hyphen between date and time.
_SNORT = re.compile(rf"^(?P<y>\d{{2}})/(?P<m>\d{{2}})/(?P<d>\d{{2}})(?=-\d){_END}")
_ORDINAL = re.compile(rf"^(?P<y>\d{{4}})-(?P<days>\d{{3}}){_END}")
# Text around a time: the zone name that java.time, Go and JavaScript write after an offset, GMT or UTC before an
# offset, systemd's weekday before a date, the long name of UTC, and the apostrophe that marks a spreadsheet cell as
# text.
_AROUND = re.compile(
    r"^'|^[A-Z][a-z]{2} (?=\d{4}-)|(?:GMT|UTC)(?=[+-]\d)|(?<=[Z\d])\[[\w/+\-]+\]$"
    r"|(?<=[+-]\d{4})(?: [A-Z]{3,4}(?: m=\S+)?| \([^()]*\))$|(?<=\d) \(UTC\)$|(?<=\d )Etc/(?=UTC$)"
)
_UNIX = re.compile(
    rf"^(?:[A-Za-z]{{3}}\s+)?(?P<m>[A-Za-z]{{3}})\s+(?P<d>\d{{1,2}})\s+{_CLOCK}{_ZONE}\s+(?P<y>\d{{4}})(?: GMT| UTC)?$"
)
# The forms with a year, a month and a day that cannot be confused.
_FORMS = (_SNORT, _YEAR_FIRST, _COMPACT, _DAY_NAME, _NAME_DAY, _YEAR_NAME, _UNIX, _SHORT_NAME)
_TIME_OF_DAY = re.compile(rf"^\s*\d{{1,2}}:\d{{2}}(:\d{{2}}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?{_ZONE}$")
# Numbers have lost their leading zero.
_COMPACT_CLOCK = re.compile(r"^(\d{1,2})(\d{2})(\d{2}(?:\.\d+)?)$")
# The hours of an offset such as `UTC+2`, before which a zero is missing.
_ONE_DIGIT = re.compile(r"(?<=[+-])(?=\d(?!\d))")
_SCIENTIFIC = re.compile(r"^\d(?:[.,](?P<digits>\d+))?[eE]\+?(?P<exponent>\d{1,2})$")
# With a decimal comma, with the `@` of date(1) and systemd before it, or as .NET writes it in JSON.
_MARKED = re.compile(r"^(?=[@'/]|\d+,)(?:[@']?|/Date\()(\d{9,}|\d{5}(?=,))(?:[.,](\d+))?(?:\)/)?$")
_SECONDS_DIGITS = 9
"""Digits after the point of `1.469123456e9` needed to resolve seconds. Spreadsheets write five, which loses hours."""


def is_time_of_day(text: str) -> bool:
    """Whether `text` is a time without a date."""
    return _TIME_OF_DAY.match(text) is not None


def clock_text(text: str) -> str | None:
    """A time of day whose date is in another column, also if written as `175056`; None for other text."""
    compact = _COMPACT_CLOCK.match(text)
    if compact:
        return f"{compact[1]:0>2}:{compact[2]}:{compact[3]}"
    return text if is_time_of_day(text) else None


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Whether dates such as 21/07/2016 begin with the day; None if no value shows it, or if values disagree."""
    day, month = False, False
    for text in texts:
        found, short = _NUMBERS.match(text), _SHORT_YEAR.match(text)
        if found:
            day |= int(found["a"]) > 12
        if found or short:
            month |= int((found or short)["b"]) > 12  # type: ignore[index]
    return None if day == month else day


def plain_numbers(texts: Sequence[str]) -> list[str | None]:
    """Rewrites numbers in scientific notation or with a decimal comma as plain numbers; None for other text.

    If no value in scientific notation has enough digits to resolve seconds, all of these are None as well.
    """
    found = [_SCIENTIFIC.match(text) for text in texts]
    precise = any(match and len(match["digits"] or "") >= _SECONDS_DIGITS for match in found)
    plain: list[str | None] = []
    for text, match in zip(texts, found, strict=True):
        marked = _MARKED.match(text)
        if match and precise:
            plain.append(format(Decimal(text.replace(",", ".")), "f"))
        else:
            plain.append(f"{marked[1]}.{marked[2] or 0}" if marked else None)
    return plain


def iso_text(text: str, day_first: bool | None) -> str | None:
    """`text` as ISO 8601; None if its form is unknown, or if its day and month cannot be told apart."""
    text = _AROUND.sub("", text).strip("[] ")
    found = _NUMBERS.match(text)
    if found:
        if day_first is None and found["sep"] == ".":
            # Wherever dates are written with dots, they begin with the day.
            day_first = True
        if day_first is None and found["a"] != found["b"]:
            return None
        day, month = (found["a"], found["b"]) if day_first else (found["b"], found["a"])
        return _joined(found, int(month), int(day))
    found = _SHORT_YEAR.match(text)
    # 16/07/21 may begin with the year, but not if the day is in the middle.
    if found and day_first is False:
        return _joined(found, int(found["a"]), int(found["b"]))
    found = _COMPACT.match(text)
    if found and found["digits"]:
        digits = found["digits"]
        return f"{found['y']}-{found['m']}-{found['d']}T{digits[:2]}:{digits[2:4]}:{digits[4:6]}.{digits[6:]}"
    for form in _FORMS:
        found = form.match(text)
        if found and (month := _month(found["m"])):
            return _joined(found, month, int(found["d"]))
    return _ordinal(text)


def _month(text: str) -> int | None:
    """The number of a month, given by number or by name; None for other text."""
    return int(text) if text.isdigit() else MONTH_NUMBERS.get(text[:3].lower())


def _ordinal(text: str) -> str | None:
    """A date given by the number of its day in the year (ISO 8601: `2016-203`), None for other text."""
    found = _ORDINAL.match(text)
    if not found or not 1 <= int(found["days"]) <= 365 + isleap(int(found["y"])) or found["y"] == "0000":
        return None
    day = date(int(found["y"]), 1, 1) + timedelta(days=int(found["days"]) - 1)
    return _joined(found, day.month, day.day)


def _joined(found: "re.Match[str]", month: int, day: int) -> str | None:
    days = f"{'20' if len(found['y']) == 2 else ''}{found['y']}-{month:02d}-{day:02d}"
    if found["h"] is None:
        return days
    hour = int(found["h"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"][0] in "Pp" else 0)
    zone = _ONE_DIGIT.sub("0", found["zone"] or "")
    fraction = f".{found['f']}" if found["f"] else ""
    return f"{days}T{hour:02d}:{found['min']}:{found['s'] or '00'}{fraction}{ZONES.get(zone, zone)}"
