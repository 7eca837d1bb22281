"""What changed between two analyses: clusters that appeared, disappeared, grew, merged or split, and moved sources.

Clusters are matched by their common sources, so the numbering of the clusters does not matter. Windows that are alone
in their cluster are only counted. Most analyses have very many of them, and they would hide the real clusters.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.report.counting import numbers_of
from telescope_transformer.report.folder import Folder
from telescope_transformer.report.names import name_of
from telescope_transformer.report.news import GROWTH
from telescope_transformer.words import counted, joined

# A cluster continues in the cluster that has more than half of its sources, counting only sources in both analyses.
# With half or less, two clusters could both claim to continue it.
MAJORITY = 0.5
# Each part of a split cluster has at least a quarter of its sources; sources in smaller parts count as moved. Our
# choice: it limits a split to four parts.
PART = 0.25
# The most names in a sentence, because a cluster may have merged from hundreds. Our choice: they fit on a line or two.
SPELT = 3
# From the number of a cluster to its name.
Namer = Callable[[int], str]
# The table of changes, in which lists of clusters are text.
COLUMNS = pa.schema(
    {
        "change": pa.string(),
        "before": pa.string(),
        "after": pa.string(),
        "name": pa.string(),
        "sources_before": pa.int64(),
        "sources_after": pa.int64(),
        "sentence": pa.string(),
    }
)
KINDS = ("appeared", "gone", "merged", "split", "grown", "shrunk", "same")


@dataclass(frozen=True)
class Comparison:
    """The differences between two analyses.

    Attributes:
        clusters: a row per change: `change` (one of `KINDS`), `before` and `after` (lists of cluster numbers), `name`,
            `sources_before`, `sources_after`, `sentence`.
        moved: a row per source that is now in a cluster that does not continue its former one: `source`, `before`,
            `after`.
        names: titles of the two analyses.
        n_sources: number of sources read, for each analysis.
        n_common: number of sources that both analyses read.
        n_alone: number of windows that are alone in their cluster, for each analysis. `clusters` and `moved` leave
            them out.
    """

    clusters: list[dict[str, Any]]
    moved: pa.Table
    names: tuple[str, str]
    n_sources: tuple[int, int]
    n_common: int
    n_alone: tuple[int, int]

    def table(self) -> pa.Table:
        """The changes as a table, with lists of clusters as text."""
        rows = [row | {key: " ".join(map(str, row[key])) for key in ("before", "after")} for row in self.clusters]
        return pa.Table.from_pylist(rows, COLUMNS)

    def totals(self) -> dict[str, int]:
        """The number of changes of each kind."""
        return {kind: sum(row["change"] == kind for row in self.clusters) for kind in KINDS}

    def overview(self) -> list[str]:
        """Compare the two analyses in a few sentences."""
        total = self.totals()
        first, second = self.names
        sizes = f"{first} has {counted(self.n_sources[0], 'source')}, {second} has {self.n_sources[1]:,}"
        changes = ", ".join(f"{total[kind]:,} {kind}" for kind in KINDS)
        said = [
            f"{sizes}; {self.n_common:,} are in both.",
            f"Clusters: {changes}. {counted(self.moved.num_rows, 'source')} moved to another cluster.",
        ]
        if any(self.n_alone):
            said.append(
                f"Not listed: {counted(self.n_alone[0], 'window')} of {first} and {self.n_alone[1]:,} of {second} "
                "that are alone in their cluster, because no other window is like them."
            )
        return said

    def sentences(self) -> list[str]:
        """The comparison in words: the overview, then each change, those with most sources first."""
        return [*self.overview(), *(row["sentence"] for row in self.clusters if row["change"] != "same")]


def compare(before: Folder, after: Folder) -> Comparison:
    """Match the clusters of two analyses and describe what became of each.

    Args:
        before, after: the analyses as `read_folder` returns them, the older one first.
    """
    alone = [_alone_clusters(folder) for folder in (before, after)]
    tables = [_grouped(folder, numbers) for folder, numbers in zip((before, after), alone, strict=True)]
    members = [numbers_of(table["cluster"]) for table in tables]
    flows = _flows(*tables)
    heirs = _heirs(flows)
    rows = _changes(members, heirs, _namer(before), _namer(after))
    rows.sort(key=lambda row: (KINDS.index(row["change"]), -row["sources_after"] - row["sources_before"], row["name"]))
    common = pc.sum(pc.is_in(before.sources["source"], after.sources["source"].combine_chunks())).as_py() or 0
    return Comparison(
        rows,
        _moved(tables[0], tables[1], heirs),
        (before.path.resolve().name, after.path.resolve().name),
        (before.sources.num_rows, after.sources.num_rows),
        int(common),
        (len(alone[0]), len(alone[1])),
    )


def _alone_clusters(folder: Folder) -> pa.Array:
    """Numbers of the clusters that have a single window."""
    counts = folder.windows["cluster"].combine_chunks().value_counts()
    return counts.field("values").filter(pc.equal(counts.field("counts"), 1))


def _grouped(folder: Folder, alone: pa.Array) -> pa.Table:
    """The sources that are in a cluster of several windows."""
    cluster = folder.sources["cluster"]
    is_grouped = pc.and_(pc.is_valid(cluster), pc.invert(pc.is_in(cluster, alone.cast(cluster.type))))
    return folder.sources.filter(is_grouped)


def _namer(folder: Folder) -> Namer:
    """A function from the numbers of clusters to their names."""
    names = {profile["cluster"]: name_of(profile) for profile in folder.profiles}
    return lambda cluster: names.get(cluster, f"cluster {cluster}")


def _flows(before: pa.Table, after: pa.Table) -> dict[int, dict[int, int]]:
    """For each old cluster, how many of its sources are in each new cluster."""
    now = _now(before, after)
    both = np.flatnonzero(now.is_valid().to_numpy())
    old, new = before["cluster"].to_numpy()[both], now.take(pa.array(both)).to_numpy()
    pairs, counts = np.unique(np.column_stack([old, new]), axis=0, return_counts=True)
    answer: dict[int, dict[int, int]] = defaultdict(dict)
    for (one, other), number in zip(pairs.tolist(), counts.tolist(), strict=True):
        answer[one][other] = number
    return answer


def _now(before: pa.Table, after: pa.Table) -> pa.ChunkedArray:
    """The new cluster of each old source; null if it has none."""
    return after["cluster"].take(pc.index_in(before["source"].combine_chunks(), after["source"].combine_chunks()))


def _heirs(flows: Mapping[int, Mapping[int, int]]) -> dict[int, list[int]]:
    """The new clusters that continue each old one: the cluster with most of its sources, or the parts of a split."""
    answer = {}
    for cluster, parts in flows.items():
        total = sum(parts.values())
        best = max(parts, key=lambda part: (parts[part], -part))
        whole = parts[best] > MAJORITY * total
        large = sorted(part for part in parts if parts[part] >= PART * total)
        answer[cluster] = [best] if whole or not large else large
    return answer


def _changes(
    members: list[dict[int, int]], heirs: Mapping[int, list[int]], old_name: Namer, new_name: Namer
) -> list[dict[str, Any]]:
    old, new = members
    parents: dict[int, list[int]] = defaultdict(list)
    for cluster, after in heirs.items():
        for one in after:
            parents[one].append(cluster)
    rows = []
    for cluster in sorted(old):
        if cluster not in heirs:
            had, name = counted(old[cluster], "source"), old_name(cluster)
            sentence = f"{name} is gone: it had {had}, and none of them is in a cluster now."
            rows.append(_change("gone", [cluster], [], name, old[cluster], 0, sentence))
        elif len(heirs[cluster]) > 1:
            after, name = heirs[cluster], old_name(cluster)
            parts = joined([f'"{new_name(one)}"' for one in after])
            size = sum(new[one] for one in after)
            rows.append(_change("split", [cluster], after, name, old[cluster], size, f"{name} split into {parts}."))
    for cluster in sorted(new):
        name = new_name(cluster)
        whole = [one for one in parents.get(cluster, []) if len(heirs[one]) == 1]
        if whole:
            rows.append(_continued(cluster, name, whole, old, new[cluster], old_name))
        if cluster not in parents:
            sentence = f"{name} appeared with {counted(new[cluster], 'source')}."
            rows.append(_change("appeared", [], [cluster], name, 0, new[cluster], sentence))
    return rows


def _continued(
    cluster: int, name: str, parents: list[int], old: Mapping[int, int], n_now: int, old_name: Namer
) -> dict[str, Any]:
    """The change of a new cluster relative to the old clusters that it continues as a whole."""
    size, now = sum(old[one] for one in parents), counted(n_now, "source")
    if len(parents) > 1:
        largest = sorted(parents, key=lambda one: (-old[one], one))
        listed = [f'"{old_name(one)}"' for one in largest[:SPELT]]
        if len(parents) > SPELT:
            listed.append(f"{len(parents) - SPELT:,} more")
        sentence = f"{joined(listed)} are now one cluster: {name}, with {now}."
        return _change("merged", parents, [cluster], name, size, n_now, sentence)
    factor = n_now / size
    # Twice or half as many sources, as in `report.news`.
    kind = "grown" if factor >= GROWTH else "shrunk" if factor <= 1 / GROWTH else "same"
    return _change(kind, parents, [cluster], name, size, n_now, f"{name} went from {size:,} to {now}.")


def _change(*values: Any) -> dict[str, Any]:
    """A row of `Comparison.clusters`, from its values in the order of `COLUMNS`."""
    return dict(zip(COLUMNS.names, values, strict=True))


def _moved(before: pa.Table, after: pa.Table, heirs: Mapping[int, list[int]]) -> pa.Table:
    """Sources whose new cluster does not continue their old one."""
    now = _now(before, after)
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
