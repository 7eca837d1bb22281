"""The days on which groups of sources were active, with the records and distinct sources of each day."""

import numpy as np

from telescope_transformer.fields import DAY
from telescope_transformer.report.counting import spans

# A wrong clock dates records years off. Days that are more than a year away from all others are not drawn.
FAR_DAYS = 365
# The newest tenth of the period, rounded up to days, is compared with the days before. Our choice.
RECENT_PART = 10
# With fewer days, there is no earlier period to compare with.
FEWEST_DAYS = 3

Days = list[list[int]]
"""Days with records, ascending. Each is [day since 1970, records, sources]."""


def days_of_groups(groups: np.ndarray, timestamps: np.ndarray, sources: np.ndarray, n_groups: int) -> list[Days]:
    """The active days of each group. Memory grows with the number of records, not with the time that they span.

    Args:
        groups: (n,) 0..n_groups-1, the group of each record.
        timestamps: (n,) microseconds since 1970.
        sources: (n,) codes of the sources, starting at 0.
        n_groups: number of groups; a group without records gets an empty list.
    """
    days, day = np.unique(timestamps // DAY, return_inverse=True)
    keys, records = np.unique(groups.astype(np.int64) * len(days) + day, return_counts=True)
    n_sources = int(sources.max()) + 1 if len(sources) else 1
    place = np.searchsorted(keys, groups.astype(np.int64) * len(days) + day)
    pairs = np.unique(place * n_sources + sources)
    distinct = np.bincount(pairs // n_sources, minlength=len(keys))
    owner, column = keys // max(1, len(days)), keys % max(1, len(days))
    rows = np.column_stack([days[column], records, distinct]) if len(keys) else np.zeros((0, 3), dtype=np.int64)
    return [rows[own].tolist() for own in spans(owner, n_groups)]


def main_span(days: np.ndarray, weights: np.ndarray) -> tuple[int, int]:
    """First and last day of the stretch with most records. Gaps of more than `FAR_DAYS` separate the stretches.

    Args:
        days: (n,) distinct days, ascending.
        weights: (n,) number of records on each day.
    """
    breaks = np.flatnonzero(np.diff(days) > FAR_DAYS) + 1
    stretches = np.split(np.arange(len(days)), breaks)
    best = max(stretches, key=lambda stretch: (int(weights[stretch].sum()), int(stretch[0])))
    return int(days[best[0]]), int(days[best[-1]])


def summed(many: list[Days]) -> Days:
    """Sum the days of several groups. A source that is in two groups counts twice."""
    rows = [np.asarray(days, dtype=np.int64).reshape(-1, 3) for days in many]
    every = np.concatenate(rows) if rows else np.zeros((0, 3), dtype=np.int64)
    days, place = np.unique(every[:, 0], return_inverse=True)
    answer = np.zeros((len(days), 3), dtype=np.int64)
    answer[:, 0] = days
    np.add.at(answer[:, 1:], place, every[:, 1:])
    return answer.tolist()


def recent_days(n_days: int) -> int:
    """The number of days in the newest part of the period; 0 if there are too few days to compare."""
    return -(-n_days // RECENT_PART) if n_days >= FEWEST_DAYS else 0
