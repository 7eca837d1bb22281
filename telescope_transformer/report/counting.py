"""Frequent values per cluster, counted for all clusters at once."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.codes import sorted_codes

# Our choice: the most values of a list in a profile.
TOP = 5


def codes_of(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, list[str]]:
    """Integer codes of a text column, and its distinct values in sorted order. A missing value has code -1."""
    codes, names = sorted_codes(column)
    return codes, names.to_pylist()


def numbered(values: Sequence[Any]) -> tuple[np.ndarray, list[Any]]:
    """Number values as they first appear, -1 for None; returns the numbers and the distinct values."""
    places = {value: place for place, value in enumerate(dict.fromkeys(one for one in values if one is not None))}
    return np.array([places.get(value, -1) for value in values], dtype=np.int64), list(places)


def numbers_of(column: pa.ChunkedArray) -> dict[Any, int]:
    """The number of rows of each distinct value of a column."""
    return {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}


def most_frequent(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """The distinct texts of a column, "" for null, each with its number of rows; the most frequent come first."""
    return sorted(numbers_of(column.fill_null("")).items(), key=lambda pair: (-pair[1], pair[0]))


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
    top: int = TOP,
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
