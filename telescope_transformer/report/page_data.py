"""What the page's script draws from: columns of windows, sources and profiles, packed small."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer import similarity
from telescope_transformer.report.counting import codes_of
from telescope_transformer.report.layout import map_layout
from telescope_transformer.report.timing import DAY, MICROSECONDS, daily_counts

# Profiles are the page's largest part per cluster; smaller clusters are in `clusters.json` only.
MAX_PROFILES = 1500
MIN_PROFILES = 100
# Letters of the packed data; with styles and scripts the page then stays under 5 MB where its windows allow it.
PAGE_LETTERS = 4_700_000
# The last ones; all are in `clusters.json`.
MAX_EVENTS = 200
MAX_DAYS = 400
NO_CATEGORY = 0xFFFF


@dataclass(frozen=True)
class ReportData:
    """What a report is made of.

    Attributes:
        windows: a row per window: `window_id`, `source`, `start`, `end` (us), `n_records`, `cluster`, `embedding`, and
            where present `margin`, `label`, `service`.
        profiles: what `profile_clusters` said of these windows.
        solution: threshold, cost, lower_bound, gap, solver, n_clusters, seconds; bound and gap None where not proved.
        counts: name to number, as `read`, `kept`, `rejected`.
        rejects: file, row, field, value, reason; None where nothing was read.
        calibration: the fitted calibration as `Calibration.to_dict` gives it, or None.
        events: births, deaths, merges and splits of clusters from `telescope update`, or None.
        levels: coarser and finer clusterings as `Granularity.levels` gives them, or None.
        title: shown at the top.
    """

    windows: pa.Table
    profiles: Sequence[Mapping[str, Any]]
    solution: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    rejects: pa.Table | None = None
    calibration: Mapping[str, Any] | None = None
    events: Sequence[Mapping[str, Any]] | None = None
    levels: Sequence[Mapping[str, Any]] | None = None
    title: str = "Telescope report"


def packed(values: np.ndarray, dtype: str) -> dict[str, str]:
    """An array for the script: little-endian, deflated, in base 64."""
    raw = np.ascontiguousarray(values).astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return {"type": dtype, "data": _deflated(raw)}


def packed_json(value: Any) -> dict[str, str]:
    """Any JSON value for the script, deflated, in base 64."""
    return {"type": "json", "data": _deflated(json.dumps(value, separators=(",", ":"), allow_nan=False).encode())}


def _deflated(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def page_data(data: ReportData, *, seed: int = 0) -> dict[str, Any]:
    """All that the script needs, as one JSON value; windows go by source and time so that they pack well."""
    windows = data.windows.sort_by([("source", "ascending"), ("start", "ascending")])
    clusters = windows["cluster"].to_numpy().astype(np.int64)
    largest = sorted(data.profiles, key=lambda profile: (-profile["n_windows"], profile["cluster"]))
    columns, events = _window_columns(windows, seed), list(data.events or [])
    return {
        "title": data.title,
        "windows": columns,
        **_profile_parts(windows, clusters, largest, PAGE_LETTERS - len(json.dumps(columns))),
        "events": packed_json(events[-MAX_EVENTS:]),
        "n_events": len(events),
        "n_clusters": len(data.profiles),
        "n_singletons": sum(profile["n_windows"] == 1 for profile in data.profiles),
    }


def _profile_parts(
    windows: pa.Table, clusters: np.ndarray, largest: Sequence[Mapping[str, Any]], room: int
) -> dict[str, Any]:
    """Profiles of the largest clusters, and their windows by day: as many as there is room for, in letters."""
    number = min(MAX_PROFILES, len(largest))
    while True:
        shown = largest[:number]
        days = _days(windows, clusters, [profile["cluster"] for profile in shown])
        parts = {"clusters": packed_json(shown), "days": days}
        if number <= MIN_PROFILES or len(json.dumps(parts)) <= room:
            return parts
        number = max(MIN_PROFILES, 3 * number // 4)


def _window_columns(windows: pa.Table, seed: int) -> dict[str, Any]:
    starts, ends = windows["start"].to_numpy(), windows["end"].to_numpy()
    first = int(starts.min()) // MICROSECONDS if len(starts) else 0
    source, source_names = codes_of(windows["source"])
    places = map_layout(similarity.embedding_matrix(windows), seed=seed) if len(starts) else np.zeros((0, 2))
    columns: dict[str, Any] = {
        "count": windows.num_rows,
        "first": first,
        "sources": packed_json(source_names),
        "id": packed(windows["window_id"].to_numpy(), "uint32"),
        "source": packed(source, "uint32"),
        "x": packed(np.round(places[:, 0] * 65535), "uint16"),
        "y": packed(np.round(places[:, 1] * 65535), "uint16"),
        "cluster": packed(windows["cluster"].to_numpy(), "uint32"),
        "start": packed(starts // MICROSECONDS - first, "uint32"),
        "seconds": packed((ends - starts) // MICROSECONDS, "uint32"),
        "records": packed(np.minimum(windows["n_records"].to_numpy(), 65535), "uint16"),
    }
    if "margin" in windows.column_names:
        columns["margin"] = packed(np.clip(windows["margin"].to_numpy() * 1000, -32768, 32767), "int16")
    for name in ("label", "service"):
        if name in windows.column_names and windows[name].null_count < windows.num_rows:
            columns[name] = _categories(*codes_of(windows[name]))
    return columns


def _categories(codes: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Codes by frequency, the most frequent 0; a missing value and those beyond 65,534 are 65,535."""
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    by_frequency = np.argsort(-counts, kind="stable")
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[by_frequency] = np.arange(len(names))
    rank[-1] = NO_CATEGORY
    ranked = np.minimum(rank[codes], NO_CATEGORY)
    return {"codes": packed(ranked, "uint16"), "names": packed_json([names[i] for i in by_frequency])}


def _days(windows: pa.Table, clusters: np.ndarray, shown: list[int]) -> dict[str, Any]:
    """Windows of each shown cluster per day, or per several days where the days are very many."""
    starts = windows["start"].to_numpy()
    row_of = np.full(int(clusters.max()) + 1 if len(clusters) else 1, -1, dtype=np.int64)
    row_of[np.array(shown, dtype=np.int64)] = np.arange(len(shown))
    kept = row_of[clusters] >= 0
    if not kept.any():
        return {"first": 0, "step": 1, "n": 0, "counts": packed(np.zeros(0), "uint16")}
    n_days = int(starts.max() // DAY - starts.min() // DAY) + 1
    step = -(-n_days // MAX_DAYS)
    counts, first = daily_counts(row_of[clusters[kept]], starts[kept], len(shown))
    padded = np.pad(counts, ((0, 0), (0, -counts.shape[1] % step)))
    summed = padded.reshape(len(shown), -1, step).sum(axis=2)
    return {
        "first": first,
        "step": step,
        "n": summed.shape[1],
        "counts": packed(np.minimum(summed, 65535), "uint16"),
    }
