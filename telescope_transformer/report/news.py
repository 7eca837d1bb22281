"""Finds clusters that are new, growing or gone, by comparing the last days of each cluster with the days before."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telescope_transformer.report.days import Days, main_span, recent_days, summed

# The kinds of change that are reported; any other cluster is `steady`.
KINDS = ("new", "growing", "gone")
# A cluster is growing if it has at least twice as many sources per day as before (our choice) and chance hardly
# explains it: a deviance of 10 or more has a probability below .002 (chi-squared distribution, one degree of freedom).
GROWTH = 2.0
LEAST_DEVIANCE = 10.0
# The number of earlier sources assumed for a cluster that had none, so that its deviance is finite. Half a count is
# the usual continuity correction.
UNSEEN = 0.5


@dataclass(frozen=True)
class Period:
    """The days of the data and their newest part. All days are inclusive and count from 1970.

    Attributes:
        first, last: first and last day of the data, ignoring days that are more than a year away from all others.
        recent: first day of the newest part; `last + 1` if there are too few days to compare.
    """

    first: int
    last: int
    recent: int

    def within(self, days: Days) -> np.ndarray:
        """Those of the days that are in this period, int64 (n, 3)."""
        table = np.asarray(days, dtype=np.int64).reshape(-1, 3)
        return table[(table[:, 0] >= self.first) & (table[:, 0] <= self.last)]

    @property
    def n_days(self) -> int:
        return self.last - self.first + 1

    @property
    def n_recent(self) -> int:
        return self.last - self.recent + 1


@dataclass(frozen=True)
class Change:
    """A change of a cluster.

    Attributes:
        kind: `new` (no record before), `growing`, `gone` (no record in the newest part), `steady`.
        since: first day of a new cluster, last day of a cluster that is gone, otherwise first day of the newest part.
        score: how unusual the newest part is: the deviance of its sources per day from those before.
        factor: ratio of sources per day in the newest part to those before; infinite if there were none before.
    """

    kind: str
    since: int
    score: float
    factor: float


def period_of(days: Days) -> Period | None:
    """The period of the whole traffic; None without traffic."""
    if not days:
        return None
    table = np.asarray(days, dtype=np.int64)
    first, last = main_span(table[:, 0], table[:, 1])
    return Period(first, last, last + 1 - recent_days(last - first + 1))


def traffic_of(profiles: Sequence[Mapping[str, Any]]) -> Days:
    """Records and sources per day, summed over all clusters with a profile."""
    return summed([profile.get("days") or [] for profile in profiles])


def change_of(profile: Mapping[str, Any], period: Period) -> Change:
    """What a cluster did in the newest part of the period."""
    table = period.within(profile.get("days") or [])
    is_recent = table[:, 0] >= period.recent
    if not len(table) or period.n_recent == 0:
        return Change("steady", period.first, 0.0, 1.0)
    recent, before = int(table[is_recent, 2].sum()), int(table[~is_recent, 2].sum())
    n_before = period.n_days - period.n_recent
    expected = max(before, UNSEEN) * period.n_recent / n_before
    score, factor = _deviance(recent, expected), recent / expected if before else math.inf
    if not before:
        return Change("new", int(table[0, 0]), score, factor)
    if not recent:
        return Change("gone", int(table[-1, 0]), score, factor)
    kind = "growing" if factor >= GROWTH and score >= LEAST_DEVIANCE else "steady"
    return Change(kind, period.recent, score, factor)


def _deviance(seen: int, expected: float) -> float:
    """Twice the log-likelihood ratio of a Poisson count and its expectation."""
    return 2 * ((seen * math.log(seen / expected) if seen else 0.0) - (seen - expected))
