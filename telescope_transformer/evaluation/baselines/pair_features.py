"""Hand-made features of a pair of windows: overlaps of targets, and differences in timing and ports."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.preprocessing import normalize

from telescope_transformer.evaluation.baselines.services import tfidf, time_histogram
from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet, indicator

# Numbers of columns of one window: gaps, source ports, TTL.
GAP_STATISTICS = (np.sum, np.median, np.max, np.min, np.std)
PORT_SCALARS, TTL_SCALARS = 7, 2


class PairFeatures:
    """Features of pairs of windows. Services are weighted by their frequencies in the training windows.

    The columns are always the same. Fields that a telescope does not have are NaN, which gradient boosting treats as
    missing, so that a classifier trained on one telescope works on another.

    Overlaps: cosine and Jaccard index of services, sensors and source ports, cosine of the histograms of inter-arrival
    times, same dominant service. Differences, each together with the smaller value of the pair: numbers of distinct
    values, span and inter-arrival times, source ports and their steps, TTL. Finally the distance in time of day. The
    source's address and the calendar time are not features.

    Args:
        train: windows in which the frequencies are counted.
        windows: windows whose pairs get features.
        hosts: whether to use source ports and the time of day, which distinguish hosts of one actor. If not, their
            columns are NaN.
    """

    def __init__(self, train: WindowSet, windows: WindowSet, *, hosts: bool = True) -> None:
        ports = source_ports(windows) if hosts else None
        self._cosines: list[csr_array | None] = [tfidf(train.services, windows.services), time_histogram(windows)]
        self._sets: list[csr_array | None] = [(indicator(windows.services) > 0).astype(np.float32)]
        for values in (windows.sensors, ports):
            self._cosines.append(None if values is None else normalize(indicator(values)))
            self._sets.append(None if values is None else (indicator(values) > 0).astype(np.float32))
        self._scalars = window_scalars(windows, ports)
        self._dominant = windows.dominant_services
        angle = (
            2 * np.pi * (windows.seconds % DAY_SECONDS) / DAY_SECONDS
            if hosts
            else np.full(windows.seconds.shape, np.nan)
        )
        self._direction = np.stack([np.cos(angle).mean(axis=1), np.sin(angle).mean(axis=1)], axis=1)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> NDArray[np.float32]:
        """Features of the pairs of windows `first[k]` and `second[k]`, (pairs, features)."""
        columns = [_products(rows, first, second) for rows in self._cosines]
        columns += [_jaccard(rows, first, second) for rows in self._sets]
        left, right = self._scalars[first], self._scalars[second]
        columns += [*np.abs(left - right).T, *np.minimum(left, right).T]
        columns.append(self._dominant[first] == self._dominant[second])
        columns.append(np.linalg.norm(self._direction[first] - self._direction[second], axis=1))
        return np.stack(columns, axis=1).astype(np.float32)


def source_ports(windows: WindowSet) -> np.ndarray | None:
    """Source ports (n, length); None if the records do not have them or all are 0."""
    ports = windows.field("src_port")
    return ports if ports is not None and ports.any() else None


def window_scalars(windows: WindowSet, ports: np.ndarray | None) -> NDArray[np.float32]:
    """Scalar features of each window, (n, scalars): counts, logarithms of seconds, source ports (n, length), TTL.

    Columns of fields that the records do not have are NaN, as are the columns of source ports that are None.
    """
    gaps = np.diff(windows.seconds, axis=1)
    columns = [_distinct(windows.services)]
    columns += [np.log1p(statistic(gaps, axis=1)) for statistic in GAP_STATISTICS]
    columns.append(_missing(windows) if windows.sensors is None else _distinct(windows.sensors))
    if ports is None:
        columns += [_missing(windows)] * PORT_SCALARS
    else:
        steps = np.diff(ports.astype(np.float64), axis=1)
        columns += [_distinct(ports), ports.mean(axis=1), ports.std(axis=1), ports.min(axis=1), ports.max(axis=1)]
        columns += [np.median(steps, axis=1), np.log1p(np.abs(steps).mean(axis=1))]
    hops = windows.field("ttl")
    columns += [_missing(windows)] * TTL_SCALARS if hops is None else [hops.mean(axis=1), hops.std(axis=1)]
    return np.stack(columns, axis=1).astype(np.float32)


def _missing(windows: WindowSet) -> np.ndarray:
    return np.full(len(windows), np.nan)


def _distinct(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values, axis=1)
    numbers: np.ndarray = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    return numbers


def _products(rows: csr_array | None, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products of rows `first[k]` and `second[k]`, (pairs,); NaN where there are no rows."""
    if rows is None:
        return np.full(len(first), np.nan)
    return np.asarray(rows[first].multiply(rows[second]).sum(axis=1)).ravel()


def _jaccard(rows: csr_array | None, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jaccard index of the sets that rows of 0 and 1 represent, (pairs,); NaN where there are no rows."""
    common = _products(rows, first, second)
    if rows is None:
        return common
    sizes = np.asarray(rows.sum(axis=1)).ravel()
    index: np.ndarray = common / (sizes[first] + sizes[second] - common)
    return index
