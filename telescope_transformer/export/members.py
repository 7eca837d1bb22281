"""The sources of an analysis with their clusters, from which every export starts."""

import os
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from telescope_transformer.errors import ExportError, InputError
from telescope_transformer.export.options import DEFAULTS, ExportOptions
from telescope_transformer.labels import known_scanners
from telescope_transformer.report import read_folder
from telescope_transformer.report.names import name_of
from telescope_transformer.report.phrases import MAJORITY, place_words
from telescope_transformer.report.reasons import why_together
from telescope_transformer.report.reliability import is_calibrated
from telescope_transformer.report.sources import without_lone_short
from telescope_transformer.words import counted

# Ids are derived from what they identify (UUID version 5; STIX 2.1, section 2.9), so a repeated export updates objects
# instead of duplicating them. This namespace was drawn at random once and must never change.
NAMESPACE = uuid.UUID("6f0b0b7e-1c55-5a52-9d8e-2f6f5d9a7c11")


@dataclass(frozen=True)
class Members:
    """Sources with their clusters.

    Attributes:
        sources: `source`, `cluster`, `n_windows`, `n_records`, `first_seen`, `last_seen` (us), `agreement`, `label` if
            known, and `confidence` (0..100; null without calibration), the probability in percent that the source
            belongs to this cluster and not to the next best one.
        profiles: profile of each cluster, by its number.
        analysis: id of the running analysis; empty for a single analysis.
        born: first day (ISO date) of each cluster of a running analysis.
        newest: time of the newest record of the whole analysis (us), even if its source is not exported.
        asked: numbers of the requested clusters; some may have no sources left.
        gone: what became of those requested clusters of a running analysis that have ended.
    """

    sources: pa.Table
    profiles: Mapping[int, Mapping[str, Any]]
    analysis: str = ""
    born: Mapping[int, str] = field(default_factory=dict)
    newest: int = 0
    asked: tuple[int, ...] = ()
    gone: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def _rows(self) -> dict[int, list[dict[str, Any]]]:
        rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.sources.to_pylist():
            rows[row["cluster"]].append(row)
        return rows

    def of(self, cluster: int) -> list[dict[str, Any]]:
        """The sources of one cluster, as rows."""
        return self._rows.get(cluster, [])

    @property
    def clusters(self) -> list[int]:
        """Numbers of the clusters, ascending."""
        return sorted({*self.sources["cluster"].to_pylist(), *self.asked})

    def name(self, cluster: int) -> str:
        """The name of a cluster."""
        return name_of(self.profiles[cluster]) if cluster in self.profiles else f"cluster {cluster}"

    def tools(self, cluster: int) -> list[str]:
        """The tools that at least half of the cluster's windows are marked with."""
        rows = self.profiles.get(cluster, {}).get("tools") or []
        return [row["tool"] for row in rows if row["share"] >= MAJORITY]

    def describe(self, cluster: int) -> str:
        """A cluster in one line: its size, where it is from, and what its members have in common."""
        profile = self.profiles.get(cluster)
        if profile is None:
            return "a window that is alone in its cluster: no other window is like it"
        where = f" {place}" if (place := place_words(profile)) else ""
        behave = "behaves" if profile["n_sources"] == 1 else "behave"
        why = profile.get("sentence") or why_together(profile)
        return f"{counted(profile['n_sources'], 'source')}{where} that {behave} alike. {why}".rstrip()


def load_members(
    folder: str | os.PathLike[str], clusters: Sequence[int] | None = None, options: ExportOptions = DEFAULTS
) -> Members:
    """Read the output folder of `telescope analyze` or `telescope update`.

    Args:
        folder: the folder, with `sources.parquet`, `windows.parquet` and `clusters.json`.
        clusters: take only these clusters; None takes all.
        options: which sources are left out.

    Raises:
        ExportError: if a file is missing or damaged, the files come from different analyses, a cluster does not exist,
            or a least confidence is set but the analysis has no calibration.
    """
    root = Path(folder)
    try:
        read = read_folder(root, embeddings=False)
    except InputError as error:
        raise ExportError(str(error)) from error
    calibrated = is_calibrated(read.summary["solution"])
    # Sources with too few records are in no cluster.
    sources = without_lone_short(read.sources)
    sources = sources.filter(pc.is_valid(sources["cluster"]))
    if "services" in sources.column_names:
        # A list does not fit into a table cell: that of a port scanner has thousands of entries.
        sources = sources.drop_columns("services")
    sources = sources.append_column("confidence", _confidence(sources, read.windows, calibrated=calibrated))
    gone: dict[int, str] = {}
    if clusters is not None:
        present = set(sources["cluster"].to_pylist())
        absent = sorted(set(clusters) - present)
        gone = {cluster: fate for cluster in absent if (fate := _fate(read.summary, cluster))}
        if unknown := [cluster for cluster in absent if cluster not in gone]:
            raise ExportError(f"{root}: no source is in cluster {unknown[0]}")
        wanted = pa.array(present.intersection(clusters), sources["cluster"].type)
        sources = sources.filter(pc.is_in(sources["cluster"], wanted))
    sources = _chosen(root, sources, options)
    profiles = {profile["cluster"]: profile for profile in read.profiles}
    order = [("cluster", "ascending"), ("source", "ascending")]
    newest = pc.max(read.sources["last_seen"]).as_py() or 0
    analysis, born, asked = str(read.summary.get("id") or ""), _born(read.summary), tuple(clusters or ())
    return Members(sources.sort_by(order), profiles, analysis, born, newest, asked, gone)


def _chosen(root: Path, sources: pa.Table, options: ExportOptions) -> pa.Table:
    if options.unlabelled and "label" in sources.column_names:
        sources = sources.filter(pc.invert(known_scanners(sources["label"])))
    if options.min_confidence:
        if sources.num_rows and sources["confidence"].null_count == sources.num_rows:
            raise ExportError(f"{root}: a confidence was asked for, but the similarities are not calibrated")
        sources = sources.filter(pc.greater_equal(sources["confidence"], options.min_confidence))
    return sources


def _born(summary: Mapping[str, Any]) -> dict[int, str]:
    """The day on which each cluster of a running analysis began."""
    begun = [event for event in summary.get("events") or [] if event["event"] in ("birth", "split")]
    return {event["cluster"]: event["day"] for event in reversed(begun)}


def _fate(summary: Mapping[str, Any], cluster: int) -> str:
    """What became of a cluster of a running analysis that no longer has any windows; "" if there never was one."""
    events = summary.get("events") or []
    for event in reversed(events):
        if event["event"] == "merge" and cluster in (event.get("others") or []):
            return f"it became part of cluster {event['cluster']} on {event['day']}"
        if event["event"] == "death" and event["cluster"] == cluster:
            parts = " and ".join(map(str, event.get("others") or []))
            return f"it ended on {event['day']}" + (f"; its windows are in {parts} now" if parts else "")
    return "its records are older than --keep" if any(event["cluster"] == cluster for event in events) else ""


def _confidence(sources: pa.Table, windows: pa.Table, *, calibrated: bool) -> pa.Array:
    """The confidence in percent, from the mean margin of a source's windows in its cluster (log-odds in nats).

    For a source with few records, it is the probability that its cluster is the right one.
    """
    if not calibrated or "margin" not in windows.column_names:
        return pa.nulls(sources.num_rows, pa.int32())
    means = windows.group_by(["source", "cluster"], use_threads=False).aggregate([("margin", "mean")])
    rows = zip(*(means[name].to_pylist() for name in ("source", "cluster", "margin_mean")), strict=True)
    margin = {(source, cluster): mean for source, cluster, mean in rows}
    keys = zip(sources["source"].to_pylist(), sources["cluster"].to_pylist(), strict=True)
    values = np.array([margin[key] for key in keys], dtype=np.float64)
    shares = expit(values)
    if "placement" in sources.column_names:
        placement = sources["placement"].to_numpy().astype(np.float64)
        shares = np.where(np.isnan(placement), shares, placement)
    # A missing margin gives nan, which becomes null.
    return pa.array(np.round(100 * np.clip(shares, 0, 1)), from_pandas=True).cast(pa.int32())


def utc(microseconds: int) -> datetime:
    """A time of the tables (`report.columns.TIME`) as a datetime."""
    return datetime.fromtimestamp(microseconds // 1_000_000, tz=UTC).replace(microsecond=microseconds % 1_000_000)


def stable_uuid(*parts: str) -> str:
    """The UUID that these parts determine: the same parts always give the same UUID."""
    return str(uuid.uuid5(NAMESPACE, "|".join(parts)))
