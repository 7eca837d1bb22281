"""The stages of an analysis, each a function of what the stage before gives."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer import embedding
from telescope_transformer.analysis.settings import Say, Settings, counted
from telescope_transformer.analysis.tables import granularity_table
from telescope_transformer.calibration import FILE_NAME, Calibration, calibrate
from telescope_transformer.correlation_clustering import CorrelationClustering, Solution, certify, refine
from telescope_transformer.errors import DatasetError, FlowRecordError, InputError
from telescope_transformer.labels import read_owners
from telescope_transformer.records import REQUIRED_FIELDS, Counts, FlowRecords
from telescope_transformer.records.rejects import REJECTS_SCHEMA
from telescope_transformer.report import profile_clusters
from telescope_transformer.report.granularity import walk_thresholds
from telescope_transformer.report.why import explain_clusters
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.threshold import DEFAULT_THRESHOLD
from telescope_transformer.windows import Windows
from telescope_transformer.windows import cut as cut_records

# Restarts of the search times the pairs that each goes through: under a minute on one core.
SEARCH_CELLS = 2e8

Embed = Callable[[pa.Table], np.ndarray]


def as_flow_records(table: pa.Table) -> FlowRecords:
    """A table of flow records as if it had been read: everything kept."""
    missing = [name for name in REQUIRED_FIELDS if name not in table.column_names]
    if missing:
        raise FlowRecordError(f"the table of flow records has no column {', '.join(missing)}")
    return FlowRecords(table, REJECTS_SCHEMA.empty_table(), Counts(table.num_rows, table.num_rows))


def embedder(settings: Settings) -> Embed:
    """Windows to embeddings, float32 (n_windows, dimensions), by the settings' checkpoint, which is loaded once."""
    model, tokenizer = embedding.load_model(settings.model)

    def embed_windows(windows: pa.Table) -> np.ndarray:
        return embedding.embed_windows(model, tokenizer, windows)

    return embed_windows


def embed(windows: pa.Table, settings: Settings) -> np.ndarray:
    """Embeddings of the windows, float32 (n_windows, dimensions), by the settings' checkpoint."""
    return embedder(settings)(windows)


def calibration_for(embeddings: np.ndarray, windows: pa.Table, settings: Settings) -> Calibration | None:
    """A calibration on these windows; if they are too few, that of the checkpoint, or None where it has none."""
    try:
        return calibrate(embeddings, windows["source"].to_numpy(zero_copy_only=False), seed=settings.seed)
    except DatasetError:
        file = embedding.file_beside(settings.model, FILE_NAME)
        return Calibration.load(file.parent) if file else None


def edge_weights(calibration: Calibration | None, threshold: float | None) -> tuple[float, float]:
    """Threshold and scale of the signed weights `scale * (cosine - threshold)`.

    A calibration gives weights in nats; a threshold that the user gives shifts them.
    """
    if calibration is None:
        return (DEFAULT_THRESHOLD if threshold is None else threshold), 1.0
    return (calibration.threshold if threshold is None else threshold), calibration.slope


def cut(table: pa.Table, settings: Settings, say: Say) -> Windows:
    """Windows of the records; says what was left out."""
    windows = cut_records(table, window=settings.window, min_records=settings.min_records)
    lost = windows.left_out
    if not len(windows):
        raise InputError(
            f"no source of {lost.sources:,} has the fewest records that make a window, {settings.min_records}"
        )
    n_sources = len(pc.unique(windows.table["source"]))
    say(
        f"{counted(len(windows), 'window')} of {counted(n_sources, 'source')}; "
        f"left out for having under {counted(settings.min_records, 'record')}: {counted(lost.records, 'record')}, "
        f"{counted(lost.sources, 'whole source')}"
    )
    return windows


def solve(
    embeddings: np.ndarray, threshold: float, scale: float, settings: Settings, say: Say
) -> tuple[np.ndarray, dict[str, Any]]:
    """Correlation clustering of all pairs; labels (n,) and what is known of the solution.

    The labels come from a search whose work, not its time, is bounded: the same on a slow machine and a fast one. Only
    the proof is timed.
    """
    started = time.monotonic()
    solver = CorrelationClustering(time_limit=settings.time_limit, random_state=settings.seed)
    graph = solver.graph_of(embeddings, threshold)
    labels = refine(graph, seed=settings.seed, restarts=max(1, int(SEARCH_CELLS / max(1, graph.n) ** 2)))
    n_clusters = int(labels.max()) + 1
    say(f"{counted(n_clusters, 'cluster')} at cosine threshold {threshold:.3f}; proving how good the clustering is")
    proved = certify(graph, labels, time_limit=settings.time_limit, seed=settings.seed)
    found = solution(proved, threshold, scale)
    proof = (
        "nothing is proved" if found["gap"] is None else f"of which no clustering saves more than {found['gap']:.2%}"
    )
    say(f"cost {found['cost']:.1f}, {proof}" if found["cost"] > 0 else "cost 0: no clustering costs less")
    found |= {"solver": "local_search+dual", "outside_pairs": graph.outside_pairs}
    return labels, found | {"seconds": round(time.monotonic() - started, 2)}


def solution(found: Solution, threshold: float, scale: float) -> dict[str, Any]:
    """What is known of a clustering, in units of edge weight; bound and gap are None where nothing was proved.

    Args:
        found: in units of cosine.
        threshold, scale: of the weights, `scale * (cosine - threshold)`.
    """
    return {"threshold": float(threshold), "scale": float(scale), **found.scaled(scale).summary()}


def profile(flow: FlowRecords, windows: pa.Table, embed: Embed, settings: Settings, say: Say) -> list[dict[str, Any]]:
    """A profile of every cluster, and of the largest also which fields hold them together."""
    say("describing the clusters")
    owners = None if not settings.networks else read_owners(settings.networks)
    profiles = profile_clusters(flow.table, windows, owners=owners, sensors=flow.sensors)
    for cluster, why in explain_clusters(embed, flow.table, windows, seed=settings.seed).items():
        profiles[cluster]["why"] = why
    return profiles


def walked(
    windows: pa.Table, profiles: list[dict[str, Any]], threshold: float
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Coarser and finer clusterings: their table and a row per level. The profiles are given their stability."""
    levels = walk_thresholds(embedding_matrix(windows), windows["cluster"].to_numpy(), threshold)
    for profiled, stability in zip(profiles, levels.stability.tolist(), strict=True):
        profiled["stability"] = stability
    return granularity_table(windows, levels.thresholds, levels.labels), levels.levels()
