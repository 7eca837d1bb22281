"""A lower bound of the cost by packing conflicts of vectors. It is quick and independent of the speed of the machine.

Three nodes are in conflict if two of their pairs attract and the third repels: every clustering cuts one of the
attractive pairs or joins the repulsive one. Conflicts are packed with amounts such that no pair carries more than its
weight. The sum of the amounts is then a lower bound of the cost of every clustering, because a clustering pays for
each conflict on at least one of its pairs (Bansal, Blum and Chawla 2004, section 2, with weights; Lange et al. 2018
pack cycles). On ten thousand vectors the bound takes seconds, and a dual ascent needs minutes to exceed it.
"""

from typing import NamedTuple

import numpy as np

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.solution import Deadline

# Maximum number of pairs that are packed; the most expensive pairs are kept. It bounds time and memory. For 4,000
# embeddings (kind b, threshold 0.25), the bound leaves a gap of 2.2 % with 500,000 pairs and 22 % with 100,000.
_MOST_PAIRS = 500_000
# Maximum number of pairs of one node. It bounds the memory of a block. For 4,000 embeddings, 64 instead of 512 gave
# the same bound.
_MOST_OF_ONE = 512
# Average number of conflicts per pair for which memory is reserved. For the same embeddings, the bound leaves a gap of
# 42 % with room for 1, and of 2.2 % with room for 3 or 10.
_ROOM_PER_PAIR = 3
# Number of products that are held in memory at a time: 16 MB in float32.
_BLOCK_CELLS = 1 << 22
# Marks an empty slot of the table of pairs.
_FREE = -1
# Least amount that is worth packing. With 1e-5 instead, the bound of 4,000 embeddings rises by less than 0.01 %.
_LEAST = 1e-4
# Maximum number of third nodes that are tried for a pair in one cluster. For 4,000 embeddings (kind a, threshold 0.4),
# 32, 128 and 512 tries gave bounds of 1,415, 1,687 and 1,781 in 1.1, 1.7 and 3.8 s.
_MOST_TRIES = 128
# The pairs of one node start their search at different third nodes. The stride is a prime, so that every node can be a
# start.
_STRIDE = 7919
# Unit roundoff of float32. An inner product of d rounded numbers has an error below d + 4 units if no vector is longer
# than 1 (Higham 2002, section 3.1).
_UNIT = 2.0**-24


class Conflicts(NamedTuple):
    """Packed conflicts.

    The first two nodes of each conflict are the pair that the clustering paid for when the conflict was packed.

    Attributes:
        triples: int64 (t, 3), nodes.
        amounts: float64 (t,), how much each conflict carries, in the unit of the weights.
    """

    triples: np.ndarray
    amounts: np.ndarray


_NONE = Conflicts(np.zeros((0, 3), dtype=np.int64), np.zeros(0))


@compiled()
def _place(a: int, b: int, n: int, keys: np.ndarray) -> tuple[int, int]:
    """Slot of a pair in the table, or the free slot where it belongs, and its key."""
    key = a * n + b if a < b else b * n + a
    mask = keys.size - 1
    at = (key * 0x9E3779B97F4A7C1 >> 17) & mask
    while keys[at] != _FREE and keys[at] != key:
        at = (at + 1) & mask
    return at, key


@compiled()
def _carry(a: int, b: int, c: int, amount: float, n: int, keys: np.ndarray, carried: np.ndarray) -> None:
    """Add the amount of a conflict to its three pairs."""
    for first, second in ((a, b), (a, c), (b, c)):
        at, key = _place(first, second, n, keys)
        keys[at] = key
        carried[at] += amount


@compiled()
def _pair_table(triples: np.ndarray, amounts: np.ndarray, n: int, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum up the amount that each pair of the packed conflicts carries, in a hash table with open addressing.

    Args:
        triples: int64 (t, 3), nodes 0..n-1.
        amounts: float64 (t,).
        n: number of nodes.
        room: number of conflicts that may be added later.

    Returns:
        Keys int64 (slots,), `_FREE` if empty, and amounts float64 (slots,).
    """
    slots = 2
    while slots < 4 * (amounts.size + room) + 2:
        slots *= 2
    keys, carried = np.full(slots, _FREE), np.zeros(slots)
    for t in range(amounts.size):
        _carry(triples[t, 0], triples[t, 1], triples[t, 2], amounts[t], n, keys, carried)
    return keys, carried


# The terms may be summed in any order, so that vector instructions sum several at a time.
@compiled(fastmath={"reassoc", "contract"})
def _product(vectors: np.ndarray, a: int, b: int) -> float:
    """Inner product of two vectors, summed in float32."""
    total = np.float32(0.0)
    for d in range(vectors.shape[1]):
        total += vectors[a, d] * vectors[b, d]
    return np.float64(total)


@compiled()
def _left(
    vectors: np.ndarray,
    labels: np.ndarray,
    a: int,
    b: int,
    pays: bool,
    threshold: float,
    keys: np.ndarray,
    carried: np.ndarray,
) -> float:
    """Amount that a pair can still carry, minus the possible error of its weight.

    A clustering pays for joined pairs that repel and for cut pairs that attract. If ``pays`` is true, the result is 0
    for pairs that the clustering does not pay for; if it is false, the result is 0 for pairs that the clustering pays
    for.
    """
    weight = _product(vectors, a, b) - threshold
    if ((weight > 0) == (labels[a] == labels[b])) == pays:
        return 0.0
    left: float = abs(weight) - carried[_place(a, b, labels.size, keys)[0]] - _UNIT * (vectors.shape[1] + 4)
    return left


@compiled()
def _pack_conflicts(
    pairs: np.ndarray,
    vectors: np.ndarray,
    labels: np.ndarray,
    members: np.ndarray,
    starts: np.ndarray,
    threshold: float,
    keys: np.ndarray,
    carried: np.ndarray,
    triples: np.ndarray,
    amounts: np.ndarray,
) -> int:
    """Pack conflicts that consist of one pair that the clustering pays for and two that it does not pay for.

    The clustering only decides which conflicts are tried. The bound is valid for every clustering.

    Args:
        pairs: int64 (p, 2), pairs that the clustering pays for; fastest if pairs with the same first node are
            adjacent.
        vectors: float32 (n, dimensions), none longer than 1.
        labels: int64 (n,), clusters 0..k-1.
        members: int64 (n,), nodes by cluster.
        starts: int64 (k + 1,), where each cluster begins in ``members``.
        threshold: inner product at which a pair neither attracts nor repels.
        keys: table of `_pair_table`, updated.
        carried: table of `_pair_table`, updated.
        triples: int64 (room, 3), output.
        amounts: float64 (room,), output.

    Returns:
        How many conflicts were written.
    """
    found = 0
    # The amounts that the pairs of the first node can still carry. They are reused while the first node stays the
    # same.
    by_x, known = np.empty(labels.size), np.full(labels.size, _FREE)
    for p in range(pairs.shape[0]):
        x, a = pairs[p]
        left = _left(vectors, labels, x, a, True, threshold, keys, carried)
        for side in (labels[x], labels[a]):
            size = starts[side + 1] - starts[side]
            first = (a * _STRIDE + x) % size
            for i in range(min(size, _MOST_TRIES)):
                if left < _LEAST or found == amounts.size:
                    break
                c = members[starts[side] + (first + i) % size]
                if c in (x, a):
                    continue
                if known[c] != x:
                    known[c] = x
                    by_x[c] = _left(vectors, labels, x, c, False, threshold, keys, carried)
                if by_x[c] < _LEAST:
                    continue
                amount = min(left, by_x[c], _left(vectors, labels, a, c, False, threshold, keys, carried))
                if amount < _LEAST:
                    continue
                _carry(x, a, c, amount, labels.size, keys, carried)
                left -= amount
                by_x[c] -= amount
                triples[found, 0], triples[found, 1], triples[found, 2] = x, a, c
                amounts[found] = amount
                found += 1
            if labels[x] == labels[a]:
                break
    return found


@compiled()
def _paid_of_rows(
    products: np.ndarray,
    rows: np.ndarray,
    rank: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    most: int,
    pairs: np.ndarray,
    costs: np.ndarray,
) -> tuple[int, float]:
    """Find the pairs of some nodes that a clustering pays for, and sum the attraction of all their pairs.

    Args:
        products: float32 (m, n), inner products of these nodes with all nodes.
        rows: int64 (m,), the nodes.
        rank: int64 (n,); each pair is counted at its node of lower rank, and pairs of equal rank are skipped.
        labels: int64 (n,).
        threshold: inner product at which a pair neither attracts nor repels.
        most: maximum number of pairs of one node; the most expensive are kept.
        pairs: int64 (m * most, 2), output: by node, the most expensive first.
        costs: float64 (m * most,), output.

    Returns:
        How many pairs were written, and the sum of attractive weights.
    """
    found, attraction = 0, 0.0
    others, paid = np.empty(labels.size, np.int64), np.empty(labels.size)
    for r in range(rows.size):
        x, n_paid = rows[r], 0
        for j in range(labels.size):
            weight = np.float64(products[r, j]) - threshold
            if rank[j] <= rank[x]:
                continue
            attraction += max(weight, 0.0)
            if weight != 0 and (weight > 0) != (labels[x] == labels[j]):
                others[n_paid], paid[n_paid] = j, abs(weight)
                n_paid += 1
        for place in np.argsort(-paid[:n_paid], kind="mergesort")[:most]:
            pairs[found, 0], pairs[found, 1] = x, others[place]
            costs[found] = paid[place]
            found += 1
    return found, attraction


def packed_bound(vectors: np.ndarray, labels: np.ndarray, threshold: float, deadline: Deadline | None = None) -> float:
    """Lower bound of the cost of any clustering of the complete graph with weights <x_i, x_j> - threshold.

    Args:
        vectors: (n, dimensions), of any length.
        labels: int64 (n,), a clustering 0..k-1; the better it is, the higher the bound.
        threshold: inner product at which a pair neither attracts nor repels.
        deadline: after which no further pairs are looked at.
    """
    longest = float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max(initial=0.0)))
    if longest == 0:
        return 0.0
    unit, threshold = (vectors / longest).astype(np.float32), threshold / longest**2
    pairs, _ = paid_pairs(unit, labels, np.arange(len(unit)), threshold, deadline=deadline)
    return longest**2 * float(pack(unit, labels, pairs, threshold).amounts.sum())


def paid_pairs(
    vectors: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    threshold: float,
    most: int = _MOST_OF_ONE,
    deadline: Deadline | None = None,
) -> tuple[np.ndarray, float]:
    """Pairs of the given rows with any node that the clustering pays for, and the attraction of all their pairs.

    Args:
        vectors: float32 (n, dimensions).
        labels: int64 (n,).
        rows: int64 (m,), nodes.
        threshold: inner product at which a pair neither attracts nor repels.
        most: maximum number of pairs of one row.
        deadline: after which no further rows are looked at.

    Returns:
        int64 (p, 2), each pair once, by row and the most expensive first, at most `_MOST_PAIRS` in all; and the sum of
        attractive weights.
    """
    rank = np.full(len(vectors), len(rows))
    rank[rows] = np.arange(len(rows))
    found, costs, attraction = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)], 0.0
    step = max(1, _BLOCK_CELLS // max(1, len(vectors)))
    for first in range(0, len(rows), step):
        if deadline is not None and deadline.passed:
            break
        some = rows[first : first + step]
        pairs, cost = np.empty((len(some) * most, 2), dtype=np.int64), np.empty(len(some) * most)
        products = vectors[some] @ vectors.T
        n_found, attracted = _paid_of_rows(products, some, rank, labels, threshold, most, pairs, cost)
        attraction += attracted
        found.append(pairs[:n_found])
        costs.append(cost[:n_found])
    pairs, cost = np.concatenate(found), np.concatenate(costs)
    if len(pairs) > _MOST_PAIRS:
        pairs = pairs[np.sort(np.argpartition(-cost, _MOST_PAIRS)[:_MOST_PAIRS])]
    return pairs, attraction


def pack(
    vectors: np.ndarray, labels: np.ndarray, pairs: np.ndarray, threshold: float, kept: Conflicts = _NONE
) -> Conflicts:
    """Pack new conflicts on these pairs, within the part of each pair's weight that existing conflicts leave.

    Args:
        vectors: float32 (n, dimensions), none longer than 1.
        labels: int64 (n,), clusters 0..k-1.
        pairs: int64 (p, 2); pairs that the clustering does not pay for are skipped.
        threshold: inner product at which a pair neither attracts nor repels.
        kept: conflicts that were packed before.
    """
    room = _ROOM_PER_PAIR * len(pairs)
    keys, carried = _pair_table(kept.triples, kept.amounts, len(vectors), room)
    members = np.argsort(labels, kind="stable")
    starts = offsets_of(np.bincount(labels))
    triples, amounts = np.empty((room, 3), dtype=np.int64), np.empty(room)
    found = _pack_conflicts(pairs, vectors, labels, members, starts, threshold, keys, carried, triples, amounts)
    return Conflicts(triples[:found], amounts[:found])
