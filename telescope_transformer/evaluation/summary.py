"""From the metrics of single runs to the file that tables and cards are rendered from.

A run is one method on one split. A method may have several runs per split, with different seeds. Runs of a split are
averaged first, then splits. Both are averaged replicate by replicate, so that the interval is that of the mean.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.evaluation.measure import Figures
from telescope_transformer.metrics.bootstrap import percentile_interval

SCHEMA = "telescope-evaluation/1"


class Run(NamedTuple):
    """Metrics of one method on one part ("unseen_sources" or "unseen_sequences") of one split."""

    method: str
    part: str
    split: int
    figures: Figures


class Averaged(NamedTuple):
    """A metric averaged over splits, with its replicates, (1 + replicates,), and its value on each split."""

    values: NDArray[np.float64]
    splits: dict[int, float]


Averages = dict[tuple[str, str, str, str], Averaged]


def average(runs: Iterable[Run]) -> Averages:
    """Every metric by method, part, group and name. Splits in which it is not defined do not count in its mean."""
    collected: dict[tuple[str, str, str, str], dict[int, list[np.ndarray]]] = {}
    for run in runs:
        for group, figures in run.figures.items():
            for name, values in figures.items():
                key = (run.method, run.part, group, name)
                collected.setdefault(key, {}).setdefault(run.split, []).append(values)
    return {key: _average(by_split) for key, by_split in collected.items()}


def summarise(averages: Averages, titles: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The `methods` of a metrics file: for each method its title, kind, and metrics by part, group and name.

    Each metric has `mean`, `low` and `high` (the 95 % interval of the mean over splits) and its value on every split.
    Undefined values are null.
    """
    methods: dict[str, Any] = {}
    for (method, part, group, name), averaged in averages.items():
        title, kind = titles[method]
        entry = methods.setdefault(method, {"title": title, "kind": kind, "parts": {}})
        figures = entry["parts"].setdefault(part, {}).setdefault(group, {})
        figures[name] = _entry(averaged.values) | {
            "splits": {str(split): number(value) for split, value in averaged.splits.items()}
        }
    return methods


def differences(averages: Averages, models: Iterable[str], names: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Difference between each model and every other method, with its interval.

    Replicates of both use the same sources. Only metrics in `names` (group to names) are compared, on the splits that
    both have; methods without a common split are not compared.
    """
    result: dict[str, Any] = {}
    methods = list(dict.fromkeys(key[0] for key in averages))
    for model in models:
        for (method, part, group, name), mine in averages.items():
            if method != model or name not in names.get(group, ()):
                continue
            for other in methods:
                theirs = averages.get((other, part, group, name))
                if other != model and theirs is not None and theirs.splits.keys() == mine.splits.keys():
                    place = result.setdefault(model, {}).setdefault(other, {}).setdefault(part, {})
                    place.setdefault(group, {})[name] = _entry(mine.values - theirs.values)
    return result


def number(value: float) -> float | None:
    """A float for JSON with six digits; None if it is not defined."""
    return None if not np.isfinite(value) else float(f"{value:.6g}")


def _average(by_split: dict[int, list[np.ndarray]]) -> Averaged:
    means = {split: np.mean(values, axis=0) for split, values in sorted(by_split.items())}
    stacked = np.stack(list(means.values()))
    defined = ~np.isnan(stacked)
    count = defined.sum(axis=0)
    total = np.where(defined, stacked, 0).sum(axis=0)
    values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Averaged(values, {split: float(mean[0]) for split, mean in means.items()})


def _entry(values: np.ndarray) -> dict[str, float | None]:
    low, high = percentile_interval(values[1:])
    return {"mean": number(values[0]), "low": number(low), "high": number(high)}
