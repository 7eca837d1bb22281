"""Frequent values per cluster, counted for all clusters at once."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.codes import sorted_codes


def codes_of(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, list[str]]:
    """Integer codes of a text column, and its distinct values in sorted order. A missing value has code -1."""
    codes, names = sorted_codes(column)
    return codes, names.to_pylist()


def pair_counts(groups: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count distinct (group, value) pairs. They are sorted by group, and within a group the most frequent come first.

    Args:
        groups: (n,) 0..k-1.
        values: (n,) integers of at least 0; negative values are left out.
    """
    known = values >= 0
    groups, values = groups[known].astype(np.int64), values[known].astype(np.int64)
    span = int(values.max()) + 1 if len(values) else 1
    keys, counts = np.unique(groups * span + values, return_counts=True)
    groups, values = keys // span, keys % span
    order = np.lexsort((values, -counts, groups))
    return groups[order], values[order], counts[order]


def spans(groups: np.ndarray, n_groups: int) -> Iterator[slice]:
    """The slice of each group 0..n_groups-1 in a sorted array of groups."""
    bounds = np.searchsorted(groups, np.arange(n_groups + 1))
    for start, end in pairwise(bounds.tolist()):
        yield slice(start, end)


def top_values(
    groups: np.ndarray,
    values: np.ndarray,
    n_groups: int,
    name: Callable[[int], Any],
    *,
    key: str,
    count: str,
    top: int,
) -> list[tuple[list[dict[str, Any]], int]]:
    """The most frequent values of each group, and the number of distinct values in the group.

    Each value is {key: name(value), count: its frequency, "share": its share of the group's known values}.
    """
    group, value, number = pair_counts(groups, values)
    answer = []
    for span in spans(group, n_groups):
        total = max(1, int(number[span].sum()))
        best = zip(value[span][:top].tolist(), number[span][:top].tolist(), strict=True)
        rows = [{key: name(v), count: n, "share": round(n / total, 4)} for v, n in best]
        answer.append((rows, span.stop - span.start))
    return answer
