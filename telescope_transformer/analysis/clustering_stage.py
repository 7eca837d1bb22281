"""The clustering stage: correlation clustering of all windows of a work folder, however many there are.

Up to `MOST_SOLVED` windows with enough records are clustered together, with a lower bound. If there are more, only the
first `MOST_SOLVED` are solved. Windows are ordered by a hash of their source, so these belong to a random part of the
sources. Each remaining window joins the cluster that attracts it most. Windows that no cluster attracts are solved as
the next part, until every window has a cluster. Before all this, the windows of each source are blended
(`similarity.blend_by_source`). Windows with few records say little about their source, so they are placed at the end
and do not change the other windows.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer import embedding
from telescope_transformer.analysis.embedding_stage import (
    ARRAY,
    Embed,
    Embedder,
    model_of,
    open_embeddings,
    unseen_windows,
)
from telescope_transformer.analysis.settings import AnalysisSettings, Say
from telescope_transformer.analysis.short_windows import place_short_windows
from telescope_transformer.analysis.work import CLUSTERS, EMBEDDINGS, made_of, run_stage
from telescope_transformer.calibration import FILE_NAME, Calibration, calibrate
from telescope_transformer.correlation_clustering import CorrelationClustering, Solution, certify, refine
from telescope_transformer.errors import DatasetError
from telescope_transformer.files import write_text
from telescope_transformer.placement import SMALLEST_CONFIDENCE
from telescope_transformer.preparation import EngineSettings, read_heads
from telescope_transformer.similarity import Nearest, add_to_sums, blend_by_source, row_blocks, window_margins
from telescope_transformer.threshold import DEFAULT_THRESHOLD
from telescope_transformer.words import clusters_in_words, counted, percent

# Work of the search: number of restarts times squared number of windows. It takes under a minute on one core.
SEARCH_CELLS = 2e8
# Most windows that are solved together. Computing the cost over all their pairs takes seconds.
MOST_SOLVED = 20_000
# Largest matrix of all pairs in bytes: for up to 11,585 windows. With more, no matrix is kept in memory and the
# lower bound is weaker.
MATRIX_BYTES = 2**29
# The proof stops at this relative gap, because no decision depends on a smaller one. On 2,500 windows, closing the gap
# from 0.5 % to 0.2 % took three times as long.
ENOUGH = 0.01
# Rounding error of a sum of float32 products.
ROUNDING = 1e-5
# Most windows that a calibration is fitted to.
MOST_CALIBRATED = 20_000
# Maps the vectors (m, dimensions) and row numbers (m,) of some windows to arrays (m,).
Task = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
Assign = Callable[[Task, np.ndarray, int], Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]]
LABELS, CONFIDENCE, MARGINS, SOLUTION = "labels.npy", "confidence.npy", "margins.npy", "solution.json"


def cluster_stage(
    work: Path, settings: AnalysisSettings, say: Say, embed: Embed | None = None, engine: EngineSettings | None = None
) -> dict[str, Any]:
    """Cluster the windows of a work folder, or use the clusters that are already there; returns facts about them.

    Args:
        work: the work folder, with embeddings.
        settings: threshold, seed, time limit, and the fewest records of windows that are solved.
        say: called with a message about the result.
        embed: embeds a table of windows; None uses the checkpoint that made the embeddings.
        engine: if it is Spark, the windows that are not solved are assigned to clusters on its executors; otherwise in
            this process.
    """
    ingredients: dict[str, Any] = {
        "embeddings": made_of(work / EMBEDDINGS),
        # Clusters of windows that were not blended are made again.
        "blended": True,
        "threshold": settings.threshold,
        "core_records": settings.core_records,
        "time_limit": settings.time_limit,
        "seed": settings.seed,
    }

    def build(partial: Path) -> None:
        heads = read_heads(work)
        vectors = open_embeddings(work, heads.num_rows, mode="c")
        started = time.monotonic()
        n_records = heads["n_records"].to_numpy()
        core = np.flatnonzero(n_records >= settings.core_records)
        if not len(core):
            core = np.arange(len(vectors))
        calibration = _calibration(work, vectors, heads["source"], core[:MOST_CALIBRATED], settings.seed)
        threshold, scale = edge_weights(calibration, settings.threshold)
        blend_by_source(vectors, _sources_of(heads["source"], core))
        with _assigners(work, vectors, len(core), engine) as assign:
            labels, found = cluster(vectors, core, threshold, scale, settings, say, assign)
        confidence = place_short_windows(
            work,
            vectors,
            labels,
            heads,
            embed or Embedder(model_of(work)),
            core_records=settings.core_records,
            seed=settings.seed,
        )
        labels = by_size(labels)
        found["n_clusters"] = int(labels.max(initial=-1)) + 1
        if len(core) < len(labels):
            placed = int((confidence >= SMALLEST_CONFIDENCE).sum())
            say(
                f"{counted(placed, 'window')} of fewer than {settings.core_records} records placed in clusters; "
                f"{counted(len(labels) - len(core) - placed, 'window')} left alone because they are too short"
            )
        np.save(partial / LABELS, labels)
        np.save(partial / CONFIDENCE, confidence)
        np.save(partial / MARGINS, window_margins(vectors, labels, threshold, scale))
        found["seconds"] = round(time.monotonic() - started, 2)
        content = {"solution": found, "calibration": calibration.to_dict() if calibration else None}
        write_text(partial / SOLUTION, json.dumps(content, indent=1) + "\n")

    if not run_stage(work / CLUSTERS, ingredients, build):
        say("using the existing clusters")
    return read_clusters(work).facts["solution"]


@contextmanager
def _assigners(work: Path, vectors: np.ndarray, n_core: int, engine: EngineSettings | None) -> Iterator[Assign]:
    """Runs tasks over rows of the vectors: on Spark's executors if not all windows are solved, or else here."""
    if engine is None or engine.engine != "spark" or n_core <= MOST_SOLVED:
        yield by_blocks(vectors)
        return
    from telescope_transformer.analysis.spark_stages import Executors, spark_over

    with TemporaryDirectory(prefix=".vectors-", dir=work) as folder, spark_over(work, engine, "cluster") as session:
        np.save(Path(folder) / ARRAY, vectors)
        yield Executors(work, Path(folder) / ARRAY, session)


def _calibration(
    work: Path, vectors: np.ndarray, sources: pa.ChunkedArray, rows: np.ndarray, seed: int
) -> Calibration | None:
    """The calibration on some windows, as they are before they are blended."""
    model = model_of(work)
    unseen = unseen_windows(work, model, sources)[rows]
    return calibration_for(vectors[rows], sources.take(pa.array(rows)), model, seed, unseen)


def _sources_of(sources: pa.ChunkedArray, core: np.ndarray) -> np.ndarray:
    """Code of each core window's source, -1 for all other windows."""
    codes = np.full(len(sources), -1, dtype=np.int64)
    codes[core] = sources.take(pa.array(core)).combine_chunks().dictionary_encode().indices.to_numpy()
    return codes


def by_blocks(vectors: np.ndarray) -> Assign:
    """Runs tasks over rows of the vectors in this process, in blocks that fit into memory.

    Returns:
        A function of a task, rows (m,), and how many numbers the task keeps in memory per row. It yields blocks of the
        rows, each with the task's result for them.
    """

    def each(task: Task, rows: np.ndarray, cells_a_row: int) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        for block in row_blocks(len(rows), cells_a_row):
            yield rows[block], task(np.asarray(vectors[rows[block]]), rows[block])

    return each


class Clusters(NamedTuple):
    """Clusters of a work folder's windows.

    Attributes:
        labels: int64 (n,).
        margins: float32 (n,), how clearly each window belongs to its cluster.
        confidence: float32 (n,), for windows with few records the probability that the most similar cluster is the
            right one; NaN for other windows.
        facts: `solution` and `calibration`, plain values.
    """

    labels: np.ndarray
    margins: np.ndarray
    confidence: np.ndarray
    facts: dict[str, Any]


def read_clusters(work: Path) -> Clusters:
    """Read the clusters of a work folder's windows, numbered 0..k-1 from the largest.

    Raises:
        DatasetError: if there are none, or they are damaged.
    """
    folder = work / CLUSTERS
    try:
        labels, margins, confidence = (
            np.load(folder / name, allow_pickle=False) for name in (LABELS, MARGINS, CONFIDENCE)
        )
        return Clusters(labels, margins, confidence, json.loads((folder / SOLUTION).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder}: no clusters: {error}; run telescope cluster {work}") from error


def calibration_for(
    embeddings: np.ndarray, sources: pa.ChunkedArray, model: str | None, seed: int, unseen: np.ndarray | None = None
) -> Calibration | None:
    """A calibration fitted to these windows; if they are too few, the checkpoint's, or None if it has none.

    At most the first `MOST_CALIBRATED` windows are used. Windows are ordered by a hash of their source, so these
    belong to a random part of the sources.

    Args:
        embeddings: float32 (n, dimensions).
        sources: (n,) source of each window.
        model: the checkpoint that made the embeddings.
        seed: seed of the draws.
        unseen: bool (n,), windows of sources that the model did not learn from; None means all.
    """
    some = np.asarray(embeddings[:MOST_CALIBRATED])
    codes = pc.rank(sources.slice(0, len(some)), tiebreaker="dense").to_numpy().astype(np.int64)
    try:
        return calibrate(some, codes, unseen=None if unseen is None else unseen[: len(some)], seed=seed)
    except DatasetError:
        file = embedding.file_beside(model, FILE_NAME)
        return Calibration.load(file.parent) if file else None


def edge_weights(calibration: Calibration | None, threshold: float | None) -> tuple[float, float]:
    """Threshold and scale of the signed weights `scale * (cosine - threshold)`.

    A calibration gives weights in nats. A threshold given by the user replaces the calibration's.
    """
    if calibration is None:
        return (DEFAULT_THRESHOLD if threshold is None else threshold), 1.0
    return (calibration.threshold if threshold is None else threshold), calibration.slope


def cluster(
    vectors: np.ndarray,
    core: np.ndarray,
    threshold: float,
    scale: float,
    settings: AnalysisSettings,
    say: Say,
    assign: Assign | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Cluster the core windows; returns labels (n,) int64, -1 for all other windows, and facts about the clustering.

    Args:
        vectors: float32 (n, dimensions), rows of length 1.
        core: rows of the windows that determine the clusters.
        threshold, scale: as `edge_weights` returns them.
        settings: seed and time limit.
        say: called with messages about the result.
        assign: runs tasks over rows of the vectors; None is `by_blocks`.
    """
    assign = assign or by_blocks(vectors)
    labels = np.full(len(vectors), -1, dtype=np.int64)
    first, rest = core[:MOST_SOLVED], core[MOST_SOLVED:]
    solved, proved, graph_says = _solve(vectors[first], threshold, settings, say)
    labels[first] = solved
    n_assigned = len(core) - len(first)
    newest = first
    while len(rest):
        rest = _join(assign, labels, rest, _Centres(vectors, labels, newest, threshold))
        newest, rest = rest[:MOST_SOLVED], rest[MOST_SOLVED:]
        if len(newest):
            labels[newest] = labels.max() + 1 + _search(vectors[newest], threshold, settings)[0]
    if len(core) > len(first):
        _settle(assign, labels, core, _Centres(vectors, labels, core, threshold))
    found = solution(proved, threshold, scale) | {
        "n_clusters": int(labels.max(initial=-1)) + 1,
        "solver": "local_search+dual" if n_assigned == 0 else "local_search+dual of a part, the others assigned",
        "outside_pairs": graph_says,
        "n_solved": len(first),
        "assigned_share": round(n_assigned / max(1, len(core)), 4),
    }
    if n_assigned:
        say(
            f"{_in_words(labels[core])} in all; the proof covers {counted(len(first), 'window')}, "
            f"the other {percent(found['assigned_share'])} joined the clusters that attract them"
        )
    return labels, found


def _search(vectors: np.ndarray, threshold: float, settings: AnalysisSettings) -> tuple[np.ndarray, Any]:
    """Labels by a search with bounded work instead of a time limit: equal labels on slow and fast machines."""
    graph = CorrelationClustering(random_state=settings.seed, memory_limit=MATRIX_BYTES).graph_of(vectors, threshold)
    restarts = max(1, int(SEARCH_CELLS / max(1, graph.n) ** 2))
    return refine(graph, seed=settings.seed, restarts=restarts), graph


def _solve(
    vectors: np.ndarray, threshold: float, settings: AnalysisSettings, say: Say
) -> tuple[np.ndarray, Solution, str]:
    labels, graph = _search(vectors, threshold, settings)
    say(f"{_in_words(labels)} at cosine threshold {threshold:.3f}; proving how good the clustering is")
    proved = certify(graph, labels, time_limit=settings.time_limit, gap=ENOUGH, seed=settings.seed)
    gap = proved.summary()["gap"]
    if proved.cost > 0:
        proof = (
            f"of which no other clustering can save more than {max(gap, 1e-4):.2%}" if gap else "the lowest possible"
        )
        say(f"cost {proved.cost:.4g}, {'nothing is proved' if gap is None else proof}")
    else:
        say("cost 0: no clustering costs less")
    return labels, proved, graph.outside_pairs


def _in_words(labels: np.ndarray) -> str:
    """The numbers of clusters with several windows and of singletons, counted as in the report."""
    sizes = np.unique_counts(labels).counts
    alone = int((sizes == 1).sum())
    return clusters_in_words(len(sizes) - alone, alone)


class _Centres:
    """Clusters represented by the sums of their members' vectors, to find the one that attracts a window most.

    With more than `similarity.Nearest.EXACT_UP_TO` clusters, the nearest means are found approximately.

    Args:
        vectors: float32 (n, dimensions) of all windows.
        labels: (n,) clusters.
        members: rows of the windows whose clusters these are.
        threshold: the cosine at which a pair neither attracts nor repels.
    """

    # Nearest means whose sums of weights are compared. The largest sum rarely belongs to a cluster further away.
    CANDIDATES = 16

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, members: np.ndarray, threshold: float):
        self.clusters, compact = np.unique(labels[members], return_inverse=True)
        sums = np.zeros((len(self.clusters), vectors.shape[1]))
        for block in row_blocks(len(members), vectors.shape[1]):
            add_to_sums(sums, compact[block], np.asarray(vectors[members[block]]))
        self._sizes = np.bincount(compact).astype(np.float32)
        self._sums = sums.astype(np.float32)
        self._threshold = np.float32(threshold)

    @cached_property
    def _search(self) -> Nearest:
        return Nearest(self._sums / self._sizes[:, None])

    def __getstate__(self) -> dict[str, Any]:
        # The search index is not sent to executors; each builds its own.
        return {name: value for name, value in self.__dict__.items() if name != "_search"}

    @property
    def cells_a_row(self) -> int:
        """Numbers in memory per window."""
        return max(self._search.cells_a_row, self.CANDIDATES * self._sums.shape[1])

    def attraction(self, vectors: np.ndarray, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The cluster that attracts each window most, and the sum of the weights to its members.

        Args:
            vectors: float32 (m, dimensions).
            own: (m,) clusters of the windows, if they are members. Their own vectors are then not counted.
        """
        places, _ = self._search.of(vectors, self.CANDIDATES)
        weights = np.einsum("ij,ikj->ik", vectors, self._sums[places]) - self._threshold * self._sizes[places]
        weights[places < 0] = -np.inf
        if own is not None:
            itself = np.einsum("ij,ij->i", vectors, vectors) - self._threshold
            weights -= np.where(self.clusters[places] == own[:, None], itself[:, None], 0)
        best = weights.argmax(axis=1)
        here = np.arange(len(vectors))
        return self.clusters[places[here, best]], weights[here, best]

    def to_own(self, vectors: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Sum of the weights between each member and the other members of its cluster (m,)."""
        place = np.searchsorted(self.clusters, own)
        itself = np.einsum("ij,ij->i", vectors, vectors) - self._threshold
        inside = np.einsum("ij,ij->i", vectors, self._sums[place]) - self._threshold * self._sizes[place]
        return inside - itself


def _join(assign: Assign, labels: np.ndarray, rows: np.ndarray, centres: _Centres) -> np.ndarray:
    """Let each window join the cluster that attracts it most; returns the windows that no cluster attracts."""

    def attraction(vectors: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, ...]:
        return centres.attraction(vectors)

    alone = []
    for some, (best, weight) in assign(attraction, rows, centres.cells_a_row):
        joins = weight > 0
        labels[some[joins]] = best[joins]
        alone.append(some[~joins])
    return np.concatenate(alone)


def _settle(assign: Assign, labels: np.ndarray, core: np.ndarray, centres: _Centres) -> None:
    """Move each core window once more to the cluster that attracts it most, now that all of them have a cluster."""
    before = labels.copy()

    def move(vectors: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, ...]:
        own = before[some]
        best, weight = centres.attraction(vectors, own)
        moves = weight > np.maximum(centres.to_own(vectors, own), 0) + ROUNDING
        return (np.where(moves, best, own),)

    for some, (moved,) in assign(move, core, centres.cells_a_row):
        labels[some] = moved


def by_size(labels: np.ndarray) -> np.ndarray:
    """Number clusters by size, the largest 0; clusters of equal size are in the order of their first members."""
    if not len(labels):
        return labels
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(first))
    return rank[inverse]


def solution(found: Solution, threshold: float, scale: float) -> dict[str, Any]:
    """Facts about a clustering, in units of edge weight; bound and gap are None if nothing was proved.

    Args:
        found: the solution, in units of cosine.
        threshold, scale: of the edge weights `scale * (cosine - threshold)`.
    """
    return {"threshold": float(threshold), "scale": float(scale), **found.scaled(scale).summary()}
