"""Markdown tables of a metrics file: a row per method, intervals in brackets."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Metrics of each target that cards list and that differences between methods are computed for.
MAIN_FIGURES: dict[str, tuple[str, ...]] = {
    "same_source": ("auroc", "macro_auroc", "tpr_at_1pct", "tpr_at_01pct", "intra", "inter"),
    "hard": ("auroc",),
    "day_apart": ("auroc",),
    "no_common_sensor": ("auroc",),
    "retrieval": ("recall_at_1", "map"),
    "prefix": ("auroc",),
    "organisation": ("auroc", "macro_auroc"),
    "organisation_other_prefix": ("auroc",),
    "neighbours": ("accuracy", "macro_f1"),
    "clusters_organisations_calibrated": ("ari", "v_measure", "variation_of_information", "join_f1", "n_clusters"),
    "clusters_organisations_balanced": ("ari", "v_measure", "variation_of_information", "join_f1", "n_clusters"),
    "clusters_organisations_best": ("ari",),
}


class Column(NamedTuple):
    """A column of a table: its heading and metric."""

    heading: str
    group: str
    name: str


SOURCE_COLUMNS = (
    Column("AUROC", "same_source", "auroc"),
    Column("macro", "same_source", "macro_auroc"),
    Column("hard", "hard", "auroc"),
    Column("> 1 day apart", "day_apart", "auroc"),
    Column("no common sensor", "no_common_sensor", "auroc"),
    Column("TPR@1%", "same_source", "tpr_at_1pct"),
    Column("TPR@0.1%", "same_source", "tpr_at_01pct"),
    Column("recall@1", "retrieval", "recall_at_1"),
    Column("MAP", "retrieval", "map"),
    Column("/24", "prefix", "auroc"),
    Column("inside", "same_source", "intra"),
    Column("between", "same_source", "inter"),
)
ORGANISATION_COLUMNS = (
    Column("AUROC", "organisation", "auroc"),
    Column("macro", "organisation", "macro_auroc"),
    Column("other /24s", "organisation_other_prefix", "auroc"),
    Column("5-NN accuracy", "neighbours", "accuracy"),
    Column("5-NN macro F1", "neighbours", "macro_f1"),
)
CLUSTERINGS = (
    Column("ARI, calibrated", "calibrated", "ari"),
    Column("ARI, balanced", "balanced", "ari"),
    Column("ARI, best of sweep", "best", "ari"),
    Column("ARI, k-means, true k", "k_means", "ari"),
    Column("ARI, HDBSCAN", "hdbscan", "ari"),
    Column("V, calibrated", "calibrated", "v_measure"),
    Column("VI, calibrated", "calibrated", "variation_of_information"),
    Column("join F1", "calibrated", "join_f1"),
    Column("cut F1", "calibrated", "cut_f1"),
    Column("clusters", "calibrated", "n_clusters"),
    Column("cost", "calibrated", "cost"),
    Column("gap", "calibrated", "gap"),
    Column("gap, balanced", "balanced", "gap"),
    Column("gap, best of sweep", "best", "gap"),
)
AGAINST_ORGANISATIONS, AGAINST_SOURCES = (
    tuple(Column(heading, f"clusters_{truth}_{name}", figure) for heading, name, figure in CLUSTERINGS)
    for truth in ("organisations", "sources")
)
TABLES = {
    "sources": ("unseen_sources", SOURCE_COLUMNS),
    "sequences": ("unseen_sequences", SOURCE_COLUMNS),
    "organisations": ("unseen_sources", ORGANISATION_COLUMNS),
    "clusters": ("unseen_sources", AGAINST_ORGANISATIONS),
    "clusters_sequences": ("unseen_sequences", AGAINST_ORGANISATIONS),
    "source_clusters": ("unseen_sources", AGAINST_SOURCES),
    "source_clusters_sequences": ("unseen_sequences", AGAINST_SOURCES),
}
AHEAD_COLUMNS = (
    *(column for column in SOURCE_COLUMNS if column.heading in ("AUROC", "hard", "TPR@1%", "recall@1", "MAP", "/24")),
    Column("organisation AUROC", "organisation", "auroc"),
    Column("5-NN macro F1", "neighbours", "macro_f1"),
    Column("ARI, calibrated", "clusters_organisations_calibrated", "ari"),
)
HEADINGS = {
    "sources": "Same source or not, unseen sources",
    "sequences": "Same source or not, unseen sequences of seen sources",
    "organisations": "Same organisation or not, unseen sources",
    "clusters": "Clusters against organisations, unseen sources",
    "clusters_sequences": "Clusters against organisations, unseen sequences of seen sources",
    "source_clusters": "Clusters against sources, unseen sources",
    "source_clusters_sequences": "Clusters against sources, unseen sequences of seen sources",
    "ahead": "Differences, unseen sources: an interval above 0 is a lead",
}

CLUSTER_NOTE = (
    "The calibrated threshold is the one that `telescope analyze` would use. A method has one if it gives "
    "vectors, if at least 20 validation sources have two windows, and if windows of one source are the more "
    "similar ones. A tenth of all sources are for validation, so a dataset of 60 sources has no calibrated "
    "threshold. Costs and gaps are in units of similarity, and no bound is computed for more than 600 windows. "
    "Numbers of clusters and entropies against sources have no interval: they depend on the number of distinct "
    "sources, and a bootstrap draws some sources twice and others not at all."
)
NOTES = {heading: CLUSTER_NOTE for name, heading in HEADINGS.items() if "clusters" in name}

Cells = list[list[str]]


def markdown(metrics: Mapping[str, Any]) -> str:
    """All tables of a metrics file, each under its heading."""
    data = metrics["data"]
    splits = ", ".join(map(str, data["splits"]))
    text = [f"# {data['name']}: windows of {data['window']} records, splits {splits}\n"]
    for heading, cells in sections(metrics):
        text.append(f"## {heading}\n\n{lines(cells)}\n")
        text += [f"{NOTES[heading]}\n"] if heading in NOTES else []
    return "\n".join(text)


def sections(metrics: Mapping[str, Any]) -> list[tuple[str, Cells]]:
    """Heading and cells of every table that is not empty."""
    found = [(heading, table(metrics, name)) for name, heading in HEADINGS.items()]
    return [(heading, cells) for heading, cells in found if cells]


def lines(cells: Cells) -> str:
    """A Markdown table of the cells."""
    rows = [cells[0], ["---"] * len(cells[0]), *cells[1:]]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)


def table(metrics: Mapping[str, Any], name: str, *, intervals: bool = True) -> Cells:
    """The cells of a table of `HEADINGS`, heading row first; empty if no method has any of its metrics.

    The first column shows the interval; all columns do if `intervals` is true.
    """
    if name == "ahead":
        return _cells(_differences(metrics), AHEAD_COLUMNS, intervals=True)
    part, columns = TABLES[name]
    rows = {method["title"]: method["parts"].get(part, {}) for method in metrics["methods"].values()}
    return _cells(rows, columns, intervals=intervals)


def _differences(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Metrics of the difference by "model - other method"."""
    titles = {name: method["title"] for name, method in metrics["methods"].items()}
    return {
        f"{titles[model]} - {titles.get(other, other)}": parts.get("unseen_sources", {})
        for model, others in metrics.get("differences", {}).items()
        for other, parts in others.items()
    }


def _cells(rows: Mapping[str, Mapping[str, Any]], columns: Iterable[Column], *, intervals: bool) -> Cells:
    used = [column for column in columns if any(_figure(groups, column) for groups in rows.values())]
    rows = {title: groups for title, groups in rows.items() if any(_figure(groups, column) for column in used)}
    if not rows:
        return []
    cells = [["method", *(column.heading for column in used)]]
    for title, groups in rows.items():
        shown = [_cell(_figure(groups, column), intervals or at == 0) for at, column in enumerate(used)]
        cells.append([title, *shown])
    return cells


def _figure(groups: Mapping[str, Any], column: Column) -> Mapping[str, Any] | None:
    figure = groups.get(column.group, {}).get(column.name)
    return figure if figure and figure["mean"] is not None else None


def _cell(figure: Mapping[str, Any] | None, interval: bool) -> str:
    if figure is None:
        return ""
    if not interval or figure["low"] is None or figure["low"] == figure["high"]:
        return short(figure["mean"])
    return f"{short(figure['mean'])} [{short(figure['low'])}, {short(figure['high'])}]"


def short(value: float) -> str:
    """Three decimals without the leading zero, as papers print shares; one decimal from 10 on."""
    return f"{value:.1f}" if abs(value) >= 10 else re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")
