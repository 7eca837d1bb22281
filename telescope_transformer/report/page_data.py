"""The data that the page's script draws: columns of sources and windows, profiles and days, compressed."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer import similarity
from telescope_transformer.fields import DAY, SECOND
from telescope_transformer.placement import SMALLEST_CONFIDENCE
from telescope_transformer.records.addresses import IPV4, parse_addresses
from telescope_transformer.report.counting import codes_of, most_frequent
from telescope_transformer.report.days import Days
from telescope_transformer.report.first_screen import first_screen, news_lines
from telescope_transformer.report.layout import map_layout
from telescope_transformer.report.news import Period, change_of, period_of, traffic_of
from telescope_transformer.report.reasons import difference
from telescope_transformer.report.services import HINTS
from telescope_transformer.report.sources import without_lone_short

# The most windows and sources on a page, so that it stays below 5 MB and draws fast. `telescope serve` searches the
# whole tables. Measured on 100,000 windows of 100,000 sources: 17 characters per window and 12 per source, deflated
# and in base 64.
MAX_WINDOWS = 60_000
MAX_SOURCES = 120_000
# Each of these takes about two characters of the page.
MAX_OTHER_SERVICES = 200_000
# Profiles take the most space, so only the largest clusters have one; smaller clusters have only a row in the table.
# These limits are our choice. If the page would still be too large, `_profile_parts` lowers them.
MAX_PROFILES = 1500
MIN_PROFILES = 100
MAX_ROWS = 20_000
# The most characters of packed data: 5 MB minus the styles and scripts.
MAX_PAGE_CHARS = 4_700_000
# Only the newest events are on the page; `clusters.json` has all of them.
MAX_EVENTS = 200
# The most bars of a timeline. With more days than this, each bar stands for several days.
MAX_DAYS = 400
# The most services listed for windows that are alone in their cluster.
ALONE_SERVICES = 20
# The map is divided into this many squares in each direction: about four pixels each on a map of 1,000 pixels.
GRID = 256
# The largest values of uint16 and uint32 mean "no category" and "no cluster".
NO_CATEGORY = 0xFFFF
NO_CLUSTER = 0xFFFFFFFF
# Parts of a profile that the page does not need; `clusters.json` has them.
LEFT_OUT = ("days", "protocols")


@dataclass(frozen=True)
class ReportData:
    """The contents of a report.

    Attributes:
        windows: a row per window: `window_id`, `source`, `start`, `end` (us), `n_records`, `cluster`, `embedding`, and
            optionally `margin`, `label`, `service`.
        profiles: profiles of the clusters of these windows, from `profile_clusters` and `name_clusters`.
        solution: `threshold`, `cost`, `lower_bound`, `gap`, `solver`, `n_clusters` and `seconds`. Bound and gap are
            None if no bound was proved. Optionally `granularity`: coarser and finer clusterings, from
            `Granularity.levels`.
        counts: numbers by name, such as `read`, `kept`, `rejected`.
        sources: a row per source that was read; `cluster` is null if the source is in no cluster.
        rejects: `file`, `row`, `field`, `value` and `reason` of each rejected row; None if no file was read.
        calibration: the fitted calibration from `Calibration.to_dict`, or None.
        events: births, deaths, merges and splits of clusters from `telescope update`, or None.
        traffic: records and sources per day of everything that was read; None sums up the clusters.
        adaptation: facts about learning from these records (`learning.adapt`), or None if it was not tried.
        title: the title at the top of the page.
    """

    windows: pa.Table
    sources: pa.Table
    profiles: Sequence[Mapping[str, Any]]
    solution: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    rejects: pa.Table | None = None
    calibration: Mapping[str, Any] | None = None
    events: Sequence[Mapping[str, Any]] | None = None
    traffic: Days | None = None
    adaptation: Mapping[str, Any] | None = None
    title: str = "Telescope report"

    @classmethod
    def of(
        cls,
        summary: Mapping[str, Any],
        windows: pa.Table,
        sources: pa.Table,
        rejects: pa.Table | None,
        title: str = "Telescope report",
    ) -> "ReportData":
        """The contents of the report of an analysis, given by its `clusters.json` and its tables."""
        names = ("solution", "counts", "calibration", "events", "traffic", "adaptation")
        parts: dict[str, Any] = {name: summary.get(name) for name in names}
        return cls(windows, sources, summary["clusters"], rejects=rejects, title=title, **parts)

    def every_source(self) -> pa.Table:
        """`sources`, of which those with too few records are shown without a cluster."""
        return without_lone_short(self.sources)

    def first_screen(self) -> dict[str, Any]:
        """What an analyst reads first (`report.first_screen`)."""
        return first_screen(self.profiles, self.every_source(), self.solution, self.counts, self.traffic)

    def new_clusters(self) -> list[dict[str, Any]]:
        """A line for every new cluster. The first screen shows only the most unusual of them."""
        return news_lines(self.profiles, self.traffic)["new"]


def packed(values: np.ndarray, dtype: str) -> dict[str, str]:
    """Pack an array for the script: little-endian, deflated, in base 64."""
    raw = np.ascontiguousarray(values).astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return {"type": dtype, "data": _deflated(raw)}


def packed_json(value: Any) -> dict[str, str]:
    """Pack any JSON value for the script: deflated, in base 64."""
    return {"type": "json", "data": _deflated(json.dumps(value, separators=(",", ":"), allow_nan=False).encode())}


def _deflated(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def page_data(data: ReportData) -> dict[str, Any]:
    """Everything that the script needs, as one JSON value."""
    places = map_layout(similarity.embedding_matrix(data.windows))
    chosen = _sample(data.windows["cluster"].to_numpy())
    windows, shown = data.windows.take(pa.array(chosen)), data.windows.num_rows
    every_source = data.every_source()
    sources = _held_sources(every_source, windows)
    traffic = data.traffic or traffic_of(data.profiles)
    period = period_of(traffic)
    largest = sorted(data.profiles, key=lambda profile: (-profile["n_windows"], profile["cluster"]))
    several = [profile for profile in largest if profile["n_windows"] > 1]
    events = list(data.events or [])
    parts: dict[str, Any] = {
        "title": data.title,
        "sources": _source_columns(sources, period),
        "windows": _window_columns(windows, places[chosen], sources),
        "n_windows": shown,
        "n_sources": every_source.num_rows,
        "events": packed_json(events[-MAX_EVENTS:]),
        "n_events": len(events),
        "n_clusters": len(several),
        "alone": _alone(data.windows),
        "traffic": _day_matrix([traffic], period),
    }
    if len(chosen) < shown:
        parts["grid"] = _grid(data.windows, places, several)
    return parts | _profile_parts(several, period, chosen, data.windows, MAX_PAGE_CHARS - len(json.dumps(parts)))


def _sample(clusters: np.ndarray) -> np.ndarray:
    """Rows of the windows on the page, ascending. If there are too many, all clusters are thinned out equally."""
    if len(clusters) <= MAX_WINDOWS:
        return np.arange(len(clusters))
    order = np.random.default_rng(0).permutation(len(clusters))
    order = order[np.argsort(clusters[order], kind="stable")]
    # Equal steps through the windows in order of cluster take the same share of each cluster.
    return np.sort(order[np.linspace(0, len(order) - 1, MAX_WINDOWS).round().astype(np.int64)])


def _held_sources(sources: pa.Table, windows: pa.Table) -> pa.Table:
    """The sources that the page can search, sorted by address.

    If there are too many, the sources of the page's windows are kept, and then those with most records.
    """
    if sources.num_rows > MAX_SOURCES:
        of_window = pc.is_in(sources["source"], pc.unique(windows["source"])).to_numpy(zero_copy_only=False)
        order = np.lexsort((-sources["n_records"].to_numpy(), ~of_window))[:MAX_SOURCES]
        sources = sources.take(pa.array(order))
    parsed = parse_addresses(sources["source"])
    return sources.take(pa.array(np.lexsort((parsed.low, parsed.high, parsed.kind != IPV4))))


def _source_columns(sources: pa.Table, period: Period | None) -> dict[str, Any]:
    """Columns of the sources. IPv4 addresses come first, as differences; IPv6 addresses follow as text."""
    parsed = parse_addresses(sources["source"])
    four = parsed.kind == IPV4
    clusters = sources["cluster"].fill_null(-1).to_numpy().astype(np.int64)
    first = period.first if period else 0
    columns: dict[str, Any] = {
        "count": sources.num_rows,
        "first_day": first,
        "four": packed(np.diff(parsed.low[four].astype(np.int64), prepend=0), "uint32"),
        "six": packed_json(sources["source"].filter(pa.array(~four)).to_pylist()),
        "cluster": packed(np.where(clusters < 0, NO_CLUSTER, clusters), "uint32"),
        "records": packed(np.minimum(sources["n_records"].to_numpy(), NO_CLUSTER), "uint32"),
    }
    for name, column in (("from", "first_seen"), ("to", "last_seen")):
        days = sources[column].to_numpy() // DAY - first
        columns[name] = packed(np.clip(days, 0, NO_CATEGORY), "uint16")
    columns |= _category_columns(sources)
    if "services" in sources.column_names:
        columns["others"] = _other_services(sources["services"].combine_chunks())
    return columns


def _other_services(services: pa.ListArray) -> dict[str, Any]:
    """The services of each source besides its main one, up to a number per source that the page has room for."""
    lengths = pc.fill_null(pc.list_value_length(services), 0).to_numpy().astype(np.int64)
    others = np.maximum(lengths - 1, 0)
    most = int(others.max(initial=0))
    while np.minimum(others, most).sum() > MAX_OTHER_SERVICES:
        most //= 2
    owner = pc.list_parent_indices(services).to_numpy()
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    held = pc.list_flatten(services).filter(pa.array((place >= 1) & (place <= most)))
    return {
        "number": packed(others, "uint32"),
        "most": most,
        "all": most == int(others.max(initial=0)),
        **_categories(*codes_of(held)),
    }


def _window_columns(windows: pa.Table, places: np.ndarray, sources: pa.Table) -> dict[str, Any]:
    starts, ends = windows["start"].to_numpy(), windows["end"].to_numpy()
    first = int(starts.min()) // SECOND if len(starts) else 0
    place = pc.index_in(windows["source"], sources["source"].combine_chunks()).to_numpy(zero_copy_only=False)
    columns: dict[str, Any] = {
        "count": windows.num_rows,
        "first": first,
        "source": packed(place, "uint32"),
        "x": packed(np.round(places[:, 0] * 65535), "uint16"),
        "y": packed(np.round(places[:, 1] * 65535), "uint16"),
        "cluster": packed(windows["cluster"].to_numpy(), "uint32"),
        "start": packed(np.minimum(starts // SECOND - first, NO_CLUSTER), "uint32"),
        "seconds": packed(np.minimum((ends - starts) // SECOND, NO_CLUSTER), "uint32"),
        "records": packed(np.minimum(windows["n_records"].to_numpy(), 65535), "uint16"),
    }
    if "margin" in windows.column_names:
        margins = np.clip(np.nan_to_num(windows["margin"].to_numpy()), -32.768, 32.767)
        columns["margin"] = packed(margins * 1000, "int16")
    return columns | _category_columns(windows)


def _category_columns(table: pa.Table) -> dict[str, Any]:
    """The labels and services of sources or windows, if there are any."""
    names = [name for name in ("label", "service") if name in table.column_names]
    return {name: _categories(*codes_of(table[name])) for name in names if table[name].null_count < table.num_rows}


def _categories(codes: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Recode by frequency, the most frequent as 0. Missing values and codes above 65,534 become 65,535."""
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    by_frequency = np.argsort(-counts, kind="stable")
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[by_frequency] = np.arange(len(names))
    rank[-1] = NO_CATEGORY
    ranked = np.minimum(rank[codes], NO_CATEGORY)
    return {"codes": packed(ranked, "uint16"), "names": packed_json([names[i] for i in by_frequency])}


def _alone(windows: pa.Table) -> dict[str, Any]:
    """The number of windows that are alone in their cluster, how many of them are too short, and their services."""
    clusters = windows["cluster"].to_numpy()
    # Numbers of clusters may be large, so nothing is as long as the largest.
    _, cluster, size = np.unique(clusters, return_inverse=True, return_counts=True)
    alone = size[cluster] == 1
    n_short = 0
    if "placement" in windows.column_names:
        n_short = int((windows["placement"].to_numpy()[alone] < SMALLEST_CONFIDENCE).sum())
    rows: list[tuple[str, int]] = []
    if "service" in windows.column_names and alone.any():
        rows = most_frequent(windows.filter(pa.array(alone))["service"])
    return {"n": int(alone.sum()), "n_short": n_short, "services": rows[:ALONE_SERVICES], "n_services": len(rows)}


def _grid(windows: pa.Table, places: np.ndarray, several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The number of windows in each square of the map, and the rank of the cluster that has most of them."""
    cell = np.minimum((places * GRID).astype(np.int64), GRID - 1)
    key = cell[:, 1] * GRID + cell[:, 0]
    rank_of = {profile["cluster"]: rank for rank, profile in enumerate(several[:NO_CATEGORY])}
    known, cluster = np.unique(windows["cluster"].to_numpy(), return_inverse=True)
    ranks = np.array([rank_of.get(number, NO_CATEGORY) for number in known.tolist()])
    pairs, counts = np.unique(key << 16 | ranks[cluster], return_counts=True)
    order = np.lexsort((pairs, -counts, pairs >> 16))
    cells, first = np.unique(pairs[order] >> 16, return_index=True)
    main = np.full(GRID * GRID, NO_CATEGORY, dtype=np.int64)
    main[cells] = pairs[order][first] & 0xFFFF
    total = np.bincount(key, minlength=GRID * GRID)
    return {"counts": packed(total, "uint32"), "ranks": packed(main, "uint16")}


def _profile_parts(
    several: Sequence[Mapping[str, Any]], period: Period | None, chosen: np.ndarray, windows: pa.Table, room: int
) -> dict[str, Any]:
    """Profiles of the largest clusters and table rows of the others, as many as fit into `room` characters."""
    names = {profile["cluster"]: profile for profile in several}
    row_of = dict(zip(windows["window_id"].to_numpy()[chosen].tolist(), range(len(chosen)), strict=True))
    number, n_rows = min(MAX_PROFILES, len(several)), min(MAX_ROWS, len(several))
    while True:
        shown = [_page_profile(profile, period, names, row_of) for profile in several[:number]]
        rows = [_page_row(profile, period) for profile in several[number:n_rows]]
        days = _day_matrix([profile.get("days") or [] for profile in several[:number]], period)
        parts = {"clusters": packed_json([*shown, *rows]), "n_profiles": len(shown), "days": days}
        parts["hints"] = _hints(shown)
        if number <= MIN_PROFILES or len(json.dumps(parts)) <= room:
            return parts
        number, n_rows = max(MIN_PROFILES, 3 * number // 4), max(MIN_PROFILES, 3 * n_rows // 4)


def _hints(profiles: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Hints for those services of the profiles that the table of ports has."""
    named = sorted({row["service"] for profile in profiles for row in profile["services"]})
    return {service: HINTS[service] for service in named if service in HINTS}


def _page_profile(
    profile: Mapping[str, Any],
    period: Period | None,
    profiles: Mapping[int, Mapping[str, Any]],
    row_of: Mapping[int, int],
) -> dict[str, Any]:
    """A profile as the page shows it: with news, rows of typical windows, and the differences from its neighbours."""
    answer = {key: value for key, value in profile.items() if key not in LEFT_OUT}
    answer["news"] = _news(profile, period)
    answer["typical_windows"] = [row_of[i] for i in profile.get("typical_windows", []) if i in row_of]
    answer["nearest"] = [
        row | {"apart": difference(profile, profiles[row["cluster"]])}
        for row in profile.get("nearest", [])
        if row["cluster"] in profiles
    ]
    answer["last_days"] = (profile.get("days") or [])[-2:]
    return answer


def _page_row(profile: Mapping[str, Any], period: Period | None) -> dict[str, Any]:
    """The table row of a cluster whose profile does not fit on the page."""
    keys = ("cluster", "name", "n_windows", "n_sources", "n_records", "first_seen", "last_seen", "n_services")
    row = {key: profile[key] for key in (*keys, "n_networks") if key in profile}
    return row | {"news": _news(profile, period), "services": profile.get("services", [])[:1], "brief": True}


def _news(profile: Mapping[str, Any], period: Period | None) -> str:
    """The kind of a cluster's news, or `steady`."""
    return change_of(profile, period).kind if period else "steady"


def _day_matrix(many: Sequence[Days], period: Period | None) -> dict[str, Any]:
    """Records per day, a row for each element of `many`. A very long period has several days per column."""
    if period is None or not many:
        return {"first": 0, "step": 1, "n": 0, "counts": packed(np.zeros(0), "uint32")}
    step = -(-period.n_days // MAX_DAYS)
    n_bins = -(-period.n_days // step)
    counts = np.zeros((len(many), n_bins), dtype=np.int64)
    for row, days in zip(counts, many, strict=True):
        table = period.within(days)
        np.add.at(row, (table[:, 0] - period.first) // step, table[:, 1])
    return {
        "first": period.first,
        "step": step,
        "n": n_bins,
        "counts": packed(np.minimum(counts, NO_CLUSTER), "uint32"),
    }
