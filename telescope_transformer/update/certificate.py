"""The certificate that every step shows: the cost of the running clustering, and a lower bound that steps add to.

The bound is a packing of conflicts (`correlation_clustering.bounds.packing`), kept in the state. Every partition of
the windows pays for each conflict, so the bound stays valid while clusters change. A step takes out the conflicts of
windows that grew, whose embeddings are others now, and packs pairs of new windows, of windows that changed their
cluster, and those for whose sake a conflict taken out had been packed: so many pairs for each window of the step at
most. What also grows with the days so far is one product of the step's windows with all, which the exact cost needs,
and one pass over the kept conflicts.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.correlation_clustering.bounds.packing import Conflicts, pack, paid_pairs
from telescope_transformer.correlation_clustering.vectors import attraction as among_each_other
from telescope_transformer.correlation_clustering.vectors import attraction_between, inside
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update.state import State

# Pairs that a step packs for each of its windows at most, those that cost most: of the window itself, and as many of
# windows that moved and of those left uncovered.
PAIRS_PER_WINDOW = 128

# Of a sum of weights, relative to it.
ROUNDING = 1e-9


class Certificate(NamedTuple):
    """Cost of the running clustering and a proved lower bound of that of any, in units of edge weight."""

    cost: float = 0.0
    lower_bound: float = 0.0


def current(state: State) -> Certificate:
    """The certificate after the last step; zeros before the first."""
    return Certificate(*json.loads(state.setting("certificate") or "[]"))


def update_certificate(state: State, gone: pa.Table, new: np.ndarray, moved: np.ndarray) -> Certificate:
    """Bring the kept certificate to the state's present windows and clusters.

    Args:
        state: in the step's transaction, its windows and clusters written.
        gone: `window_id` and `embedding` of the windows that were clustered before and have grown.
        new: ids of the windows that were placed for the first time or anew.
        moved: ids of other windows that changed their cluster.
    """
    settings: dict[str, Any] = state.settings() or {}
    threshold, scale = settings["threshold"], settings["scale"]
    ids, vectors, labels = _placed(state)
    fresh = np.isin(ids, new)
    attraction = float(state.setting("attraction") or 0.0)
    if gone.num_rows:
        former = embedding_matrix(gone)
        attraction -= among_each_other(former, threshold) + attraction_between(former, vectors[~fresh], threshold)
    paid, attracted = paid_pairs(vectors, labels, np.flatnonzero(fresh), threshold, PAIRS_PER_WINDOW)
    attraction += attracted
    again = np.flatnonzero(np.isin(ids, moved) & ~fresh)[: len(new)]
    moved_pairs, _ = paid_pairs(vectors, labels, again, threshold, PAIRS_PER_WINDOW)
    kept, lost = _forget(state, gone, ids)
    pairs = np.concatenate([paid, moved_pairs, lost[: PAIRS_PER_WINDOW * len(new)]])
    more = pack(vectors, labels, pairs, threshold, kept)
    places = {name: ids[more.triples[:, i]] for i, name in enumerate("abc")}
    state.append("conflicts", pa.table(places | {"amount": more.amounts}))
    bound = float(kept.amounts.sum() + more.amounts.sum())
    # The cost is the small difference of two large sums: rounding can take it below its bound, or leave a trace of it
    # where nothing is paid for.
    joined = inside(vectors, np.ones(len(ids)), threshold, labels)
    cost = attraction - joined
    if cost - bound < ROUNDING * attraction:
        cost = bound
    certificate = Certificate(scale * cost, scale * bound)
    state.set("attraction", repr(attraction))
    state.set("certificate", json.dumps(certificate))
    return certificate


def _placed(state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of all windows that have a cluster, in order; their vectors, float32 (n, dimensions); labels 0..k-1."""
    windows = state.clustered_embeddings()
    order = np.argsort(windows["window_id"].to_numpy())
    ids, vectors = windows["window_id"].to_numpy()[order], embedding_matrix(windows)[order]
    labels = np.unique(windows["cluster"].to_numpy()[order], return_inverse=True)[1]
    return ids, vectors, labels


def _forget(state: State, gone: pa.Table, ids: np.ndarray) -> tuple[Conflicts, np.ndarray]:
    """Take out the conflicts of windows that are gone.

    Returns:
        The conflicts that are left, and the pairs (p, 2) of others for whose sake those taken out had been packed,
        those first that lose most; both by place among the ids.
    """
    rows = state.conflicts()
    place = np.full(1 + max(ids[-1], pc.max(gone["window_id"]).as_py() or 0), -1)
    place[ids] = np.arange(len(ids))
    place[gone["window_id"].to_numpy()] = -1
    triples, amounts = place[np.column_stack([rows[name].to_numpy() for name in "abc"])], rows["amount"].to_numpy()
    taken = (triples < 0).any(axis=1)
    state.remove_conflicts(rows["rowid"].to_numpy()[taken])
    pairs, covered = triples[taken][:, :2], amounts[taken]
    whole = (pairs >= 0).all(axis=1)
    pairs, which = np.unique(pairs[whole], axis=0, return_inverse=True)
    order = np.argsort(-np.bincount(which.ravel(), covered[whole], len(pairs)), kind="stable")
    return Conflicts(triples[~taken], amounts[~taken]), pairs[order]
