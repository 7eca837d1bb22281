"""Inequalities beyond triangles hold for every partition, and the point that they were found for violates them."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from telescope_transformer.correlation_clustering.bounds.separation_partitions import (
    partition_rows,
    separate_partitions,
)
from telescope_transformer.correlation_clustering.bounds.separation_triangles import pairs_cut
from telescope_transformer.correlation_clustering.solution import Deadline

N = 7
TOLERANCE = 0.02


def partitions(n: int) -> Iterator[list[int]]:
    """All partitions of n nodes, as labels."""
    if n == 0:
        yield []
        return
    for labels in partitions(n - 1):
        for label in range(max(labels, default=-1) + 2):
            yield [*labels, label]


def semimetric(seed: int) -> np.ndarray:
    """A random point (N, N) in [0, 1] on which all triangle inequalities hold."""
    rng = np.random.default_rng(seed)
    x = np.triu(rng.choice([0.5, 0.6, 1.0], size=(N, N)), 1)
    x = x + x.T
    for k in range(N):
        x = np.minimum(x, x[:, [k]] + x[[k], :])
    np.fill_diagonal(x, 0.0)
    return x.astype(np.float32)


def left_sides(rows: tuple[np.ndarray, ...], packed: np.ndarray) -> np.ndarray:
    starts, pairs, signs, _ = rows
    return np.array([signs[a:b] @ packed[pairs[a:b]] for a, b in pairwise(starts)])


def test_separated_inequalities_are_valid_and_violated() -> None:
    found = 0
    everything = [pairs_cut(np.array(labels)).astype(float) for labels in partitions(N)]
    for seed in range(30):
        x = semimetric(seed)
        rows = partition_rows(*separate_partitions(x, TOLERANCE, 1000, Deadline()))
        found += rows[-1].size
        packed = np.array([x[i, j] for i in range(N) for j in range(i)], dtype=float)
        assert np.all(left_sides(rows, packed) > rows[-1] + TOLERANCE - 1e-5)
        for partition in everything:
            assert np.all(left_sides(rows, partition) <= rows[-1] + 1e-9)
    assert found >= 20


def test_separation_stops_at_the_deadline_and_at_the_limit() -> None:
    x = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    x = np.maximum(x, x.T)
    assert len(separate_partitions(x, TOLERANCE, 1000, Deadline(0))[0]) == 0
    everything = len(separate_partitions(x, TOLERANCE, 1000, Deadline())[0])
    assert everything > 5
    assert len(separate_partitions(x, TOLERANCE, 5, Deadline())[0]) == 5
