"""The result of an analysis, and its output folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.calibration import Calibration
from telescope_transformer.files import replacing_files
from telescope_transformer.memory import release_memory
from telescope_transformer.report import Days, ReportData, write_report
from telescope_transformer.report.notebook import cluster_frame, first_screen_html, frame, one_line

if TYPE_CHECKING:
    import pandas as pd

GRANULARITY = "granularity.parquet"


@dataclass(frozen=True, repr=False)
class Analysis:
    """The result of `analyze`.

    Attributes:
        windows: a row per window: `window_id`, `source`, `start`, `end` (us UTC), `n_records`, `cluster`, `margin`
            (how clearly the window belongs to its cluster), `placement` (for a short window: the probability that the
            most similar cluster is the right one; null for others), `embedding`, `service` (most frequent), and
            `label` and `tool` if known.
        sources: a row per source: `cluster` (of most of its windows; null without a window), `n_windows`, `n_records`,
            `first_seen`, `last_seen`, `agreement` (share of its windows in that cluster), `placement` (as for
            windows), `service` (most frequent), and `label` if known.
        clusters: a named profile for each cluster of at least two windows, by number. Clusters are numbered by size; 0
            is the largest.
        solution: threshold, cost, lower bound and gap of the clustering (null if nothing was proved), and the solver.
        counts: numbers of records read, kept and rejected, of windows, and of records left out.
        rejects: rejected rows with file, row, field, value and reason.
        sensors: pseudo-address of each named sensor.
        calibration: probability that two windows of a given cosine are of one source; None if the checkpoint has none.
        granularity: cluster of each window at several thresholds, if the settings ask for it.
        events: births, deaths, merges and splits of clusters by day, in a running analysis.
        traffic: records and sources per day of all input; None uses those of the clusters.
        adaptation: result of the adaptation (`learning.adapt`); None if it was not tried.
        id: derived from the inputs of an analysis, or from the first input of a running analysis. Exports derive their
            ids from it, so that they update only earlier exports of the same analysis.
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
        # `telescope serve` reads a folder again when it has another sensors.json.
        with replacing_files(folder, last="sensors.json") as partial:
            self._write(partial)
            if self.granularity is None:
                # Otherwise that of an earlier analysis would stay, with other windows.
                (folder / GRANULARITY).unlink(missing_ok=True)
        return folder / "report.html"

    def _write(self, folder: Path) -> None:
        pq.write_table(self.windows, folder / "windows.parquet", compression="zstd")
        pq.write_table(self.sources, folder / "sources.parquet", compression="zstd")
        if self.granularity is not None:
            pq.write_table(self.granularity, folder / GRANULARITY, compression="zstd")
        pq.write_table(self.rejects, folder / "rejects.parquet", compression="zstd")
        (folder / "clusters.json").write_text(json.dumps(self._summary(), indent=1) + "\n", encoding="utf-8")
        (folder / "sensors.json").write_text(json.dumps(self.sensors, indent=1) + "\n", encoding="utf-8")
        # Writing the tables frees memory that would add to the peak of drawing the map.
        release_memory()
        write_report(folder / "report.html", self.report_data())

    def _summary(self) -> dict[str, Any]:
        """The content of `clusters.json`."""
        return {
            "solution": self.solution,
            "counts": self.counts,
            "calibration": self.calibration.to_dict() if self.calibration else None,
            "adaptation": self.adaptation,
            "id": self.id,
            "events": self.events,
            "traffic": self.traffic,
            "clusters": self.clusters,
        }

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
        """The view in a notebook: what happened, and which clusters are new, growing or gone."""
        return first_screen_html(self.report_data())

    def report_data(self) -> ReportData:
        """The data of the report."""
        return ReportData.of(self._summary(), self.windows, self.sources, self.rejects)
