"""Agreement of a clustering with a ground truth: edges joined and cut, and the usual scores of partitions.

All scores come from the contingency table, so pairs are never enumerated, and take weights, which scikit-learn's do
not: in a bootstrap replicate over sources a window counts as often as its source was drawn.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.errors import InputError


class _Contingency(NamedTuple):
    """Summed weights of the windows of each class and cluster that meet, of the classes, and of the clusters."""

    cells: NDArray[np.float64]
    classes: NDArray[np.float64]
    clusters: NDArray[np.float64]
    squares: float


def cluster_scores(truth: NDArray, clusters: NDArray, weights: NDArray | None = None) -> Mapping[str, float]:
    """`edge_scores` and `partition_scores` in one.

    Raises:
        InputError: where lengths differ, or there is nothing to compare.
    """
    return edge_scores(truth, clusters, weights) | partition_scores(truth, clusters, weights)


def edge_scores(truth: NDArray, clusters: NDArray, weights: NDArray | None = None) -> dict[str, float]:
    """Precision, recall and F1 of the joined and of the cut edges of the complete graph (the paper's evaluation).

    A precision of no edges, and a recall of none to find, is NaN, and so is their F1.

    Arguments:
        truth, clusters: (n,) labels of any kind.
        weights: (n,) at least 0; a pair counts as often as the product of its two.

    Returns:
        `join_precision`, `join_recall`, `join_f1` and the same for `cut_`.
    """
    table = _contingency(truth, clusters, weights)
    both, truly, joined = (_pairs(sizes, table) for sizes in (table.cells, table.classes, table.clusters))
    total = _pairs(np.array([table.classes.sum()]), table)
    neither = total - truly - joined + both
    return _edge("join", both, joined, truly) | _edge("cut", neither, total - joined, total - truly)


def partition_scores(truth: NDArray, clusters: NDArray, weights: NDArray | None = None) -> dict[str, float]:
    """Adjusted Rand index, V-measure with its parts, variation of information in bits, and numbers of clusters.

    The V-measure flatters many small clusters; the adjusted Rand index and the variation of information do not.
    Sources: Hubert and Arabie, "Comparing partitions", 1985; Rosenberg and Hirschberg, 2007; Meila, "Comparing
    clusterings", 2007, H(truth | clusters) + H(clusters | truth).
    """
    table = _contingency(truth, clusters, weights)
    joint, classes, groups = (_entropy(sizes) for sizes in (table.cells, table.classes, table.clusters))
    homogeneity = 1 - (joint - groups) / classes if classes > 0 else 1.0
    completeness = 1 - (joint - classes) / groups if groups > 0 else 1.0
    both = homogeneity + completeness
    return {
        "ari": _adjusted_rand(table),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": 2 * homogeneity * completeness / both if both > 0 else 0.0,
        "variation_of_information": 2 * joint - classes - groups,
        "n_clusters": float((table.clusters > 0).sum()),
        "n_classes": float((table.classes > 0).sum()),
    }


def _contingency(truth: NDArray, clusters: NDArray, weights: NDArray | None) -> _Contingency:
    if len(truth) != len(clusters) or len(truth) == 0:
        raise InputError(f"{len(truth)} true labels and {len(clusters)} clusters cannot be compared")
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (truth, clusters))
    cells = np.unique(rows * (columns.max() + 1) + columns, return_inverse=True)[1]
    sums = [np.bincount(codes, weights).astype(np.float64) for codes in (cells, rows, columns)]
    return _Contingency(sums[0], sums[1], sums[2], float((weights**2).sum()))


def _pairs(sizes: NDArray, table: _Contingency) -> float:
    """Weight of the pairs of different windows within the groups of these summed weights."""
    return float((sizes**2).sum() - table.squares) / 2


def _adjusted_rand(table: _Contingency) -> float:
    both, truly, joined = (_pairs(sizes, table) for sizes in (table.cells, table.classes, table.clusters))
    total = _pairs(np.array([table.classes.sum()]), table)
    expected = truly * joined / total if total > 0 else 0.0
    most = (truly + joined) / 2
    return (both - expected) / (most - expected) if most != expected else 1.0


def _entropy(sizes: NDArray) -> float:
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-(shares * np.log2(shares)).sum())


def _edge(name: str, right: float, claimed: float, true: float) -> dict[str, float]:
    precision = right / claimed if claimed else float("nan")
    recall = right / true if true else float("nan")
    both = precision + recall
    f1 = (2 * precision * recall / both if both else 0.0) if both == both else float("nan")
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}
