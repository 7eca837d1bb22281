"""The sources of an analysis with their cluster, as every export needs them."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.special import expit

from telescope_transformer.errors import ExportError


@dataclass(frozen=True)
class Members:
    """Sources with their clusters.

    Attributes:
        sources: `source`, `cluster`, `n_windows`, `n_records`, `first_seen`, `last_seen` (us), `agreement`, `label`
            where known, and `confidence` (0..100; null without calibration): how likely the source's windows are
            rather of this cluster's actor than of the next best one's.
        profiles: profile of each cluster, by its number.
    """

    sources: pa.Table
    profiles: dict[int, dict[str, Any]]

    def of(self, cluster: int) -> list[dict[str, Any]]:
        """The sources of one cluster, as rows."""
        return self.sources.filter(pc.equal(self.sources["cluster"], cluster)).to_pylist()

    @property
    def clusters(self) -> list[int]:
        """Numbers of the clusters, ascending."""
        return sorted(set(self.sources["cluster"].to_pylist()))


def load_members(folder: str | os.PathLike[str], clusters: Sequence[int] | None = None) -> Members:
    """Read the output folder of `telescope analyze` or `telescope update`.

    Args:
        folder: with `sources.parquet`, `windows.parquet` and `clusters.json`.
        clusters: only these; None takes all.

    Raises:
        ExportError: if a file is absent or damaged, or a cluster does not exist.
    """
    root = Path(folder)
    try:
        sources = pq.read_table(root / "sources.parquet")
        windows = pq.read_table(root / "windows.parquet", columns=["source", "cluster", "margin"])
        summary = json.loads((root / "clusters.json").read_text())
        profiles = {profile["cluster"]: profile for profile in summary["clusters"]}
        scale = summary["solution"].get("scale", 1.0)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{root}: not the output of an analysis: {error}") from error
    # Sources that were seen too rarely are in no cluster.
    sources = sources.filter(pc.is_valid(sources["cluster"]))
    sources = sources.append_column("confidence", _confidence(sources, windows, calibrated=scale != 1.0))
    if clusters is not None:
        unknown = sorted(set(clusters) - set(sources["cluster"].to_pylist()))
        if unknown:
            raise ExportError(f"{root}: no source is in cluster {unknown[0]}")
        sources = sources.filter(pc.is_in(sources["cluster"], pa.array(clusters, sources["cluster"].type)))
    order = [("cluster", "ascending"), ("source", "ascending")]
    return Members(sources.sort_by(order), profiles)


def _confidence(sources: pa.Table, windows: pa.Table, *, calibrated: bool) -> pa.Array:
    """Percent, from the mean margin of a source's windows in its cluster, which is in nats of log-odds."""
    if not calibrated:
        return pa.nulls(sources.num_rows, pa.int32())
    means = windows.group_by(["source", "cluster"], use_threads=False).aggregate([("margin", "mean")])
    rows = zip(*(means[name].to_pylist() for name in ("source", "cluster", "margin_mean")), strict=True)
    margin = {(source, cluster): mean for source, cluster, mean in rows}
    keys = zip(sources["source"].to_pylist(), sources["cluster"].to_pylist(), strict=True)
    values = np.array([margin[key] for key in keys], dtype=np.float64)
    return pa.array(np.round(100 * expit(values)).astype(np.int32))


def library(name: str) -> Any:
    """A library of the extra `export`.

    Raises:
        ExportError: if it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        hint = "pip install 'telescope-transformer[export]'"
        raise ExportError(f"this format needs the library {name}: {hint}") from error


def utc(microseconds: int) -> datetime:
    """A time of the tables as the libraries take it."""
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)


def describe(profile: dict[str, Any]) -> str:
    """A cluster in one line: what it asks for, how fast, and over which destinations."""
    services = ", ".join(f"{row['service']} ({row['share']:.0%})" for row in profile["services"][:3])
    gap = profile["timing"]["median_inter_arrival_s"]
    return (
        f"{profile['n_sources']} sources with like behaviour: {services}; median inter-arrival time {gap:g} s; "
        f"{profile['targets']['n_destinations']} destinations, order {profile['targets']['order']}"
    )
