"""The report: one HTML file that opens offline and runs nothing but its own script."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from telescope_transformer import __version__
from telescope_transformer.report.counting import codes_of, pair_counts
from telescope_transformer.report.page_data import ReportData, page_data
from telescope_transformer.report.reliability import reliability_picture
from telescope_transformer.report.timing import iso_time

# In the order in which they are joined: each uses only what stands before it.
SCRIPTS = (
    "data.js",
    "symbols.js",
    "svg.js",
    "filter.js",
    "map_view.js",
    "map_labels.js",
    "map.js",
    "table.js",
    "detail.js",
    "time.js",
    "main.js",
)
STYLES = ("report.css",)
EXAMPLE_REJECTS = 20
NEAR_OPTIMAL = 0.05
# Closing tags, comments and the two line ends that JSON allows but scripts did not.
_SCRIPT_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"}


def write_report(path: str | os.PathLike[str], data: ReportData, *, seed: int = 0) -> None:
    """Write the report to `path` as one HTML file without any outside reference.

    Args:
        path: the file to write; it is replaced at once or not at all.
        data: windows, profiles, solution and what else there is.
        seed: of the map's layout.
    """
    html = render_report(data, seed=seed)
    target = Path(path)
    unfinished = target.with_name(target.name + ".part")
    unfinished.write_text(html, encoding="utf-8")
    unfinished.replace(target)


def render_report(data: ReportData, *, seed: int = 0) -> str:
    """The report as HTML text. The content security policy names the script and the style by their hashes."""
    script, style = _joined("static", SCRIPTS), _joined("static", STYLES)
    environment = Environment(
        loader=PackageLoader("telescope_transformer.report"), autoescape=True, undefined=StrictUndefined
    )
    policy = f"default-src 'none'; script-src {_source_hash(script)}; style-src {_source_hash(style)}"
    policy += "; base-uri 'none'; form-action 'none'"
    return environment.get_template("report.html.j2").render(
        title=data.title,
        version=__version__,
        policy=policy,
        script=Markup(script),
        style=Markup(style),
        payload=Markup(script_json(page_data(data, seed=seed))),
        span=_span(data.windows),
        figures=_figures(data),
        counts=data.counts,
        solution=data.solution,
        certificate=certificate_text(data.solution),
        rejects=_reject_summary(data.rejects),
        calibration=data.calibration,
        reliability=reliability_picture(data.calibration) if data.calibration else None,
        levels=data.levels or data.solution.get("granularity"),
    )


def script_json(value: Any) -> str:
    """JSON that is safe between script tags: nothing in it can end the element or begin a comment."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_SCRIPT_ESCAPES)


def _joined(folder: str, names: tuple[str, ...]) -> str:
    root = files("telescope_transformer.report") / folder
    return "\n".join((root / name).read_text(encoding="utf-8") for name in names)


def _source_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _span(windows: pa.Table) -> tuple[str, str] | None:
    if windows.num_rows == 0:
        return None
    return iso_time(windows["start"].to_numpy().min()), iso_time(windows["end"].to_numpy().max())


def _figures(data: ReportData) -> list[tuple[str, int]]:
    """The large numbers at the top."""
    sizes = [profile["n_windows"] for profile in data.profiles]
    return [
        ("flow records", int(data.windows["n_records"].to_numpy().sum()) if sizes else 0),
        ("sources", len(data.windows["source"].unique())),
        ("windows", data.windows.num_rows),
        ("clusters of several windows", sum(size > 1 for size in sizes)),
        ("windows alone", sum(size == 1 for size in sizes)),
    ]


def certificate_text(solution: Mapping[str, Any]) -> str:
    """What is proved about the clustering, in words.

    The gap is (cost - lower bound) / cost, the share of the cost that another partition could save at most.
    """
    cost, bound, gap = solution.get("cost"), solution.get("lower_bound"), solution.get("gap")
    if cost is None:
        return "The cost of this partition was not recorded."
    if bound is None or gap is None:
        return "No lower bound was computed: how far this partition is from the best one is not known."
    if gap <= 1e-9:
        return "Proved optimal: no other partition of these windows has a lower cost."
    saving = f"no other partition of these windows can save more than {_percent(gap)} of this cost"
    return (
        f"Proved near optimal: {saving}."
        if gap <= NEAR_OPTIMAL
        else f"Not proved to be the best, but bounded: {saving}."
    )


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.2g} %" if value < 10 else f"{value:.1f} %"


def _reject_summary(rejects: pa.Table | None) -> dict[str, Any] | None:
    """How many rows each reason rejected, and the first few in full."""
    if rejects is None or rejects.num_rows == 0:
        return None
    codes, reasons = codes_of(rejects["reason"].cast(pa.string()))
    _, reason, number = pair_counts(codes * 0, codes)
    by_reason = [(reasons[r], int(n)) for r, n in zip(reason, number, strict=True)]
    return {
        "total": rejects.num_rows,
        "by_reason": by_reason,
        "examples": rejects.slice(0, EXAMPLE_REJECTS).to_pylist(),
    }
