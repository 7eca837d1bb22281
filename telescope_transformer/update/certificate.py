"""The certificate that every step shows: the cost of the running clustering, and a lower bound that steps add to.

The bound is a packing of conflicts (`analysis.conflicts`), kept in the state. Every partition of the windows pays for
each conflict, so the bound stays valid while clusters change. A step takes out the conflicts of windows that grew,
whose embeddings are others now, and packs the pairs of new windows, of windows that changed their cluster, and those
that a conflict taken out left uncovered. That is work in proportion to the day. What also grows with the days so far
is one product of the day's windows with all, and reading the kept conflicts.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.analysis.conflicts import Conflicts, pack, paid_pairs
from telescope_transformer.correlation_clustering.vectors import inside
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update.state import State


class Certificate(NamedTuple):
    """Cost of the running clustering and a proved lower bound of that of any, in units of edge weight."""

    cost: float = 0.0
    lower_bound: float = 0.0


def current(state: State) -> Certificate:
    """The certificate after the last step; zeros before the first."""
    return Certificate(*json.loads(state.setting("certificate") or "[]"))


def follow(state: State, gone: pa.Table, new: np.ndarray, moved: np.ndarray) -> Certificate:
    """Bring the kept certificate to the state's present windows and clusters.

    Args:
        state: in the step's transaction, its windows and clusters written.
        gone: `window_id` and `embedding` of the windows that were clustered before and have grown.
        new: ids of the windows that were placed for the first time or anew.
        moved: ids of other windows that changed their cluster.
    """
    settings: dict[str, Any] = state.settings() or {}
    threshold, scale = settings["threshold"], settings["scale"]
    windows = state.query(
        "SELECT window_id, cluster, embedding FROM windows WHERE cluster IS NOT NULL ORDER BY window_id"
    )
    ids, vectors = windows["window_id"].to_numpy(), embedding_matrix(windows)
    labels = np.unique(windows["cluster"].to_numpy(), return_inverse=True)[1]
    fresh = np.isin(ids, new)
    attraction = float(state.setting("attraction") or 0.0)
    if gone.num_rows:
        attraction -= _attraction(embedding_matrix(gone), vectors[~fresh], threshold)
    paid, attracted = paid_pairs(vectors, labels, np.flatnonzero(fresh), threshold)
    attraction += attracted
    again = np.flatnonzero(np.isin(ids, moved) & ~fresh)
    demands = [paid, paid_pairs(vectors, labels, again, threshold)[0], _forget(state, gone, ids)]
    bound = _pack(state, ids, vectors, labels, np.concatenate(demands), threshold)
    # The cost is the small difference of two large sums, so that rounding can take it below its bound.
    joined = inside(vectors.astype(np.float64), np.ones(len(ids)), threshold, labels)
    cost = max(attraction - joined, bound)
    certificate = Certificate(scale * cost, scale * bound)
    state.set("attraction", repr(attraction))
    state.set("certificate", json.dumps(certificate))
    return certificate


def _attraction(gone: np.ndarray, rest: np.ndarray, threshold: float) -> float:
    """Attractive weight of the windows that are gone, among each other and to the rest."""
    both = np.concatenate([gone, rest])
    return paid_pairs(both, np.arange(len(both)), np.arange(len(gone)), threshold)[1]


def _forget(state: State, gone: pa.Table, ids: np.ndarray) -> np.ndarray:
    """Take out the conflicts of windows that are gone; the pairs (p, 2) of others that these had covered."""
    taken = gone.select(["window_id"])
    lost = state.query(
        "SELECT a, b, c FROM conflicts WHERE a IN (FROM gone) OR b IN (FROM gone) OR c IN (FROM gone)", gone=taken
    )
    state.execute("DELETE FROM conflicts WHERE a IN (FROM gone) OR b IN (FROM gone) OR c IN (FROM gone)", gone=taken)
    a, b, c = (lost[name].to_numpy() for name in ("a", "b", "c"))
    pairs = np.concatenate([np.column_stack(pair) for pair in ((a, b), (a, c), (b, c))])
    pairs = np.unique(pairs[~np.isin(pairs, taken["window_id"].to_numpy()).any(axis=1)], axis=0)
    return np.searchsorted(ids, pairs)


def _pack(
    state: State, ids: np.ndarray, vectors: np.ndarray, labels: np.ndarray, pairs: np.ndarray, threshold: float
) -> float:
    """Pack the pairs with what the others leave, write the new conflicts; the sum of all amounts."""
    rows = state.query("SELECT a, b, c, amount FROM conflicts")
    place = np.empty(int(ids[-1]) + 1, dtype=np.int64)
    place[ids] = np.arange(len(ids))
    triples = place[np.column_stack([rows[name].to_numpy() for name in ("a", "b", "c")])]
    kept = Conflicts(triples, rows["amount"].to_numpy())
    more = pack(vectors, labels, pairs, threshold, kept)
    columns = {name: ids[more.triples[:, i]] for i, name in enumerate("abc")}
    state.append("conflicts", pa.table(columns | {"amount": more.amounts}))
    return float(kept.amounts.sum() + more.amounts.sum())
