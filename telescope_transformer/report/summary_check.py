"""Checks the structure of `clusters.json`, so that the report and the exports can rely on it."""

from typing import Any

from telescope_transformer.errors import InputError
from telescope_transformer.shapes import OrNull, ShapeError, check_shape

# Shapes, as `check_shape` takes them.
SHARES = {"share": "number"}
PROFILE: dict[str, Any] = {
    "cluster": "count",
    "n_windows": "count",
    "n_sources": "count",
    "n_records": "count",
    "services": [{"service": "text", **SHARES}],
    **{f"{name}?": "text" for name in ("name", "sentence")},
    **{f"{name}?": "time" for name in ("first_seen", "last_seen")},
    **{f"n_{name}?": "count" for name in ("services", "networks", "labelled", "with_tool", "owners", "countries")},
    "n_src_ports?": "count",
    **{f"{name}?": "number" for name in ("margin", "cohesion", "stability")},
    "networks?": [{"network": "text", "sources": "count"}],
    "sources?": [{"source": "text", "windows?": "count"}],
    "labels?": [{"label": "text", "windows": "count", **SHARES}],
    "tools?": [{"tool": "text", "windows": "count", **SHARES}],
    "owners?": [{"asn": OrNull("count"), "name": OrNull("text"), "sources": "count"}],
    "countries?": [{"country": "text", "sources": "count"}],
    "src_ports?": [{"port": "count", **SHARES}],
    "protocols?": [{"protocol": "text", **SHARES}],
    "nearest?": [{"cluster": "count", "similarity": "number"}],
    "why?": [{"field": "text", **SHARES}],
    "typical_windows?": ["count"],
    "timing?": {"pattern?": "text", "median_inter_arrival_s?": "number", "p90_inter_arrival_s?": "number"}
    | {"records_per_hour?": "number"},
    "targets?": {"order?": "text", "n_destinations?": "count", "n_prefixes?": "count"}
    | {"prefixes?": [{"prefix": "text", **SHARES}]},
    "activity?": "numbers",
    "rhythm?": "week",
    "days?": "days",
}
LEVEL = {"threshold": "number", "n_clusters": "count", "n_alone": "count"}
EVENT = {"day": "text", "event": "text", "cluster": "count", "windows": "count", "others?": OrNull(["count"])}
BIN = {"predicted": "number", "observed": "number", "pairs": "count"}
CALIBRATION = {
    "threshold": "number",
    "expected_calibration_error": OrNull("number"),
    "reliability?": [BIN],
    "unseen?": "flag",
    "agreement?": [{}],
    "from_checkpoint?": "flag",
}
ADAPTATION = {
    **{f"{name}?": "count" for name in ("sources", "kept_out")},
    **{f"{name}?": OrNull({}) for name in ("before", "after")},
    **{f"{name}?": "flag" for name in ("adapted", "centred")},
    "reason?": "text",
}
SUMMARY: dict[str, Any] = {
    "clusters": [PROFILE],
    "solution": {f"{name}?": "number" for name in ("threshold", "scale", "seconds")}
    | {f"{name}?": OrNull("number") for name in ("cost", "lower_bound", "gap")}
    | {"solver?": "text", "granularity?": OrNull([LEVEL])},
    "counts": "counts",
    "traffic?": OrNull("days"),
    "events?": OrNull([EVENT]),
    "calibration?": OrNull(CALIBRATION),
    "adaptation?": OrNull(ADAPTATION),
    "id?": "text",
}


def check_summary(value: Any) -> dict[str, Any]:
    """Return the summary if it has the shape that an analysis writes.

    Args:
        value: the parsed JSON; a missing `clusters`, `solution` or `counts` becomes an empty one.

    Raises:
        InputError: if a value is wrong; the message names its place and the value.
    """
    try:
        check_shape(value, {})
        summary: dict[str, Any] = {"clusters": [], "solution": {}, "counts": {}} | value
        check_shape(summary, SUMMARY)
    except ShapeError as error:
        raise InputError(str(error)) from error
    return summary
