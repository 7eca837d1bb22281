"""What ages out of a running analysis, and clusters that come back.

Windows and records of old days go; the events stay, and so does the mean of each cluster that loses its last window.
A cluster that is born where a retired one was gets the old id: an actor that returns after a year is known.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update.certificate import update_certificate
from telescope_transformer.update.state import State

NO_IDS = np.zeros(0, dtype=np.int64)


def age(state: State, before: int) -> None:
    """Take out the windows that ended before a time (us), in the step's transaction."""
    old = state.windows_before(before)
    if not old.num_rows:
        return
    clustered = old.filter(pc.is_valid(old["cluster"]))
    state.remove_windows(old, ["windows", "open_records", "closed_records"])
    if not clustered.num_rows:
        return
    ids = clustered["cluster"].to_numpy()
    hit = state.groups(np.unique(ids))
    rest = hit.without(ids, embedding_matrix(clustered))
    state.replace_groups(hit.ids, rest)
    _retire(state, hit.ids[~np.isin(hit.ids, rest.ids)], hit.ids, hit.sums / hit.sizes[:, None], clustered)
    if state.n_clusters:
        update_certificate(state, clustered.select(["window_id", "embedding"]), NO_IDS, NO_IDS)


def _retire(state: State, empty: np.ndarray, ids: np.ndarray, means: np.ndarray, windows: pa.Table) -> None:
    """Keep the means of clusters that have no windows any more."""
    if not len(empty):
        return
    last = windows.group_by("cluster").aggregate([("end", "max")])
    seen = dict(zip(last["cluster"].to_pylist(), last["end_max"].to_pylist(), strict=True))
    rows = np.searchsorted(ids, empty)
    offsets = pa.array(np.arange(len(empty) + 1) * means.shape[1], pa.int32())
    mean = pa.ListArray.from_arrays(offsets, pa.array(means[rows].ravel()))
    state.append(
        "retired", pa.table({"cluster": empty, "mean": mean, "last_seen": [seen[one] for one in empty.tolist()]})
    )


def revive(state: State, born: list[int], threshold: float) -> None:
    """Give clusters that were just born the ids of retired ones whose windows would attract theirs.

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
    flat = retired["mean"].combine_chunks().flatten().to_numpy()
    weights = (groups.sums / groups.sizes[:, None]) @ flat.reshape(retired.num_rows, -1).T - threshold
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
