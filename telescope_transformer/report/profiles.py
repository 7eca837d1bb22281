"""Everything that is said about a cluster, as plain values for `clusters.json` and the report."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer import similarity
from telescope_transformer.report.counting import codes_of, pair_counts, spans, top_values
from telescope_transformer.report.services import protocol_name, service_codes, service_name
from telescope_transformer.report.targets import network_of, target_profiles
from telescope_transformer.report.timing import activity, inter_arrivals, iso_time, rhythm, timing_profile
from telescope_transformer.report.window_records import WindowRecords, join_records

TOP = 5
NEAREST = 3


def profile_clusters(
    records: pa.Table,
    windows: pa.Table,
    *,
    networks: Mapping[str, str] | None = None,
    sensors: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Profile every cluster of the windows.

    Args:
        records: flow records (`records.schema.FLOW_SCHEMA`), in any order; those in no window are not counted.
        windows: a row per window: `window_id`, `source`, `start`, `end` (us), `n_records`, `cluster` (0..k-1), and
            where present `embedding`, `margin`, `label`, `tool`.
        networks: name of the autonomous system or operator of each /24 or /48, if known.
        sensors: pseudo-address of each named sensor; targets then go by the name.

    Returns:
        A dict per cluster, by its number: sizes, first and last seen, services, protocols, source networks, targets,
        timing, activity over time, rhythm over the week, labels with purity, tools, typical windows and nearest
        clusters.

    Raises:
        InputError: if a column is absent or the records are not those that the windows were cut from.
    """
    if windows.num_rows == 0:
        return []
    clusters = windows["cluster"].to_numpy().astype(np.int64)
    n_clusters = int(clusters.max()) + 1
    joined = join_records(records, windows)
    parts = [
        size_profiles(windows, clusters, n_clusters),
        service_profiles(joined, clusters, n_clusters),
        source_profiles(windows, clusters, n_clusters, networks or {}),
        _target_parts(joined, clusters, n_clusters, sensors or {}),
        _timing_parts(joined, windows, clusters, n_clusters),
        label_profiles(windows, clusters, n_clusters),
        embedding_profiles(windows, clusters, n_clusters),
    ]
    return [{key: value for part in parts for key, value in part[k].items()} for k in range(n_clusters)]


def seen(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """When each cluster was first and last seen, two int64 (k,) in microseconds."""
    first = np.full(n_clusters, np.iinfo(np.int64).max)
    last = np.full(n_clusters, np.iinfo(np.int64).min)
    np.minimum.at(first, clusters, windows["start"].to_numpy())
    np.maximum.at(last, clusters, windows["end"].to_numpy())
    return first, last


def size_profiles(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """Number, sizes, first and last seen."""
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
    columns = [table[name].to_numpy() for name in ("protocol", "src_port", "dst_port")]
    services, protocols = service_codes(*columns), columns[0]
    of_record = clusters[joined.window]
    by_service = top_values(of_record, services, n_clusters, service_name, key="service", count="records", top=TOP)
    by_protocol = top_values(of_record, protocols, n_clusters, protocol_name, key="protocol", count="records", top=TOP)
    return [
        {"services": services, "n_services": n, "protocols": protocols}
        for (services, n), (protocols, _) in zip(by_service, by_protocol, strict=True)
    ]


def source_profiles(
    windows: pa.Table, clusters: np.ndarray, n_clusters: int, networks: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Sources with most windows, and the networks (/24, /48) that sources lie in, most sources first."""
    codes, names = codes_of(windows["source"])
    nets = [network_of(name) for name in names]
    index = {net: i for i, net in enumerate(dict.fromkeys(nets))}
    net_names = list(index)
    owner, source, _ = pair_counts(clusters, codes)
    net_codes = np.array([index[net] for net in nets], dtype=np.int64)[source]
    by_source = top_values(clusters, codes, n_clusters, names.__getitem__, key="source", count="windows", top=TOP)
    by_net = top_values(owner, net_codes, n_clusters, net_names.__getitem__, key="network", count="sources", top=TOP)
    answer = []
    for (sources, n_sources), (best, n_networks) in zip(by_source, by_net, strict=True):
        named = [row | {"name": networks[row["network"]]} if row["network"] in networks else row for row in best]
        answer.append({"n_sources": n_sources, "sources": sources, "networks": named, "n_networks": n_networks})
    return answer


def _target_parts(
    joined: WindowRecords, clusters: np.ndarray, n_clusters: int, sensors: Mapping[str, str]
) -> list[dict[str, Any]]:
    destination = codes_of(joined.table["dst_ip"])
    targets = target_profiles(joined, clusters[joined.window], destination, n_clusters, TOP)
    names = {address: name for name, address in sensors.items()}
    for target in targets:
        for row in target["prefixes"]:
            row["prefix"] = names.get(row["prefix"], row["prefix"])
    return [{"targets": target} for target in targets]


def _timing_parts(
    joined: WindowRecords, windows: pa.Table, clusters: np.ndarray, n_clusters: int
) -> list[dict[str, Any]]:
    times, of_record = joined.table["timestamp"].to_numpy(), clusters[joined.window]
    first, last = seen(windows, clusters, n_clusters)
    activities = activity(of_record, times, n_clusters, (int(first.min()), int(last.max())))
    rhythms = rhythm(of_record, times, n_clusters)
    gaps, later = inter_arrivals(times, joined.window)
    owner = of_record[later]
    by_cluster = np.argsort(owner, kind="stable")
    gaps = gaps[by_cluster]
    answer = []
    for k, span in enumerate(spans(owner[by_cluster], n_clusters)):
        timing = timing_profile(gaps[span], int(activities[k].sum()), int(first[k]), int(last[k]))
        answer.append({"timing": timing, "activity": activities[k].tolist(), "rhythm": rhythms[k].tolist()})
    return answer


def label_profiles(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """Labels with the purity among labelled windows (None where no window has one), and tools."""
    parts: list[dict[str, Any]] = [{"labels": [], "purity": None, "tools": []} for _ in range(n_clusters)]
    for column, key, field in (("label", "label", "labels"), ("tool", "tool", "tools")):
        if column not in windows.column_names or windows[column].null_count == windows.num_rows:
            continue
        codes, names = codes_of(windows[column])
        found = top_values(clusters, codes, n_clusters, names.__getitem__, key=key, count="windows", top=TOP)
        for part, (rows, _) in zip(parts, found, strict=True):
            part[field] = rows
            if field == "labels" and rows:
                part["purity"] = rows[0]["share"]
    return parts


def embedding_profiles(windows: pa.Table, clusters: np.ndarray, n_clusters: int) -> list[dict[str, Any]]:
    """Cohesion, mean margin, the most typical windows and the nearest clusters, as far as the columns are there."""
    parts: list[dict[str, Any]] = [{} for _ in range(n_clusters)]
    if "margin" in windows.column_names:
        margins = np.bincount(clusters, weights=windows["margin"].to_numpy()) / np.bincount(clusters)
        for part, margin in zip(parts, margins.tolist(), strict=True):
            part["margin"] = round(margin, 4)
    if "embedding" not in windows.column_names:
        return parts
    vectors = similarity.normalised(similarity.embedding_matrix(windows))
    sums, _ = similarity.cluster_sums(vectors, clusters)
    means = similarity.normalised(sums)
    inside = similarity.cohesion(vectors, clusters)
    typical = _typical_windows(vectors, means, clusters, windows["window_id"].to_numpy(), n_clusters)
    nearest = _nearest_clusters(means)
    for k, part in enumerate(parts):
        part |= {"cohesion": round(float(inside[k]), 4), "typical_windows": typical[k], "nearest": nearest[k]}
    return parts


def _typical_windows(
    vectors: np.ndarray, means: np.ndarray, clusters: np.ndarray, ids: np.ndarray, n_clusters: int
) -> list[list[int]]:
    closeness = np.einsum("ij,ij->i", vectors, means[clusters])
    order = np.lexsort((np.arange(len(ids)), -closeness, clusters))
    return [ids[order[span]][:NEAREST].tolist() for span in spans(clusters[order], n_clusters)]


def _nearest_clusters(means: np.ndarray) -> list[list[dict[str, float]]]:
    n_clusters = len(means)
    count = min(NEAREST, n_clusters - 1)
    answer = []
    for rows in similarity.row_blocks(n_clusters, n_clusters):
        cosines = means[rows] @ means.T
        cosines[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = -np.inf
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count] if count else np.empty((len(cosines), 0), int)
        for row, columns in zip(cosines, best.tolist(), strict=True):
            columns.sort(key=lambda c: (-row[c], c))
            answer.append([{"cluster": c, "similarity": round(float(row[c]), 4)} for c in columns])
    return answer
