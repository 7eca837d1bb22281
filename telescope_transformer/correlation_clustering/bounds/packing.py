"""A lower bound of the cost by packing conflicts: quick, and the same on a slow machine and a fast one.

On ten thousand windows it is found in seconds, where a dual ascent (`correlation_clustering`) takes minutes to pass
it.
"""

from typing import NamedTuple

import numpy as np

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.bounds.conflict_packing import (
    pack_conflicts,
    paid_of_rows,
    pair_table,
)

# Pairs that are packed at a time, those of one window among them, and conflicts that each may take in the mean: they
# bound the memory and the time, at the most expensive pairs. A bound of fewer is a bound, too.
# Products that are held at a time: 128 MB.
BLOCK_CELLS = 1 << 25
MOST_PAIRS = 500_000
MOST_OF_ONE = 512
ROOM_PER_PAIR = 3


class Conflicts(NamedTuple):
    """Packed conflicts: windows int64 (t, 3), and how much each carries, float64 (t,), in units of cosine.

    The first two windows of each are the pair that a clustering paid for when the conflict was packed.
    """

    triples: np.ndarray
    amounts: np.ndarray


NONE = Conflicts(np.zeros((0, 3), dtype=np.int64), np.zeros(0))


def packed_bound(vectors: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    """Lower bound of the cost of any clustering of all pairs, in units of cosine.

    Args:
        vectors: (n, dimensions), rows of length 1.
        labels: (n,) a good clustering, 0..k-1: the nearer it is to the best, the higher the bound.
        threshold: the cosine at which a pair neither attracts nor repels.
    """
    pairs, _ = paid_pairs(vectors, labels, np.arange(len(vectors)), threshold)
    return float(pack(vectors, labels, pairs, threshold).amounts.sum())


def paid_pairs(
    vectors: np.ndarray, labels: np.ndarray, rows: np.ndarray, threshold: float, most: int = MOST_OF_ONE
) -> tuple[np.ndarray, float]:
    """Pairs that the clustering pays for, and the attraction of all pairs, of these rows with any.

    Returns:
        int64 (p, 2), each once, by row and the most expensive first: at most `most` of a row and `MOST_PAIRS`
        in all; the sum of attractive weights.
    """
    rank = np.full(len(vectors), len(rows))
    rank[rows] = np.arange(len(rows))
    found, costs, attraction = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)], 0.0
    step = max(1, BLOCK_CELLS // max(1, len(vectors)))
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        pairs, cost = np.empty((len(some) * most, 2), dtype=np.int64), np.empty(len(some) * most)
        products = vectors[some] @ vectors.T
        n_found, attracted = paid_of_rows(products, some, rank, labels, threshold, most, pairs, cost)
        attraction += attracted
        found.append(pairs[:n_found])
        costs.append(cost[:n_found])
    pairs, cost = np.concatenate(found), np.concatenate(costs)
    if len(pairs) > MOST_PAIRS:
        pairs = pairs[np.sort(np.argpartition(-cost, MOST_PAIRS)[:MOST_PAIRS])]
    return pairs, attraction


def pack(
    vectors: np.ndarray, labels: np.ndarray, pairs: np.ndarray, threshold: float, kept: Conflicts = NONE
) -> Conflicts:
    """New conflicts on these pairs, within what the kept ones leave of each pair's weight.

    Args:
        vectors: float32 (n, dimensions).
        labels: int64 (n,), clusters 0..k-1.
        pairs: int64 (p, 2); those that the clustering does not pay for are passed over.
        threshold: the cosine at which a pair neither attracts nor repels.
        kept: conflicts that were packed before.
    """
    room = ROOM_PER_PAIR * len(pairs)
    keys, carried = pair_table(kept.triples, kept.amounts, len(vectors), room)
    members = np.argsort(labels, kind="stable")
    starts = offsets_of(np.bincount(labels))
    triples, amounts = np.empty((room, 3), dtype=np.int64), np.empty(room)
    found = pack_conflicts(pairs, vectors, labels, members, starts, threshold, keys, carried, triples, amounts)
    return Conflicts(triples[:found], amounts[:found])
