"""On which days groups of sources were active: records and distinct sources a day, counted over records."""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from telescope_transformer.fields import DAY
from telescope_transformer.report.counting import codes_of

# A wrong clock puts records years away. Days that are further than a year from all others are not drawn.
FAR_DAYS = 365
# The newest tenth of the period; what happened in it is news. Our choice.
RECENT_SHARE = 0.1
# With fewer days, there is no period before to compare with.
FEWEST_DAYS = 3

Days = list[list[int]]
"""Days since 1970 on which there were records, ascending: [day, records, sources] each."""


def days_of_groups(groups: np.ndarray, timestamps: np.ndarray, sources: np.ndarray, n_groups: int) -> list[Days]:
    """The active days of each group. Memory grows with the number of records, not with the time between them.

    Args:
        groups: (n,) 0..n_groups-1, the group of each record.
        timestamps: (n,) microseconds since 1970.
        sources: (n,) codes of the sources, from 0 on.
        n_groups: groups without records have no days.
    """
    days, day = np.unique(timestamps // DAY, return_inverse=True)
    keys, records = np.unique(groups.astype(np.int64) * len(days) + day, return_counts=True)
    n_sources = int(sources.max()) + 1 if len(sources) else 1
    place = np.searchsorted(keys, groups.astype(np.int64) * len(days) + day)
    pairs = np.unique(place * n_sources + sources)
    distinct = np.bincount(pairs // n_sources, minlength=len(keys))
    owner, column = keys // max(1, len(days)), keys % max(1, len(days))
    rows = np.column_stack([days[column], records, distinct]) if len(keys) else np.zeros((0, 3), dtype=np.int64)
    bounds = np.searchsorted(owner, np.arange(n_groups + 1))
    return [rows[start:end].tolist() for start, end in pairwise(bounds.tolist())]


def traffic_by_day(records: pa.Table) -> Days:
    """Records and sources a day of all flow records."""
    sources, _ = codes_of(records["src_ip"])
    groups = np.zeros(records.num_rows, dtype=np.int64)
    return days_of_groups(groups, records["timestamp"].to_numpy(), sources, 1)[0]


def main_span(days: np.ndarray, weights: np.ndarray) -> tuple[int, int]:
    """First and last day of the stretch that holds most records; stretches lie more than `FAR_DAYS` apart.

    Args:
        days: (n,) distinct days, ascending.
        weights: (n,) records of each.
    """
    breaks = np.flatnonzero(np.diff(days) > FAR_DAYS) + 1
    stretches = np.split(np.arange(len(days)), breaks)
    best = max(stretches, key=lambda stretch: (int(weights[stretch].sum()), int(stretch[0])))
    return int(days[best[0]]), int(days[best[-1]])


def summed(many: list[Days]) -> Days:
    """The sum over several groups, by day; a source that is in two groups counts twice."""
    rows = [np.asarray(days, dtype=np.int64).reshape(-1, 3) for days in many]
    every = np.concatenate(rows) if rows else np.zeros((0, 3), dtype=np.int64)
    days, place = np.unique(every[:, 0], return_inverse=True)
    answer = np.zeros((len(days), 3), dtype=np.int64)
    answer[:, 0] = days
    np.add.at(answer[:, 1:], place, every[:, 1:])
    return answer.tolist()


def recent_days(n_days: int) -> int:
    """How many of the last days form the newest part; 0 if there are too few days to compare."""
    return -(-n_days // round(1 / RECENT_SHARE)) if n_days >= FEWEST_DAYS else 0
