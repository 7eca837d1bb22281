"""Every method on every split: figures, clusterings and curves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from telescope_transformer.evaluation.baselines.methods import Method
from telescope_transformer.evaluation.clustering import Curves, clusterings, proved, score_clusterings, truths
from telescope_transformer.evaluation.measure import EvaluationSuite, Figures
from telescope_transformer.evaluation.protocol import UNSEEN, Split
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.summary import Run
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.progress import progress_bar


@dataclass
class Results:
    """Results of all runs.

    Attributes:
        counts: numbers of windows, sources and pairs by split and part.
        curves: the sweep over thresholds on the first split, by method, part and truth.
        shown: representation of the first split's unseen sources by method, for the plots.
    """

    runs: list[Run] = field(default_factory=list)
    counts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    curves: dict[str, dict[str, dict[str, Curves]]] = field(default_factory=dict)
    shown: dict[str, Representation] = field(default_factory=dict)
    shown_windows: WindowSet | None = None


def measure_split(
    results: Results, split: Split, seed: int, methods: Mapping[str, Iterable[Method]], *, replicates: int
) -> None:
    """Add the metrics of the methods on one split.

    Args:
        seed: number of the split; it also seeds the methods and the bootstrap.
        methods: by name, its variants on this split (such as seeds of a model); their metrics are averaged later.
    """
    parts = {part: EvaluationSuite(split.part(part), replicates=replicates, seed=seed) for part in UNSEEN}
    results.counts[str(seed)] = {part: suite.counts() for part, suite in parts.items()}
    results.shown_windows = results.shown_windows or split.unseen_sources
    variants = [(name, variant) for name, some in methods.items() for variant in some]
    for name, variant in progress_bar(variants, unit="method", description=f"split {seed}"):
        _measure(results, split, seed, name, variant, parts)


def _measure(
    results: Results, split: Split, seed: int, name: str, method: Method, parts: Mapping[str, EvaluationSuite]
) -> None:
    represent = method.fit(split, seed)
    validation = None if method.kind == "control" else represent(split.validation)
    for part, suite in parts.items():
        representation = represent(suite.windows)
        figures = suite.answer(representation.similarity)
        if validation is not None:
            found, curves = _clusters(split, seed, representation, validation, suite)
            figures |= found
            results.curves.setdefault(name, {}).setdefault(part, curves)
        if part == "unseen_sources":
            results.shown.setdefault(name, representation)
        results.runs.append(Run(name, part, seed, figures))


def _clusters(
    split: Split, seed: int, representation: Representation, validation: Representation, suite: EvaluationSuite
) -> tuple[Figures, dict[str, Curves]]:
    figures: Figures = {}
    curves: dict[str, Curves] = {}
    for truth_name, truth in truths(suite.windows).items():
        found = clusterings(representation, truth, validation, split.validation.sources, seed)
        similarity = representation.similarity[np.ix_(truth.rows, truth.rows)]
        prove = partial(proved, similarity=similarity, seed=seed)
        scores, curves[truth_name] = score_clusterings(found, truth, suite.multiplicities, prove)
        figures |= {f"clusters_{truth_name}_{name}": values for name, values in scores.items()}
    return figures, curves


def report_rows(methods: Mapping[str, Any], dataset: str, names: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    """The main metrics of the models as rows for a card: dataset, split, metric, value, low, high."""
    rows = []
    for method in methods.values():
        for part, groups in method["parts"].items() if method["kind"] == "model" else ():
            for group, wanted in names.items():
                for name in wanted:
                    figure = groups.get(group, {}).get(name, {"mean": None})
                    if figure["mean"] is not None:
                        values = {"value": figure["mean"], "low": figure["low"], "high": figure["high"]}
                        metric = f"{method['title']}: {group} {name}".replace("_", " ")
                        rows.append({"dataset": dataset, "split": part, "metric": metric} | values)
    return rows
