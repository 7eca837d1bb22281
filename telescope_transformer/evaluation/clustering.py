"""Clusterings of a representation, scored against organisations and against sources.

Correlation clustering uses the similarity minus a threshold as edge weight. In practice there are no labels from which
to choose the threshold, so two choices that need no labels are measured. The best threshold of a sweep, which needs
labels, is the reference:

- `calibrated`: what `telescope analyze` does (`telescope_transformer.calibration`), fitted on the validation sources;
- `balanced`: the threshold that maximises, on the validation sources, the share of same-source pairs above it minus
  the share of other pairs above it (Youden's index).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD

from telescope_transformer.correlation_clustering import CorrelationClustering, sweep_similarities
from telescope_transformer.correlation_clustering.solution import relative_gap
from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.baselines.communities import density_clusters
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.summary import number
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.metrics.clusters import cluster_scores
from telescope_transformer.metrics.pairs import all_pairs, condensed
from telescope_transformer.threshold import reproducible_threshold

# Our choice. More thresholds would change the best score of a sweep little.
SWEEP_POINTS = 24
# Above this number of windows no lower bound is computed; `tables.CLUSTER_NOTE` says so.
PROVED_WINDOWS = 600
# The search has a fixed amount of work, so labels do not depend on the machine. Only the proof has a time limit.
BOUND_SECONDS = 2.0
# The default of HDBSCAN.
SMALLEST_CLUSTER = 5
# A bootstrap replicate contains about 63 % of the sources, so metrics that grow with their number get no interval.
COUNTS = frozenset({"n_clusters", "n_classes"})
ENTROPIES = frozenset({"homogeneity", "completeness", "v_measure", "variation_of_information"})
# The dimensions of the paper's embeddings; wider vectors are reduced for k-means and HDBSCAN.
WIDEST = 128


# For each metric a list with an element per threshold of the sweep; None if it is not defined.
Curves = dict[str, list[float | None]]


@dataclass(frozen=True)
class Truth:
    """A true partition: the rows of the windows that have a class, their classes and sources."""

    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    sources: NDArray[np.int64]


@dataclass(frozen=True)
class Clustered:
    """Labels of a truth's windows, and facts from the solver (empty for other clusterers)."""

    labels: NDArray[np.int64]
    facts: dict[str, float]


def truths(windows: WindowSet) -> dict[str, Truth]:
    """The true partitions: `organisations` of the labelled windows, if there are two, and `sources` of all windows."""
    found = {}
    if windows.labels is not None and len(set(windows.labels) - {""}) > 1:
        rows = np.flatnonzero(windows.labels != "")
        found["organisations"] = Truth(
            rows, np.unique(windows.labels[rows], return_inverse=True)[1], windows.sources[rows]
        )
    found["sources"] = Truth(np.arange(len(windows)), windows.sources, windows.sources)
    return found


def clusterings(
    representation: Representation, truth: Truth, validation: Representation, validation_sources: np.ndarray, seed: int
) -> Iterator[tuple[str, Clustered]]:
    """Every clustering of a truth's windows by name, including those of the sweep (`sweep_00` and so on)."""
    similarity = representation.similarity[np.ix_(truth.rows, truth.rows)]
    vectors = None if representation.vectors is None else representation.vectors[truth.rows]
    balanced = balanced_threshold(validation.similarity, validation_sources)
    yield "balanced", proved(correlation_clusters(similarity, balanced, seed), similarity, seed)
    if vectors is not None and validation.vectors is not None:
        calibrated = calibrated_threshold(validation.vectors, validation_sources, vectors, truth.sources)
        if calibrated is not None:
            yield "calibrated", proved(correlation_clusters(similarity, calibrated, seed), similarity, seed)
        reduced = _reduced(vectors, seed)
        yield "k_means", Clustered(_k_means(reduced, len(np.unique(truth.classes)), seed), {})
        yield "hdbscan", Clustered(_hdbscan(reduced), {})
    for place, clustered in enumerate(sweep_clusterings(similarity, seed)):
        yield f"sweep_{place:02d}", clustered


def sweep_clusterings(similarity: np.ndarray, seed: int) -> Iterator[Clustered]:
    """The correlation clustering at each threshold of the sweep, ascending."""
    for point in sweep_similarities(similarity, sweep_thresholds(similarity).tolist(), random_state=seed):
        yield Clustered(point.labels, _facts(point.threshold, point.cost))


def correlation_clusters(similarity: np.ndarray, threshold: float, seed: int) -> Clustered:
    """Correlation clustering of the complete graph with weights similarity - threshold.

    Lower bound and gap are NaN; `proved` computes them.
    """
    solver = CorrelationClustering(method="local_search", random_state=seed).fit(_weights(similarity, threshold))
    return Clustered(solver.labels_, _facts(threshold, float(solver.cost_)))


def _facts(threshold: float, cost: float) -> dict[str, float]:
    return {"threshold": threshold, "cost": cost, "lower_bound": float("nan"), "gap": float("nan")}


def proved(clustered: Clustered, similarity: np.ndarray, seed: int) -> Clustered:
    """A correlation clustering with a lower bound of its cost, and the gap between the two.

    They stay NaN above `PROVED_WINDOWS` windows, or if `BOUND_SECONDS` are not enough.
    """
    if len(similarity) > PROVED_WINDOWS:
        return clustered
    weights, cost = _weights(similarity, clustered.facts["threshold"]), clustered.facts["cost"]
    solver = CorrelationClustering(time_limit=BOUND_SECONDS, random_state=seed).fit(weights)
    # Cost and bound are summed in different orders, so a bound above the cost is a rounding error.
    bound = float(np.minimum(solver.lower_bound_, cost))
    gap = relative_gap(cost, bound)
    return Clustered(clustered.labels, clustered.facts | {"lower_bound": bound, "gap": gap})


def _weights(similarity: np.ndarray, threshold: float) -> NDArray[np.float64]:
    return (similarity - threshold).astype(np.float64)


def balanced_threshold(similarity: np.ndarray, sources: np.ndarray) -> float:
    """The similarity that best separates same-source pairs from other pairs (Youden's index)."""
    first, second = all_pairs(len(sources))
    scores, same = condensed(similarity), sources[first] == sources[second]
    if not same.any() or same.all():
        raise DatasetError("a threshold needs validation pairs of one source and of different sources")
    order = np.argsort(-scores, kind="stable")
    lead = np.cumsum(np.where(same[order], 1 / same.sum(), -1 / (~same).sum()))
    # A threshold must lie between two different scores.
    ordered = scores[order]
    best = int(np.argmax(np.where(np.append(ordered[1:] != ordered[:-1], True), lead, -np.inf)))
    below = ordered[best + 1] if best + 1 < len(ordered) else ordered[best]
    return float(ordered[best] + below) / 2


def calibrated_threshold(
    validation: np.ndarray, validation_sources: np.ndarray, vectors: np.ndarray, sources: np.ndarray
) -> float | None:
    """The threshold at which the clusters of these windows are reproducible.

    If there are too few windows, the validation windows are used instead; None if these are too few as well.
    """
    evidence = reproducible_threshold(vectors, sources) or reproducible_threshold(validation, validation_sources)
    return evidence.threshold if evidence else None


def sweep_thresholds(similarity: np.ndarray) -> NDArray[np.float64]:
    """Ascending thresholds, half of them evenly spaced from the lowest to the highest similarity, half at quantiles.

    The quantiles are for representations with nearly equal similarities, such as that of an untrained network.
    """
    scores = condensed(similarity)
    even = np.linspace(scores.min(), scores.max(), SWEEP_POINTS // 2, endpoint=False)
    crowded = np.quantile(scores, 1 - np.geomspace(0.6, 0.002, SWEEP_POINTS // 2))
    return np.sort(np.concatenate([even, crowded]))


def score_clusterings(
    found: Iterator[tuple[str, Clustered]],
    truth: Truth,
    multiplicities: np.ndarray,
    prove: Callable[[Clustered], Clustered],
) -> tuple[dict[str, dict[str, np.ndarray]], Curves]:
    """Scores of each clustering with its replicates, and the curves over the sweep.

    Args:
        multiplicities: (1 + replicates, sources); the first row counts every source once.
        prove: computes the lower bound of a clustering; used for the best of the sweep only.

    Returns:
        Metrics by clustering, where `best` is the clustering of the sweep with the highest adjusted Rand index.
        Replicates of metrics that grow with the number of sources are NaN. Also the curves: for each metric a list
        with an element per threshold.
    """
    figures: dict[str, dict[str, np.ndarray]] = {}
    sweep: list[tuple[Clustered, dict[str, float]]] = []
    for name, clustered in found:
        if name.startswith("sweep"):
            sweep.append((clustered, _scores(clustered, truth, multiplicities[0])))
        else:
            figures[name] = _replicated(clustered, truth, multiplicities)
    best = max(sweep, key=lambda item: item[1]["ari"])[0]
    figures["best"] = _replicated(prove(best), truth, multiplicities)
    curves = {name: [number(scores[name]) for _, scores in sweep] for name in sweep[0][1]}
    return figures, curves


def _scores(clustered: Clustered, truth: Truth, drawn: np.ndarray) -> dict[str, float]:
    scores = cluster_scores(truth.classes, clustered.labels, drawn[truth.sources], truth.sources)
    return dict(scores) | clustered.facts


def _replicated(clustered: Clustered, truth: Truth, multiplicities: np.ndarray) -> dict[str, np.ndarray]:
    """Scores, (1 + replicates,) each. Replicates are NaN for metrics that resampling sources cannot estimate."""
    rows = [_scores(clustered, truth, drawn) for drawn in multiplicities]
    figures = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    # If the classes are the sources, the number of classes in a replicate depends on the sources drawn.
    of_sources = np.array_equal(truth.classes, truth.sources)
    for name in COUNTS | ENTROPIES if of_sources else COUNTS:
        figures[name][1:] = np.nan
    return figures


def _reduced(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Vectors of at most `WIDEST` dimensions, since the time of these clusterers grows with the dimensions."""
    if min(vectors.shape) <= WIDEST:
        return vectors
    reduced: np.ndarray = TruncatedSVD(WIDEST, random_state=seed).fit_transform(vectors)
    return reduced


def _k_means(vectors: np.ndarray, classes: int, seed: int) -> NDArray[np.int64]:
    """k-means with the true number of classes, or with as many as there are distinct vectors."""
    distinct = len(np.unique(vectors, axis=0))
    # With hundreds of clusters, restarts hardly differ and take long.
    starts = 4 if classes < 100 else 1
    labels: NDArray[np.int64] = KMeans(min(classes, distinct), n_init=starts, random_state=seed).fit_predict(vectors)
    return labels


def _hdbscan(vectors: np.ndarray) -> NDArray[np.int64]:
    """Labels of HDBSCAN; too few windows for a cluster are all singletons."""
    few = len(vectors) < SMALLEST_CLUSTER
    return np.arange(len(vectors)) if few else density_clusters(vectors, SMALLEST_CLUSTER)
