"""What changed between two analyses: clusters that appeared, went, grew, shrank, merged or split, and moved sources.

Clusters are matched by the sources that they share, so that it does not matter how either analysis numbers them.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.report.folder import Folder
from telescope_transformer.report.words import counted

# A cluster goes on in the one that holds more than half of those of its sources that are in both analyses.
MAJORITY = 0.5
# The parts of a cluster that split hold a quarter of its sources or more.
PART = 0.25
# Twice or half as many sources is told; less is the same size.
GROWTH = 2.0
KINDS = ("appeared", "gone", "merged", "split", "grown", "shrunk", "same")


@dataclass(frozen=True)
class Comparison:
    """What changed.

    Attributes:
        clusters: a row per change: `change` (of `KINDS`), `before` and `after` (lists of numbers of clusters),
            `name`, `sources_before`, `sources_after`, `sentence`.
        moved: a row per source that is in a cluster in which its former one does not go on: `source`, `before`,
            `after`.
        names: titles of the two analyses.
        n_sources: sources that were read, in each.
        n_common: sources that were read in both.
    """

    clusters: list[dict[str, Any]]
    moved: pa.Table
    names: tuple[str, str]
    n_sources: tuple[int, int]
    n_common: int

    def table(self) -> pa.Table:
        """The changes as a table; lists of clusters as text."""
        rows = [row | {key: " ".join(map(str, row[key])) for key in ("before", "after")} for row in self.clusters]
        names = ("change", "before", "after", "name", "sources_before", "sources_after", "sentence")
        numbers = ("sources_before", "sources_after")
        return pa.table(
            {n: pa.array([row[n] for row in rows], pa.int64() if n in numbers else pa.string()) for n in names}
        )

    def totals(self) -> dict[str, int]:
        """How many clusters of each kind of change there are."""
        return {kind: sum(row["change"] == kind for row in self.clusters) for kind in KINDS}

    def sentences(self) -> list[str]:
        """The comparison in words, the changes with most sources first."""
        total = self.totals()
        first, second = self.names
        sizes = f"{first} has {counted(self.n_sources[0], 'source')}, {second} has {self.n_sources[1]:,}"
        return [
            f"{sizes}; {self.n_common:,} are in both.",
            ", ".join(f"{total[kind]:,} {kind}" for kind in KINDS)
            + f"; {counted(self.moved.num_rows, 'source')} moved.",
            *(row["sentence"] for row in self.clusters if row["change"] != "same"),
        ]


def compare(before: Folder, after: Folder) -> Comparison:
    """Match the clusters of two analyses and tell what became of each.

    Args:
        before, after: as `read_folder` gives them, the older one first.
    """
    tables = [folder.sources.filter(pc.is_valid(folder.sources["cluster"])) for folder in (before, after)]
    members = [_members(table) for table in tables]
    flows = _flows(*tables)
    heirs = _heirs(flows)
    names = [{profile["cluster"]: profile.get("name") for profile in folder.profiles} for folder in (before, after)]
    rows = _changes(members, heirs, _Names(*names))
    rows.sort(key=lambda row: (KINDS.index(row["change"]), -row["sources_after"] - row["sources_before"], row["name"]))
    common = pc.sum(pc.is_in(before.sources["source"], after.sources["source"].combine_chunks())).as_py() or 0
    return Comparison(
        rows,
        _moved(tables[0], tables[1], heirs),
        (before.path.resolve().name, after.path.resolve().name),
        (before.sources.num_rows, after.sources.num_rows),
        int(common),
    )


@dataclass(frozen=True)
class _Names:
    before: Mapping[int, str | None]
    after: Mapping[int, str | None]

    def old(self, cluster: int) -> str:
        return self.before.get(cluster) or f"cluster {cluster}"

    def new(self, cluster: int) -> str:
        return self.after.get(cluster) or f"cluster {cluster}"


def _members(table: pa.Table) -> dict[int, int]:
    """Number of sources of each cluster."""
    return {row["values"]: row["counts"] for row in table["cluster"].value_counts().to_pylist()}


def _flows(before: pa.Table, after: pa.Table) -> dict[int, dict[int, int]]:
    """Of each former cluster, how many of its sources are in each cluster now."""
    place = pc.index_in(before["source"], after["source"].combine_chunks())
    now = after["cluster"].take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)
    both = np.flatnonzero(now.is_valid().to_numpy())
    old, new = before["cluster"].to_numpy()[both], now.take(pa.array(both)).to_numpy()
    pairs, counts = np.unique(np.column_stack([old, new]), axis=0, return_counts=True)
    answer: dict[int, dict[int, int]] = defaultdict(dict)
    for (one, other), number in zip(pairs.tolist(), counts.tolist(), strict=True):
        answer[one][other] = number
    return answer


def _heirs(flows: Mapping[int, Mapping[int, int]]) -> dict[int, list[int]]:
    """The clusters that each former cluster goes on in: the one of its majority, or, of a split one, the parts."""
    answer = {}
    for cluster, parts in flows.items():
        total = sum(parts.values())
        best = max(parts, key=lambda part: (parts[part], -part))
        whole = parts[best] > MAJORITY * total
        large = sorted(part for part in parts if parts[part] >= PART * total)
        answer[cluster] = [best] if whole or not large else large
    return answer


def _changes(members: list[dict[int, int]], heirs: Mapping[int, list[int]], names: _Names) -> list[dict[str, Any]]:
    old, new = members
    parents: dict[int, list[int]] = defaultdict(list)
    for cluster, after in heirs.items():
        for one in after:
            parents[one].append(cluster)
    rows = []
    for cluster in sorted(old):
        if cluster not in heirs:
            sentence = f"{names.old(cluster)} is gone: of {counted(old[cluster], 'source')}, none is in a cluster now."
            rows.append(_change("gone", [cluster], [], names.old(cluster), old[cluster], 0, sentence))
        elif len(heirs[cluster]) > 1:
            after = heirs[cluster]
            parts = ", ".join(f'"{names.new(one)}"' for one in after)
            size = sum(new[one] for one in after)
            sentence = f"{names.old(cluster)} split into {parts}."
            rows.append(_change("split", [cluster], after, names.old(cluster), old[cluster], size, sentence))
    for cluster in sorted(new):
        rows += _of_new(cluster, [one for one in parents.get(cluster, []) if len(heirs[one]) == 1], old, new, names)
        if cluster not in parents:
            sentence = f"{names.new(cluster)} appeared with {counted(new[cluster], 'source')}."
            rows.append(_change("appeared", [], [cluster], names.new(cluster), 0, new[cluster], sentence))
    return rows


def _of_new(
    cluster: int, parents: list[int], old: Mapping[int, int], new: Mapping[int, int], names: _Names
) -> list[dict[str, Any]]:
    """What became of the clusters that go on in this one as a whole."""
    if not parents:
        return []
    size, name = sum(old[one] for one in parents), names.new(cluster)
    if len(parents) > 1:
        merged = ", ".join(f'"{names.old(one)}"' for one in parents)
        sentence = f"{merged} are now one: {name}, with {counted(new[cluster], 'source')}."
        return [_change("merged", parents, [cluster], name, size, new[cluster], sentence)]
    factor = new[cluster] / size
    kind = "grown" if factor >= GROWTH else "shrunk" if factor <= 1 / GROWTH else "same"
    sentence = f"{name} went from {size:,} to {counted(new[cluster], 'source')}."
    return [_change(kind, parents, [cluster], name, size, new[cluster], sentence)]


def _change(
    kind: str, before: list[int], after: list[int], name: str, n_before: int, n_after: int, sentence: str
) -> dict[str, Any]:
    return {
        "change": kind,
        "before": before,
        "after": after,
        "name": name,
        "sources_before": n_before,
        "sources_after": n_after,
        "sentence": sentence,
    }


def _moved(before: pa.Table, after: pa.Table, heirs: Mapping[int, list[int]]) -> pa.Table:
    """Sources that are in a cluster in which their former one does not go on."""
    place = pc.index_in(before["source"], after["source"].combine_chunks())
    now = after["cluster"].take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)
    old = before["cluster"].to_pylist()
    rows = [
        i
        for i, (was, is_now) in enumerate(zip(old, now.to_pylist(), strict=True))
        if is_now is not None and is_now not in heirs.get(was, [])
    ]
    taken = pa.array(rows, pa.int64())
    return pa.table(
        {
            "source": before["source"].take(taken),
            "before": before["cluster"].take(taken),
            "after": now.take(taken),
        }
    )
