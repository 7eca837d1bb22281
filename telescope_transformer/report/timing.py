"""When clusters are active: over the whole time, over the week, and how regularly."""

import numpy as np

from telescope_transformer.fields import HOUR, SECOND

# Our choice: bars that stay visible in a chart of a few hundred pixels.
ACTIVITY_BINS = 60


def activity(clusters: np.ndarray, timestamps: np.ndarray, n_clusters: int, span: tuple[int, int]) -> np.ndarray:
    """Records in each of `ACTIVITY_BINS` equal parts of the time span, int64 (k, bins); others are not counted."""
    first, last = span
    width = max(1, (last - first) // ACTIVITY_BINS + 1)
    inside = (timestamps >= first) & (timestamps <= last)
    return _counts(clusters[inside], (timestamps[inside] - first) // width, n_clusters, ACTIVITY_BINS)


def rhythm(clusters: np.ndarray, timestamps: np.ndarray, n_clusters: int) -> np.ndarray:
    """Records by weekday (0 = Monday) and hour of day in UTC, int64 (k, 7, 24)."""
    hours = timestamps // HOUR
    # 1 January 1970 was a Thursday.
    hour_of_week = (hours + 3 * 24) % (7 * 24)
    return _counts(clusters, hour_of_week, n_clusters, 7 * 24).reshape(n_clusters, 7, 24)


def _counts(rows: np.ndarray, columns: np.ndarray, n_rows: int, n_columns: int) -> np.ndarray:
    keys = rows.astype(np.int64) * n_columns + columns
    return np.bincount(keys, minlength=n_rows * n_columns).reshape(n_rows, n_columns)


def inter_arrivals(timestamps: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds between neighbouring records of one window, and the position of the later record, both (m,)."""
    same = np.flatnonzero(windows[1:] == windows[:-1]) + 1
    return (timestamps[same] - timestamps[same - 1]) / SECOND, same


def timing_profile(gaps: np.ndarray, n_records: int, first: int, last: int) -> dict[str, float | str]:
    """Figures of the timing: median and 90th percentile of inter-arrival times, rate, and a word for the pattern."""
    hours = max((last - first) / HOUR, 1 / 3600)
    if not len(gaps):
        return {"median_inter_arrival_s": 0.0, "p90_inter_arrival_s": 0.0, "records_per_hour": n_records / hours}
    low, median, high, p90 = np.percentile(gaps, [25, 50, 75, 90]).tolist()
    return {
        "median_inter_arrival_s": round(median, 6),
        "p90_inter_arrival_s": round(p90, 6),
        "records_per_hour": round(n_records / hours, 4),
        "pattern": _pattern(low, median, high),
    }


def _pattern(low: float, median: float, high: float) -> str:
    if high < 1:
        return "bursts within a second"
    if median > 0 and high - low <= 0.2 * median:
        return "regular"
    return "slow" if median >= 3600 else "irregular"
