"""Lazy separation of violated triangle inequalities on complete and on sparse graphs, compiled.

A pair of a complete graph is numbered by its place in the packed lower triangle, an edge of a sparse graph by its
place among the entries of the rows of larger ends.

A triangle inequality x_ij <= x_ik + x_kj is violated only where both pairs at k are less than cut, which are few:
the search runs over these alone. Each violated inequality gets its multiplier at once, so that those that follow are
only looked for where it left a violation; this keeps the active set small.
"""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.bounds.ascent import fraction, line_search, until_above, until_below

# Columns that are looked over at once: a few vector registers' worth.
_BLOCK = 64


@njit(cache=True, nogil=True, inline="always")
def pair_index(i, j):
    """Place of pair (i, j), i != j, in the packed lower triangle."""
    return i * (i - 1) // 2 + j if i > j else j * (j - 1) // 2 + i


@njit(cache=True, nogil=True)
def pack_pairs(matrix, threshold):
    """Weights of all pairs (n (n - 1) / 2,) in float64, in the order of `pair_index`."""
    n = matrix.shape[0]
    packed = np.empty(n * (n - 1) // 2)
    place = 0
    for i in range(n):
        for j in range(i):
            packed[place] = matrix[i, j] - threshold
            place += 1
    return packed


@njit(cache=True, nogil=True)
def pairs_cut(labels):
    """Whether the clustering cuts each pair, in the order of `pair_index`."""
    n = labels.size
    cut = np.empty(n * (n - 1) // 2, np.bool_)
    place = 0
    for i in range(n):
        for j in range(i):
            cut[place] = labels[i] != labels[j]
            place += 1
    return cut


@njit(cache=True, nogil=True)
def fractions_dense(reduced, cut, smoothing, n):
    """Primal estimates as a symmetric float32 matrix (n, n)."""
    x = np.zeros((n, n), np.float32)
    place = 0
    for i in range(n):
        for j in range(i):
            x[i, j] = x[j, i] = fraction(reduced[place], cut[place], smoothing)
            place += 1
    return x


@njit(cache=True, nogil=True)
def ascend_triangle(a, b, c, reduced, cut, smoothing, tolerance):
    """Step for a triangle inequality without a multiplier yet; 0 where it is not violated beyond the tolerance."""
    violation = fraction(reduced[a], cut[a], smoothing)
    violation -= fraction(reduced[b], cut[b], smoothing) + fraction(reduced[c], cut[c], smoothing)
    if violation <= tolerance:
        return 0.0
    first = until_below(reduced[a], cut[a], smoothing)
    second = until_above(reduced[b], cut[b], smoothing)
    third = until_above(reduced[c], cut[c], smoothing)
    step = line_search(violation, first, second, third, smoothing)
    reduced[a] += step
    reduced[b] -= step
    reduced[c] -= step
    return step


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _most_violated(row, to_centre):
    """Largest of row[j] - to_centre[j]; a loop without branches, which compiles to vector instructions."""
    worst = np.float32(-1.0)
    for q in range(row.size):
        worst = max(worst, row[q] - to_centre[q])
    return worst


@njit(cache=True, nogil=True)
def _near_blocks(row, k, limit, near, blocks):
    """Nodes nearer to k than the limit, and the blocks of nodes in which there are some; returns how many of both."""
    count, last, height = 0, -1, 0
    for j in range(row.size):
        if j != k and row[j] < limit:
            near[count] = j
            count += 1
            if j // _BLOCK != last:
                last = j // _BLOCK
                blocks[height] = last
                height += 1
    return count, height


@njit(cache=True, nogil=True)
def separate_dense(x, reduced, cut, smoothing, tolerance, centres, triangles, multipliers):
    """Find violated inequalities around ``centres`` and give them multipliers; writes both arrays, returns how many.

    ``x`` is `fractions_dense`, kept up to date. Stops where the arrays are full. It is fastest where nodes that are
    near to each other have numbers near to each other.
    """
    n = x.shape[0]
    near, blocks = np.empty(n, np.int64), np.empty(1 + n // _BLOCK, np.int64)
    found = 0
    for k in centres:
        count, height = _near_blocks(x[k], k, 1 - tolerance, near, blocks)
        for i in near[:count]:
            b = pair_index(i, k)
            for block in blocks[:height]:
                start, end = block * _BLOCK, min((block + 1) * _BLOCK, i)
                if start >= i:
                    break
                if _most_violated(x[i, start:end], x[k, start:end]) - x[i, k] <= tolerance:
                    continue
                for j in range(start, end):
                    if j == k or x[i, j] - x[i, k] - x[k, j] <= tolerance:
                        continue
                    if found == multipliers.size:
                        return found
                    a = pair_index(i, j)
                    c = pair_index(j, k)
                    step = ascend_triangle(a, b, c, reduced, cut, smoothing, tolerance)
                    if step > 0:
                        x[i, j] = x[j, i] = fraction(reduced[a], cut[a], smoothing)
                        x[i, k] = x[k, i] = fraction(reduced[b], cut[b], smoothing)
                        x[j, k] = x[k, j] = fraction(reduced[c], cut[c], smoothing)
                        triangles[found, 0], triangles[found, 1], triangles[found, 2] = a, b, c
                        multipliers[found] = step
                        found += 1
    return found


@njit(cache=True, nogil=True)
def edge_positions(indptr, indices):
    """Place in the compressed rows of each edge (m,), in the row of its larger end."""
    places = np.empty(indices.size // 2, np.int64)
    e = 0
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] < i:
                places[e] = p
                e += 1
    return places


@njit(cache=True, nogil=True)
def edge_ids(indptr, indices):
    """Number of the edge that each entry of the compressed rows belongs to."""
    ids = np.empty(indices.size, np.int32)
    seen = indptr[:-1].copy()
    e = 0
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j < i:
                ids[p] = e
                # Rows are sorted, so the mirrored entries of row j come up in the order of i.
                while indices[seen[j]] != i:
                    seen[j] += 1
                ids[seen[j]] = e
                e += 1
    return ids


@njit(cache=True, nogil=True)
def edges_cut(indptr, indices, labels):
    """Whether the clustering cuts each edge."""
    cut = np.empty(indices.size // 2, np.bool_)
    e = 0
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] < i:
                cut[e] = labels[i] != labels[indices[p]]
                e += 1
    return cut


@njit(cache=True, nogil=True)
def edge_fractions(reduced, cut, smoothing):
    """Primal estimates (m,) of the edges."""
    x = np.empty(reduced.size)
    for e in range(reduced.size):
        x[e] = fraction(reduced[e], cut[e], smoothing)
    return x


@njit(cache=True, nogil=True)
def near_rows(indptr, indices, ids, reduced, cut, smoothing, limit):
    """The edges whose estimate is below the limit, in compressed rows: ends, edges and estimates."""
    x = edge_fractions(reduced, cut, smoothing)
    near_indptr = np.zeros(indptr.size, np.int64)
    for i in range(indptr.size - 1):
        near_indptr[i + 1] = near_indptr[i]
        for p in range(indptr[i], indptr[i + 1]):
            near_indptr[i + 1] += x[ids[p]] < limit
    ends, edges = np.empty(near_indptr[-1], np.int32), np.empty(near_indptr[-1], np.int32)
    estimates = np.empty(near_indptr[-1], np.float32)
    place = 0
    for p in range(indices.size):
        if x[ids[p]] < limit:
            ends[place], edges[place], estimates[place] = indices[p], ids[p], x[ids[p]]
            place += 1
    return near_indptr, ends, edges, estimates


@njit(cache=True, nogil=True)
def separate_sparse(rows, near, reduced, cut, smoothing, tolerance, first, last, triangles, multipliers):
    """Find violated triangles of three edges and give them multipliers; returns how many.

    Stops where the arrays are full. ``rows`` are (indptr, indices, ids), ``near`` are `near_rows`. Each edge (i, j) is
    looked at from its end i of more near edges, first <= i < last: common neighbours are found among those of j.
    """
    indptr, indices, ids = rows
    near_indptr, ends, edges, estimates = near
    n = indptr.size - 1
    # Estimates and edges between i and its near neighbours; no sum with 2 is below an estimate.
    x_to, edge_to = np.full(n, 2.0, np.float32), np.empty(n, np.int32)
    found = 0
    for i in range(first, last):
        ways = near_indptr[i + 1] - near_indptr[i]
        for p in range(near_indptr[i], near_indptr[i + 1]):
            x_to[ends[p]], edge_to[ends[p]] = estimates[p], edges[p]
        for p in range(indptr[i], indptr[i + 1]):
            j, a = indices[p], ids[p]
            ways_of_other = near_indptr[j + 1] - near_indptr[j]
            if ways_of_other > ways or (ways_of_other == ways and j > i):
                continue
            beyond = fraction(reduced[a], cut[a], smoothing) - tolerance
            for q in range(near_indptr[j], near_indptr[j + 1]):
                k = ends[q]
                if x_to[k] + estimates[q] >= beyond:
                    continue
                if found == multipliers.size:
                    return found
                b, c = edge_to[k], edges[q]
                step = ascend_triangle(a, b, c, reduced, cut, smoothing, tolerance)
                x_to[k] = fraction(reduced[b], cut[b], smoothing)
                estimates[q] = fraction(reduced[c], cut[c], smoothing)
                beyond = fraction(reduced[a], cut[a], smoothing) - tolerance
                if step > 0:
                    triangles[found, 0], triangles[found, 1], triangles[found, 2] = a, b, c
                    multipliers[found] = step
                    found += 1
                if beyond <= 0:
                    break
        for p in range(near_indptr[i], near_indptr[i + 1]):
            x_to[ends[p]] = 2.0
    return found
