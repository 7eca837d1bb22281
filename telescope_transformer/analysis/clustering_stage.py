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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.analysis.assignment import Assign, AttractingClusters, by_blocks, join, settle
from telescope_transformer.analysis.embedding_stage import (
    ARRAY,
    LazyEmbedder,
    calibration_of_adapted,
    model_of,
    open_embeddings,
    unseen_windows,
)
from telescope_transformer.analysis.settings import AnalysisSettings
from telescope_transformer.analysis.short_windows import place_short_windows, windows_in
from telescope_transformer.analysis.work import CLUSTERS, EMBEDDINGS, MODEL, advice, made_of, run_stage
from telescope_transformer.arrays import load_array
from telescope_transformer.calibration import Calibration, calibrate
from telescope_transformer.correlation_clustering import (
    CorrelationClustering,
    DenseGraph,
    Solution,
    certify,
    refine,
)
from telescope_transformer.correlation_clustering.graph import Graph
from telescope_transformer.errors import DatasetError, reason
from telescope_transformer.files import read_json, write_text
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.memory import release_memory
from telescope_transformer.placement import Embed
from telescope_transformer.preparation import EngineSettings, read_heads, read_manifest
from telescope_transformer.progress import Say
from telescope_transformer.report.summary_check import SUMMARY
from telescope_transformer.shapes import OrNull, check_shape
from telescope_transformer.similarity import blend_by_source, window_margins
from telescope_transformer.threshold import DEFAULT_THRESHOLD
from telescope_transformer.words import certificate, clusters_in_words, counted, percent

# Work of the search: number of restarts times squared number of windows. It takes under a minute on one core.
SEARCH_CELLS = 2e8
# Most windows that are solved together. Computing the cost over all their pairs takes seconds.
MOST_SOLVED = 20_000
# Largest matrix of all pairs in bytes: for up to 11,585 windows. With more, no matrix is kept in memory and the
# lower bound is weaker.
MATRIX_BYTES = 2**29
# The proof stops at this relative gap, because no decision depends on a smaller one. On 2,500 windows, closing the gap
# from 0.5 % to 0.2 % took three times as long.
SUFFICIENT_GAP = 0.01
# Most windows that a calibration is fitted to or checked on.
MOST_CALIBRATED = 20_000
LABELS, CONFIDENCE, MARGINS, SOLUTION = "labels.npy", "confidence.npy", "margins.npy", "solution.json"
# The type of each file's values, one for each window.
ARRAYS = {LABELS: np.int64, MARGINS: np.float32, CONFIDENCE: np.float32}
SHAPE: dict[str, Any] = {"solution": SUMMARY["solution"] | {"threshold": "number"}, "calibration": OrNull({})}


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
        _write_clusters(work, partial, settings, say, embed or LazyEmbedder(model_of(work)), engine)

    if not run_stage(work / CLUSTERS, ingredients, build):
        say("using the existing clusters")
    return read_clusters(work).solution


def _write_clusters(
    work: Path, partial: Path, settings: AnalysisSettings, say: Say, embed: Embed, engine: EngineSettings | None
) -> None:
    """Cluster the windows of a work folder, and write the files of the stage into the folder `partial`."""
    heads = read_heads(work)
    vectors = open_embeddings(work, heads.num_rows, mode="c")
    started = time.monotonic()
    n_records = heads["n_records"].to_numpy()
    core = np.flatnonzero(n_records >= settings.core_records)
    if not len(core):
        core = np.arange(len(vectors))
    calibration = _calibration(work, vectors, heads["source"], core[:MOST_CALIBRATED], settings.seed)
    # Here and in the report, the freed memory would add to the peak of the next step.
    release_memory()
    threshold, scale = edge_weights(calibration, settings.threshold)
    blend_by_source(vectors, _sources_of(heads["source"], core))
    with _assigners(work, vectors, len(core), engine) as assign:
        labels, found = cluster(vectors, core, threshold, scale, settings, say, assign)
    confidence = place_short_windows(
        vectors,
        labels,
        heads,
        lambda rows: windows_in(work, rows),
        embed,
        say,
        core_records=settings.core_records,
        seed=settings.seed,
    )
    labels = by_size(labels)
    found["n_clusters"] = int(labels.max(initial=-1)) + 1
    np.save(partial / LABELS, labels)
    np.save(partial / CONFIDENCE, confidence)
    np.save(partial / MARGINS, window_margins(vectors, labels, threshold, scale))
    found["seconds"] = round(time.monotonic() - started, 2)
    content = {"solution": found, "calibration": calibration.to_dict() if calibration else None}
    write_text(partial / SOLUTION, json.dumps(content, indent=1) + "\n")


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
    unseen = unseen_windows(model, sources)

    def of_checkpoint() -> Calibration | None:
        if model == str(work / MODEL):
            return calibration_of_adapted(work, seed)
        return Calibration.of_checkpoint(checkpoint_folder(model))

    return calibration_for(
        vectors[rows], sources.take(pa.array(rows)), of_checkpoint, seed, None if unseen is None else unseen[rows]
    )


def _sources_of(sources: pa.ChunkedArray, core: np.ndarray) -> np.ndarray:
    """Code of each core window's source, -1 for all other windows."""
    codes = np.full(len(sources), -1, dtype=np.int64)
    codes[core] = sources.take(pa.array(core)).combine_chunks().dictionary_encode().indices.to_numpy()
    return codes


class Clusters(NamedTuple):
    """Clusters of a work folder's windows.

    Attributes:
        labels: int64 (n,).
        margins: float32 (n,), how clearly each window belongs to its cluster.
        confidence: float32 (n,), for windows with few records the probability that the most similar cluster is the
            right one; NaN for other windows.
        solution: facts about the clustering, plain values.
        calibration: of the windows, or of the checkpoint; None if there is none.
    """

    labels: np.ndarray
    margins: np.ndarray
    confidence: np.ndarray
    solution: dict[str, Any]
    calibration: Calibration | None


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turns what reading a file of the clusters raises into a DatasetError that names the file."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: no clusters: {reason(error)}; {advice(path.parent, 'cluster')}") from error


def _array(path: Path, kind: type, number: int) -> np.ndarray:
    with _damage(path):
        array = load_array(path)
        if array.dtype != kind or array.shape != (number,):
            raise ValueError(f"{array.dtype} {array.shape} is not a value for each of {number} windows")
    return array


def read_clusters(work: Path) -> Clusters:
    """Read the clusters of a work folder's windows, numbered 0..k-1 from the largest.

    Raises:
        DatasetError: if there are none, they are damaged, or they are of other embeddings than the folder now has; the
            message names the file or folder.
    """
    number = sum(file.windows for file in read_manifest(work).files)
    folder = work / CLUSTERS
    with _damage(folder / SOLUTION):
        facts = read_json(folder / SOLUTION)
        check_shape(facts, SHAPE)
        calibration = Calibration.from_dict(facts["calibration"]) if facts["calibration"] else None
    arrays = {name: _array(folder / name, kind, number) for name, kind in ARRAYS.items()}
    with _damage(folder / LABELS):
        if (arrays[LABELS] < 0).any() or arrays[LABELS].max(initial=0) >= max(1, number):
            raise ValueError("labels are not numbers of clusters")
    with _damage(folder / MARGINS):
        if not np.isfinite(arrays[MARGINS]).all():
            raise ValueError("a margin is not a finite number")
    with _damage(folder / CONFIDENCE):
        told = arrays[CONFIDENCE][~np.isnan(arrays[CONFIDENCE])]
        if ((told < 0) | (told > 1)).any():
            raise ValueError("a confidence is not a probability")
    if (made_of(folder) or {}).get("embeddings") != made_of(work / EMBEDDINGS):
        raise DatasetError(
            f"{folder} was made from other embeddings than {work} holds now: run telescope cluster {work}"
        )
    return Clusters(arrays[LABELS], arrays[MARGINS], arrays[CONFIDENCE], facts["solution"], calibration)


def calibration_for(
    embeddings: np.ndarray,
    sources: pa.ChunkedArray,
    of_checkpoint: Callable[[], Calibration | None],
    seed: int,
    unseen: np.ndarray | None = None,
) -> Calibration | None:
    """A calibration fitted to these windows; if they are too few, the checkpoint's, or None if it has none.

    At most the first `MOST_CALIBRATED` windows are used. Windows are ordered by a hash of their source, so these
    belong to a random part of the sources.

    Args:
        embeddings: float32 (n, dimensions).
        sources: (n,) source of each window.
        of_checkpoint: returns the calibration of the checkpoint that made the embeddings.
        seed: seed of the draws.
        unseen: bool (n,), windows of sources that the model certainly did not learn from; None means all.
    """
    some = np.asarray(embeddings[:MOST_CALIBRATED])
    names = sources.slice(0, len(some)).to_numpy(zero_copy_only=False)
    try:
        return calibrate(some, names, unseen=None if unseen is None else unseen[: len(some)], seed=seed)
    except DatasetError:
        return of_checkpoint()


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
    solved, proved, graph_says = _solve(vectors[first], threshold, scale, settings, say)
    labels[first] = solved
    n_assigned = len(core) - len(first)
    newest = first
    while len(rest):
        rest = join(assign, labels, rest, AttractingClusters(vectors, labels, newest, threshold))
        newest, rest = rest[:MOST_SOLVED], rest[MOST_SOLVED:]
        if len(newest):
            labels[newest] = labels.max() + 1 + _search(vectors[newest], threshold, settings)[0]
    if len(core) > len(first):
        settle(assign, labels, core, AttractingClusters(vectors, labels, core, threshold))
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
    if vectors.itemsize * len(vectors) ** 2 <= MATRIX_BYTES:
        # In float32, as the vectors. The estimator computes a small matrix in float64, which takes twice the memory
        # and gives the same clusters.
        graph: Graph = DenseGraph(vectors @ vectors.T, threshold)
    else:
        graph = CorrelationClustering(random_state=settings.seed, memory_limit=0).graph_of(vectors, threshold)
    restarts = max(1, int(SEARCH_CELLS / max(1, graph.n) ** 2))
    return refine(graph, seed=settings.seed, restarts=restarts), graph


def _solve(
    vectors: np.ndarray, threshold: float, scale: float, settings: AnalysisSettings, say: Say
) -> tuple[np.ndarray, Solution, str]:
    labels, graph = _search(vectors, threshold, settings)
    say(f"{_in_words(labels)} at cosine threshold {threshold:.3f}; proving how good the clustering is")
    proved = certify(graph, labels, time_limit=settings.time_limit, gap=SUFFICIENT_GAP, seed=settings.seed)
    say(certificate(scale * proved.cost, proved.gap))
    return labels, proved, graph.outside_pairs


def _in_words(labels: np.ndarray) -> str:
    """The numbers of clusters with several windows and of singletons, counted as in the report."""
    sizes = np.unique_counts(labels).counts
    alone = int((sizes == 1).sum())
    return clusters_in_words(len(sizes) - alone, alone)


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
