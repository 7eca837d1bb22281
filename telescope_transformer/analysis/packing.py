"""Packing of conflicting triples: the compiled core of `conflicts`.

Three windows of which two pairs attract and the third repels are in conflict: every partition cuts one of the
attractive pairs or joins the repulsive one. Where no pair carries more than its weight, the sum of what conflicts are
packed with is a lower bound of the cost of every partition (Bansal, Blum and Chawla 2004, Section 2, with weights;
Lange et al. 2018 pack cycles): a partition pays for each conflict on at least one of its pairs.
"""

import numpy as np
from numba import njit

FREE = -1
# Below this a conflict is not worth its row.
LEAST = 1e-4
# Third windows that a pair tries in one cluster: pairs with weight left are found soon or hardly ever.
MOST_TRIES = 256
# Left free on each pair: more than float64 sums of products of float32 can be wrong by.
SLACK = 1e-9
# Pairs of one window begin their search at different third windows.
_STRIDE = 7919


def pair_table(triples: np.ndarray, amounts: np.ndarray, n: int, room: int) -> tuple[np.ndarray, np.ndarray]:
    """What each pair of the packed triples carries, as an open hash table with room for as many triples more.

    Args:
        triples: int64 (t, 3), windows 0..n-1.
        amounts: float64 (t,).
        n: number of windows.
        room: triples that may be added.

    Returns:
        Keys int64 (slots,), `FREE` where empty, and amounts float64 (slots,).
    """
    slots = 1 << int(np.ceil(np.log2(6 * (len(triples) + room) + 2)))
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


# In any order, so that several products are summed at a time; the error stays far below SLACK.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _weight(vectors, a, b, threshold):
    total = 0.0
    for d in range(vectors.shape[1]):
        total += np.float64(vectors[a, d]) * np.float64(vectors[b, d])
    return total - threshold


@njit(cache=True, nogil=True)
def pack_conflicts(pairs, vectors, labels, members, starts, threshold, keys, carried, triples, amounts):
    """Pack each pair that a clustering pays for with conflicts whose two other pairs it does not pay for.

    Only which conflicts are tried depends on the clustering; that the bound holds does not.

    Args:
        pairs: int64 (p, 2), joined and repulsive, or cut and attractive.
        vectors: float32 (n, dimensions).
        labels: int64 (n,), clusters 0..k-1.
        members: int64 (n,), windows by cluster; starts: int64 (k + 1,), where each cluster begins.
        threshold: the cosine at which a pair neither attracts nor repels.
        keys, carried: `pair_table`, which is kept up to date.
        triples, amounts: (room, 3) and (room,), written to.

    Returns:
        How many triples were written.
    """
    n, found = labels.size, 0
    for p in range(pairs.shape[0]):
        x, a = pairs[p]
        cost = _weight(vectors, x, a, threshold)
        if (cost > 0) == (labels[x] == labels[a]):
            continue
        left = abs(cost) - carried[_place(x, a, n, keys)[0]] - SLACK
        for side in (labels[x], labels[a]):
            size = starts[side + 1] - starts[side]
            first = (a * _STRIDE + x) % size
            for i in range(min(size, MOST_TRIES)):
                if left < LEAST or found == amounts.size:
                    break
                c = members[starts[side] + (first + i) % size]
                if c in (x, a):
                    continue
                to_x = _weight(vectors, x, c, threshold)
                to_a = _weight(vectors, a, c, threshold)
                # Attractive inside a cluster, repulsive between clusters: the pairs that are not paid for.
                if (to_x > 0) != (labels[c] == labels[x]) or (to_a > 0) != (labels[c] == labels[a]):
                    continue
                by_x = abs(to_x) - carried[_place(x, c, n, keys)[0]] - SLACK
                by_a = abs(to_a) - carried[_place(a, c, n, keys)[0]] - SLACK
                amount = min(left, by_x, by_a)
                if amount < LEAST:
                    continue
                _carry(x, a, c, amount, n, keys, carried)
                left -= amount
                triples[found, 0], triples[found, 1], triples[found, 2] = x, a, c
                amounts[found] = amount
                found += 1
            if labels[x] == labels[a]:
                break
    return found
