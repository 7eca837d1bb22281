"""The report stage: tables of windows and sources, and profiles of clusters, in bounded memory.

Profiles are counted over records. Windows of the same cluster are grouped on disk, and a bounded number of records is
profiled at a time. A very large cluster is represented by a sample of its windows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.analysis.embedding_stage import BLOCK
from telescope_transformer.analysis.settings import AnalysisSettings
from telescope_transformer.arrays import offsets_of, with_column
from telescope_transformer.codes import majority_codes, service_codes
from telescope_transformer.labels import Owners
from telescope_transformer.placement import Embed
from telescope_transformer.preparation import read_blocks, read_destinations
from telescope_transformer.records.addresses import format_ipv4
from telescope_transformer.report import profile_clusters
from telescope_transformer.report.attribution import MAX_CLUSTERS, explain_clusters
from telescope_transformer.windows import Windows, concat_windows

# Records that are profiled at a time. They take about 1 GB with all intermediate counts.
RECORDS_AT_A_TIME = 2_000_000
# Largest number of profiled windows per cluster. The standard error of a share is then at most 0.5 %.
MOST_PROFILED = 10_000
# Our choices: number of windows of each explained cluster, and of windows of other clusters that donate values.
WINDOWS_EXPLAINED, DONORS = 50, 2_000


@dataclass(frozen=True)
class Counted:
    """Result of one pass over the records.

    Attributes:
        services: int32 (n,), the most frequent service of each window, as in `codes.service_codes`.
        profiles: by cluster number, a profile of each cluster with at least two windows.
        explained: windows, and their rows, for `report.attribution.explain_clusters`.
    """

    services: np.ndarray
    profiles: list[dict[str, Any]]
    explained: tuple[Windows, np.ndarray]


def count_records(
    work: Path, windows: pa.Table, sensors: Mapping[str, str], owners: Owners | None, span: tuple[int, int]
) -> Counted:
    """Read the records of all windows once, and those of clusters with several windows a second time.

    Args:
        work: the work folder.
        windows: a row per window in order, with `window_id` 0..n-1 and `cluster`; cluster 0 is the largest.
        sensors: as for `profile_clusters`.
        owners: as for `profile_clusters`.
        span: first and last time of the charts.
    """
    labels = windows["cluster"].to_numpy()
    sizes = np.bincount(labels)
    n_several = int((sizes > 1).sum())
    chosen = _chosen(labels, sizes, n_several)
    batch_of = _batches(labels, windows["n_records"].to_numpy(), chosen, n_several)
    explained = _explained(labels, sizes)
    destinations = read_destinations(work)
    services = np.empty(len(labels), dtype=np.int32)
    kept: list[tuple[Windows, np.ndarray]] = []
    profiles: list[dict[str, Any]] = []
    with TemporaryDirectory(dir=work, prefix=".records-") as scratch:
        parts = _Parts(Path(scratch), int(batch_of.max(initial=-1)) + 1)
        begin = 0
        for block in read_blocks(work, BLOCK):
            rows = np.arange(begin, begin + len(block))
            services[rows] = _main_services(block)
            parts.add(block, rows, np.where(chosen[rows], batch_of[labels[rows]], -1))
            if explained[rows].any():
                own = np.flatnonzero(explained[rows])
                kept.append((block.take(own), rows[own]))
            begin += len(block)
        for part, rows in parts.parts():
            flow = flow_table(part, rows, destinations)
            profiles += _profiles(flow, windows, rows, sensors, owners, span)
    explained_rows = np.concatenate([rows for _, rows in kept])
    return Counted(services, profiles, (concat_windows([some for some, _ in kept]), explained_rows))


def _chosen(labels: np.ndarray, sizes: np.ndarray, n_several: int) -> np.ndarray:
    """Mask of the windows to profile, bool (n,). Very large clusters are sampled at even spacing."""
    chosen = labels < n_several
    order = np.argsort(labels, kind="stable")
    begins = offsets_of(sizes)
    for cluster in np.flatnonzero(sizes > MOST_PROFILED):
        members = order[begins[cluster] : begins[cluster] + sizes[cluster]]
        chosen[members] = False
        chosen[members[np.linspace(0, len(members) - 1, MOST_PROFILED).round().astype(np.int64)]] = True
    return chosen


def _batches(labels: np.ndarray, n_records: np.ndarray, chosen: np.ndarray, n_several: int) -> np.ndarray:
    """The batch of each cluster with several windows, int64 (k,); -1 for singletons."""
    records = np.bincount(labels[chosen], weights=n_records[chosen], minlength=int(labels.max(initial=-1)) + 1)
    batches = np.full(len(records), -1, dtype=np.int64)
    batches[:n_several] = np.maximum(np.cumsum(records[:n_several]) - 1, 0) // RECORDS_AT_A_TIME
    # Renumber without gaps.
    batches[:n_several] = np.unique(batches[:n_several], return_inverse=True)[1]
    return batches


def _explained(labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mask of the windows of the explained (largest) clusters and of donors from other clusters, bool (n,)."""
    explained = np.zeros(len(labels), dtype=bool)
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(sizes)
    for cluster in range(min(MAX_CLUSTERS, int((sizes > 1).sum()))):
        begin = ends[cluster] - sizes[cluster]
        explained[order[begin : begin + min(sizes[cluster], WINDOWS_EXPLAINED)]] = True
    explained[np.linspace(0, len(labels) - 1, min(DONORS, len(labels))).astype(np.int64)] = True
    return explained


def _main_services(block: Windows) -> np.ndarray:
    services = majority_codes(service_codes(block.records).astype(np.int64), block.offsets)
    codes: np.ndarray = services.to_numpy().astype(np.int32)
    return codes


class _Parts:
    """Windows by batch of clusters: in memory if there is one batch, else in one file per batch."""

    def __init__(self, folder: Path, number: int):
        self._folder, self._number = folder, number
        self._held: list[tuple[Windows, np.ndarray]] = []
        self._writers: dict[int, pa.RecordBatchFileWriter] = {}

    def add(self, block: Windows, rows: np.ndarray, batch_of: np.ndarray) -> None:
        for batch in np.unique(batch_of[batch_of >= 0]).tolist():
            own = np.flatnonzero(batch_of == batch)
            some = block.take(own)
            if self._number == 1:
                self._held.append((some, rows[own]))
                continue
            table = some.to_table().append_column("row", pa.array(rows[own]))
            if batch not in self._writers:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writers[batch] = pa.ipc.new_file(self._folder / f"{batch}.arrow", table.schema, options=options)
            self._writers[batch].write_table(table)

    def parts(self) -> Iterator[tuple[Windows, np.ndarray]]:
        """Yield the windows of each batch, and their rows."""
        if self._held:
            windows = concat_windows([some for some, _ in self._held])
            rows = np.concatenate([rows for _, rows in self._held])
            self._held = []
            yield windows, rows
        for writer in self._writers.values():
            writer.close()
        for batch in sorted(self._writers):
            with pa.ipc.open_file(self._folder / f"{batch}.arrow") as file:
                table = file.read_all()
            yield Windows.from_table(table.drop_columns(["row"])), table["row"].to_numpy()


def flow_table(windows: Windows, rows: np.ndarray, destinations: Mapping[int, str]) -> pa.Table:
    """The records of windows as flow records, with the window's id in `window_id`.

    Args:
        windows: windows with their records.
        rows: (n,) ids of the windows.
        destinations: texts of IPv6 destinations, by fold.
    """
    owner = windows.window_of_record
    folds, place = np.unique(windows.records["dst_ip"].to_numpy(), return_inverse=True)
    names = format_ipv4(folds)
    if destinations:
        names = pa.array(
            [destinations.get(fold, name) for fold, name in zip(folds.tolist(), names.to_pylist(), strict=True)]
        )
    columns = {
        "window_id": pa.array(rows[owner]),
        "timestamp": windows.records["timestamp"],
        "src_ip": windows.table["source"].combine_chunks().take(pa.array(owner)),
        "dst_ip": names.take(pa.array(place)),
    }
    others = [name for name in windows.records.column_names if name not in columns]
    return pa.table(columns | {name: windows.records[name] for name in others})


def _profiles(
    flow: pa.Table,
    windows: pa.Table,
    rows: np.ndarray,
    sensors: Mapping[str, str],
    owners: Owners | None,
    span: tuple[int, int],
) -> list[dict[str, Any]]:
    """Profiles of the clusters of these windows, by number."""
    some, numbers = _renumbered(windows.take(pa.array(np.sort(rows))))
    found = profile_clusters(flow, some.drop_columns(["embedding"]), owners=owners, sensors=sensors, span=span)
    for profile, number in zip(found, numbers.tolist(), strict=True):
        profile["cluster"] = number
    return found


def explain(
    profiles: list[dict[str, Any]],
    windows: pa.Table,
    counted: Counted,
    work: Path,
    embed: Embed,
    settings: AnalysisSettings,
) -> None:
    """Add to the profiles of the largest clusters which fields hold them together."""
    some, rows = counted.explained
    flow = flow_table(some, rows, read_destinations(work))
    table, numbers = _renumbered(windows.take(pa.array(rows)))
    for place, why in explain_clusters(embed, flow, table, seed=settings.seed).items():
        if numbers[place] < len(profiles):
            profiles[numbers[place]]["why"] = why


def _renumbered(windows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """The windows with their clusters numbered 0..k-1, and the former number of each cluster (k,)."""
    numbers, compact = np.unique(windows["cluster"].to_numpy(), return_inverse=True)
    return with_column(windows, "cluster", pa.array(compact, pa.int32())), numbers
