"""Agreement of a clustering with a ground truth: scores of joined and cut edges, and common scores of partitions.

All scores are computed from the contingency table, without enumerating pairs. Unlike the scores of scikit-learn, they
accept weights: in a bootstrap replicate over sources, a window counts as often as its source was drawn. A pair inside
a source counts as often as the source was drawn, not the square of that number, because two draws of the same source
do not form pairs with each other (as in `pairs`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.errors import InputError


class _Partition(NamedTuple):
    """A partition of weighted windows.

    Attributes:
        sizes: (groups,) sum of the weights of the windows in each group.
        surplus: the part of the squared sizes that is not twice the weight of pairs; see `_partition`.
    """

    sizes: NDArray[np.float64]
    surplus: float

    @property
    def pairs(self) -> float:
        """Weight of the pairs of different windows within the groups."""
        return float((self.sizes**2).sum() - self.surplus) / 2


class _Contingency(NamedTuple):
    """Partitions of the windows by class and cluster together, by class, by cluster, and into one group."""

    cells: _Partition
    classes: _Partition
    clusters: _Partition
    whole: _Partition


def cluster_scores(
    truth: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None, sources: np.ndarray | None = None
) -> Mapping[str, float]:
    """Scores of `edge_scores` and `partition_scores` together.

    Raises:
        InputError: if lengths differ, or there is nothing to compare.
    """
    return edge_scores(truth, clusters, weights, sources) | partition_scores(truth, clusters, weights, sources)


def edge_scores(
    truth: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None, sources: np.ndarray | None = None
) -> dict[str, float]:
    """Precision, recall and F1 of the joined and of the cut edges of the complete graph (the paper's evaluation).

    Precision is NaN if no edges are predicted, recall is NaN if there are none to find; then F1 is NaN too.

    Args:
        truth, clusters: (n,) labels of any kind.
        weights: (n,) at least 0, how often each window counts. The weight of a pair is the product of its windows'
            weights.
        sources: (n,) labels of windows that are drawn together and therefore have equal weights; the weight of a pair
            inside a source is that weight, not its square. None means that each window is drawn separately.

    Returns:
        `join_precision`, `join_recall`, `join_f1` and the same for `cut_`.
    """
    both, truly, joined, total = (part.pairs for part in _contingency(truth, clusters, weights, sources))
    neither = total - truly - joined + both
    return _edge("join", both, joined, truly) | _edge("cut", neither, total - joined, total - truly)


def partition_scores(
    truth: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None, sources: np.ndarray | None = None
) -> dict[str, float]:
    """Adjusted Rand index, V-measure with its parts, variation of information in bits, and numbers of clusters.

    The V-measure favours many small clusters; the adjusted Rand index and the variation of information do not.
    References: Hubert and Arabie, "Comparing partitions", 1985; Rosenberg and Hirschberg, 2007; Meila, "Comparing
    clusterings", 2007, H(truth | clusters) + H(clusters | truth). Arguments are those of `edge_scores`; `sources`
    affects only the adjusted Rand index, because the other scores do not count pairs.
    """
    table = _contingency(truth, clusters, weights, sources)
    joint, classes, groups = (_entropy(part.sizes) for part in (table.cells, table.classes, table.clusters))
    homogeneity = 1 - (joint - groups) / classes if classes > 0 else 1.0
    completeness = 1 - (joint - classes) / groups if groups > 0 else 1.0
    both = homogeneity + completeness
    return {
        "ari": _adjusted_rand(table),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": 2 * homogeneity * completeness / both if both > 0 else 0.0,
        "variation_of_information": 2 * joint - classes - groups,
        "n_clusters": float((table.clusters.sizes > 0).sum()),
        "n_classes": float((table.classes.sizes > 0).sum()),
    }


def _contingency(
    truth: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None, sources: np.ndarray | None
) -> _Contingency:
    if len(truth) != len(clusters) or len(truth) == 0:
        raise InputError(f"{len(truth)} true labels and {len(clusters)} clusters cannot be compared")
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    units = np.arange(len(truth)) if sources is None else np.unique(sources, return_inverse=True)[1]
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (truth, clusters))
    groupings = (_crossed(rows, columns), rows, columns, np.zeros_like(rows))
    return _Contingency(*(_partition(codes, weights, units) for codes in groupings))


def _crossed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Number the combinations of two arrays of codes, from 0."""
    return np.unique(first * (second.max() + 1) + second, return_inverse=True)[1]


def _partition(codes: np.ndarray, weights: np.ndarray, units: np.ndarray) -> _Partition:
    """Partition windows. Windows of the same unit have equal weights.

    For m windows of weight w in a unit and group, the squared size has the term w^2 m^2, but twice the weight of their
    pairs is w m (m - 1). The surplus sums the differences.
    """
    own = _crossed(codes, units)
    members = np.bincount(own)
    weight = np.bincount(own, weights) / members
    surplus = float((weight * (weight - 1) * members**2 + weight * members).sum())
    return _Partition(np.bincount(codes, weights).astype(np.float64), surplus)


def _adjusted_rand(table: _Contingency) -> float:
    both, truly, joined, total = (part.pairs for part in table)
    expected = truly * joined / total if total > 0 else 0.0
    most = (truly + joined) / 2
    return (both - expected) / (most - expected) if most != expected else 1.0


def _entropy(sizes: np.ndarray) -> float:
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-(shares * np.log2(shares)).sum())


def _edge(name: str, right: float, claimed: float, true: float) -> dict[str, float]:
    precision = right / claimed if claimed else float("nan")
    recall = right / true if true else float("nan")
    both = precision + recall
    f1 = (2 * precision * recall / both if both else 0.0) if both == both else float("nan")
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}
