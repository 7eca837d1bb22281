"""Fixes threshold, scale and model of a running analysis by its first windows, and renews them when they do not fit.

A threshold calibrated on the 400 windows of a first file can be far from the one for 4,000 windows. The calibration is
therefore checked whenever the number of windows has doubled, and once a month. If it has drifted, the model is adapted
again, all windows in the state are embedded and clustered again, and clusters keep their ids. The same happens when
the number of windows has doubled and the model could not be trained yet, because centring takes many windows.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.analysis import AnalysisSettings, calibration_for, cluster, edge_weights
from telescope_transformer.analysis.clustering_stage import MOST_CALIBRATED
from telescope_transformer.analysis.embedding_stage import BLOCK, MOST_LEARNED
from telescope_transformer.arrays import offsets_of
from telescope_transformer.calibration import Calibration
from telescope_transformer.embedding import embedding_column
from telescope_transformer.errors import StateError
from telescope_transformer.fields import DAY, WINDOW_FIELDS
from telescope_transformer.placement import Embed
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.record_order import record_order
from telescope_transformer.similarity import blend_by_source, embedding_matrix, window_margins
from telescope_transformer.update.certificate import NO_IDS, forget, rescale, update_certificate
from telescope_transformer.update.identity import Event, inherit
from telescope_transformer.update.model import StateModel
from telescope_transformer.update.resolving import ClusterSums
from telescope_transformer.update.state import State, vector_column
from telescope_transformer.windows import Windows, build_windows, record_field

# Candidate thresholds are .05 apart (`threshold.GRID`). A difference of one step may be chance; two steps are drift.
DRIFT_OF_THRESHOLD = 0.075
# Least scale (log-odds per unit of cosine), relative to the former one. With less, the model tells sources apart much
# worse than before. With the same traffic every week, the scale was between 23 and 36.
LEAST_SCALE = 0.5
DAYS_BETWEEN_CHECKS = 30


def fix_settings(
    state: State, settings: AnalysisSettings, embed: StateModel, vectors: np.ndarray, windows: pa.Table
) -> dict[str, Any]:
    """Fix the settings of a state by its first windows.

    Args:
        state: the state, in the transaction of the step.
        settings: settings of the first update.
        embed: the model that made the vectors.
        vectors: float32 (n, dimensions), embeddings of the first windows.
        windows: (n,) these windows, with their records.

    Returns:
        The settings as they are stored.
    """
    # A threshold set by the user shifts the weights; their unit is still the nat.
    calibration = _calibration(vectors, windows["source"], settings, embed, lambda: windows)
    threshold, scale = edge_weights(calibration, settings.threshold)
    stored = {
        "model": settings.model,
        "adapt": settings.adapt,
        "window": settings.window,
        "min_records": settings.min_records,
        "core_records": core_records(settings),
        "seed": settings.seed,
        "checkpoint": embed.digest,
        "chosen_threshold": settings.threshold,
        "threshold": threshold,
        "scale": scale,
        "calibration": calibration.to_dict() if calibration else None,
    }
    state.set("settings", json.dumps(stored))
    return stored


def _calibration(
    vectors: np.ndarray,
    sources: pa.ChunkedArray,
    settings: AnalysisSettings,
    embed: StateModel,
    windows: Callable[[], pa.Table],
) -> Calibration | None:
    return calibration_for(vectors, sources, lambda: embed.calibration(windows), settings.seed, embed.unseen(sources))


def core_records(settings: AnalysisSettings) -> int:
    """Fewest records of the windows that form the clusters; at most those of a full window."""
    return min(max(settings.core_records, settings.min_records), settings.window)


def check_settings(state: State, settings: AnalysisSettings, embed: StateModel) -> None:
    """Refuse settings that differ from those of the first step.

    Only `adapt` may change, and `min_records` up to the number of records of the windows that form the clusters.

    Raises:
        StateError: if a setting differs; the message names it and both values.
    """
    stored = state.settings()
    if stored is None:
        return
    asked: dict[str, Any] = {"model": settings.model, "window": settings.window}
    for name, value in asked.items():
        if stored[name] != value:
            raise StateError(f"{state.path}: the state was begun with {name} {stored[name]}, not {value}")
    fewest = core_records(settings)
    if stored["core_records"] != fewest:
        raise StateError(
            f"{state.path}: the clusters of this state are formed by windows of {stored['core_records']} records or "
            f"more, not of {fewest} or more"
        )
    chosen = stored["chosen_threshold"]
    if settings.threshold is not None and settings.threshold != chosen:
        begun = "a calibrated threshold" if chosen is None else f"threshold {chosen}"
        raise StateError(f"{state.path}: the state was begun with {begun}, not {settings.threshold}")
    # Embeddings of two checkpoints cannot be compared, even if both have the same name.
    digest = embed.digest
    if digest and stored["checkpoint"] not in (None, digest):
        raise StateError(
            f"{state.path}: the state was begun with a checkpoint that differs from the present "
            f"{settings.model or 'shipped model'}; begin a new state, or "
            "continue with the version that this state was begun with"
        )
    changed = stored | {"adapt": settings.adapt, "min_records": settings.min_records}
    if stored != changed:
        state.set("settings", json.dumps(changed))


def review(state: State, settings: AnalysisSettings, embed: StateModel, day: int, say: Say) -> None:
    """Check the calibration if a check is due, and renew what no longer fits.

    Args:
        state: the state, in the transaction of the step, after windows and clusters were written.
        settings: settings of the state.
        embed: the model of the state, which may be adapted.
        day: day (since 1970) of the newest record.
        say: prints messages.
    """
    stored = state.settings()
    if stored is None:
        return
    number = state.n_clustered
    checked = state.stored("checked", None)
    if checked is None:
        # These same windows have just fixed the settings.
        state.set("checked", json.dumps({"windows": number, "day": day}))
        return
    doubled = number >= 2 * checked["windows"]
    if not doubled and day < checked["day"] + DAYS_BETWEEN_CHECKS:
        return
    state.set("checked", json.dumps({"windows": max(number, checked["windows"]), "day": day}))
    rows = state.newest_embeddings(MOST_CALIBRATED)
    ids = rows["window_id"].to_numpy()
    found = _calibration(
        embedding_matrix(rows), rows["source"], settings, embed, lambda: windows_of(state, ids).to_table()
    )
    drifted = found is not None and _has_drifted(stored, found)
    if found is not None and not drifted:
        _refresh(state, stored, found)
    outgrown = doubled and embed.wants_more_windows
    if drifted or outgrown or embed.wants_training:
        _renew(state, settings, embed, drifted, outgrown, say)


def _has_drifted(stored: dict[str, Any], found: Calibration) -> bool:
    """Whether a new calibration shows that the clusters or the model no longer fit."""
    threshold, scale = edge_weights(found, stored["chosen_threshold"])
    return abs(threshold - stored["threshold"]) > DRIFT_OF_THRESHOLD or bool(scale < LEAST_SCALE * stored["scale"])


def _refresh(state: State, stored: dict[str, Any], found: Calibration) -> None:
    """Replace the calibration by a new one with the same threshold.

    Its scale is the unit of costs and does not change which clusters are best.
    """
    threshold, scale = edge_weights(found, stored["chosen_threshold"])
    if threshold == stored["threshold"]:
        state.set("settings", json.dumps(stored | {"scale": scale, "calibration": found.to_dict()}))
        rescale(state, scale / stored["scale"])


def _renew(
    state: State, settings: AnalysisSettings, embed: StateModel, drifted: bool, outgrown: bool, say: Say
) -> None:
    """Adapt the model again, embed and cluster all windows of the state, calibrate, and keep the cluster ids.

    Args:
        state: the state, in the transaction of the step.
        settings: settings of the state.
        embed: the model of the state.
        drifted: whether the calibration has drifted. If not, only a new model is a reason to renew anything.
        outgrown: whether a model that can only be centred is a reason, too.
        say: prints messages.
    """
    rows = state.clustered_embeddings(unblended=True)
    ids, own = rows["window_id"].to_numpy(), embedding_matrix(rows)
    if embed.adapts:
        if embed.adapt(windows_of(state, ids[-MOST_LEARNED:]), say, only_trained=not (drifted or outgrown)):
            own = embedded(state, ids, embed)
            _embed_retired(state, embed)
        elif not drifted:
            return
    say("the calibration has drifted: clustering all windows anew" if drifted else "clustering all windows anew")
    newest = slice(max(0, len(ids) - MOST_CALIBRATED), None)
    calibration = _calibration(
        own[newest],
        rows["source"].slice(newest.start),
        settings,
        embed,
        lambda: windows_of(state, ids[newest]).to_table(),
    )
    stored: dict[str, Any] = state.settings() or {}
    threshold, scale = edge_weights(calibration, stored["chosen_threshold"])
    vectors = blended(own, rows["source"])
    # `update_certificate` below proves a bound, so the solver need not.
    labels = cluster(vectors, np.arange(len(ids)), threshold, scale, replace(settings, time_limit=0.0), say_nothing)[0]
    stored |= {"threshold": threshold, "scale": scale, "calibration": calibration.to_dict() if calibration else None}
    stored["checkpoint"] = embed.digest
    state.set("settings", json.dumps(stored))
    _put_clusters(state, rows, vectors, own, np.unique(labels, return_inverse=True)[1], threshold)
    forget(state)
    update_certificate(state, rows.slice(0, 0).select(["window_id", "embedding"]), ids, NO_IDS)


def _put_clusters(
    state: State, rows: pa.Table, vectors: np.ndarray, own: np.ndarray, labels: np.ndarray, threshold: float
) -> None:
    """Replace all clusters by the new clustering 0..k-1, whose clusters get the ids of those that they continue."""
    next_id = state.next_cluster
    heirs = inherit(labels, rows["cluster"].to_numpy(), np.ones(len(labels)), next_id)
    sums = np.zeros((len(heirs.ids), vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    state.clear("clusters")
    order = np.argsort(heirs.ids)
    found = ClusterSums(heirs.ids[order], np.bincount(labels).astype(np.float64)[order], sums[order])
    state.replace_clusters(NO_IDS, found)
    state.set("next_cluster", str(max(next_id, int(heirs.ids.max()) + 1)))
    ends = rows["end"].to_numpy()
    margins = window_margins(vectors, labels, threshold)
    ids = rows["window_id"].to_numpy()
    state.place_windows(placed_table(ids, vectors, own, heirs.ids[labels], margins, ends // DAY))
    write_events(state, heirs.events, int(ends.max()) // DAY)


def blended(own: np.ndarray, sources: pa.ChunkedArray) -> np.ndarray:
    """A copy of embeddings float32 (n, dimensions) in which the windows of each source (n,) are blended."""
    vectors = own.copy()
    blend_by_source(vectors, sources.combine_chunks().dictionary_encode().indices.to_numpy())
    return vectors


def placed_table(
    ids: np.ndarray,
    vectors: np.ndarray,
    own: np.ndarray,
    clusters: np.ndarray,
    margins: np.ndarray,
    days: np.ndarray,
) -> pa.Table:
    """The table for `State.place_windows`.

    Args:
        ids, clusters, margins: (n,) of the windows.
        vectors, own: (n, dimensions), their embeddings after and before they were blended.
        days: (n,) values of `embedded_on`.
    """
    columns = {"id": ids, "new_cluster": clusters, "new_margin": margins, "new_day": days}
    same = pa.array(np.arange(len(ids)), mask=(vectors == own).all(axis=1))
    return pa.table(columns | {"vector": embedding_column(vectors), "own_vector": embedding_column(own).take(same)})


def write_events(state: State, events: list[Event], day: int) -> None:
    """Store the events of a day (since 1970)."""
    if not events:
        return
    text = str(np.datetime64(day, "D"))
    rows = [(text, e.event, e.cluster, list(e.others), e.windows) for e in events]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    columns[3] = columns[3].cast(pa.list_(pa.int64()))
    state.append("events", pa.table(columns, names=["day", "event", "cluster", "others", "windows"]))


def windows_of(state: State, ids: np.ndarray) -> Windows:
    """Windows of a state with their records; the source is empty if the state no longer has it."""
    records = state.records_of(ids, list(WINDOW_FIELDS))
    codes = pc.index_in(records["window_id"], pa.array(ids)).to_numpy().astype(np.int64)
    present = [name for name in WINDOW_FIELDS if records[name].null_count < records.num_rows]
    columns = {name: record_field(records, name) for name in present}
    order = pa.array(record_order(codes, columns))
    flat = pa.table({name: values.take(order) for name, values in columns.items()})
    known = state.sources_of(ids)
    source = pa.array([known.get(one, "") for one in ids.tolist()], pa.string())
    return build_windows(source, offsets_of(np.bincount(codes)), flat, {})


def embedded(state: State, ids: np.ndarray, embed: Embed) -> np.ndarray:
    """Embeddings float32 (n, dimensions) of windows of a state, by a model."""
    blocks = (windows_of(state, ids[first : first + BLOCK]) for first in range(0, len(ids), BLOCK))
    return np.concatenate([embed(block.to_table()) for block in blocks])


def _embed_retired(state: State, embed: StateModel) -> None:
    """Replace the means of retired clusters by embeddings of their typical windows from the present model."""
    retired = state.retired().sort_by("window_id").drop_columns(["mean"])
    if not retired.num_rows:
        return
    vectors = embed(windows_of(state, retired["window_id"].to_numpy()).to_table())
    state.clear("retired")
    state.append("retired", retired.append_column("mean", vector_column(vectors.astype(np.float64))))
