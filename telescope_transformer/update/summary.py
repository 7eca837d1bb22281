"""Turns a running analysis into an `Analysis`, with the same tables and report as `telescope analyze`."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.analysis import (
    Analysis,
    AnalysisSettings,
    every_source,
    place_short_windows,
    solution,
    sources_table,
    threshold_sweep,
    windows_table,
)
from telescope_transformer.arrays import with_column
from telescope_transformer.calibration import Calibration
from telescope_transformer.correlation_clustering import CorrelationClustering, Solution
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.errors import InputError, StateError
from telescope_transformer.labels import Owners, read_owners
from telescope_transformer.placement import Embed
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.records import FlowRecords
from telescope_transformer.records.reading import Counts
from telescope_transformer.records.rejects import REJECTS_SCHEMA
from telescope_transformer.report import all_sources, analyses_below, name_clusters, profile_clusters
from telescope_transformer.report.attribution import explain_clusters
from telescope_transformer.report.folder import read_summary
from telescope_transformer.report.news import period_of
from telescope_transformer.report.services import with_services
from telescope_transformer.report.sources import without_lone_short
from telescope_transformer.similarity import embedding_matrix, window_margins
from telescope_transformer.threshold import DEFAULT_THRESHOLD
from telescope_transformer.update.certificate import current
from telescope_transformer.update.model import StateModel, adaptation_of
from telescope_transformer.update.renewal import embedded, windows_of
from telescope_transformer.update.state import State
from telescope_transformer.windows import MIN_RECORDS
from telescope_transformer.words import day_text

# The settings of a state in which no source has sent enough records for a window yet.
BEFORE_WINDOWS: dict[str, Any] = {
    "threshold": DEFAULT_THRESHOLD,
    "scale": 1.0,
    "calibration": None,
    "model": None,
    "seed": 0,
    "min_records": 1,
    "core_records": MIN_RECORDS,
}


def summarise(
    state: State,
    *,
    time_limit: float = 30.0,
    networks: Sequence[str | Path] | Owners = (),
    granularity: bool = False,
    embedder: Embed | None = None,
    say: Say = say_nothing,
) -> Analysis:
    """Summarise the windows, clusters, certificate and events of a state.

    Clusters have their lasting ids. Windows with few records are placed in them as by `analyze`. The state does not
    store where: the next report places them anew, and those that have grown by then are clustered. The lower bound is
    the one that the steps proved, or a higher bound if one is found within `time_limit` seconds.

    Args:
        state: an open state.
        time_limit: seconds to look for a better lower bound.
        networks, granularity: as in `AnalysisSettings`.
        embedder: as for `update`.
        say: called with a message about the windows with few records.

    Raises:
        StateError: if nothing has been added yet.
    """
    inputs = state.inputs()
    if not inputs.num_rows:
        raise StateError(f"{state.path}: nothing has been added yet")
    settings = state.settings() or BEFORE_WINDOWS
    flow = _records(state, inputs)
    embed = StateModel(state, AnalysisSettings(model=settings["model"], adapt=False), embedder)
    windows, vectors, own = _placed(state, settings, embed, say)
    sources = every_source(without_lone_short(sources_table(windows)), all_sources(flow.table))
    # A short window that is left alone has no lasting id.
    lasting = np.isin(windows["cluster"].to_numpy(), state.clusters().ids)
    windows, vectors, own = windows.filter(pa.array(lasting)), vectors[lasting], own[lasting]
    ids, labels = np.unique(windows["cluster"].to_numpy(), return_inverse=True)
    margins = window_margins(vectors, labels, settings["threshold"], settings["scale"])
    confidence = windows["placement"].to_numpy()
    table = windows_table(windows, own, labels, margins, confidence)
    table = with_services(with_column(table, "window_id", windows["window_id"]), flow.table)
    owners = read_owners(networks)
    profiles = profile_clusters(flow.table, table, owners=owners, sensors=flow.sensors)
    for cluster, why in explain_clusters(embed, flow.table, table, seed=settings["seed"]).items():
        profiles[cluster]["why"] = why
    found = certificate(state, vectors[np.isnan(confidence)], settings, time_limit=time_limit)
    stable, levels = pa.array(ids[labels], pa.int32()), None
    if granularity and table.num_rows:
        levels, found["granularity"] = threshold_sweep(table, own, profiles, settings["threshold"])
        levels = with_column(levels, f"at_{settings['threshold']:.3f}", stable)
    table, profiles = with_column(table, "cluster", stable), _by_stable_id(profiles, ids.tolist())
    _name(state, profiles)
    return Analysis(
        windows=table,
        sources=sources,
        clusters=profiles,
        solution=found,
        counts=flow.counts._asdict() | {"windows": table.num_rows, "inputs": inputs.num_rows},
        rejects=flow.rejects,
        sensors=flow.sensors,
        calibration=Calibration.from_dict(settings["calibration"]) if settings["calibration"] else None,
        granularity=levels,
        events=state.events(),
        traffic=state.traffic(),
        adaptation=adaptation_of(state),
        id=inputs["digest"][0].as_py(),
    )


def folder_of(whole: Analysis, output: Path, *, daily: bool) -> Path:
    """The folder for the report: `output`, or with `daily` a subfolder named after the last day of the records."""
    period = period_of(whole.traffic or []) if daily else None
    return output if period is None else output / day_text(period.last)


def is_shown(state: State, output: Path) -> bool:
    """Whether the newest report in a folder shows all inputs of a state that has some."""
    inputs = state.inputs()
    try:
        shown = read_summary(analyses_below(output)[0] / "clusters.json")
    except InputError:
        return False
    return bool(shown.get("id") == inputs["digest"][0].as_py() and shown["counts"].get("inputs") == inputs.num_rows)


def _name(state: State, profiles: list[dict[str, Any]]) -> None:
    """Name the clusters. A cluster keeps its earlier name for as long as the name is true."""
    kept = state.stored("names", {})
    name_clusters(profiles, {one["cluster"]: kept.get(str(one["cluster"]), "") for one in profiles})
    with state.transaction():
        state.set("names", json.dumps({profile["cluster"]: profile["name"] for profile in profiles}))


def _placed(
    state: State, settings: Mapping[str, Any], embed: Embed, say: Say
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The windows of a state, each with a cluster, and their embeddings after and before they were blended.

    Windows with few records are in the cluster of the most similar ones, with the probability in the column
    `placement`; those that resemble too little have a number above those of all clusters.
    """
    windows = state.windows(settings["min_records"])
    ids = windows["window_id"].to_numpy()
    labels = windows["cluster"].fill_null(-1).to_numpy().copy()
    short = labels < 0
    # If no window has a cluster, the length of the vectors is unknown, and no model is needed.
    own = np.zeros((len(ids), 1), dtype=np.float32)
    vectors = own.copy()
    if not short.all():
        clustered = windows.filter(pa.array(~short))
        of_clustered = embedding_matrix(clustered)
        vectors = np.empty((len(ids), of_clustered.shape[1]), dtype=np.float32)
        vectors[~short] = of_clustered
        if short.any():
            vectors[short] = embedded(state, ids[short], embed)
        own = vectors.copy()
        own[~short] = embedding_matrix(pa.table({"embedding": clustered["unblended"]}))
    confidence = place_short_windows(
        vectors,
        labels,
        windows,
        lambda rows: windows_of(state, ids[rows]),
        embed,
        say,
        core_records=settings["core_records"],
        seed=settings["seed"],
    )
    windows = with_column(windows, "cluster", pa.array(labels, pa.int32()))
    return windows.append_column("placement", pa.array(confidence, mask=np.isnan(confidence))), vectors, own


def _by_stable_id(profiles: list[dict[str, Any]], ids: list[int]) -> list[dict[str, Any]]:
    for one in profiles:
        one["cluster"] = ids[one["cluster"]]
        for near in one["nearest"]:
            near["cluster"] = ids[near["cluster"]]
    return profiles


def certificate(
    state: State, vectors: np.ndarray, settings: Mapping[str, Any], *, time_limit: float
) -> dict[str, Any]:
    """The solution of a state, with the stored lower bound or a newly proved one, whichever is higher.

    If the certificate does not cover all windows, or the matrix of all pairs is too large, only the stored bound is
    used.
    """
    started = time.monotonic()
    threshold, scale = settings["threshold"], settings["scale"]
    kept = current(state)
    cost, bound = kept.cost / scale, kept.lower_bound / scale
    anew: dict[str, Any] = {}
    if kept.windows == len(vectors):
        solver = CorrelationClustering(time_limit=time_limit, random_state=settings["seed"])
        graph = solver.graph_of(vectors, threshold)
        if isinstance(graph, DenseGraph):
            solver.fit_graph(graph)
            # The two values are sums in different orders, so a bound above the cost is due to rounding.
            bound = min(float(np.fmax(bound, solver.lower_bound_)), cost)
            anew["cost_at_once"] = scale * float(solver.cost_)
    found = solution(Solution(np.zeros(0, np.int64), cost, bound), threshold, scale) | {
        "solver": "day by day",
        "n_clusters": state.n_clusters,
        "n_solved": kept.windows,
        "assigned_share": round(1 - kept.windows / max(1, len(vectors)), 4),
    }
    return found | anew | {"seconds": round(time.monotonic() - started, 2)}


def _records(state: State, inputs: pa.Table) -> FlowRecords:
    """The records of all windows, each with its window."""
    table = state.records()
    known = [name for name in table.column_names if not table.num_rows or table[name].null_count < table.num_rows]
    counts = Counts(*(sum(inputs[name].to_pylist()) for name in Counts._fields))
    rejects = state.rejects().cast(REJECTS_SCHEMA)
    sensors = state.stored("sensors", {})
    return FlowRecords(table.select(known), rejects, counts, sensors)
