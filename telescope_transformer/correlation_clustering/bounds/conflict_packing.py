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
MOST_TRIES = 128
# Pairs of one window begin their search at different third windows.
_STRIDE = 7919
# An inner product of d float32, of which no two vectors are longer than 1, is wrong by less than d times this.
_UNIT = 6e-8


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
    return abs(weight) - carried[_place(a, b, labels.size, keys)[0]] - _UNIT * vectors.shape[1]


@njit(cache=True, nogil=True)
def pack_conflicts(pairs, vectors, labels, members, starts, threshold, keys, carried, triples, amounts):
    """Pack each pair that a clustering pays for with conflicts whose two other pairs it does not pay for.

    Only which conflicts are tried depends on the clustering; that the bound holds does not.

    Args:
        pairs: int64 (p, 2), joined and repulsive, or cut and attractive; best where those of one first window follow
            each other.
        vectors: float32 (n, dimensions), none longer than 1.
        labels: int64 (n,), clusters 0..k-1.
        members: int64 (n,), windows by cluster; starts: int64 (k + 1,), where each cluster begins.
        threshold: the cosine at which a pair neither attracts nor repels.
        keys, carried: `pair_table`, which is kept up to date.
        triples, amounts: (room, 3) and (room,), written to.

    Returns:
        How many triples were written.
    """
    found = 0
    # What pairs of the first window can carry, as long as it stays the same.
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
    """The pairs of some windows that a clustering pays for, and the attraction of all their pairs.

    Args:
        products: float32 (m, n), of these windows with all.
        rows: int64 (m,), the windows.
        rank: int64 (n,), each pair counts with the window of the lower rank; those of equal rank do not count.
        labels: int64 (n,).
        threshold: the cosine at which a pair neither attracts nor repels.
        most: pairs of one window, the most expensive ones.
        pairs, costs: (m * most, 2) and (m * most,), written to: by window, the most expensive ones first.

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
