"""Numbers, times and lists in words, so that they read the same everywhere."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

EPOCH = date(1970, 1, 1)
# ISO 8601 in UTC, to the second.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# A gap of at most this is due to rounding.
PROVED_GAP = 1e-9
# A smaller gap is shown as this one, because more digits say nothing to a reader.
SMALLEST_SHOWN_GAP = 1e-4
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def one_line(text: str) -> str:
    """A text on one line: letters that cannot be printed, such as those that control a terminal, become spaces."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def counted(number: int, thing: str, several: str | None = None) -> str:
    """A number with what it counts: "1 cluster", "2,000 clusters". Without `several`, the plural adds an "s"."""
    return f"{number:,} {thing if number == 1 else several or thing + 's'}"


def clusters_in_words(clusters: int, alone: int) -> str:
    """The result of a clustering: "3 clusters and 1 window like no other", or "3 clusters" if no window is alone."""
    words = counted(clusters, "cluster")
    return f"{words} and {counted(alone, 'window')} like no other" if alone else words


def rounded(number: int) -> str:
    """A number for a name that stays for days. From 100 on, only its first two digits count, as in "about 990"."""
    if number < 100:
        return str(number)
    step = 10 ** (len(str(number)) - 2)
    return f"about {round(number / step) * step:,}"


def joined(parts: Sequence[str]) -> str:
    """A list in a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def duration(seconds: float) -> str:
    """A duration in seconds, in the largest unit that is not longer than it: "10 s", "1.5 h"."""
    if seconds == 0:
        return "0 s"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if seconds >= size:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 10 or value == round(value) else f"{value:.1f} {unit}"
    return f"{1000 * seconds:.1f} ms"


def day_text(day: int) -> str:
    """A day since 1970 as an ISO date."""
    try:
        return (EPOCH + timedelta(days=day)).isoformat()
    except OverflowError:
        return f"day {day}"


def spoken_day(day: int, *, year: bool = True) -> str:
    """A day since 1970 as a date in a sentence: "14 March 2024", or "14 March"."""
    try:
        date_of_day = EPOCH + timedelta(days=day)
    except OverflowError:
        return f"day {day}"
    spoken = f"{date_of_day.day} {MONTHS[date_of_day.month - 1]}"
    return f"{spoken} {date_of_day.year}" if year else spoken


def spoken_days(first: int, last: int) -> str:
    """A span of days in a sentence: "On 14 March 2024", "From 1 January to 7 March 2024"."""
    if first == last:
        return f"On {spoken_day(first)}"
    same_year = spoken_day(first)[-4:] == spoken_day(last)[-4:]
    return f"From {spoken_day(first, year=not same_year)} to {spoken_day(last)}"


def iso_time(microseconds: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC, to the second."""
    whole = datetime.fromtimestamp(int(microseconds) // 1_000_000, tz=UTC)
    return whole.strftime(TIME_FORMAT)


def saving(gap: float) -> str | None:
    """What another clustering could save, in percent of the cost; None if it is proved to be nothing."""
    return None if gap <= PROVED_GAP else percent(max(gap, SMALLEST_SHOWN_GAP))


def certificate(cost: float, gap: float) -> str:
    """The cost of a clustering, and how much less another clustering could cost; the gap is nan without a bound."""
    if cost <= 0:
        return "cost 0: no clustering costs less"
    more = saving(gap)
    proof = f"of which another clustering could save {more} at most" if more else "the lowest possible"
    return f"cost {cost:.4g}, {'nothing is proved' if math.isnan(gap) else proof}"


def percent(share: float) -> str:
    """A share in percent: two significant digits below 10 %, one decimal place above."""
    value = 100 * share
    return f"{value:.2g} %" if value < 10 else f"{value:.1f} %"
