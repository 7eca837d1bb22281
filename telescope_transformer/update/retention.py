"""Drops old records from a running analysis, and recognises clusters that come back.

Windows and records of old days go. The events stay, and so does the mean of each cluster that loses its last window,
with the records of its most typical window. When a new cluster is born where a retired one was, it gets the old id: an
actor that returns after a year is known.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update.certificate import update_certificate
from telescope_transformer.update.state import State, vector_column, vectors_of

NO_IDS = np.zeros(0, dtype=np.int64)


def age(state: State, before: int) -> None:
    """Take out the windows that ended before a time (us), in the step's transaction."""
    old = state.windows_before(before)
    if not old.num_rows:
        return
    clustered = old.filter(pc.is_valid(old["cluster"]))
    typical = _leave_clusters(state, clustered) if clustered.num_rows else NO_IDS
    state.remove_windows(old, ["windows"])
    # The records of a typical window of a retired cluster stay, as those of a closed window.
    state.close_records(typical)
    state.remove_windows(old, ["open_records"])
    others = ~np.isin(old["window_id"].to_numpy(), typical)
    state.remove_windows(old.filter(pa.array(others)), ["closed_records"])
    if clustered.num_rows and state.n_clusters:
        update_certificate(state, clustered.select(["window_id", "embedding"]), NO_IDS, NO_IDS)


def _leave_clusters(state: State, windows: pa.Table) -> np.ndarray:
    """Take windows out of the sums of their clusters; ids of the typical windows of clusters that are empty now."""
    ids, vectors = windows["cluster"].to_numpy(), embedding_matrix(windows)
    hit = state.groups(np.unique(ids))
    rest = hit.without(ids, vectors)
    state.replace_groups(hit.ids, rest)
    empty = hit.ids[~np.isin(hit.ids, rest.ids)]
    if not len(empty):
        return NO_IDS
    means = hit.sums / hit.sizes[:, None]
    place = np.searchsorted(hit.ids, ids)
    closeness = np.einsum("ij,ij->i", vectors, means[place])
    # In this order, the last window of each cluster is the one nearest to its mean; of equally near ones, the newest.
    order = np.lexsort((closeness, place))
    last = order[np.append(place[order][1:] != place[order][:-1], True)]
    typical = windows["window_id"].to_numpy()[last]
    seen = np.zeros(len(hit.ids), dtype=np.int64)
    np.maximum.at(seen, place, windows["end"].to_numpy())
    rows = np.searchsorted(hit.ids, empty)
    columns = {"cluster": empty, "mean": vector_column(means[rows]), "last_seen": seen[rows]}
    state.append("retired", pa.table(columns | {"window_id": typical[rows]}))
    return typical[rows]


def revive(state: State, born: list[int], threshold: float) -> None:
    """Give new clusters the ids of retired clusters that would attract their windows.

    Args:
        state: in the step's transaction.
        born: ids of the new clusters.
        threshold: the cosine at which a pair neither attracts nor repels; the mean weight of the pairs of one window
            of each cluster is the product of their means less this.
    """
    retired = state.retired()
    if not born or not retired.num_rows:
        return
    groups = state.groups(np.array(born))
    weights = (groups.sums / groups.sizes[:, None]) @ vectors_of(retired["mean"]).T - threshold
    old_ids = retired["cluster"].to_numpy()
    for new, old in _pairs(weights):
        state.revive(int(groups.ids[new]), int(old_ids[old]))


def _pairs(weights: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a new (row) and an old cluster (column) that attract, the strongest first, each at most once."""
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(-weights, axis=None, kind="stable"):
        new, old = divmod(int(place), weights.shape[1])
        if weights[new, old] <= 0:
            break
        if all(new != a and old != b for a, b in pairs):
            pairs.append((new, old))
    return pairs
