"""The profile of each cluster, as plain values for `clusters.json` and the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.arrays import offsets_of, unit_rows
from telescope_transformer.codes import service_codes
from telescope_transformer.fields import DAY
from telescope_transformer.labels import Owner, Owners
from telescope_transformer.records.addresses import network_of
from telescope_transformer.records.schema import PORT_PROTOCOLS
from telescope_transformer.report.counting import codes_of, numbered, pair_counts, spans, top_values
from telescope_transformer.report.days import days_of_groups, main_span
from telescope_transformer.report.services import protocol_name, service_name
from telescope_transformer.report.targets import target_profiles
from telescope_transformer.report.timing import activity, inter_arrivals, rhythm, timing_profile
from telescope_transformer.report.window_records import WindowRecords, join_records
from telescope_transformer.similarity import Nearest, add_to_sums, embedding_matrix, row_blocks
from telescope_transformer.words import iso_time

# The most services in a profile; of other values, it has fewer (`counting.TOP`). Analysts recognise scanners by their
# ports, but longer lists do not fit on the page.
TOP_SERVICES = 20
# Our choice: numbers of nearest clusters and of typical windows in a profile.
NEAREST = TYPICAL = 3


def profile_clusters(
    records: pa.Table,
    windows: pa.Table,
    *,
    owners: Owners | None = None,
    sensors: Mapping[str, str] | None = None,
    span: tuple[int, int] | None = None,
) -> list[dict[str, Any]]:
    """Profile every cluster of the windows.

    Args:
        records: flow records (`records.schema.FLOW_SCHEMA`), in any order. Records outside all windows do not count.
        windows: a row per window: `window_id`, `source`, `start`, `end` (us), `n_records`, `cluster` (0..k-1), and
            optionally `embedding`, `margin`, `label`, `tool`.
        owners: who announces an address, if known.
        sensors: pseudo-address of each named sensor; targets are then listed by sensor name.
        span: first and last time (us) over which activity is counted; None takes the span of these records.

    Returns:
        A dict per cluster, in order of its number: sizes, first and last seen, days with records, services, protocols,
        source ports, sources, networks and their owners, targets, timing, activity over time, rhythm over the week,
        labels and tools with the share of windows that have them, typical windows and nearest clusters.

    Raises:
        InputError: if a column is missing, or the windows were not cut from these records.
    """
    if windows.num_rows == 0:
        return []
    clusters = windows["cluster"].to_numpy().astype(np.int64)
    n_clusters = int(clusters.max()) + 1
    joined = join_records(records, windows)
    parts = [
        size_profiles(windows, clusters, n_clusters),
        service_profiles(joined, clusters, n_clusters),
        source_profiles(windows, clusters, n_clusters, owners),
        day_profiles(joined, clusters, n_clusters),
        [{"targets": one} for one in target_profiles(joined, clusters[joined.window], n_clusters, sensors or {})],
        _timing_parts(joined, windows, clusters, n_clusters, span),
        label_profiles(windows, clusters, n_clusters),
    ]
    profiles = [{key: value for part in parts for key, value in part[k].items()} for k in range(n_clusters)]
    if "embedding" in windows.column_names:
        complete_profiles(profiles, windows, unit_rows(embedding_matrix(windows)))
    return profiles


def seen(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """The times when each cluster was first and last seen, two arrays int64 (k,) in microseconds."""
    first = np.full(n_clusters, np.iinfo(np.int64).max)
    last = np.full(n_clusters, np.iinfo(np.int64).min)
    np.minimum.at(first, clusters, windows["start"].to_numpy())
    np.maximum.at(last, clusters, windows["end"].to_numpy())
    return first, last


def size_profiles(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """Cluster number, sizes, and times of the first and last record."""
    n_windows = np.bincount(clusters, minlength=n_clusters)
    n_records = np.bincount(clusters, weights=windows["n_records"].to_numpy(), minlength=n_clusters)
    first, last = seen(windows, clusters, n_clusters)
    return [
        {
            "cluster": k,
            "n_windows": int(n_windows[k]),
            "n_records": int(n_records[k]),
            "first_seen": iso_time(first[k]),
            "last_seen": iso_time(last[k]),
        }
        for k in range(n_clusters)
    ]


def service_profiles(joined: WindowRecords, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """Services and protocols, most records first."""
    table = joined.table
    protocols, of_record = table["protocol"].to_numpy(), clusters[joined.window]
    by_service = top_values(
        of_record, service_codes(table), n_clusters, service_name, key="service", count="records", top=TOP_SERVICES
    )
    by_protocol = top_values(of_record, protocols, n_clusters, protocol_name, key="protocol", count="records")
    ports = np.where(np.isin(protocols, PORT_PROTOCOLS), table["src_port"].to_numpy().astype(np.int64), -1)
    by_port = top_values(of_record, ports, n_clusters, int, key="port", count="records", top=1)
    return [
        {"services": services, "n_services": n, "protocols": protocols, "src_ports": ports, "n_src_ports": n_ports}
        for (services, n), (protocols, _), (ports, n_ports) in zip(by_service, by_protocol, by_port, strict=True)
    ]


def source_profiles(
    windows: pa.Table, clusters: np.ndarray, n_clusters: int, owners: Owners | None
) -> list[dict[str, Any]]:
    """The sources with most windows; the networks (/24, /48), their announcers and countries with most sources."""
    codes, names = codes_of(windows["source"])
    network, networks = numbered([network_of(name) for name in names])
    owner, source, _ = pair_counts(clusters, codes)
    by_source = top_values(clusters, codes, n_clusters, names.__getitem__, key="source", count="windows")
    by_net = top_values(owner, network[source], n_clusters, networks.__getitem__, key="network", count="sources")
    answer: list[dict[str, Any]] = [
        {"n_sources": n_sources, "sources": sources, "networks": best, "n_networks": n_networks}
        for (sources, n_sources), (best, n_networks) in zip(by_source, by_net, strict=True)
    ]
    if owners:
        for part, who in zip(answer, _owner_parts(owner, source, owners.find(names), n_clusters), strict=True):
            part |= who
    return answer


def _owner_parts(cluster: np.ndarray, source: np.ndarray, found: list[Owner], n_clusters: int) -> list[dict[str, Any]]:
    """Autonomous systems and countries with most sources, counted over distinct (cluster, source) pairs."""
    system, systems = numbered([one[:2] if one[:2] != (None, None) else None for one in found])
    country, countries = numbered([one.country for one in found])
    names = [{"asn": asn, "name": name} for asn, name in systems]
    by_system = top_values(cluster, system[source], n_clusters, names.__getitem__, key="who", count="sources")
    by_country = top_values(
        cluster, country[source], n_clusters, countries.__getitem__, key="country", count="sources"
    )
    return [
        {
            "owners": [row.pop("who") | row for row in best],
            "n_owners": n_owners,
            "countries": nations,
            "n_countries": n_countries,
        }
        for (best, n_owners), (nations, n_countries) in zip(by_system, by_country, strict=True)
    ]


def day_profiles(joined: WindowRecords, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """The days on which each cluster has records. The news of the report are derived from them."""
    sources, _ = codes_of(joined.table["src_ip"])
    days = days_of_groups(clusters[joined.window], joined.table["timestamp"].to_numpy(), sources, n_clusters)
    return [{"days": one} for one in days]


def _timing_parts(
    joined: WindowRecords,
    windows: pa.Table,
    clusters: np.ndarray,
    n_clusters: int,
    span: tuple[int, int] | None,
) -> list[dict[str, Any]]:
    times, of_record = joined.table["timestamp"].to_numpy(), clusters[joined.window]
    first, last = seen(windows, clusters, n_clusters)
    activities = activity(of_record, times, n_clusters, span or _drawn_span(times))
    rhythms = rhythm(of_record, times, n_clusters)
    gaps, later = inter_arrivals(times, joined.window)
    owner = of_record[later]
    by_cluster = np.argsort(owner, kind="stable")
    gaps = gaps[by_cluster]
    answer = []
    for k, own in enumerate(spans(owner[by_cluster], n_clusters)):
        timing = timing_profile(gaps[own], int(rhythms[k].sum()), int(first[k]), int(last[k]))
        answer.append({"timing": timing, "activity": activities[k].tolist(), "rhythm": rhythms[k].tolist()})
    return answer


def _drawn_span(times: np.ndarray) -> tuple[int, int]:
    """First and last time to draw, in microseconds, ignoring records with a clock that is off by more than a year."""
    days, weights = np.unique(times // DAY, return_counts=True)
    if not len(days):
        return 0, 0
    first, last = main_span(days, weights)
    inside = times[(times >= first * DAY) & (times < (last + 1) * DAY)]
    return int(inside.min()), int(inside.max())


def label_profiles(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """Labels and tools, most frequent first, with their share of all windows, and how many windows have any."""
    parts: list[dict[str, Any]] = [
        {"labels": [], "n_labelled": 0, "tools": [], "n_with_tool": 0} for _ in range(n_clusters)
    ]
    sizes = np.bincount(clusters, minlength=n_clusters).tolist()
    for column, field, total in (("label", "labels", "n_labelled"), ("tool", "tools", "n_with_tool")):
        if column not in windows.column_names or windows[column].null_count == windows.num_rows:
            continue
        codes, names = codes_of(windows[column])
        known = np.bincount(clusters[codes >= 0], minlength=n_clusters).tolist()
        found = top_values(clusters, codes, n_clusters, names.__getitem__, key=column, count="windows")
        for part, (rows, _), size, number in zip(parts, found, sizes, known, strict=True):
            part[field] = [row | {"share": round(row["windows"] / size, 4)} for row in rows]
            part[total] = number
    return parts


def complete_profiles(profiles: Sequence[dict[str, Any]], windows: pa.Table, vectors: np.ndarray) -> None:
    """Add statistics over all windows to profiles: sizes, margin, cohesion, typical windows and nearest clusters.

    Args:
        profiles: profiles of clusters 0..m-1, changed in place.
        windows: all windows, with `window_id`, `n_records`, `cluster` and optionally `margin`; clusters from m on are
            left out.
        vectors: float32 (n, dimensions), rows of length 1, in the order of the windows; may be on disk.
    """
    labels, m = windows["cluster"].to_numpy().astype(np.int64), len(profiles)
    rows = np.flatnonzero(labels < m)
    own = labels[rows]
    sizes = np.bincount(own, minlength=m)
    sums, squares = _sums(vectors, rows, own, m)
    means = unit_rows(sums)
    closeness = np.empty(len(rows), dtype=np.float32)
    for block in row_blocks(len(rows), vectors.shape[1]):
        closeness[block] = np.einsum("ij,ij->i", vectors[rows[block]], means[own[block]])
    pairs = sizes * (sizes - 1.0)
    cohesion = np.where(pairs > 0, ((sums**2).sum(axis=1) - squares) / np.maximum(pairs, 1), 1.0)
    records = np.bincount(own, weights=windows["n_records"].to_numpy()[rows], minlength=m)
    typical = windows["window_id"].to_numpy()[rows[np.lexsort((rows, -closeness, own))]]
    begins, nearest = offsets_of(sizes), _nearest(means)
    for k, profile in enumerate(profiles):
        if profile["n_windows"] < sizes[k]:
            profile["profiled_windows"] = profile["n_windows"]
        profile |= {
            "n_windows": int(sizes[k]),
            "n_records": int(records[k]),
            "cohesion": round(float(cohesion[k]), 4),
            "typical_windows": typical[begins[k] : begins[k + 1]][:TYPICAL].tolist(),
            "nearest": nearest[k],
        }
    if "margin" in windows.column_names:
        margins = np.bincount(own, weights=windows["margin"].to_numpy()[rows], minlength=m) / np.maximum(sizes, 1)
        for profile, margin in zip(profiles, margins.tolist(), strict=True):
            profile["margin"] = round(margin, 4)


def _sums(vectors: np.ndarray, rows: np.ndarray, own: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the vectors of each cluster (m, dimensions), and sum of their squared lengths (m,)."""
    sums, squares = np.zeros((m, vectors.shape[1])), np.zeros(m)
    for block in row_blocks(len(rows), vectors.shape[1]):
        some = np.asarray(vectors[rows[block]])
        add_to_sums(sums, own[block], some)
        squares += np.bincount(own[block], weights=np.einsum("ij,ij->i", some, some), minlength=m)
    return sums, squares


def _nearest(means: np.ndarray) -> list[list[dict[str, Any]]]:
    """The nearest other clusters of each cluster, by the cosine of their means."""
    if len(means) < 2:
        return [[] for _ in means]
    search = Nearest(means)
    answer: list[list[dict[str, Any]]] = []
    for block in row_blocks(len(means), search.cells_a_row):
        places, cosines = search.of(means[block], NEAREST + 1)
        for k, (found, values) in enumerate(zip(places.tolist(), cosines.tolist(), strict=True), block.start):
            others = [(c, value) for c, value in zip(found, values, strict=True) if c not in (k, -1)]
            answer.append([{"cluster": c, "similarity": round(value, 4)} for c, value in others[:NEAREST]])
    return answer
