"""Markdown tables of an evaluation across telescopes, from its cells."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from telescope_transformer.evaluation.across import CENTRED, value_of
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
        counts = [cell["counts"] for cell in own if "counts" in cell]
        notes = _notes(own)
        if counts:
            seeds = _seeds(sorted({cell["seed"] for cell in own if "counts" in cell}))
            sources = f"{_range(counts, 'sources')} unseen sources"
            labelled = _range(counts, "labelled_sources")
            known = f", {labelled} of known organisation" if labelled else ""
            summary = f"{sources}{known}; {seeds}."
            notes = f"{summary}\n\n{lines(_table(own, methods))}\n{notes}"
        if notes:
            text.append(f"## {telescope}\n\n{notes.lstrip()}")
    return "\n".join(text)


def _range(counts: Sequence[Mapping[str, int]], name: str) -> str:
    """A number that may differ between seeds, such as `20 to 23`; empty if no cell has it."""
    numbers = [each[name] for each in counts if name in each]
    if not numbers:
        return ""
    return str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"


def _notes(cells: Sequence[Mapping[str, Any]]) -> str:
    """Paragraphs that say which seeds and methods were not measured, and which models were not adapted, and why."""
    skipped: dict[str, dict[int, None]] = {}
    notes: dict[str, None] = {}
    for cell in sorted(cells, key=lambda cell: cell["seed"]):
        facts = cell.get("facts") or {}
        if cell.get("skipped"):
            skipped.setdefault(cell["skipped"], {})[cell["seed"]] = None
        elif cell.get("reason"):
            notes[f"{cell['method']}, not measured: {cell['reason']}."] = None
        elif facts.get("reason") and not cell["method"].endswith(CENTRED):
            notes[f"{cell['method']}, only centred: {facts['reason']}."] = None
    for reason, seeds in skipped.items():
        notes[f"Not measured with {_seeds(seeds)}: {reason}."] = None
    return "".join(f"\n{note}\n" for note in notes)


def _seeds(seeds: Iterable[int]) -> str:
    """Seeds in words: "seed 0", "seeds 0, 1"."""
    names = [str(seed) for seed in seeds]
    return f"seed{'s' if len(names) > 1 else ''} {', '.join(names)}"


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
        if any(row[1:]):
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
