"""Hand-made features of a pair of windows: overlaps of what they probe, and differences of how."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.preprocessing import normalize

from telescope_transformer.evaluation.baselines.services import tfidf, time_histogram
from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet, indicator


class PairFeatures:
    """Features of pairs of some windows; the frequencies that weigh services are the training windows'.

    Overlaps: cosine and Jaccard index of services, sensors and source ports, cosine of the histograms of inter-arrival
    times, same dominant service. Differences, each beside the pair's smaller value: numbers of distinct values, span
    and inter-arrival times, source ports and their steps, TTL. Last the distance in time of day. The source's address
    and the calendar time are not among them.
    """

    def __init__(self, train: WindowSet, windows: WindowSet) -> None:
        self._cosines = [tfidf(train.services, windows.services), time_histogram(windows)]
        self._sets = [(indicator(windows.services) > 0).astype(np.float32)]
        for values in (windows.sensors, windows.field("src_port")):
            if values is not None:
                self._cosines.append(normalize(indicator(values)))
                self._sets.append((indicator(values) > 0).astype(np.float32))
        self._scalars = window_scalars(windows)
        self._dominant = windows.dominant_services
        angle = 2 * np.pi * (windows.seconds % DAY_SECONDS) / DAY_SECONDS
        self._direction = np.stack([np.cos(angle).mean(axis=1), np.sin(angle).mean(axis=1)], axis=1)

    def __call__(self, first: NDArray, second: NDArray) -> NDArray[np.float32]:
        """Features of the pairs of windows `first[k]` and `second[k]`, (pairs, features)."""
        columns = [_products(rows, first, second) for rows in self._cosines]
        for rows in self._sets:
            common, sizes = _products(rows, first, second), np.asarray(rows.sum(axis=1)).ravel()
            columns.append(common / (sizes[first] + sizes[second] - common))
        left, right = self._scalars[first], self._scalars[second]
        columns += [*np.abs(left - right).T, *np.minimum(left, right).T]
        columns.append(self._dominant[first] == self._dominant[second])
        columns.append(np.linalg.norm(self._direction[first] - self._direction[second], axis=1))
        return np.stack(columns, axis=1).astype(np.float32)


def window_scalars(windows: WindowSet) -> NDArray[np.float32]:
    """What describes a window by one number each, (n, scalars): counts, logs of seconds, source ports, TTL."""
    gaps = np.diff(windows.seconds, axis=1)
    columns = [_distinct(windows.services)]
    for statistic in (np.sum, np.median, np.max, np.min, np.std):
        columns.append(np.log1p(statistic(gaps, axis=1)))
    if windows.sensors is not None:
        columns.append(_distinct(windows.sensors))
    ports = windows.field("src_port")
    if ports is not None and ports.any():
        steps = np.diff(ports.astype(np.float64), axis=1)
        columns += [_distinct(ports), ports.mean(axis=1), ports.std(axis=1), ports.min(axis=1), ports.max(axis=1)]
        columns += [np.median(steps, axis=1), np.log1p(np.abs(steps).mean(axis=1))]
    hops = windows.field("ttl")
    if hops is not None:
        columns += [hops.mean(axis=1), hops.std(axis=1)]
    return np.stack(columns, axis=1).astype(np.float32)


def _distinct(values: NDArray) -> NDArray:
    ordered = np.sort(values, axis=1)
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)


def _products(rows: csr_array, first: NDArray, second: NDArray) -> NDArray:
    return np.asarray(rows[first].multiply(rows[second]).sum(axis=1)).ravel()
