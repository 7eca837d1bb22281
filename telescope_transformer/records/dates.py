"""Dates that are not ISO 8601, rewritten so: days and months in either order, names of months, 12-hour clocks.

Such text is rare enough that each distinct value is rewritten in Python.
"""

import re
from collections.abc import Iterable

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_CLOCK = r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d+))?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_END = rf"(?:[\sT,@:]+{_CLOCK}{_ZONE})?$"
_NUMBERS = re.compile(rf"^(?P<a>\d{{1,2}})(?P<sep>[/.\-])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}){_END}")
_YEAR_FIRST = re.compile(rf"^(?P<y>\d{{4}})(?P<sep>[/.\-])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_END}")
_WEEKDAY, _MONTH = r"(?:[A-Za-z]{3,9},?\s+)?", r"(?P<m>[A-Za-z]{3,9})"
_DAY_NAME = re.compile(rf"^{_WEEKDAY}(?P<d>\d{{1,2}})[\s/\-]+{_MONTH}[\s/\-,]+(?P<y>\d{{4}}){_END}")
_NAME_DAY = re.compile(rf"^{_WEEKDAY}{_MONTH}\s+(?P<d>\d{{1,2}}),?\s+(?P<y>\d{{4}}){_END}")
_UNIX = re.compile(
    rf"^(?:[A-Za-z]{{3}}\s+)?(?P<m>[A-Za-z]{{3}})\s+(?P<d>\d{{1,2}})\s+{_CLOCK}{_ZONE}\s+(?P<y>\d{{4}})$"
)
_TIME_OF_DAY = re.compile(r"^\s*\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?$")


def is_time_of_day(text: str) -> bool:
    """Whether `text` is a time without a date."""
    return _TIME_OF_DAY.match(text) is not None


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Whether dates such as 21/07/2016 begin with the day; None if no value tells, or if values contradict."""
    day, month = False, False
    for text in texts:
        found = _NUMBERS.match(text)
        if found:
            day |= int(found["a"]) > 12
            month |= int(found["b"]) > 12
    return None if day == month else day


def iso_text(text: str, day_first: bool | None) -> str | None:
    """`text` as ISO 8601, None if it is of no form known here or its day and month cannot be told apart."""
    found = _NUMBERS.match(text)
    if found:
        if day_first is None and found["a"] != found["b"]:
            return None
        day, month = (found["a"], found["b"]) if day_first else (found["b"], found["a"])
        return _joined(found, int(month), int(day))
    found = _YEAR_FIRST.match(text)
    if found:
        return _joined(found, int(found["m"]), int(found["d"]))
    for form in (_DAY_NAME, _NAME_DAY, _UNIX):
        found = form.match(text)
        if found and found["m"][:3].lower() in _MONTHS:
            return _joined(found, _MONTHS[found["m"][:3].lower()], int(found["d"]))
    return None


def _joined(found: "re.Match[str]", month: int, day: int) -> str | None:
    date = f"{found['y']}-{month:02d}-{day:02d}"
    if found["h"] is None:
        return date
    hour = int(found["h"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"][0] in "Pp" else 0)
    zone = found["zone"] or ""
    fraction = f".{found['f']}" if found["f"] else ""
    return f"{date}T{hour:02d}:{found['min']}:{found['s'] or '00'}{fraction}{zone if zone[:1] in '+-' else ''}"
