"""Markdown tables of an evaluation across telescopes, from its cells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from telescope_transformer.evaluation.across import value_of
from telescope_transformer.evaluation.cells import spread
from telescope_transformer.evaluation.tables import lines, short

COLUMNS = {
    "same source": "same_source",
    "hard": "hard",
    "/24": "prefix",
    "organisation, pooled": "organisation",
    "macro": "organisation_macro",
    "other /24s": "organisation_other_prefix",
    "ARI, no labels": "ari",
    "ARI, best threshold": "ari_best",
    "ARI, Leiden": "ari_leiden",
    "ARI, HDBSCAN": "ari_hdbscan",
    "calibration error": "calibration_error",
}
# Columns of the summary, a table with a row per method over all telescopes.
SUMMARY = ("same source", "hard", "organisation, pooled", "macro", "other /24s", "ARI, no labels", "calibration error")
NOTE = """\
Means over seeds, with their range in parentheses, on unseen sources; in brackets the 95 % interval over sources
(bootstrap) of the first seed. Sources are split by /24, and /24s that were learned from elsewhere are left out.
The best threshold, Leiden and HDBSCAN have the setting that agrees best with the organisations; no other figure
has seen a label. The calibration error is of the probability that two windows are of one source.
"""


def across_tables(cells: Sequence[Mapping[str, Any]], methods: Sequence[str], telescopes: Sequence[str]) -> str:
    """All tables: the summary over telescopes, then one for each telescope.

    Args:
        cells: cells that `evaluate_across` returns.
        methods, telescopes: names, in the order of rows and tables.
    """
    text = ["# Across telescopes\n", NOTE, f"## Mean over telescopes\n\n{lines(_summary(cells, methods))}\n"]
    for telescope in telescopes:
        own = [cell for cell in cells if cell["telescope"] == telescope]
        # Methods that need labels have no counts where there are none.
        counted = [cell for cell in own if "counts" in cell]
        skipped = next((cell["skipped"] for cell in own if cell.get("skipped")), None)
        if skipped:
            text.append(f"## {telescope}\n\nNot measured: {skipped}.\n")
        elif counted:
            counts = counted[0]["counts"]
            labelled = f", {counts['labelled_sources']} of known organisation" if "labelled_sources" in counts else ""
            seeds = ", ".join(map(str, sorted({cell["seed"] for cell in own})))
            summary = f"{counts['sources']} unseen sources{labelled}; seeds {seeds}."
            text.append(f"## {telescope}\n\n{summary}\n\n{lines(_table(own, methods))}\n")
    return "\n".join(text)


def _table(cells: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[list[str]]:
    used = {heading: name for heading, name in COLUMNS.items() if any(value_of(c, name) is not None for c in cells)}
    rows = [["method", *used]]
    for method in methods:
        own = sorted((cell for cell in cells if cell["method"] == method), key=lambda cell: cell["seed"])
        if any(cell["figures"] for cell in own):
            rows.append([method, *(_shown(own, name) for name in used.values())])
    return rows


def _shown(cells: Sequence[Mapping[str, Any]], name: str) -> str:
    """Mean and range over seeds, and the first seed's interval over sources."""
    text = spread(value_of(cell, name) for cell in cells)
    figure = cells[0]["figures"].get(name)
    if text and isinstance(figure, Mapping) and figure["low"] is not None:
        text += f" [{short(figure['low'])}, {short(figure['high'])}]"
    return text


def _summary(cells: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[list[str]]:
    """A row per method: mean of each figure over the telescopes that have it, and the number of these telescopes."""
    rows = [["method", *SUMMARY]]
    present = [method for method in methods if any(cell["method"] == method for cell in cells)]
    for method in present:
        row = [method]
        for heading in SUMMARY:
            by_telescope = _means(cells, method, COLUMNS[heading])
            row.append(f"{short(float(np.mean(by_telescope)))} ({len(by_telescope)})" if by_telescope else "")
        rows.append(row)
    rows[0] = ["method", *(f"{heading} (telescopes)" for heading in SUMMARY)]
    return rows


def _means(cells: Sequence[Mapping[str, Any]], method: str, name: str) -> list[float]:
    """The figure's mean over seeds, for each telescope that has the figure."""
    found: dict[str, list[float]] = {}
    for cell in cells:
        value = value_of(cell, name) if cell["method"] == method else None
        if value is not None:
            found.setdefault(cell["telescope"], []).append(value)
    return [float(np.mean(values)) for values in found.values()]
