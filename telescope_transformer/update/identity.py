"""Assigns lasting ids to the clusters of a new clustering, and lists events such as births and merges.

A cluster keeps its id while more than half of its windows stay together. If the majorities of two clusters end up in
one group, the group gets the id of the larger majority, and the other cluster is merged into it. A group without the
majority of any cluster is a new cluster.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

NOBODY = -1


@dataclass(frozen=True)
class Event:
    """An event of a cluster: `birth`, `death`, `merge` (other clusters joined it), `split` (it was part of others)."""

    event: str
    cluster: int
    others: tuple[int, ...]
    windows: int


@dataclass(frozen=True)
class Inheritance:
    """The cluster id of each group (k,), and the events in order of cluster id."""

    ids: np.ndarray
    events: list[Event]


def inherit(labels: np.ndarray, former: np.ndarray, sizes: np.ndarray, next_id: int) -> Inheritance:
    """Assign a cluster id to every group of a new clustering.

    Args:
        labels: (n,) group of each node, 0..k-1.
        former: (n,) id of the cluster that the node was in before, -1 for a new window.
        sizes: (n,) number of windows in each node.
        next_id: the smallest id that was never used.
    """
    stays, totals = _retained(labels, former, sizes)
    heirs = {old: max(groups, key=lambda g: (groups[g], -g)) for old, groups in stays.items()}
    claims: dict[int, list[int]] = defaultdict(list)
    for old, group in heirs.items():
        if 2 * stays[old][group] > totals[old]:
            claims[group].append(old)
    in_group = np.bincount(labels, weights=sizes).astype(int).tolist()
    ids, events = np.full(len(in_group), NOBODY, dtype=np.int64), []
    for group, windows in enumerate(in_group):
        rivals = sorted(claims.get(group, []), key=lambda old: (-stays[old][group], old))
        if rivals:
            ids[group] = rivals[0]
            if rivals[1:]:
                events.append(Event("merge", rivals[0], tuple(sorted(rivals[1:])), windows))
            continue
        ids[group] = next_id
        next_id += 1
        events.append(_origin(int(ids[group]), group, stays, windows))
    survivors = set(ids.tolist())
    merged = {old for event in events if event.event == "merge" for old in event.others}
    for old in sorted(set(totals) - survivors - merged):
        parts = tuple(sorted(int(ids[group]) for group in stays[old]))
        events.append(Event("death", old, parts, totals[old]))
    return Inheritance(ids, sorted(events, key=lambda event: (event.cluster, event.event)))


def _retained(
    labels: np.ndarray, former: np.ndarray, sizes: np.ndarray
) -> tuple[dict[int, Counter[int]], dict[int, int]]:
    """Count the windows that each former cluster has in each group, and in total."""
    stays: dict[int, Counter[int]] = defaultdict(Counter)
    for group, old, size in zip(labels.tolist(), former.tolist(), sizes.tolist(), strict=True):
        if old != NOBODY:
            stays[old][group] += int(size)
    return stays, {old: sum(groups.values()) for old, groups in stays.items()}


def _origin(new_id: int, group: int, stays: dict[int, Counter[int]], windows: int) -> Event:
    """The event of a new cluster: a split if most of its windows come from former clusters, otherwise a birth."""
    parents = {old: groups[group] for old, groups in stays.items() if group in groups}
    if 2 * sum(parents.values()) > windows:
        return Event("split", new_id, tuple(sorted(parents)), windows)
    return Event("birth", new_id, (), windows)
