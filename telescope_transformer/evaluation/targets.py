"""Which pairs of windows a metric compares, and which of them are positive."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet, indicator
from telescope_transformer.metrics.pairs import all_pairs

# Fewest sources with which an organisation can win a vote of five neighbours; see `large_organisations`.
LARGE_ORGANISATION = 4


class PairTarget(NamedTuple):
    """A set of pairs with positives, in the order of `all_pairs(n)`.

    Attributes:
        chosen: (pairs,) bool, the pairs to compare.
        positive: (pairs,) bool, the positive pairs.
        groups: (n,) codes for a macro average, or None.
    """

    chosen: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    groups: np.ndarray | None = None


def pair_targets(windows: WindowSet) -> dict[str, PairTarget]:
    """The targets for which these windows have positive and negative pairs, by name.

    `same_source`: same source against different sources; `hard`: the same among windows with one dominant service;
    `day_apart`: among windows more than a day apart; `no_common_sensor`: among windows without a common sensor;
    `prefix`: different sources of one /24 against different /24s; `organisation`: different sources of one
    organisation against different organisations; `organisation_other_prefix`: the same without the positive pairs of
    one /24, which can be found from the addresses alone.
    """
    first, second = all_pairs(len(windows))
    same = windows.sources[first] == windows.sources[second]
    services = windows.dominant_services
    targets = {
        "same_source": PairTarget(np.ones(len(same), bool), same, windows.sources),
        "hard": PairTarget(services[first] == services[second], same),
        "day_apart": PairTarget(_gap_seconds(windows, first, second) > DAY_SECONDS, same),
    }
    if windows.sensors is not None:
        targets["no_common_sensor"] = PairTarget(~_common_sensor(windows.sensors)[first, second], same)
    same_prefix = windows.prefixes[first] == windows.prefixes[second]
    targets["prefix"] = PairTarget(~same, same_prefix)
    if windows.labels is not None:
        known = windows.labels != ""
        organisations = np.unique(windows.labels, return_inverse=True)[1]
        chosen = ~same & known[first] & known[second]
        siblings = organisations[first] == organisations[second]
        targets["organisation"] = PairTarget(chosen, siblings, organisations)
        targets["organisation_other_prefix"] = PairTarget(chosen & ~(siblings & same_prefix), siblings)
    return targets


def rows_with_neighbours(windows: WindowSet, k: int) -> NDArray[np.int64]:
    """Rows of the labelled windows; empty if some window would have fewer than k neighbours of other sources."""
    none = np.zeros(0, np.int64)
    if windows.labels is None:
        return none
    rows = np.flatnonzero(windows.labels != "")
    if not len(rows) or len(rows) - np.bincount(windows.sources[rows]).max() < k:
        return none
    return rows


def large_organisations(windows: WindowSet) -> np.ndarray:
    """Names of the organisations with at least four sources.

    For a window of such an organisation, three other sources of the organisation can vote, which is a majority of five
    neighbours. No method can do well on smaller organisations.
    """
    if windows.labels is None:
        return np.zeros(0, str)
    names, codes = np.unique(windows.labels, return_inverse=True)
    members = np.unique(np.stack([codes, windows.sources]), axis=1)[0]
    large: np.ndarray = names[(np.bincount(members, minlength=len(names)) >= LARGE_ORGANISATION) & (names != "")]
    return large


def _gap_seconds(windows: WindowSet, first: np.ndarray, second: np.ndarray) -> NDArray[np.float64]:
    """Seconds from the end of the earlier window to the start of the later one; negative if they overlap."""
    starts, ends = windows.seconds[:, 0], windows.seconds[:, -1]
    gaps: NDArray[np.float64] = np.maximum(starts[first], starts[second]) - np.minimum(ends[first], ends[second])
    return gaps


def _common_sensor(sensors: np.ndarray) -> NDArray[np.bool_]:
    """Whether two windows have a common sensor, (n, n)."""
    seen = (indicator(sensors) > 0).astype(np.float32)
    common: NDArray[np.bool_] = (seen @ seen.T).toarray() > 0
    return common
