"""The report: one HTML file that opens offline and runs nothing but its own script."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from telescope_transformer import __version__
from telescope_transformer.files import write_text
from telescope_transformer.report.adaptation import adaptation_text
from telescope_transformer.report.compare import Comparison
from telescope_transformer.report.counting import most_frequent
from telescope_transformer.report.news import KINDS
from telescope_transformer.report.page_data import ReportData, page_data
from telescope_transformer.report.reliability import reliability_picture, similarity_texts
from telescope_transformer.words import counted, saving

# The scripts are joined in this order, and each uses only those before it.
SCRIPTS = (
    "data.js",
    "search.js",
    "symbols.js",
    "svg.js",
    "map_view.js",
    "map_labels.js",
    "map.js",
    "table.js",
    "detail.js",
    "time.js",
    "main.js",
)
STYLES = ("page.css", "parts.css")
# Our choices: examples of rejected rows, and the most rows of each kind of change in a comparison.
EXAMPLE_REJECTS, MAX_CHANGES = 20, 500
# Our choice: a gap of at most 5 % is called near optimal.
NEAR_OPTIMAL = 0.05
# Pixels of a sparkline, as in the template.
SPARK_SIZE = 120, 20
# Characters of closing tags and comments, and two line separators that JSON allows but older scripts did not.
_SCRIPT_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"}


def write_report(path: str | os.PathLike[str], data: ReportData) -> None:
    """Write the report to `path` as one HTML file without any outside reference.

    Args:
        path: the file to write; it is replaced in one step or not at all.
        data: the contents of the report.
    """
    write_text(Path(path), render_report(data))


def render_report(data: ReportData, *, live: bool = False, others: Sequence[tuple[str, str, bool]] = ()) -> str:
    """The report as HTML text. The content security policy names the script and the style by their hashes.

    Args:
        data: the contents of the report.
        live: whether the page may query the server that it comes from (`telescope serve`).
        others: the analyses to choose from, each with its address, its name, and whether it is this one.
    """
    script, style = _static(SCRIPTS), _static(STYLES)
    policy = f"default-src 'none'; script-src {_source_hash(script)}; style-src {_source_hash(style)}"
    policy += "; connect-src 'self'" if live else ""
    policy += "; base-uri 'none'; form-action 'none'"
    return template("report.html.j2").render(
        title=data.title,
        version=__version__,
        policy=policy,
        script=Markup(script),
        style=Markup(style),
        payload=Markup(script_json(page_data(data))),
        live=live,
        others=others,
        screen=_with_paths(data.first_screen()),
        counts=data.counts,
        solution=data.solution,
        certificate=certificate_text(data.solution),
        rejects=_reject_summary(data.rejects),
        adaptation=adaptation_text(data.adaptation),
        similarities=similarity_texts(data.solution, data.calibration),
        reliability=reliability_picture(data.calibration) if data.calibration else None,
        levels=data.solution.get("granularity"),
    )


def render_comparison(found: Comparison) -> str:
    """The differences between two analyses as an HTML page without scripts."""
    style = _static(STYLES)
    totals = found.totals()
    groups = [
        (kind, [row for row in found.clusters if row["change"] == kind][:MAX_CHANGES], totals[kind])
        for kind in totals
        if totals[kind] and kind != "same"
    ]
    return template("compare.html.j2").render(
        version=__version__,
        policy=f"default-src 'none'; style-src {_source_hash(style)}; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        names=found.names,
        sentences=found.overview(),
        groups=groups,
    )


def template(name: str) -> Template:
    """A template of the report; whatever it shows is escaped."""
    loader = PackageLoader("telescope_transformer.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.globals["counted"] = counted
    environment.filters["grouped"] = "{:,}".format
    return environment.get_template(name)


def _with_paths(screen: dict[str, Any]) -> dict[str, Any]:
    """Add an SVG path for the sparkline to each line of the first screen."""
    for kind in KINDS:
        for line in screen[kind]:
            line["path"] = _spark_path(line["spark"])
    return screen


def _spark_path(values: Sequence[int]) -> str:
    """Draw steps whose heights are the square roots of the values, so that small values stay visible."""
    width, height = SPARK_SIZE
    top, step = max(1, *values), width / max(1, len(values))
    levels = [height - (height - 2) * sqrt(value / top) for value in values]
    steps = "".join(f"L{i * step:.1f} {y:.1f}L{(i + 1) * step:.1f} {y:.1f}" for i, y in enumerate(levels))
    return f"M0 {height}{steps}L{width} {height}Z"


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or begin a comment."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_SCRIPT_ESCAPES)


def _static(names: tuple[str, ...]) -> str:
    """The content of these files of `static`, joined."""
    root = files("telescope_transformer.report") / "static"
    return "\n".join((root / name).read_text(encoding="utf-8") for name in names)


def _source_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def certificate_text(solution: Mapping[str, Any]) -> str:
    """Say in words what is proved about the clustering.

    The gap is (cost - lower bound) / cost, the largest share of the cost that another partition could save.
    """
    cost, bound, gap = solution.get("cost"), solution.get("lower_bound"), solution.get("gap")
    if cost is None:
        return "The cost of this partition was not recorded."
    if cost <= 0:
        return "Proved optimal: this partition costs nothing, and none costs less."
    if bound is None or gap is None:
        return "No lower bound was computed: how far this partition is from the best one is not known."
    more = saving(gap)
    if more is None:
        return "Proved optimal: no other partition of these windows has a lower cost."
    proved = "Proved near optimal" if gap <= NEAR_OPTIMAL else "Not proved to be the best, but bounded"
    return f"{proved}: no other partition of these windows can save more than {more} of this cost."


def _reject_summary(rejects: pa.Table | None) -> dict[str, Any] | None:
    """The number of rejected rows for each reason, and the first few rejected rows."""
    if rejects is None or rejects.num_rows == 0:
        return None
    return {
        "total": rejects.num_rows,
        "by_reason": most_frequent(rejects["reason"]),
        "examples": rejects.slice(0, EXAMPLE_REJECTS).to_pylist(),
    }
