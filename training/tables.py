"""Write recorded figures into documents: `python -m training.tables METRICS.json... --into README.md`.

A document marks where a table goes with the name of the data, that of the table (`evaluation.tables.HEADINGS`) and, if
it is not 8, the window length:

    <!-- table:aws-honeypot-2013 sources -->
    <!-- end -->

Metrics files of the same data and window length are joined, because baselines are measured once and models whenever
they change. `--condense` shortens the files to what tables and cards show; `--card FILE` writes the models' figures
for a card.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from telescope_transformer.errors import InputError, TelescopeError
from telescope_transformer.evaluation.summary import SCHEMA
from telescope_transformer.evaluation.tables import HEADINGS, MAIN_FIGURES, TABLES, lines, table

MARK = re.compile(r"(<!-- table:(?P<data>\S+) (?P<table>\w+)(?: (?P<window>\d+))? -->\n).*?(<!-- end -->)", re.DOTALL)
KINDS = ("control", "baseline", "transductive", "ceiling", "model")
DEFAULT_WINDOW = 8


def read_metrics(path: Path) -> dict[str, Any]:
    """A metrics file.

    Raises:
        InputError: if it is missing, not JSON, or of another schema.
    """
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(metrics, dict) or metrics.get("schema") != SCHEMA:
        raise InputError(f"{path}: not a file of schema {SCHEMA}; `telescope evaluate` writes one")
    return metrics


def joined(files: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """The methods of all files, by name and window length of the data; of equal methods, the last file's is kept."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for metrics in files:
        key = (metrics["data"]["name"], metrics["data"]["window"])
        entry = found.setdefault(key, {"data": metrics["data"], "methods": {}, "differences": {}})
        for part in ("methods", "differences"):
            entry[part].update(metrics.get(part, {}))
    for metrics in found.values():
        order = sorted(metrics["methods"].items(), key=lambda item: KINDS.index(item[1]["kind"]))
        metrics["methods"] = dict(order)
    return found


def filled(text: str, metrics: Mapping[tuple[str, int], Mapping[str, Any]], place: str) -> str:
    """The document with every marked section replaced by its table.

    Raises:
        InputError: if a section asks for missing data or an unknown table, or no section is marked.
    """

    def section(match: re.Match[str]) -> str:
        key = (match["data"], int(match["window"] or DEFAULT_WINDOW))
        name = match["table"]
        cells = table(metrics[key], name, intervals=False) if key in metrics and name in HEADINGS else []
        if not cells:
            there = ", ".join(f"{name} (windows of {window})" for name, window in metrics)
            raise InputError(
                f"{place}: no figures for {match[0].splitlines()[0]}; there are {there}; {list(HEADINGS)}"
            )
        return f"{match[1]}{lines(cells)}\n{match[5]}"

    text, number = MARK.subn(section, text)
    if not number:
        raise InputError(f"{place}: no section is marked with <!-- table:NAME TABLE --> and <!-- end -->")
    return text


def condensed(metrics: Mapping[str, Any]) -> str:
    """A metrics file as text, one method per line, without curves and figures that no table or card shows."""
    methods = {}
    for name, method in metrics["methods"].items():
        parts = {part: _shown(groups, part) for part, groups in method["parts"].items()}
        methods[name] = method | {"parts": parts}
    lines = [f'"{key}": {json.dumps(metrics[key])}' for key in ("schema", "data", "counts", "differences", "results")]
    lines.append('"methods": {\n' + ",\n".join(f'"{name}": {json.dumps(m)}' for name, m in methods.items()) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _shown(groups: Mapping[str, Any], part: str) -> dict[str, Any]:
    wanted = {(group, name) for group, names in MAIN_FIGURES.items() for name in names}
    wanted |= {(column.group, column.name) for of, columns in TABLES.values() if of == part for column in columns}
    kept = {
        group: {name: f for name, f in names.items() if (group, name) in wanted} for group, names in groups.items()
    }
    return {group: names for group, names in kept.items() if names}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = argparse.ArgumentParser(prog="training.tables", description=__doc__.split("\n")[0])
    command.add_argument("metrics", nargs="+", type=Path, help="metrics.json files of evaluations")
    command.add_argument("--into", nargs="*", type=Path, default=[], help="documents with marked sections")
    command.add_argument("--condense", action="store_true", help="shorten the files to what tables and cards show")
    command.add_argument("--card", type=Path, help="metrics.json of a checkpoint to write")
    command.add_argument(
        "--measured-on", help="which models the card's figures are of, where not the checkpoint's own"
    )
    options = command.parse_args(argv)
    try:
        files = {path: read_metrics(path) for path in options.metrics}
        tables = joined(files.values())
        for path in options.into:
            path.write_text(filled(path.read_text(encoding="utf-8"), tables, str(path)), encoding="utf-8")
        for path in files if options.condense else ():
            path.write_text(condensed(files[path]), encoding="utf-8")
        if options.card:
            rows = [row for metrics in files.values() for row in metrics.get("results", [])]
            about = {"measured_on": options.measured_on} if options.measured_on else {}
            options.card.write_text(json.dumps(about | {"results": rows}, indent=1) + "\n", encoding="utf-8")
    except (TelescopeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
