"""Vectors of services (protocol and port), of sensors and of inter-arrival times."""

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.preprocessing import normalize

from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import WindowSet, indicator

# In seconds, in roughly equal logarithmic steps, from simultaneous records to more than ten days.
TIME_EDGES = np.array([0.5, 1.5, 3, 6, 12, 30, 60, 300, 900, 3600, 4 * 3600, 86_400, 4 * 86_400, 10 * 86_400])


def binary_services(windows: WindowSet) -> Representation:
    """The sets of services."""
    return Representation.of_vectors((indicator(windows.services) > 0).toarray().astype(np.float32))


def tfidf_services(train: WindowSet, windows: WindowSet) -> Representation:
    """TF-IDF of services, with the document frequencies of the training windows."""
    return Representation.of_vectors(tfidf(train.services, windows.services).toarray())


def tfidf_with_timing(train: WindowSet, windows: WindowSet) -> Representation:
    """TF-IDF of services and, if there are several, of sensors, and a histogram of inter-arrival times.

    Each part has length 1 and thus the same weight.
    """
    parts = [tfidf(train.services, windows.services), time_histogram(windows)]
    if train.sensors is not None and windows.sensors is not None:
        parts.append(tfidf(train.sensors, windows.sensors))
    return Representation.of_vectors(hstack(parts, format="csr").toarray())


def tfidf(train: np.ndarray, values: np.ndarray) -> csr_array:
    """Counts times the smoothed inverse document frequency in the training windows, rows of length 1.

    Args:
        train: (training windows, length) values that document frequencies are counted in.
        values: (n, length).

    Returns:
        (n, distinct values of `values`).
    """
    vocabulary = np.unique(values)
    known = np.isin(train, vocabulary)
    # Values that occur in no evaluated window share the last column, which is dropped.
    places = np.where(known, np.searchsorted(vocabulary, train), len(vocabulary))
    present = indicator(places, np.arange(len(vocabulary) + 1)) > 0
    frequency = np.asarray(present.sum(axis=0)).ravel()[:-1]
    inverse = np.log((1 + len(train)) / (1 + frequency)) + 1
    return normalize(indicator(values, vocabulary).multiply(inverse[None, :]).tocsr())


def time_histogram(windows: WindowSet) -> csr_array:
    """Histogram of the inter-arrival times over `TIME_EDGES`, rows of length 1, (n, bins)."""
    bins = np.digitize(np.diff(windows.seconds, axis=1), TIME_EDGES)
    return normalize(indicator(bins, np.arange(len(TIME_EDGES) + 1)))
