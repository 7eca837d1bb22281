"""Updates the certificate after each step: the cost of the running clustering, and a lower bound on the cost.

The certificate covers the newest `MOST_CERTIFIED` clustered windows and all their pairs, so an update takes no longer
after a year than after a week. The bound is a packing of conflicts (`correlation_clustering.bounds.packing`) that is
stored in the state. Every partition of the windows pays for each packed conflict, so the bound stays valid while
clusters change.

A step removes the windows that grew, because their embeddings have changed, and the oldest windows beyond
`MOST_CERTIFIED`. It then packs the pairs of new windows, the pairs of windows that moved to another cluster, and the
pairs that lost a conflict because its third window was removed, up to a number of pairs for each window of the step.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.correlation_clustering.bounds.packing import Conflicts, pack, paid_pairs
from telescope_transformer.correlation_clustering.vectors import attraction as among_each_other
from telescope_transformer.correlation_clustering.vectors import attraction_between, inside
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update.state import State

# The most windows that the certificate covers. A step multiplies its own windows with all of them: 500 windows with
# 20,000 windows of 128 dimensions take about a tenth of a second.
MOST_CERTIFIED = 20_000
# The most pairs that a step packs for each new window, for each window that moved, and for each pair that lost a
# conflict. Pairs with the largest cost go first. With 128, 512 and 4,096, the gap after 190 days of honeypots is 36,
# 23 and 23 %. With 512, the last days take a quarter more time than with 128.
PAIRS_PER_WINDOW = 512
# A cost below this share of the sums that it is the difference of is a rounding error. Products of float32 vectors are
# correct to about 1e-7.
ROUNDING = 1e-6
NO_IDS = np.zeros(0, dtype=np.int64)


class Certificate(NamedTuple):
    """Cost of the running clustering of the certified windows, and a proved lower bound on the cost of any clustering.

    Attributes:
        cost, lower_bound: in units of edge weight.
        windows: number of certified windows.
    """

    cost: float = 0.0
    lower_bound: float = 0.0
    windows: int = 0


class _Placed(NamedTuple):
    """Windows that have a cluster: ids (n,), ascending; vectors float32 (n, dimensions); labels (n,), 0..k-1."""

    ids: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray


def current(state: State) -> Certificate:
    """The certificate after the last step; zeros before the first."""
    return Certificate(*state.stored("certificate", []))


def update_certificate(state: State, gone: pa.Table, new: np.ndarray, moved: np.ndarray) -> Certificate:
    """Update the stored certificate to the present windows and clusters of the state.

    Args:
        state: the state, in the transaction of the step, after windows and clusters were written.
        gone: `window_id` and `embedding` of clustered windows that have grown or were deleted.
        new: ids of the windows that were assigned for the first time, or again after they grew.
        moved: ids of other windows that moved to another cluster.
    """
    settings: dict[str, Any] = state.settings() or {}
    threshold, scale = settings["threshold"], settings["scale"]
    first = state.stored("certified_from", 0)
    windows = _placed(state, first)
    if not len(windows.ids):
        forget(state)
        return Certificate()
    taken_out, former = _former(gone, first)
    begin = max(0, len(windows.ids) - MOST_CERTIFIED)
    if begin:
        oldest = ~np.isin(windows.ids[:begin], new)
        taken_out = np.concatenate([taken_out, windows.ids[:begin][oldest]])
        former = np.concatenate([former.reshape(-1, windows.vectors.shape[1]), windows.vectors[:begin][oldest]])
        labels = np.unique(windows.labels[begin:], return_inverse=True)[1]
        windows = _Placed(windows.ids[begin:], windows.vectors[begin:], labels)
        state.set("certified_from", str(windows.ids[0]))
    fresh = np.isin(windows.ids, new)
    attraction = float(state.stored("attraction", 0.0))
    stayed = windows.vectors[~fresh]
    if len(taken_out) > len(stayed):
        # This is faster than subtracting, and leaves no rounding error from sums that were much larger.
        attraction = among_each_other(stayed, threshold) if len(stayed) else 0.0
    elif len(taken_out):
        attraction -= among_each_other(former, threshold) + attraction_between(former, stayed, threshold)
    paid, attracted = paid_pairs(
        windows.vectors, windows.labels, np.flatnonzero(fresh), threshold, most=PAIRS_PER_WINDOW
    )
    attraction += attracted
    bound = _bound(state, windows, fresh, moved, taken_out, paid, threshold)
    # The cost is the small difference of large sums, which also have the squares of all vectors, of length 1.
    cost = attraction - inside(windows.vectors, np.ones(len(windows.ids)), threshold, windows.labels)
    cost = bound if cost < ROUNDING * (attraction + len(windows.ids)) else max(cost, bound)
    certificate = Certificate(scale * cost, scale * bound, len(windows.ids))
    state.set("attraction", repr(attraction))
    state.set("certificate", json.dumps(certificate))
    return certificate


def rescale(state: State, factor: float) -> None:
    """Multiply the stored cost and bound, if the scale of the weights has changed by this factor."""
    stored = current(state)
    changed = stored._replace(cost=factor * stored.cost, lower_bound=factor * stored.lower_bound)
    state.set("certificate", json.dumps(changed))


def forget(state: State) -> None:
    """Drop the certificate, for a state whose embeddings, clusters and threshold are all replaced."""
    state.clear("conflicts")
    for key in ("attraction", "certified_from", "certificate"):
        state.unset(key)


def _bound(
    state: State,
    windows: _Placed,
    fresh: np.ndarray,
    moved: np.ndarray,
    taken_out: np.ndarray,
    paid: np.ndarray,
    threshold: float,
) -> float:
    """Pack the pairs of a step, store them, and return the sum of all packed conflicts, in units of cosine."""
    n_new = int(fresh.sum())
    again = np.flatnonzero(np.isin(windows.ids, moved) & ~fresh)[:n_new]
    moved_pairs, _ = paid_pairs(windows.vectors, windows.labels, again, threshold, PAIRS_PER_WINDOW)
    kept, lost = _without(state, taken_out, windows.ids)
    pairs = np.concatenate([paid, moved_pairs, lost[: PAIRS_PER_WINDOW * n_new]])
    more = pack(windows.vectors, windows.labels, pairs, threshold, kept)
    places = {name: windows.ids[more.triples[:, i]] for i, name in enumerate("abc")}
    state.append("conflicts", pa.table(places | {"amount": more.amounts}))
    return float(kept.amounts.sum() + more.amounts.sum())


def _placed(state: State, first: int) -> _Placed:
    """The windows that have a cluster and an id of at least `first`."""
    windows = state.clustered_embeddings(first)
    labels = np.unique(windows["cluster"].to_numpy(), return_inverse=True)[1]
    return _Placed(windows["window_id"].to_numpy(), embedding_matrix(windows), labels)


def _former(gone: pa.Table, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (m,) and former vectors (m, dimensions) of those removed windows that the certificate covered."""
    if not gone.num_rows:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32)
    ids = gone["window_id"].to_numpy()
    return ids[ids >= first], embedding_matrix(gone)[ids >= first]


def _without(state: State, taken_out: np.ndarray, ids: np.ndarray) -> tuple[Conflicts, np.ndarray]:
    """Delete the conflicts of windows that were removed.

    Returns:
        The remaining conflicts, and the pairs (p, 2) of other windows whose conflict was deleted, in descending order
        of the deleted amount. Both refer to windows by their position in `ids`.
    """
    rows = state.conflicts()
    place = np.full(1 + max(ids[-1], taken_out.max(initial=0)), -1)
    place[ids] = np.arange(len(ids))
    place[taken_out] = -1
    triples, amounts = place[np.column_stack([rows[name].to_numpy() for name in "abc"])], rows["amount"].to_numpy()
    deleted = (triples < 0).any(axis=1)
    state.remove_conflicts(rows["rowid"].to_numpy()[deleted])
    pairs, covered = triples[deleted][:, :2], amounts[deleted]
    whole = (pairs >= 0).all(axis=1)
    pairs, which = np.unique(pairs[whole], axis=0, return_inverse=True)
    order = np.argsort(-np.bincount(which.ravel(), covered[whole], len(pairs)), kind="stable")
    return Conflicts(triples[~deleted], amounts[~deleted]), pairs[order]
