"""Describes all sources by their records, and hides the clusters of sources that sent too few."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.arrays import with_column
from telescope_transformer.codes import dictionary_codes, distinct_codes, service_codes
from telescope_transformer.placement import SMALLEST_CONFIDENCE


def all_sources(records: pa.Table) -> pa.Table:
    """Describe each source of flow records in a row, as `preparation.read_sources` does."""
    code, sources = dictionary_codes(records["src_ip"])
    times = records["timestamp"].to_numpy()
    first = np.full(len(sources), np.iinfo(np.int64).max)
    last = np.full(len(sources), np.iinfo(np.int64).min)
    np.minimum.at(first, code, times)
    np.maximum.at(last, code, times)
    read = pa.table(
        {
            "source": sources,
            "services": distinct_codes(code, service_codes(records), len(sources)),
            "n_records": pa.array(np.bincount(code, minlength=len(sources)), pa.int64()),
            "first_seen": pa.array(first, pa.int64()),
            "last_seen": pa.array(last, pa.int64()),
        }
    )
    if "label" in records.column_names:
        read = read.append_column("label", _first_values(code, len(sources), records["label"]))
    return read


def without_lone_short(sources: pa.Table) -> pa.Table:
    """Set the cluster to null for sources with too few records to say which others they resemble.

    An analysis puts each of them into a cluster by itself, which a reader would take for behaviour like no other.
    """
    if "placement" not in sources.column_names:
        return sources
    too_few = pc.less(sources["placement"], SMALLEST_CONFIDENCE).fill_null(False)
    clusters = pc.if_else(too_few, pa.scalar(None, sources["cluster"].type), sources["cluster"])
    return with_column(sources, "cluster", clusters)


def _first_values(code: np.ndarray, n_sources: int, values: pa.ChunkedArray) -> pa.Array:
    """The first non-null value of each source."""
    known = np.flatnonzero(values.is_valid().to_numpy())
    owner, first = np.unique(code[known], return_index=True)
    rows = np.full(n_sources, -1, dtype=np.int64)
    rows[owner] = known[first]
    return values.combine_chunks().take(pa.array(rows, mask=rows < 0))
