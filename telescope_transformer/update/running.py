"""Adds new inputs to the state of a running analysis, one transaction for each."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.analysis import AnalysisSettings
from telescope_transformer.correlation_clustering.solution import relative_gap
from telescope_transformer.errors import InputError, NoRecordsError
from telescope_transformer.fields import DAY
from telescope_transformer.placement import Embed
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.records import Counts, FlowRecords
from telescope_transformer.records.damage import NotFlowRecords
from telescope_transformer.records.files import InputFile
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update import step as steps
from telescope_transformer.update.certificate import current, update_certificate
from telescope_transformer.update.contents import Content, Earlier, content_of, new_part, no_records
from telescope_transformer.update.model import StateModel
from telescope_transformer.update.open_windows import Extension, extend
from telescope_transformer.update.renewal import (
    blended,
    check_settings,
    core_records,
    fix_settings,
    placed_table,
    review,
    write_events,
)
from telescope_transformer.update.retention import age, revive
from telescope_transformer.update.schema import CLOSED_COLUMNS
from telescope_transformer.update.state import State
from telescope_transformer.windows import MIN_RECORDS, WINDOW, Windows
from telescope_transformer.words import certificate, clusters_in_words, counted, iso_time

Input = str | Path | InputFile
# Gets an input as it was given.
Read = Callable[[Any], FlowRecords]
# The most former windows of a source that its new ones are blended with. Bounded, so that a source that sends for
# years costs no more every day. Our choice: more windows hardly change the directions that a source has.
MOST_BLENDED = 64


@dataclass(frozen=True)
class Step:
    """The result of adding one input.

    Attributes:
        path: the input.
        day: day of the last record.
        windows: number of windows that are new or have grown.
        clusters: number of clusters of several windows after the step.
        alone: number of windows that are alone in their cluster after the step.
        events: number of births, deaths, merges and splits.
        cost, lower_bound: the certificate after the step (`certificate.update_certificate`), in units of edge weight.
        seconds: duration of the step.
    """

    path: str
    day: str
    windows: int
    clusters: int
    alone: int
    events: int
    cost: float
    lower_bound: float
    seconds: float

    def __str__(self) -> str:
        proof = certificate(self.cost, relative_gap(self.cost, self.lower_bound))
        took = f"{counted(self.windows, 'window')} new or grown, {counted(self.events, 'event')}, {self.seconds:.2f} s"
        return f"{self.path}: {took}; now {clusters_in_words(self.clusters, self.alone)}, {proof}"


def update(
    state: State,
    inputs: Sequence[Input] | Input,
    read: Read,
    settings: AnalysisSettings | None = None,
    *,
    keep_days: float | None = None,
    embedder: Embed | None = None,
    refuse: Callable[[InputError], None] | None = None,
    say: Say = say_nothing,
) -> list[Step]:
    """Add new inputs to the running analysis, each in one transaction.

    An input whose content was added before is skipped, so a call can be repeated. If a file has grown, only the new
    part is added. A file that has only a header is a day without traffic.

    Args:
        state: an open state.
        inputs: one file, or several in the order in which they are added.
        read: returns the flow records of an input.
        settings: model, window and threshold; the first step fixes them for all later ones. A calibrated threshold
            and adapted weights are renewed when they no longer fit (`update.renewal`).
        keep_days: windows and records that are this many days older than the newest record are deleted, even if no
            input is added; records of the future do not count. None keeps all.
        embedder: a function from windows to embeddings; None loads the model that the settings name, and adapts it if
            they ask for that.
        refuse: called with the error of each input that cannot be added; all other inputs are added. If it is None,
            the first error is raised.
        say: prints messages.

    Returns:
        The result of each input that was added.

    Raises:
        CheckpointError, HubError: if the model of the settings is missing or damaged.
        InputError: if an input cannot be read, or was added before with other content.
        StateError: if the state was begun with other settings, or with another checkpoint of the same name.
    """
    settings = settings or AnalysisSettings()
    embed = StateModel(state, settings, embedder)
    check_settings(state, settings, embed)
    work = _Work(state, settings, embed, keep_days, say)
    several = [inputs] if isinstance(inputs, Input) else inputs
    done = []
    for given in several:
        file = given if isinstance(given, InputFile) else InputFile(Path(given))
        try:
            step = _add_input(work, file, partial(read, given))
        except InputError as error:
            # A file without flow records is skipped if there are several files, but it is an error if it is the only
            # one.
            if isinstance(error, NotFlowRecords) and len(several) > 1:
                say(f"skipped {error}")
                continue
            if refuse is None:
                raise
            refuse(error)
            continue
        if step is None:
            say(f"{file.name}: already added")
            continue
        done.append(step)
        say(str(step))
    newest = state.newest_time()
    if not done and keep_days is not None and newest is not None:
        with state.transaction():
            age(state, _until_now(newest) - round(keep_days * DAY))
    return done


def _until_now(newest: int) -> int:
    """The time of the newest record (us), now at the latest.

    Otherwise one record of a sensor whose clock is wrong would delete all others.
    """
    return min(newest, time.time_ns() // 1000)


def _add_input(work: "_Work", file: InputFile, read: Callable[[], FlowRecords]) -> Step | None:
    """Add the new part of one input; None if there is nothing new."""
    state, started = work.state, time.perf_counter()
    earlier = None if file.from_pipe else _earlier(state, file.name)
    content = content_of(file, earlier.size if earlier else None)
    if state.has_input(content.digest):
        return None
    try:
        flow = new_part(file.name, content, earlier, read())
    except NoRecordsError:
        flow = no_records()
    with state.transaction():
        result = _add(work, flow)
        if flow.table.num_rows:
            newest = _until_now(pc.max(flow.table["timestamp"]).as_py())
            if work.keep_days is not None:
                age(state, newest - round(work.keep_days * DAY))
            review(state, work.settings, work.embed, newest // DAY, work.say)
        seconds = time.perf_counter() - started
        day = iso_time(pc.max(flow.table["timestamp"]).as_py())[:10] if flow.table.num_rows else ""
        proved = current(state)
        several, alone = state.n_clusters_and_alone
        step = Step(
            file.name, day, result.windows, several, alone, result.events, proved.cost, proved.lower_bound, seconds
        )
        _record_input(state, content, step, flow, result.nodes)
    return step


def _earlier(state: State, name: str) -> Earlier | None:
    """What was added from the file of this name earlier; None if nothing was."""
    taken = state.taken_of(name)
    if taken is None:
        return None
    counts = Counts(taken["read"], taken["kept"], taken["rejected"], taken["skipped"])
    return Earlier(taken["digest"], taken["size"], counts)


def settings_of(
    state: State,
    *,
    model: str | None,
    threshold: float | None,
    window: int | None,
    min_records: int | None,
    adapt: bool | None = None,
) -> AnalysisSettings:
    """The settings of a step. A setting that is not given comes from the state, or is the default for a new state."""
    stored: dict[str, Any] = state.settings() or {}
    return AnalysisSettings(
        model=stored.get("model") if model is None else model,
        threshold=threshold,
        window=stored.get("window", WINDOW) if window is None else window,
        min_records=stored.get("min_records", 1) if min_records is None else min_records,
        core_records=stored.get("core_records", MIN_RECORDS),
        adapt=stored.get("adapt", True) if adapt is None else adapt,
    )


@dataclass
class _Added:
    """What the steps of one input did, in total."""

    windows: int = 0
    events: int = 0
    nodes: int = 0
    moved: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class _Work:
    """The parts that all inputs of one call share."""

    state: State
    settings: AnalysisSettings
    embed: StateModel
    keep_days: float | None
    say: Say


def _add(work: _Work, flow: FlowRecords) -> _Added:
    """Add the records of one input: extend the open windows, and cluster the windows that are new or have grown."""
    state, added = work.state, _Added()
    if flow.table.num_rows == 0:
        return added
    sources = pa.table({"source": pc.unique(flow.table["src_ip"])})
    former = state.open_windows(sources)
    extension = extend(
        former, state.open_records(sources), flow.table, work.settings.window, next_id=state.next_window
    )
    homes = state.homes(sources)
    carried = _carried(former, extension.windows)
    same = carried["window_id"].combine_chunks()
    changed = former.filter(pc.invert(pc.is_in(former["window_id"], same)))
    _remove_open(state, former, changed)
    enough = pc.greater_equal(extension.windows["n_records"], core_records(work.settings))
    kept = pc.is_in(extension.windows["window_id"], same)
    long = extension.windows.filter(pc.and_(enough, pc.invert(kept)))
    if long.num_rows == 0:
        _write_windows(state, extension, carried)
        return added
    own, threshold = _embedded(work, extension, long)
    vectors = _with_former(state, own, long["source"]).astype(np.float64)
    _write_windows(state, extension, carried)
    clusters = dict(zip(former["window_id"].to_pylist(), former["cluster"].to_pylist(), strict=True))
    starts = _numbers(homes.get(name) for name in long["source"].to_pylist())
    before = _numbers(clusters.get(number) for number in long["window_id"].to_pylist())
    by_time = np.argsort(long["start"].to_numpy(), kind="stable")
    size = len(by_time) if state.n_clusters == 0 else steps.LARGEST_STEP
    for begin in range(0, len(by_time), size):
        rows = by_time[begin : begin + size]
        new = steps.MovableWindows(
            long["window_id"].to_numpy()[rows], vectors[rows], np.full(len(rows), -1), before[rows]
        )
        result, moved = _solve(state, new, starts[rows], threshold, work.settings)
        _write_step(state, new, own[rows], result, long["end"].to_numpy()[rows] // DAY, threshold, flow)
        added.windows += len(rows)
        added.events += len(result.events)
        added.nodes += result.nodes
        added.moved.append(moved)
    grown = changed.filter(pc.is_valid(changed["cluster"]))
    update_certificate(state, grown, long["window_id"].to_numpy(), np.concatenate(added.moved))
    return added


def _embedded(work: _Work, extension: Extension, long: pa.Table) -> tuple[np.ndarray, float]:
    """Embeddings of windows, float32 (n, dimensions), and the threshold; the first windows fix model and threshold."""
    state, embed = work.state, work.embed
    stored = state.settings()
    if stored is None and embed.adapts:
        embed.adapt(Windows.from_table(extension.windows), work.say)
    vectors = embed(long).astype(np.float32)
    if stored is None:
        stored = fix_settings(state, work.settings, embed, vectors, long)
    return vectors, float(stored["threshold"])


def _with_former(state: State, own: np.ndarray, sources: pa.ChunkedArray) -> np.ndarray:
    """New windows blended with each other and with the newest former windows of their sources, which stay as they are.

    Args:
        state: the state, without the open windows that the new ones replace.
        own: float32 (n, dimensions), embeddings of the new windows.
        sources: (n,) their sources.
    """
    former = state.newest_of_sources(pa.table({"source": pc.unique(sources)}), MOST_BLENDED)
    vectors = np.concatenate([own, embedding_matrix(former).reshape(-1, own.shape[1])])
    names = pa.chunked_array([*sources.cast(pa.string()).chunks, *former["source"].cast(pa.string()).chunks])
    return blended(vectors, names)[: len(own)]


def _numbers(clusters: Iterable[int | None]) -> np.ndarray:
    """Ids of clusters, int64; -1 for none."""
    return np.array([-1 if one is None else one for one in clusters], dtype=np.int64)


def _solve(
    state: State, new: steps.MovableWindows, homes: np.ndarray, threshold: float, settings: AnalysisSettings
) -> tuple[steps.StepResult, np.ndarray]:
    """Cluster the new windows with the clusters that attract them, and store the old windows that moved.

    Returns:
        The result of the step, and the ids of the old windows that are now in another cluster.
    """
    clusters = state.clusters()
    if not len(clusters.ids):
        first = steps.first_step(new, threshold, seed=settings.seed, time_limit=settings.time_limit)
        return first, new.ids[:0]
    near = steps.attracted_clusters(clusters, new.vectors, threshold, np.concatenate([homes, new.former]))
    number, draw = steps.budget(len(new.ids)), settings.seed + int(new.ids.max())
    around = steps.neighbourhood(near, number // 2, draw)
    old = state.movable(near.ids, around, number, draw)
    vectors = np.concatenate([new.vectors, embedding_matrix(old).reshape(-1, new.vectors.shape[1])])
    before = old["cluster"].to_numpy()
    movable = steps.MovableWindows(
        np.concatenate([new.ids, old["window_id"].to_numpy()]),
        vectors,
        np.concatenate([new.clusters, before]),
        np.concatenate([new.former, before]),
    )
    starts = np.concatenate([homes, before])
    result = steps.next_step(near, movable, starts, threshold, next_id=state.next_cluster, seed=settings.seed)
    m = len(new.ids)
    moved = pa.table({"id": movable.ids[m:], "new_cluster": result.labels[m:], "new_margin": result.margins[m:]})
    changed = state.rename_clusters(result.renamed)
    state.place_windows(moved)
    left = movable.ids[m:][result.labels[m:] != before]
    return result, np.union1d(left, changed)


def _carried(former: pa.Table, windows: pa.Table) -> pa.Table:
    """Open windows that keep their embedding, because they stay open and it already includes their newest day."""
    row = pc.index_in(former["window_id"], windows["window_id"].combine_chunks())
    ends = windows["end"].take(row).to_numpy()
    same_day = pa.array(ends // DAY == former["embedded_on"].fill_null(-1).to_numpy())
    known = pc.and_(pc.is_valid(former["cluster"]), pc.and_(windows["open"].take(row), same_day))
    return former.filter(known)


def _remove_open(state: State, former: pa.Table, changed: pa.Table) -> None:
    """Delete the open windows from the tables, and subtract those that change from the sums of their clusters."""
    clustered = changed.filter(pc.is_valid(changed["cluster"]))
    if clustered.num_rows:
        ids = clustered["cluster"].to_numpy()
        hit = state.clusters(np.unique(ids))
        state.replace_clusters(hit.ids, hit.without(ids, embedding_matrix(clustered)))
    state.remove_windows(former, ["windows", "open_records"])


def _write_windows(state: State, extension: Extension, carried: pa.Table) -> None:
    """Store the windows, the clusters of those that keep them, and their records."""
    names = ("window_id", "source", "start", "end", "n_records", "open", "label", "tool")
    windows = extension.windows.select([name for name in names if name in extension.windows.column_names])
    state.append("windows", windows)
    is_open = pc.is_in(extension.records["window_id"], windows.filter(windows["open"])["window_id"].combine_chunks())
    state.append("open_records", extension.records.filter(is_open))
    fields = ["window_id", *(name for name in CLOSED_COLUMNS if name in extension.records.column_names)]
    state.append("closed_records", extension.records.filter(pc.invert(is_open)).select(fields))
    state.keep_clusters(carried)


def _write_step(
    state: State,
    new: steps.MovableWindows,
    own: np.ndarray,
    result: steps.StepResult,
    days: np.ndarray,
    threshold: float,
    flow: FlowRecords,
) -> None:
    """Store the clusters of a step, and where it put the new windows.

    Args:
        own: (m, dimensions), embeddings of the new windows before they were blended.
        days: (m,) last days of the new windows.
    """
    state.replace_clusters(result.former, result.clusters)
    state.set("next_cluster", str(max(state.next_cluster, int(result.clusters.ids.max()) + 1)))
    write_events(state, result.events, pc.max(flow.table["timestamp"]).as_py() // DAY)
    m = len(new.ids)
    state.place_windows(placed_table(new.ids, new.vectors, own, result.labels[:m], result.margins[:m], days))
    revive(state, [event.cluster for event in result.events if event.event == "birth"], threshold)


def _record_input(state: State, content: Content, step: Step, flow: FlowRecords, nodes: int) -> None:
    what: list[Any] = [content.digest, step.path, content.size, step.day, *flow.counts]
    state.record_input([*what, step.windows, nodes, step.cost, step.lower_bound, step.seconds])
    if flow.rejects.num_rows:
        state.append("rejects", flow.rejects)
    known = state.stored("sensors", {})
    state.set("sensors", json.dumps(known | flow.sensors))
