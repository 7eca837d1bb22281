"""The whole way from flow records to clusters of sources, as one function."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer import sequences
from telescope_transformer.calibration import FILE_NAME, Calibration
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.labels import names_of_networks, read_networks
from telescope_transformer.records import REQUIRED_FIELDS, Counts, FlowRecords
from telescope_transformer.records.rejects import REJECTS_SCHEMA
from telescope_transformer.report import ReportData, profile_clusters, write_report
from telescope_transformer.report.targets import network_of
from telescope_transformer.similarity import embedding_column, window_margins

# The paper sweeps this offset and picks it by labels (Section 5); a checkpoint without calibration takes the middle.
UNCALIBRATED_THRESHOLD = 0.5

Say = Callable[[str], None]


def say_nothing(message: str) -> None:
    """The default of every `say`: a library call prints nothing."""


@dataclass(frozen=True)
class Settings:
    """How `analyze` works.

    model: directory or Hub name of a checkpoint; None is the one that the package ships.
    threshold: cosine similarity at which a pair neither attracts nor repels; None takes the calibrated one.
    window, min_records: most and fewest records in a window.
    time_limit: seconds that the clustering may search.
    seed: of the clustering's searches.
    granularity: also solve a sweep of thresholds, for the stability of each cluster.
    networks: CSV of the name of the autonomous system of each /24 or /48, for the report.
    """

    model: str | None = None
    threshold: float | None = None
    window: int = sequences.WINDOW
    min_records: int = sequences.MIN_RECORDS
    time_limit: float = 60.0
    seed: int = 0
    granularity: bool = False
    networks: str | Path | None = None


@dataclass(frozen=True)
class Analysis:
    """What `analyze` found.

    windows: a row per window: `window_id`, `source`, `start`, `end` (us UTC), `n_records`, `cluster`, `margin` (by how
        much the window belongs to its cluster), `embedding`, and `label`, `tool` where known.
    sources: a row per source: `cluster` (of most of its windows), `n_windows`, `n_records`, `first_seen`, `last_seen`,
        `agreement` (share of its windows that are in that cluster), and `label` where known.
    clusters: a profile per cluster, by its number.
    solution: threshold, cost, lower bound and gap of the clustering (null where nothing was proved), the solver.
    counts: records read, kept, rejected; windows, records left out.
    rejects: rows that are no flow records, with file, row, field, value and reason.
    sensors: pseudo-address of each named sensor.
    records: the flow records that were analysed.
    calibration: how likely two windows of a given cosine are of one actor; None where the checkpoint has none.
    """

    windows: pa.Table
    sources: pa.Table
    clusters: list[dict[str, Any]]
    solution: dict[str, Any]
    counts: dict[str, int]
    rejects: pa.Table
    sensors: dict[str, str]
    records: pa.Table
    calibration: Calibration | None = None

    def write(self, output: str | Path) -> Path:
        """Write the tables, `clusters.json`, `sensors.json` and `report.html` into the folder; returns the report."""
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.windows, folder / "windows.parquet", compression="zstd")
        pq.write_table(self.sources, folder / "sources.parquet", compression="zstd")
        pq.write_table(self.rejects, folder / "rejects.parquet", compression="zstd")
        summary = {"solution": self.solution, "counts": self.counts, "clusters": self.clusters}
        (folder / "clusters.json").write_text(json.dumps(summary, indent=1) + "\n")
        (folder / "sensors.json").write_text(json.dumps(self.sensors, indent=1) + "\n")
        write_report(folder / "report.html", self.report_data())
        return folder / "report.html"

    def report_data(self) -> ReportData:
        """What the report shows."""
        return ReportData(
            windows=self.windows,
            profiles=self.clusters,
            solution=self.solution,
            counts=self.counts,
            records=self.records,
            rejects=self.rejects,
            calibration=self.calibration.to_dict() if self.calibration else None,
        )


def analyze(records: FlowRecords | pa.Table, settings: Settings | None = None, *, say: Say = say_nothing) -> Analysis:
    """Cluster the sources of flow records by how they behave (arXiv 2606.04733).

    Args:
        records: what `records.read_records` gives, or a table of its schema.
        settings: see `Settings`.
        say: told about each stage, in a sentence.

    Raises:
        InputError: if no source has enough records for a window.
    """
    settings = settings or Settings()
    flow = records if isinstance(records, FlowRecords) else as_flow_records(records)
    windows = cut(flow.table, settings, say)
    embeddings = embed(windows, settings)
    calibration = calibration_for(embeddings, windows, settings)
    threshold, scale = edge_weights(calibration, settings.threshold)
    labels, solution = solve(embeddings, threshold, scale, settings, say)

    table = windows_table(windows, embeddings, labels, window_margins(embeddings, labels, threshold, scale))
    lost = sequences.left_out(windows)
    counts = flow.counts._asdict() | {
        "windows": table.num_rows,
        "records_in_windows": pc.sum(table["n_records"]).as_py(),
        "records_left_out": lost.records,
        "sources_left_out": lost.sources,
    }
    return Analysis(
        windows=table,
        sources=sources_table(table),
        clusters=profile(flow, table, settings, say),
        solution=solution,
        counts=counts,
        rejects=flow.rejects,
        sensors=dict(flow.sensors),
        records=flow.table,
        calibration=calibration,
    )


def as_flow_records(table: pa.Table) -> FlowRecords:
    """A table of flow records as if it had been read: everything kept."""
    missing = [name for name in REQUIRED_FIELDS if name not in table.column_names]
    if missing:
        raise FlowRecordError(f"the table of flow records has no column {', '.join(missing)}")
    return FlowRecords(table, REJECTS_SCHEMA.empty_table(), Counts(table.num_rows, table.num_rows))


def embed(windows: pa.Table, settings: Settings) -> np.ndarray:
    """Embeddings of the windows, float32 (n_windows, dimensions), by the checkpoint of the settings."""
    from telescope_transformer import embedding

    model, tokenizer = embedding.load(settings.model)
    return embedding.embed_windows(model, tokenizer, windows)


def calibration_for(embeddings: np.ndarray, windows: pa.Table, settings: Settings) -> Calibration | None:
    """The checkpoint's calibration with the prior of these windows; None where it has none."""
    from telescope_transformer import embedding

    file = embedding.file_beside(settings.model, FILE_NAME)
    calibration = Calibration.load(file.parent) if file else None
    if calibration is None:
        return None
    return calibration.adapted(embeddings, windows["source"].to_numpy(zero_copy_only=False), seed=settings.seed)


def edge_weights(calibration: Calibration | None, threshold: float | None) -> tuple[float, float]:
    """Threshold and scale of the signed weights `scale * (cosine - threshold)`.

    A calibration gives weights in nats; a threshold that the user gives shifts them.
    """
    if calibration is None:
        return (UNCALIBRATED_THRESHOLD if threshold is None else threshold), 1.0
    return (calibration.threshold if threshold is None else threshold), calibration.slope


def cut(table: pa.Table, settings: Settings, say: Say) -> pa.Table:
    """Windows of the records; says what was left out."""
    windows = sequences.cut_windows(table, window=settings.window, min_records=settings.min_records)
    lost = sequences.left_out(windows)
    if windows.num_rows == 0:
        raise InputError(
            f"none of the {lost.sources} sources has {settings.min_records} records, the fewest that make a window"
        )
    say(
        f"{windows.num_rows:,} windows of {len(pc.unique(windows['source'])):,} sources; "
        f"left out for having under {settings.min_records} records: {lost.records:,} records, "
        f"{lost.sources:,} whole sources"
    )
    return windows


def solve(
    embeddings: np.ndarray, threshold: float, scale: float, settings: Settings, say: Say
) -> tuple[np.ndarray, dict[str, Any]]:
    """Correlation clustering of all pairs; labels (n,) and what is known of the solution."""
    started = time.monotonic()
    solver = CorrelationClustering(time_limit=settings.time_limit, random_state=settings.seed)
    solver.fit_embeddings(embeddings, threshold)
    proved = not np.isnan(solver.lower_bound_)
    solution = {
        "threshold": float(threshold),
        "scale": float(scale),
        "cost": float(solver.cost_) * scale,
        "lower_bound": float(solver.lower_bound_) * scale if proved else None,
        "gap": float(solver.gap_) if proved else None,
        "solver": solver.solver_,
        "n_clusters": int(solver.n_clusters_),
        "seconds": round(time.monotonic() - started, 2),
    }
    bound = f"at most {solver.gap_:.2%} above the optimum" if proved else "no lower bound was computed"
    say(f"{solver.n_clusters_:,} clusters at cosine threshold {threshold:.3f}; cost {solution['cost']:.1f}, {bound}")
    return np.asarray(solver.labels_), solution


def windows_table(windows: pa.Table, embeddings: np.ndarray, labels: np.ndarray, margins: np.ndarray) -> pa.Table:
    """The table of windows that `Analysis` describes."""
    columns: dict[str, Any] = {"window_id": pa.array(np.arange(windows.num_rows), pa.int64())}
    columns |= {name: windows[name] for name in ("source", "start", "end", "n_records")}
    columns |= {
        "cluster": pa.array(labels, pa.int32()),
        "margin": pa.array(margins, pa.float32()),
        "embedding": embedding_column(embeddings),
    }
    columns |= {name: windows[name] for name in sequences.ANNOTATIONS if name in windows.column_names}
    return pa.table(columns)


def sources_table(windows: pa.Table) -> pa.Table:
    """The table of sources that `Analysis` describes; a tie between clusters goes to the one of more records."""
    votes = windows.group_by(["source", "cluster"], use_threads=False).aggregate(
        [("n_records", "count"), ("n_records", "sum"), ("start", "min"), ("end", "max")]
    )
    votes = votes.sort_by(
        [
            ("source", "ascending"),
            ("n_records_count", "descending"),
            ("n_records_sum", "descending"),
            ("cluster", "ascending"),
        ]
    )
    whole = votes.group_by("source", use_threads=False).aggregate(
        [
            ("cluster", "first"),
            ("n_records_count", "first"),
            ("n_records_count", "sum"),
            ("n_records_sum", "sum"),
            ("start_min", "min"),
            ("end_max", "max"),
        ]
    )
    share = pc.divide(
        pc.cast(whole["n_records_count_first"], pa.float32()), pc.cast(whole["n_records_count_sum"], pa.float32())
    )
    table = pa.table(
        {
            "source": whole["source"],
            "cluster": whole["cluster_first"],
            "n_windows": whole["n_records_count_sum"],
            "n_records": whole["n_records_sum_sum"],
            "first_seen": whole["start_min_min"],
            "last_seen": whole["end_max_max"],
            "agreement": share,
        }
    )
    return _with_labels(table, windows) if "label" in windows.column_names else table


def _with_labels(sources: pa.Table, windows: pa.Table) -> pa.Table:
    ordered = windows.select(["source", "label"]).sort_by("source")
    names = ordered["source"].combine_chunks().dictionary_encode()
    sizes = np.bincount(names.indices.to_numpy(), minlength=len(names.dictionary))
    labels = sequences.majority(ordered["label"], np.concatenate(([0], np.cumsum(sizes))).astype(np.int32))
    by_source = pa.table({"source": names.dictionary, "label": labels})
    return sources.join(by_source, "source").sort_by("source").select([*sources.column_names, "label"])


def profile(flow: FlowRecords, windows: pa.Table, settings: Settings, say: Say) -> list[dict[str, Any]]:
    """A profile of every cluster."""
    say("describing the clusters")
    names: dict[str, str] = {}
    if settings.networks is not None:
        networks = map(network_of, pc.unique(windows["source"]).to_pylist())
        names = names_of_networks(networks, read_networks(settings.networks))
    return profile_clusters(flow.table, windows, networks=names, sensors=flow.sensors)
