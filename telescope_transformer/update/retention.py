"""Deletes old records from a running analysis, and recognises clusters that come back.

Old windows and their records are deleted; events are kept. A cluster without windows is retired: the mean of its
vectors and the records of its most typical window are kept. A new cluster that would attract the windows of a retired
cluster gets its id, so an actor that returns after a year is recognised.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update.certificate import NO_IDS, update_certificate
from telescope_transformer.update.state import State, vector_column, vectors_of


def age(state: State, before: int) -> None:
    """Delete the windows that ended before a time (us). Runs in the transaction of the step."""
    old = state.windows_before(before)
    if not old.num_rows:
        return
    clustered = old.filter(pc.is_valid(old["cluster"]))
    typical = _leave_clusters(state, clustered) if clustered.num_rows else NO_IDS
    state.remove_windows(old, ["windows"])
    # Keep the records of the typical windows of retired clusters, as records of closed windows.
    state.close_records(typical)
    state.remove_windows(old, ["open_records"])
    others = ~np.isin(old["window_id"].to_numpy(), typical)
    state.remove_windows(old.filter(pa.array(others)), ["closed_records"])
    if clustered.num_rows:
        update_certificate(state, clustered.select(["window_id", "embedding"]), NO_IDS, NO_IDS)


def _leave_clusters(state: State, windows: pa.Table) -> np.ndarray:
    """Subtract windows from the sums of their clusters, and retire clusters that become empty.

    Returns:
        Ids of the typical windows of the retired clusters.
    """
    ids, vectors = windows["cluster"].to_numpy(), embedding_matrix(windows)
    hit = state.clusters(np.unique(ids))
    rest = hit.without(ids, vectors)
    state.replace_clusters(hit.ids, rest)
    empty = hit.ids[~np.isin(hit.ids, rest.ids)]
    if not len(empty):
        return NO_IDS
    means = hit.sums / hit.sizes[:, None]
    place = np.searchsorted(hit.ids, ids)
    closeness = np.einsum("ij,ij->i", vectors, means[place])
    # Sorted so that the last window of each cluster is the one nearest to the mean. Among equally near windows, it is
    # the newest.
    order = np.lexsort((closeness, place))
    last = order[np.append(place[order][1:] != place[order][:-1], True)]
    typical = windows["window_id"].to_numpy()[last]
    seen = np.zeros(len(hit.ids), dtype=np.int64)
    np.maximum.at(seen, place, windows["end"].to_numpy())
    rows = np.searchsorted(hit.ids, empty)
    columns = {"cluster": empty, "mean": vector_column(means[rows]), "last_seen": seen[rows]}
    state.append("retired", pa.table(columns | {"window_id": typical[rows]}))
    dropped: np.ndarray = typical[rows]
    return dropped


def revive(state: State, born: list[int], threshold: float) -> None:
    """Give new clusters the ids of retired clusters that would attract their windows.

    Args:
        state: the state, in the transaction of the step.
        born: ids of the new clusters.
        threshold: the cosine at which a pair neither attracts nor repels. The mean weight of all pairs of windows from
            two clusters is the inner product of their means minus the threshold.
    """
    retired = state.retired()
    if not born or not retired.num_rows:
        return
    clusters = state.clusters(np.array(born))
    weights = (clusters.sums / clusters.sizes[:, None]) @ vectors_of(retired["mean"]).T - threshold
    old_ids = retired["cluster"].to_numpy()
    for new, old in _pairs(weights):
        state.revive(int(clusters.ids[new]), int(old_ids[old]))


def _pairs(weights: np.ndarray) -> list[tuple[int, int]]:
    """Match new clusters (rows) with old ones (columns) that attract them, greedily by weight, one to one."""
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(-weights, axis=None, kind="stable"):
        new, old = divmod(int(place), weights.shape[1])
        if weights[new, old] <= 0:
            break
        if all(new != a and old != b for a, b in pairs):
            pairs.append((new, old))
    return pairs
