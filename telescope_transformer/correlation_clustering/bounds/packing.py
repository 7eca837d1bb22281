"""A lower bound of the cost by packing conflicts of vectors: quick, and the same on a slow machine and a fast one.

Three nodes of which two pairs attract and the third repels are in conflict: every clustering cuts one of the
attractive pairs or joins the repulsive one. Where no pair carries more than its weight, the sum of what conflicts are
packed with is a lower bound of the cost of every clustering (Bansal, Blum and Chawla 2004, Section 2, with weights;
Lange et al. 2018 pack cycles): a clustering pays for each conflict on at least one of its pairs. On ten thousand
vectors the bound is found in seconds, where a dual ascent takes minutes to pass it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.solution import Deadline

# Pairs that are packed at a time, those of one node among them, and conflicts that each may take in the mean: they
# bound the memory and the time, at the most expensive pairs. A bound of fewer is a bound, too.
MOST_PAIRS = 500_000
MOST_OF_ONE = 512
ROOM_PER_PAIR = 3
# Products that are held at a time: 128 MB.
BLOCK_CELLS = 1 << 25
# An empty place of the table of pairs.
FREE = -1
# Below this a conflict is not worth its row.
LEAST = 1e-4
# Third nodes that a pair tries in one cluster: pairs with weight left are found soon or hardly ever.
MOST_TRIES = 128
# Pairs of one node begin their search at different third nodes; a prime, so that all of them come up.
_STRIDE = 7919
# Unit roundoff of float32: an inner product of d rounded numbers, of which no two vectors are longer than 1, is wrong
# by less than d + 4 of these (Higham 2002, section 3.1).
_UNIT = 2.0**-24


class Conflicts(NamedTuple):
    """Packed conflicts: nodes int64 (t, 3), and how much each carries, float64 (t,), in units of cosine.

    The first two nodes of each are the pair that a clustering paid for when the conflict was packed.
    """

    triples: np.ndarray
    amounts: np.ndarray


NONE = Conflicts(np.zeros((0, 3), dtype=np.int64), np.zeros(0))


def pair_table(triples: np.ndarray, amounts: np.ndarray, n: int, room: int) -> tuple[np.ndarray, np.ndarray]:
    """What each pair of the packed triples carries, as an open hash table with room for as many triples more.

    Args:
        triples: int64 (t, 3), nodes 0..n-1.
        amounts: float64 (t,).
        n: number of nodes.
        room: triples that may be added.

    Returns:
        Keys int64 (slots,), `FREE` where empty, and amounts float64 (slots,).
    """
    slots = 1 << int(np.ceil(np.log2(4 * (len(triples) + room) + 2)))
    keys, carried = np.full(slots, FREE), np.zeros(slots)
    _carry_all(triples, amounts, n, keys, carried)
    return keys, carried


@njit(cache=True, nogil=True)
def _place(a, b, n, keys):
    """Where a pair stands in the table or would stand, and its key."""
    key = a * n + b if a < b else b * n + a
    mask = keys.size - 1
    at = (key * 0x9E3779B97F4A7C1 >> 17) & mask
    while keys[at] != FREE and keys[at] != key:
        at = (at + 1) & mask
    return at, key


@njit(cache=True, nogil=True)
def _carry(a, b, c, amount, n, keys, carried):
    for first, second in ((a, b), (a, c), (b, c)):
        at, key = _place(first, second, n, keys)
        keys[at] = key
        carried[at] += amount


@njit(cache=True, nogil=True)
def _carry_all(triples, amounts, n, keys, carried):
    for t in range(amounts.size):
        _carry(triples[t, 0], triples[t, 1], triples[t, 2], amounts[t], n, keys, carried)


# In any order, so that several products are summed at a time.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _product(vectors, a, b):
    total = np.float32(0.0)
    for d in range(vectors.shape[1]):
        total += vectors[a, d] * vectors[b, d]
    return np.float64(total)


@njit(cache=True, nogil=True)
def _left(vectors, labels, a, b, pays, threshold, keys, carried):
    """What a pair can still carry, less what its weight may be wrong by; 0 where the clustering is not as ``pays``.

    A clustering pays for joined pairs that repel and for cut pairs that attract.
    """
    weight = _product(vectors, a, b) - threshold
    if ((weight > 0) == (labels[a] == labels[b])) == pays:
        return 0.0
    return abs(weight) - carried[_place(a, b, labels.size, keys)[0]] - _UNIT * (vectors.shape[1] + 4)


@njit(cache=True, nogil=True)
def pack_conflicts(pairs, vectors, labels, members, starts, threshold, keys, carried, triples, amounts):
    """Pack each pair that a clustering pays for with conflicts whose two other pairs it does not pay for.

    Only which conflicts are tried depends on the clustering; that the bound holds does not.

    Args:
        pairs: int64 (p, 2), joined and repulsive, or cut and attractive; best where those of one first node follow
            each other.
        vectors: float32 (n, dimensions), none longer than 1.
        labels: int64 (n,), clusters 0..k-1.
        members: int64 (n,), nodes by cluster; starts: int64 (k + 1,), where each cluster begins.
        threshold: the cosine at which a pair neither attracts nor repels.
        keys, carried: `pair_table`, which is kept up to date.
        triples, amounts: (room, 3) and (room,), written to.

    Returns:
        How many triples were written.
    """
    found = 0
    # What pairs of the first node can carry, as long as it stays the same.
    by_x, known = np.empty(labels.size), np.full(labels.size, FREE)
    for p in range(pairs.shape[0]):
        x, a = pairs[p]
        left = _left(vectors, labels, x, a, True, threshold, keys, carried)
        for side in (labels[x], labels[a]):
            size = starts[side + 1] - starts[side]
            first = (a * _STRIDE + x) % size
            for i in range(min(size, MOST_TRIES)):
                if left < LEAST or found == amounts.size:
                    break
                c = members[starts[side] + (first + i) % size]
                if c in (x, a):
                    continue
                if known[c] != x:
                    known[c] = x
                    by_x[c] = _left(vectors, labels, x, c, False, threshold, keys, carried)
                if by_x[c] < LEAST:
                    continue
                amount = min(left, by_x[c], _left(vectors, labels, a, c, False, threshold, keys, carried))
                if amount < LEAST:
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


@njit(cache=True, nogil=True)
def paid_of_rows(products, rows, rank, labels, threshold, most, pairs, costs):
    """The pairs of some nodes that a clustering pays for, and the attraction of all their pairs.

    Args:
        products: float32 (m, n), of these nodes with all.
        rows: int64 (m,), the nodes.
        rank: int64 (n,), each pair counts with the node of the lower rank; those of equal rank do not count.
        labels: int64 (n,).
        threshold: the cosine at which a pair neither attracts nor repels.
        most: pairs of one node, the most expensive ones.
        pairs, costs: (m * most, 2) and (m * most,), written to: by node, the most expensive ones first.

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
    """Lower bound of the cost of any clustering of all pairs, which weigh <x_i, x_j> - threshold.

    Args:
        vectors: (n, dimensions), of any length.
        labels: (n,) a good clustering, 0..k-1: the nearer it is to the best, the higher the bound.
        threshold: the product at which a pair neither attracts nor repels.
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
    most: int = MOST_OF_ONE,
    deadline: Deadline | None = None,
) -> tuple[np.ndarray, float]:
    """Pairs that the clustering pays for, and the attraction of all pairs, of these rows with any.

    After the deadline no further rows are looked at.

    Returns:
        int64 (p, 2), each once, by row and the most expensive first: at most `most` of a row and `MOST_PAIRS`
        in all; the sum of attractive weights.
    """
    rank = np.full(len(vectors), len(rows))
    rank[rows] = np.arange(len(rows))
    found, costs, attraction = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)], 0.0
    step = max(1, BLOCK_CELLS // max(1, len(vectors)))
    for first in range(0, len(rows), step):
        if deadline is not None and deadline.passed:
            break
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
