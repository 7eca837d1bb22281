"""The periods of dated scanner lists: an address may belong to a scanner this year and to somebody else the next."""

import re
from calendar import monthrange
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from telescope_transformer.words import EPOCH

# A dated list also labels records this many days before and after its period. This is half a year, so that the reach
# of a yearly list ends where that of the next one begins.
REACH_DAYS = 183
_DAY = r"\d{4}(?:-\d{2}(?:-\d{2})?)?"
_PERIOD = re.compile(rf"({_DAY})(?:(?:_to_|\.\.|/)({_DAY})|-(\d{{4}}))?")


class Period(NamedTuple):
    """Days since 1970, inclusive."""

    first: int
    last: int

    def distance(self, day: int) -> int:
        """Days from the period to a day; 0 for a day within it."""
        return max(self.first - day, day - self.last, 0)


# Even a list of a million entries has few different periods.
@lru_cache(maxsize=4096)
def parse_period(text: str) -> Period:
    """Parse a day, month or year, or two of them: `2024-03-14`, `2024-03`, `2021-2025`, `2024-01..2024-06`.

    Raises:
        ValueError: for text that is not a period.
    """
    found = _PERIOD.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text[:50]!r} is not a period such as 2024-03-14, 2024-03, 2024 or 2024-01..2024-06")
    first, last = _days(found[1])[0], _days(found[2] or found[3] or found[1])[1]
    if first > last:
        raise ValueError(f"{text[:50]!r} ends before it begins")
    return Period((first - EPOCH).days, (last - EPOCH).days)


def period_of_name(name: str) -> tuple[str, Period | None]:
    """Split the name of a list from the date at its end: `censys_2024-03` is censys in March 2024."""
    found = re.fullmatch(rf"(.+?)[-_.]({_DAY}(?:(?:_to_|\.\.){_DAY})?)", name)
    if not found:
        return name, None
    try:
        return found[1], parse_period(found[2])
    except ValueError:
        return name, None


def _days(text: str) -> tuple[date, date]:
    """First and last day of a day, month or year."""
    parts = [int(part) for part in text.split("-")]
    if len(parts) == 3:
        day = date(*parts)
        return day, day
    if len(parts) == 2:
        year, month = parts
        return date(year, month, 1), date(year, month, monthrange(year, month)[1])
    return date(parts[0], 1, 1), date(parts[0] + 1, 1, 1) - timedelta(days=1)
