"""Agreement of a clustering with a ground truth: edges joined and cut, and the usual scores of partitions.

All scores come from the contingency table, so pairs are never enumerated, and take weights, which scikit-learn's do
not: in a bootstrap replicate over sources a window counts as often as its source was drawn. A pair of one source then
counts that often, and not its square: each draw has its own pairs, and two draws of a source have none between them
(as in `pairs`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telescope_transformer.errors import InputError


class _Partition(NamedTuple):
    """Summed weights of the windows in each group, and what their squares hold beside two of every pair's weight."""

    sizes: NDArray[np.float64]
    surplus: float

    @property
    def pairs(self) -> float:
        """Weight of the pairs of different windows within the groups."""
        return float((self.sizes**2).sum() - self.surplus) / 2


class _Contingency(NamedTuple):
    """Windows grouped by class and cluster at once, by class, by cluster, and not at all."""

    cells: _Partition
    classes: _Partition
    clusters: _Partition
    whole: _Partition


def cluster_scores(
    truth: NDArray, clusters: NDArray, weights: NDArray | None = None, sources: NDArray | None = None
) -> Mapping[str, float]:
    """`edge_scores` and `partition_scores` in one.

    Raises:
        InputError: where lengths differ, or there is nothing to compare.
    """
    return edge_scores(truth, clusters, weights, sources) | partition_scores(truth, clusters, weights, sources)


def edge_scores(
    truth: NDArray, clusters: NDArray, weights: NDArray | None = None, sources: NDArray | None = None
) -> dict[str, float]:
    """Precision, recall and F1 of the joined and of the cut edges of the complete graph (the paper's evaluation).

    A precision of no edges, and a recall of none to find, is NaN, and so is their F1.

    Arguments:
        truth, clusters: (n,) labels of any kind.
        weights: (n,) at least 0, how often each window counts; a pair counts as often as the product of its two.
        sources: (n,) labels of windows that are drawn together, and so have one weight; a pair of one source counts as
            often as that weight says. None: each window is drawn by itself.

    Returns:
        `join_precision`, `join_recall`, `join_f1` and the same for `cut_`.
    """
    both, truly, joined, total = (part.pairs for part in _contingency(truth, clusters, weights, sources))
    neither = total - truly - joined + both
    return _edge("join", both, joined, truly) | _edge("cut", neither, total - joined, total - truly)


def partition_scores(
    truth: NDArray, clusters: NDArray, weights: NDArray | None = None, sources: NDArray | None = None
) -> dict[str, float]:
    """Adjusted Rand index, V-measure with its parts, variation of information in bits, and numbers of clusters.

    The V-measure flatters many small clusters; the adjusted Rand index and the variation of information do not.
    Sources: Hubert and Arabie, "Comparing partitions", 1985; Rosenberg and Hirschberg, 2007; Meila, "Comparing
    clusterings", 2007, H(truth | clusters) + H(clusters | truth). Arguments are those of `edge_scores`; sources matter
    to the adjusted Rand index alone, the others having no pairs.
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


def _contingency(truth: NDArray, clusters: NDArray, weights: NDArray | None, sources: NDArray | None) -> _Contingency:
    if len(truth) != len(clusters) or len(truth) == 0:
        raise InputError(f"{len(truth)} true labels and {len(clusters)} clusters cannot be compared")
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    units = np.arange(len(truth)) if sources is None else np.unique(sources, return_inverse=True)[1]
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (truth, clusters))
    groupings = (_crossed(rows, columns), rows, columns, np.zeros_like(rows))
    return _Contingency(*(_partition(codes, weights, units) for codes in groupings))


def _crossed(first: NDArray, second: NDArray) -> NDArray:
    """Codes from 0 of what two arrays of codes say together."""
    return np.unique(first * (second.max() + 1) + second, return_inverse=True)[1]


def _partition(codes: NDArray, weights: NDArray, units: NDArray) -> _Partition:
    """Groups of windows, of which those of one unit have one weight.

    Of m windows of a unit of weight w the square of their sum is w^2 m^2, and their pairs are to weigh
    w m (m - 1) / 2.
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


def _entropy(sizes: NDArray) -> float:
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-(shares * np.log2(shares)).sum())


def _edge(name: str, right: float, claimed: float, true: float) -> dict[str, float]:
    precision = right / claimed if claimed else float("nan")
    recall = right / true if true else float("nan")
    both = precision + recall
    f1 = (2 * precision * recall / both if both else 0.0) if both == both else float("nan")
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}
