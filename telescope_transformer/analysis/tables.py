"""The tables of an analysis: a row per window, a row per source."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.embedding import embedding_column
from telescope_transformer.fields import ANNOTATIONS
from telescope_transformer.windows import majority


def windows_table(windows: pa.Table, embeddings: np.ndarray, labels: np.ndarray, margins: np.ndarray) -> pa.Table:
    """The table of windows that `Analysis` describes."""
    columns: dict[str, Any] = {"window_id": pa.array(np.arange(windows.num_rows), pa.int64())}
    columns |= {name: windows[name] for name in ("source", "start", "end", "n_records")}
    columns |= {
        "cluster": pa.array(labels, pa.int32()),
        "margin": pa.array(margins, pa.float32()),
        "embedding": embedding_column(embeddings),
    }
    columns |= {name: windows[name] for name in ANNOTATIONS if name in windows.column_names}
    return pa.table(columns)


def sources_table(windows: pa.Table) -> pa.Table:
    """The table of sources that `Analysis` describes; a tie between clusters goes to the one of more records."""
    votes = windows.group_by(["source", "cluster"], use_threads=False).aggregate(
        [("n_records", "count"), ("n_records", "sum"), ("start", "min"), ("end", "max")]
    )
    votes = votes.sort_by(
        [
            ("source", "ascending"),
            ("n_records_count", "descending"),
            ("n_records_sum", "descending"),
            ("cluster", "ascending"),
        ]
    )
    whole = votes.group_by("source", use_threads=False).aggregate(
        [
            ("cluster", "first"),
            ("n_records_count", "first"),
            ("n_records_count", "sum"),
            ("n_records_sum", "sum"),
            ("start_min", "min"),
            ("end_max", "max"),
        ]
    )
    share = pc.divide(
        pc.cast(whole["n_records_count_first"], pa.float32()), pc.cast(whole["n_records_count_sum"], pa.float32())
    )
    table = pa.table(
        {
            "source": whole["source"],
            "cluster": whole["cluster_first"],
            "n_windows": whole["n_records_count_sum"],
            "n_records": whole["n_records_sum_sum"],
            "first_seen": whole["start_min_min"],
            "last_seen": whole["end_max_max"],
            "agreement": share,
        }
    )
    return _with_labels(table, windows) if "label" in windows.column_names else table


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
    labels = majority(ordered["label"], np.concatenate(([0], np.cumsum(sizes))).astype(np.int32))
    by_source = pa.table({"source": names.dictionary, "label": labels})
    return sources.join(by_source, "source").sort_by("source").select([*sources.column_names, "label"])
