"""What an analysis found, and the folder that it is written to."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.calibration import Calibration
from telescope_transformer.report import Days, ReportData, write_report
from telescope_transformer.report.notebook import cluster_frame, first_screen_html, frame, one_line

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Analysis:
    """What `analyze` found.

    windows: a row per window: `window_id`, `source`, `start`, `end` (us UTC), `n_records`, `cluster`, `margin` (by how
        much the window belongs to its cluster), `placement` (of a window of few records: how likely the cluster most
        similar to it is its own; else null), `embedding`, `service` (of most of its records), and `label`, `tool`
        where known.
    sources: a row per source that was read: `cluster` (of most of its windows; null for a source in no window),
        `n_windows`, `n_records`, `first_seen`, `last_seen`, `agreement` (share of its windows that are in that
        cluster), `placement` (as of windows), `service` (of most of its records), and `label` where known.
    clusters: a profile with a name per cluster of two windows or more, by its number; clusters go by size, the
        largest is 0.
    solution: threshold, cost, lower bound and gap of the clustering (null where nothing was proved), the solver.
    counts: records read, kept, rejected; windows, records left out.
    rejects: rows that are no flow records, with file, row, field, value and reason.
    sensors: pseudo-address of each named sensor.
    calibration: how likely two windows of a given cosine are of one actor; None where the checkpoint has none.
    granularity: each window's cluster at a sweep of thresholds, where the settings ask for it.
    events: births, deaths, merges and splits of clusters by day, of a running analysis.
    traffic: records and sources a day of all that was read; None takes those of the clusters.
    adaptation: what learning from the windows at hand brought (`learning.adapt`); None where it was not tried.
    id: the same for all days of a running analysis, so that exports update what they wrote; empty for a single one.
    """

    windows: pa.Table
    sources: pa.Table
    clusters: list[dict[str, Any]]
    solution: dict[str, Any]
    counts: dict[str, int]
    rejects: pa.Table
    sensors: dict[str, str]
    calibration: Calibration | None = None
    granularity: pa.Table | None = None
    events: list[dict[str, Any]] | None = None
    traffic: Days | None = None
    adaptation: dict[str, Any] | None = None
    id: str = ""

    def write(self, output: str | Path) -> Path:
        """Write the tables, `clusters.json`, `sensors.json` and `report.html` into the folder; returns the report."""
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.windows, folder / "windows.parquet", compression="zstd")
        pq.write_table(self.sources, folder / "sources.parquet", compression="zstd")
        if self.granularity is not None:
            pq.write_table(self.granularity, folder / "granularity.parquet", compression="zstd")
        pq.write_table(self.rejects, folder / "rejects.parquet", compression="zstd")
        calibration = self.calibration.to_dict() if self.calibration else None
        summary: dict[str, Any] = {"solution": self.solution, "counts": self.counts, "calibration": calibration}
        summary |= {
            "adaptation": self.adaptation,
            "id": self.id,
            "events": self.events,
            "traffic": self.traffic,
            "clusters": self.clusters,
        }
        (folder / "clusters.json").write_text(json.dumps(summary, indent=1) + "\n")
        (folder / "sensors.json").write_text(json.dumps(self.sensors, indent=1) + "\n")
        write_report(folder / "report.html", self.report_data())
        return folder / "report.html"

    def to_pandas(self) -> "dict[str, pd.DataFrame]":
        """The tables `windows`, `sources` and `clusters` as data frames; times are timestamps in UTC."""
        return {
            "windows": frame(self.windows),
            "sources": frame(self.sources),
            "clusters": cluster_frame(self.clusters),
        }

    def __repr__(self) -> str:
        return one_line(self.report_data())

    def _repr_html_(self) -> str:
        """What a notebook shows: what happened, what is new, growing and gone."""
        return first_screen_html(self.report_data())

    def report_data(self) -> ReportData:
        """What the report shows."""
        return ReportData(
            windows=self.windows,
            profiles=self.clusters,
            solution=self.solution,
            counts=self.counts,
            rejects=self.rejects,
            calibration=self.calibration.to_dict() if self.calibration else None,
            events=self.events,
            sources=self.sources,
            traffic=self.traffic,
            adaptation=self.adaptation,
        )
