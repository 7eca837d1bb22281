"""Pictures of an evaluation as PNG: similarity histograms, threshold curves and a map of the windows.

They show the unseen sources of the first split. They name methods and organisations, never sources.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from telescope_transformer.evaluation.clustering import Curves
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.runs import Results
from telescope_transformer.evaluation.targets import pair_targets
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.metrics.pairs import condensed

# Our choices for legible pictures. The time of t-SNE grows with the number of mapped windows.
BINS = 80
DOTS_PER_INCH = 110
MAPPED_WINDOWS = 1_500
SOURCES_IN_COLOUR = 12
OTHER_COLOUR = "#c8c8c8"
CURVES = {
    "join_precision": "joins, precision",
    "join_recall": "joins, recall",
    "join_f1": "joins, F1",
    "cut_f1": "cuts, F1",
    "ari": "adjusted Rand index",
}


def draw_all(folder: Path, results: Results, methods: Mapping[str, Any]) -> list[Path]:
    """Draw every picture for which there is data; returns the files.

    Args:
        methods: methods by name, with `title` and `kind`, as `summary.summarise` returns them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for method, representation in results.shown.items():
        title, kind = methods[method]["title"], methods[method]["kind"]
        windows = results.shown_windows
        if kind == "control" or windows is None:
            continue
        written.append(_save(histograms(representation, windows, title), folder / f"{method}_similarities.png"))
        if representation.vectors is not None:
            written.append(_save(window_map(representation.vectors, windows, title), folder / f"{method}_map.png"))
        for truth, curves in results.curves.get(method, {}).get("unseen_sources", {}).items():
            figure = threshold_curves(curves, f"{title}: clusters against {truth}")
            written.append(_save(figure, folder / f"{method}_thresholds_{truth}.png"))
    return written


def histograms(representation: Representation, windows: WindowSet, title: str) -> Figure:
    """Densities of the similarity of positive and of negative pairs."""
    targets = pair_targets(windows)
    shown = [name for name in ("same_source", "organisation") if name in targets]
    figure = Figure(figsize=(5 * len(shown), 3.4), layout="constrained")
    scores = condensed(representation.similarity)
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        target = targets[name]
        edges = np.linspace(scores[target.chosen].min(), scores[target.chosen].max() + 1e-6, BINS)
        for positive, label in ((True, "together"), (False, "apart")):
            chosen = scores[target.chosen & (target.positive == positive)]
            axes.hist(chosen, edges, density=True, alpha=0.6, label=f"{label} ({len(chosen):,} pairs)")
        axes.set(xlabel="similarity", ylabel="density", title=f"{title}: {name.replace('_', ' ')}")
        axes.legend(frameon=False)
    return figure


def threshold_curves(curves: Curves, title: str) -> Figure:
    """Edge scores, adjusted Rand index and the number of clusters over the sweep."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes: Axes = figure.subplots()
    thresholds = np.array(curves["threshold"], dtype=float)
    for name, label in CURVES.items():
        axes.plot(thresholds, np.array(curves[name], dtype=float), label=label)
    axes.set(xlabel="threshold", ylabel="score", title=title, ylim=(-0.02, 1.02))
    counts = axes.twinx()
    counts.plot(thresholds, np.array(curves["n_clusters"], dtype=float), ":", color="black")
    counts.set(ylabel="clusters (dotted)", yscale="log")
    axes.legend(frameon=False, fontsize="small")
    return figure


def window_map(vectors: np.ndarray, windows: WindowSet, title: str) -> Figure:
    """t-SNE of the windows, coloured by organisation, or by the largest sources if no organisation is known."""
    rows = np.random.default_rng(0).permutation(len(windows))[:MAPPED_WINDOWS]
    # A perplexity above a third of the number of windows has no meaning.
    perplexity = min(30.0, (len(rows) - 1) / 3)
    places = TSNE(metric="cosine", init="random", random_state=0, perplexity=perplexity).fit_transform(vectors[rows])
    names = map_groups(windows)[rows]
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes: Axes = figure.subplots()
    axes.scatter(places[names == "", 0], places[names == "", 1], s=5, color=OTHER_COLOUR)
    for number, name in enumerate(np.unique(names[names != ""])):
        colour = colormaps["tab20"](number % 20)
        mine = places[names == name]
        axes.scatter(mine[:, 0], mine[:, 1], s=9, color=colour, label=name)
    axes.set(title=f"{title}: t-SNE of {len(rows):,} windows", xticks=[], yticks=[])
    axes.legend(frameon=False, fontsize="x-small", markerscale=2)
    return figure


def map_groups(windows: WindowSet) -> np.ndarray:
    """The group that determines each window's colour in the map, (n,): organisation or numbered source; "" is grey."""
    if windows.labels is not None:
        return windows.labels
    shown = np.argsort(-np.bincount(windows.sources), kind="stable")[:SOURCES_IN_COLOUR]
    names = {int(source): f"source {number}" for number, source in enumerate(shown, start=1)}
    return np.array([names.get(int(source), "") for source in windows.sources])


def _save(figure: Figure, path: Path) -> Path:
    # The name of the software is left out, so that equal data gives equal files.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    return path
