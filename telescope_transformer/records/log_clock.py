"""Reads the time at the beginning of a log line, as syslog, systemd and Cisco's devices write it."""

import re
from datetime import UTC, datetime

from telescope_transformer.records.dates import MONTH_NUMBERS, UNCLEAR_ZONES, ZONES
from telescope_transformer.words import MONTHS

GUESSED = "times without a zone are taken as UTC, and those without a year as the latest before the file's last change"
"""The note for the user if a year was guessed."""

_ZONE = "|".join((*ZONES, *UNCLEAR_ZONES))
_STAMP = re.compile(
    # A length (RFC 6587), a priority, a version (RFC 5424). Cisco's star and dot mean that the clock is not set.
    # Cisco's routers number their messages, and systemd writes the day of the week.
    r"^(?:\d{1,5} (?=<))?(?:<\d{1,3}>)?[:\s]*(?:1 )?(?:[\w.-]{1,64}: ){0,2}[*.\[]?(?:"
    r"(?:[A-Z][a-z]{2} )?(?P<iso>\d{4}(?P<sep>[-/:])\d\d(?P=sep)\d\d[T -]\d\d:\d\d:\d\d(?:[.,]\d+)?"
    rf"(?: ?(?:Z|[+-]\d\d(?::?\d\d)?)(?!\d)| (?:{_ZONE})\b)?)"
    r"|(?P<epoch>\d{10}(?:\.\d+)?)\s"
    r"|(?:[A-Z][a-z]{2} )?(?:(?P<first>(?:19|20)\d\d) )?"
    r"(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?:(?P<year>\d{4})\s+)?"
    rf"(?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?)(?: (?P<zone>{_ZONE})\b)?(?: (?P<last>(?:19|20)\d\d)(?=[\s:\]]))?"
    r")"
)


# The Go library glog writes month and day as `I0721` (I for information; also W, E and F).
_GLOG = re.compile(r"^[IWEF](0[1-9]|1[0-2])(\d\d) (?=\d\d:\d\d:\d\d)")


def _stamp(line: str) -> "re.Match[str] | None":
    return _STAMP.match(_GLOG.sub(lambda found: f"{MONTHS[int(found[1]) - 1][:3]} {int(found[2])} ", line))


def begins_with_time(line: str) -> bool:
    """Whether a time of a known form is at the beginning of a line."""
    return _stamp(line) is not None


class LogClock:
    """Reads times of log lines; those without a year are placed at or before the last change of the file."""

    def __init__(self, last_change: float) -> None:
        self._limit = datetime.fromtimestamp(last_change + 86_400, UTC)
        self.guessed = False

    def read(self, line: str) -> str | None:
        """The time at the beginning of a line as text that validation reads."""
        found = _stamp(line)
        if found is None:
            return None
        if found["iso"] or found["epoch"]:
            # Sophos UTM writes a date with colons.
            return re.sub(r"^(\d{4}):(\d\d):(\d\d)-", r"\1-\2-\3T", found["iso"] or found["epoch"])
        if found["month"].lower() not in MONTH_NUMBERS:
            return None
        month, day = MONTH_NUMBERS[found["month"].lower()], int(found["day"])
        year = int(found["first"] or found["year"] or found["last"] or self.year(month, day))
        zone = found["zone"] or ""
        return f"{year}-{month:02d}-{day:02d}T{found['clock']}{ZONES.get(zone, zone)}"

    def year(self, month: int, day: int) -> int:
        """The latest year in which this day is not after the last change of the file."""
        self.guessed = True
        year = self._limit.year - ((month, day) > (self._limit.month, self._limit.day))
        # From 1904 to 2096, every fourth year is a leap year.
        return year - year % 4 if (month, day) == (2, 29) else year
