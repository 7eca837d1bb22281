"""The tables of an analysis: a row per window, and a row per source."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.arrays import offsets_of
from telescope_transformer.codes import majority
from telescope_transformer.embedding import embedding_column
from telescope_transformer.fields import ANNOTATIONS
from telescope_transformer.report.services import service_columns


def windows_table(
    windows: pa.Table,
    embeddings: np.ndarray,
    labels: np.ndarray,
    margins: np.ndarray,
    confidence: np.ndarray,
) -> pa.Table:
    """Build the table of windows that `Analysis` documents."""
    columns: dict[str, Any] = {"window_id": pa.array(np.arange(windows.num_rows), pa.int64())}
    columns |= {name: windows[name] for name in ("source", "start", "end", "n_records")}
    columns |= {
        "cluster": pa.array(labels, pa.int32()),
        "margin": pa.array(margins, pa.float32()),
        "embedding": embedding_column(embeddings),
        "placement": pa.array(confidence, pa.float32(), mask=np.isnan(confidence)),
    }
    columns |= {name: windows[name] for name in ANNOTATIONS if name in windows.column_names}
    return pa.table(columns)


def sources_table(windows: pa.Table) -> pa.Table:
    """Build the table of sources with windows. If two clusters have equally many windows, more records decide."""
    if "placement" not in windows.column_names:
        windows = windows.append_column("placement", pa.nulls(windows.num_rows, pa.float32()))
    # A source is only placed if no long window says that it belongs to the cluster.
    all_short = pc.ScalarAggregateOptions(skip_nulls=False)
    numbers = [("n_records", "count"), ("n_records", "sum"), ("start", "min"), ("end", "max")]
    votes = windows.group_by(["source", "cluster"], use_threads=False).aggregate(
        [*numbers, ("placement", "min", all_short)]
    )
    by_votes = [("n_records_count", "descending"), ("n_records_sum", "descending"), ("cluster", "ascending")]
    votes = votes.sort_by([("source", "ascending"), *by_votes])
    most, totals = ["cluster", "n_records_count", "placement_min"], ["n_records_count", "n_records_sum"]
    whole = votes.group_by("source", use_threads=False).aggregate(
        [(name, "first") for name in most]
        + [(name, "sum") for name in totals]
        + [("start_min", "min"), ("end_max", "max")]
    )
    n_windows = whole["n_records_count_sum"]
    share = pc.divide(pc.cast(whole["n_records_count_first"], pa.float32()), pc.cast(n_windows, pa.float32()))
    table = pa.table(
        {
            "source": whole["source"],
            "cluster": whole["cluster_first"],
            "n_windows": n_windows,
            "n_records": whole["n_records_sum_sum"],
            "first_seen": whole["start_min_min"],
            "last_seen": whole["end_max_max"],
            "agreement": share,
            "placement": whole["placement_min_first"],
        }
    )
    return _with_labels(table, windows) if "label" in windows.column_names else table


def every_source(clustered: pa.Table, read: pa.Table) -> pa.Table:
    """Build the table of all sources that were read, with the cluster of those that have one.

    Args:
        clustered: result of `sources_table`.
        read: all sources with all their records (`preparation.read_sources` or `report.all_sources`).

    Returns:
        A row per source, sorted by text: the columns of `clustered`, with numbers and times over all records of the
        source, its most frequent `service` and all its `services`. A source without a window has 0 windows and null as
        cluster and agreement.
    """
    place = pc.index_in(read["source"], clustered["source"].combine_chunks())
    table = {
        name: read[name] if name in read.column_names else clustered[name].take(place)
        for name in clustered.column_names
        if name != "label"
    }
    table["n_windows"] = pc.fill_null(table["n_windows"], 0)
    if "label" in clustered.column_names and "label" in read.column_names:
        # The majority over a source's windows takes precedence over that of all its records.
        table["label"] = pc.coalesce(clustered["label"].take(place), read["label"])
    return pa.table(table | service_columns(read["services"].combine_chunks())).sort_by("source")


def granularity_table(windows: pa.Table, thresholds: list[float], labels: np.ndarray) -> pa.Table:
    """A row per window: `window_id`, `source`, and its cluster at each threshold, coarsest first (`at_0.450`, ...)."""
    table = windows.select(["window_id", "source"])
    for threshold, clusters in zip(thresholds, labels, strict=True):
        table = table.append_column(f"at_{threshold:.3f}", pa.array(clusters, pa.int32()))
    return table


def _with_labels(sources: pa.Table, windows: pa.Table) -> pa.Table:
    ordered = windows.select(["source", "label"]).sort_by("source")
    names = ordered["source"].combine_chunks().dictionary_encode()
    sizes = np.bincount(names.indices.to_numpy(), minlength=len(names.dictionary))
    labels = majority(ordered["label"], offsets_of(sizes))
    by_source = pa.table({"source": names.dictionary, "label": labels})
    return sources.join(by_source, "source").sort_by("source").select([*sources.column_names, "label"])
