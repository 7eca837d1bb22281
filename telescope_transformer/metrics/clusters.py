"""Agreement of a clustering with a ground truth: edges joined and cut, and the usual scores of partitions."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

from telescope_transformer.errors import InputError


def edge_scores(truth: NDArray, clusters: NDArray) -> dict[str, float]:
    """Precision, recall and F1 of the joined and of the cut edges of the complete graph (the paper's evaluation).

    Counted from the contingency table, so the n (n - 1) / 2 pairs are never enumerated. A precision of no edges, and a
    recall of none to find, is NaN, and so is their F1.

    Arguments:
        truth, clusters: (n,) labels of any kind.

    Returns:
        `join_precision`, `join_recall`, `join_f1` and the same for `cut_`.
    """
    table = _contingency(truth, clusters)
    both = _pairs(table.data)
    joined_truly, joined = _pairs(table.sum(axis=1)), _pairs(table.sum(axis=0))
    total = _pairs(np.array([len(truth)]))
    neither = total - joined_truly - joined + both
    return _edge("join", both, joined, joined_truly) | _edge("cut", neither, total - joined, total - joined_truly)


def partition_scores(truth: NDArray, clusters: NDArray) -> dict[str, float]:
    """Adjusted Rand index, V-measure with its parts, variation of information in bits, and numbers of clusters.

    The V-measure flatters many small clusters; the adjusted Rand index and the variation of information do not.
    Variation of information: Meila, "Comparing clusterings", 2007, H(truth | clusters) + H(clusters | truth).
    """
    table = _contingency(truth, clusters)
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(truth, clusters)
    joint = _entropy(table.data)
    return {
        "ari": float(adjusted_rand_score(truth, clusters)),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "v_measure": float(v_measure),
        "variation_of_information": 2 * joint - _entropy(table.sum(axis=1)) - _entropy(table.sum(axis=0)),
        "n_clusters": float(table.shape[1]),
        "n_classes": float(table.shape[0]),
    }


def _contingency(truth: NDArray, clusters: NDArray) -> coo_array:
    """Windows in common of each class and cluster, sparse, (classes, clusters)."""
    if len(truth) != len(clusters) or len(truth) == 0:
        raise InputError(f"{len(truth)} true labels and {len(clusters)} clusters cannot be compared")
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (truth, clusters))
    table = coo_array((np.ones(len(rows)), (rows, columns)))
    table.sum_duplicates()
    return table


def _pairs(sizes: NDArray) -> float:
    return float((sizes * (sizes - 1) / 2).sum())


def _entropy(sizes: NDArray) -> float:
    shares = sizes / sizes.sum()
    return float(-(shares * np.log2(shares)).sum())


def _edge(name: str, right: float, claimed: float, true: float) -> dict[str, float]:
    precision = right / claimed if claimed else float("nan")
    recall = right / true if true else float("nan")
    both = precision + recall
    f1 = (2 * precision * recall / both if both else 0.0) if both == both else float("nan")
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}
