"""Inequalities beyond triangles hold for every partition, and the point that they were found for violates them."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from telescope_transformer.correlation_clustering.bounds.cuts import (
    partition_rows,
    separate,
    separate_odd_wheels,
    separate_two_partition,
    wheel_rows,
)
from telescope_transformer.correlation_clustering.bounds.separation import pair_index, pairs_cut
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


def separated(kind: str, x: np.ndarray) -> tuple[np.ndarray, ...]:
    if kind == "two_partition":
        return partition_rows(*separate(separate_two_partition, x, TOLERANCE, 1000, Deadline()))
    return wheel_rows(*separate(separate_odd_wheels, x, TOLERANCE, 1000, Deadline()))


@pytest.mark.parametrize("kind", ["two_partition", "odd_wheel"])
def test_separated_inequalities_are_valid_and_violated(kind: str) -> None:
    found = 0
    everything = [pairs_cut(np.array(labels)).astype(float) for labels in partitions(N)]
    for seed in range(30):
        x = semimetric(seed)
        rows = separated(kind, x)
        found += rows[-1].size
        packed = np.array([x[i, j] for i in range(N) for j in range(i)], dtype=float)
        assert np.all(left_sides(rows, packed) > rows[-1] + TOLERANCE - 1e-5)
        for partition in everything:
            assert np.all(left_sides(rows, partition) <= rows[-1] + 1e-9)
    assert found >= 20


def test_a_violated_wheel_of_five_spokes_is_found() -> None:
    x = np.full((6, 6), 0.5, dtype=np.float32)
    np.fill_diagonal(x, 0.0)
    for place in range(5):
        u, v = 1 + place, 1 + (place + 1) % 5
        x[u, v] = x[v, u] = 1.0
    hubs, rims, sizes = separate(separate_odd_wheels, x, TOLERANCE, 10, Deadline())
    assert 0 in hubs
    place = int(np.flatnonzero(hubs == 0)[0])
    assert sizes[place] == 5
    assert sorted(rims[place, :5]) == [1, 2, 3, 4, 5]
    _, pairs, signs, right = wheel_rows(hubs[[place]], rims[[place]], sizes[[place]])
    assert right.tolist() == [2.0]
    assert {int(pair) for pair in pairs[signs < 0]} == {pair_index(0, u) for u in range(1, 6)}


def shortest_odd_walk(x: np.ndarray, hub: int) -> float:
    """Length of the shortest rim around a hub that may visit a node twice, by min-plus matrix products."""
    others = np.delete(np.arange(len(x)), hub)
    lengths = 0.5 - x[np.ix_(others, others)] + (x[hub, others] + x[hub, others][:, None]) / 2
    np.fill_diagonal(lengths, np.inf)
    two = (lengths[:, :, None] + lengths[None, :, :]).min(axis=1)
    shortest, walk = np.inf, lengths
    for _ in range(len(x)):
        walk = (walk[:, :, None] + two[None, :, :]).min(axis=1)
        shortest = min(shortest, float(np.diag(walk).min()))
    return shortest


def test_a_wheel_is_found_around_every_hub_that_has_one() -> None:
    hubs_with_wheels = 0
    for seed in range(30):
        x = semimetric(seed)
        hubs, rims, sizes = separate(separate_odd_wheels, x, TOLERANCE, 1000, Deadline())
        expected = [hub for hub in range(N) if shortest_odd_walk(x.astype(float), hub) < 0.5 - TOLERANCE]
        assert sorted(set(hubs.tolist())) == expected
        hubs_with_wheels += len(expected)
        for rim, size in zip(rims, sizes, strict=True):
            assert len(set(rim[:size].tolist())) == size
    assert hubs_with_wheels >= 10


@pytest.mark.parametrize("kernel", [separate_two_partition, separate_odd_wheels])
def test_separation_stops_at_the_deadline_and_at_the_limit(kernel: Callable[..., tuple[np.ndarray, ...]]) -> None:
    x = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    x = np.maximum(x, x.T)
    assert len(separate(kernel, x, TOLERANCE, 1000, Deadline(0))[0]) == 0
    everything = len(separate(kernel, x, TOLERANCE, 1000, Deadline())[0])
    assert everything > 5
    assert len(separate(kernel, x, TOLERANCE, 5, Deadline())[0]) == 5
