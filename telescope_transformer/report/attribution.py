"""Attributes the similarity of the windows of a cluster to groups of fields.

The values that a window has in these fields are replaced by those of a window from another cluster, so the model only
sees values that really occur. How much the similarity between the window and the mean of its own cluster drops is what
the fields explain.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer import similarity
from telescope_transformer.arrays import offsets_of, positions_in_runs, unit_rows
from telescope_transformer.placement import Embed
from telescope_transformer.report.window_records import join_records
from telescope_transformer.windows import assemble_windows

# Groups of fields by the name that analysts use. A group is replaced as a whole.
FIELD_GROUPS = {
    "services": ("dst_port", "protocol"),
    "destinations": ("dst_ip",),
    "source ports": ("src_port",),
    "timing": ("timestamp",),
    "packet header": ("ttl", "tcp_flags"),
}
# Our choice: only the largest clusters, and enough members of each to resolve shares of about 5 %.
MAX_CLUSTERS = 60
WINDOWS_PER_CLUSTER = 6

# Arrow arrays, because optional fields may be null.
Flat = dict[str, pa.Array]


def explain_clusters(
    embed: Embed, records: pa.Table, windows: pa.Table, *, seed: int = 0
) -> dict[int, list[dict[str, Any]]]:
    """The share of the similarity inside the largest clusters that each group of fields explains.

    Args:
        embed: a function from windows to embeddings, rows of length 1.
        records, windows: as for `profile_clusters`; the windows have `embedding` and `cluster` (0..k-1).
        seed: seed for the choice of members and of the windows whose values replace theirs.

    Returns:
        For each explained cluster, rows of {"field", "share"}, largest share first; the shares sum to 1. Clusters of
        one window, and clusters whose similarity no replacement lowers, are left out.
    """
    rng = np.random.default_rng(seed)
    windows, whole = _with_records(records, windows)
    embeddings, clusters = similarity.embedding_matrix(windows), windows["cluster"].to_numpy()
    members = _sample(clusters, rng)
    groups = [name for name, fields in FIELD_GROUPS.items() if any(field in whole.column_names for field in fields)]
    if not len(members) or int(clusters.max()) == 0:
        return {}
    donors = _donors(clusters, members, rng)
    own, other = _flat(whole, members), _flat(whole, donors)
    masked = [_masked(own, other, FIELD_GROUPS[name]) for name in groups]
    vectors = embed(pa.concat_tables([_table(whole, members, flat) for flat in masked]))
    sums, sizes = similarity.cluster_sums(embeddings, clusters)
    centres = unit_rows(sums / sizes[:, None])[clusters[members]]
    before = np.einsum("ij,ij->i", embeddings[members], centres)
    after = np.einsum("gij,ij->gi", vectors.reshape(len(groups), len(members), -1), centres)
    return _shares(groups, np.maximum(before - after, 0), clusters[members])


def _with_records(records: pa.Table, windows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The windows sorted by source and start, and the same windows with the fields of their records."""
    joined = join_records(records, windows)
    windows = windows.take(pa.array(joined.order))
    flat = {name: joined.table[name].combine_chunks() for name in _fields_in(joined.table)}
    sources = windows["source"].combine_chunks()
    return windows, assemble_windows(sources, joined.offsets.astype(np.int32), flat, {})


def _fields_in(table: pa.Table) -> list[str]:
    return [name for group in FIELD_GROUPS.values() for name in group if name in table.column_names]


def _sample(clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A few members of each of the largest clusters."""
    sizes = np.bincount(clusters)
    largest = np.argsort(-sizes, kind="stable")[:MAX_CLUSTERS]
    order = rng.permutation(len(clusters))
    chosen = [order[clusters[order] == k][:WINDOWS_PER_CLUSTER] for k in largest if sizes[k] > 1]
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)


def _donors(clusters: np.ndarray, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each member, a random window of another cluster."""
    donors = rng.integers(0, len(clusters), len(members))
    while (same := clusters[donors] == clusters[members]).any():
        donors[same] = rng.integers(0, len(clusters), int(same.sum()))
    return donors


def _flat(windows: pa.Table, rows: np.ndarray) -> tuple[Flat, np.ndarray]:
    """The concatenated record fields of some windows, and the number of records of each window."""
    taken = windows.take(pa.array(rows))
    flat = {name: pc.list_flatten(taken[name]).combine_chunks() for name in _fields_in(taken)}
    return flat, taken["n_records"].to_numpy().astype(np.int64)


def _masked(own: tuple[Flat, np.ndarray], other: tuple[Flat, np.ndarray], fields: tuple[str, ...]) -> Flat:
    """The members' records with these fields from the donors, which are repeated or cut to the members' lengths."""
    (values, sizes), (foreign, lengths) = own, other
    position = positions_in_runs(sizes)
    source = np.repeat(offsets_of(lengths)[:-1], sizes) + position % np.repeat(lengths, sizes)
    answer = dict(values)
    for name in fields:
        if name == "timestamp":
            times = _with_gaps(values[name].to_numpy(), foreign[name].to_numpy(), source, position)
            answer[name] = pa.array(times, pa.int64())
        elif name in values:
            answer[name] = foreign[name].take(pa.array(source))
    return answer


def _with_gaps(times: np.ndarray, foreign: np.ndarray, source: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Times that begin with each member's own first time and continue with the donor's inter-arrival times."""
    gaps = np.maximum(foreign[source] - foreign[np.maximum(source - 1, 0)], 0)
    first = position == 0
    gaps[first] = 0
    total = np.cumsum(gaps)
    begins = np.flatnonzero(first)
    offset = np.repeat(times[begins] - total[begins], np.diff(np.append(begins, len(times))))
    shifted: np.ndarray = total + offset
    return shifted


def _table(windows: pa.Table, rows: np.ndarray, flat: Flat) -> pa.Table:
    taken = windows.take(pa.array(rows))
    offsets = offsets_of(taken["n_records"].to_numpy()).astype(np.int32)
    return assemble_windows(taken["source"].combine_chunks(), offsets, flat, {})


def _shares(groups: list[str], losses: np.ndarray, clusters: np.ndarray) -> dict[int, list[dict[str, Any]]]:
    answer = {}
    for cluster in dict.fromkeys(clusters.tolist()):
        loss = losses[:, clusters == cluster].mean(axis=1)
        if loss.sum() <= 0:
            continue
        rows: list[dict[str, Any]] = [
            {"field": name, "share": round(float(part / loss.sum()), 4)}
            for name, part in zip(groups, loss, strict=True)
        ]
        answer[cluster] = sorted(rows, key=lambda row: -row["share"])
    return answer
