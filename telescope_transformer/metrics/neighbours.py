"""Nearest windows: retrieval of windows of the same source, and labels predicted by neighbours of other sources."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from telescope_transformer.errors import InputError


def retrieval(similarity: np.ndarray, sources: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whether the nearest other window is of the same source, and the average precision of the whole ranking.

    Equally near windows share their rank: recall at 1 is the fraction of the nearest windows that are from the source,
    and average precision treats a tie as one step, as scikit-learn does.

    Args:
        similarity: (n, n), higher is nearer; the diagonal is left out.
        sources: (n,) int codes.

    Returns:
        Recall at 1 and average precision of every window as query, each (n,); NaN if its source has no other window.
    """
    n = _checked_size(similarity, sources)
    recall, precision = np.full(n, np.nan), np.full(n, np.nan)
    for query in range(n):
        relevant = np.delete(sources == sources[query], query)
        if relevant.any():
            scores = np.delete(similarity[query], query)
            recall[query] = relevant[scores == scores.max()].mean()
            precision[query] = _average_precision(scores, relevant)
    return recall, precision


def neighbour_labels(similarity: np.ndarray, labels: np.ndarray, sources: np.ndarray, *, k: int = 5) -> np.ndarray:
    """Label of each window by majority of its k nearest windows of *other* sources (DarkVec, section 5, k-NN).

    Windows of the same source never vote, because recognising the source would give the label away. A tie goes to the
    label with the larger sum of similarities, then to the first in sorted order.

    Args:
        similarity: (n, n), higher is nearer.
        labels, sources: (n,).

    Raises:
        InputError: if some window has fewer than k windows of other sources.
    """
    n = _checked_size(similarity, labels)
    names, codes = np.unique(labels, return_inverse=True)
    allowed = sources[:, None] != sources[None, :]
    if n and allowed.sum(axis=1).min() < k:
        raise InputError(f"{k} neighbours from other sources were asked for, and some window has fewer")
    masked = np.where(allowed, similarity, -np.inf)
    nearest = np.argsort(-masked, axis=1, kind="stable")[:, :k]
    rows = np.repeat(np.arange(n), k)
    votes, weights = np.zeros((n, len(names))), np.zeros((n, len(names)))
    np.add.at(votes, (rows, codes[nearest].ravel()), 1)
    np.add.at(weights, (rows, codes[nearest].ravel()), np.take_along_axis(masked, nearest, axis=1).ravel())
    leading = votes == votes.max(axis=1, keepdims=True)
    best: np.ndarray = names[np.where(leading, weights, -np.inf).argmax(axis=1)]
    return best


def classification_scores(
    true: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None, averaged: np.ndarray | None = None
) -> dict[str, float]:
    """Accuracy (micro F1) over all windows, and the mean F1 of the labels.

    Args:
        weights: (n,) bootstrap multiplicities.
        averaged: labels to average over, if they occur in `true`; None is all labels.

    Returns:
        `accuracy` and `macro_f1`; NaN if no window has weight or there is no label to average.
    """
    if weights is not None and not weights.any():
        # A bootstrap replicate may contain none of the few labelled sources.
        return {"accuracy": float("nan"), "macro_f1": float("nan")}
    present = np.unique(true if weights is None else true[weights > 0])
    if averaged is not None:
        present = np.intersect1d(present, averaged)
    options = {"labels": present, "average": "macro", "zero_division": 0, "sample_weight": weights}
    return {
        "accuracy": float(accuracy_score(true, predicted, sample_weight=weights)),
        "macro_f1": float(f1_score(true, predicted, **options)) if len(present) else float("nan"),
    }


def _checked_size(similarity: np.ndarray, labels: np.ndarray) -> int:
    if similarity.shape != (len(labels), len(labels)):
        raise InputError(f"a similarity of shape {similarity.shape} does not fit {len(labels)} windows")
    return len(labels)


def _average_precision(scores: np.ndarray, relevant: NDArray[np.bool_]) -> float:
    """Average precision: the sum over distinct scores, from the highest, of precision times the increase in recall."""
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(relevant[order])
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    places = np.arange(1, len(scores) + 1)[last_of_tie]
    hits = hits[last_of_tie]
    return float((np.diff(hits, prepend=0) * hits / places).sum() / hits[-1])
