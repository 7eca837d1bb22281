"""Which pairs of windows a figure is about, and which of them belong together."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet, indicator
from telescope_transformer.metrics.pairs import all_pairs

LARGE_ORGANISATION = 4


class PairTarget(NamedTuple):
    """One question about pairs, in the order of `all_pairs(n)`.

    chosen: (pairs,) bool, the pairs that it is asked of.
    positive: (pairs,) bool, those that belong together.
    groups: (n,) codes over which a macro average is taken, or None for none.
    """

    chosen: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    groups: NDArray | None = None


def pair_targets(windows: WindowSet) -> dict[str, PairTarget]:
    """The questions that these windows can answer, by name.

    `same_source`: one source against different sources; `hard`: the same among windows of one dominant service;
    `day_apart`: among windows with more than a day between them; `no_common_sensor`: among windows that no sensor
    saw both of; `prefix`: different sources of one /24 against different /24s; `organisation`: different sources of
    one organisation against different organisations, and `organisation_other_prefix` the same without the positive
    pairs of one /24, which address tools would find anyway.
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


def told_by_neighbours(windows: WindowSet, k: int) -> NDArray[np.int64]:
    """Rows of the labelled windows; none where some window would have fewer than k neighbours from other sources."""
    none = np.zeros(0, np.int64)
    if windows.labels is None:
        return none
    rows = np.flatnonzero(windows.labels != "")
    if not len(rows) or len(rows) - np.bincount(windows.sources[rows]).max() < k:
        return none
    return rows


def large_organisations(windows: WindowSet) -> NDArray:
    """Names of the organisations with at least four sources: without its own, a window has three others to vote.

    Three are a majority of five neighbours; what has fewer can hardly be told, whatever the method.
    """
    if windows.labels is None:
        return np.zeros(0, str)
    names, codes = np.unique(windows.labels, return_inverse=True)
    members = np.unique(np.stack([codes, windows.sources]), axis=1)[0]
    return names[(np.bincount(members, minlength=len(names)) >= LARGE_ORGANISATION) & (names != "")]


def _gap_seconds(windows: WindowSet, first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Seconds from the end of the earlier window to the start of the later; negative where they overlap."""
    starts, ends = windows.seconds[:, 0], windows.seconds[:, -1]
    return np.maximum(starts[first], starts[second]) - np.minimum(ends[first], ends[second])


def _common_sensor(sensors: NDArray) -> NDArray[np.bool_]:
    """Whether some sensor saw both windows, (n, n)."""
    seen = (indicator(sensors) > 0).astype(np.float32)
    return (seen @ seen.T).toarray() > 0
