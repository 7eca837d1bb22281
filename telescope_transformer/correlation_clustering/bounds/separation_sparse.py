"""Lazy separation of violated triangle inequalities on sparse graphs; edges are numbered by their larger end."""

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.bounds.ascent import fraction
from telescope_transformer.correlation_clustering.bounds.separation import ascend_triangle


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
def separate_sparse(indptr, indices, ids, reduced, cut, smoothing, tolerance, first, last, triangles, multipliers):
    """Find violated triangles of three edges and give them multipliers; returns how many. Stops where arrays are full.

    For each edge (i, j), j < i, first <= i < last, that is to some degree cut, the common neighbours whose edges to
    both are less than cut.
    """
    n = indptr.size - 1
    owner = np.full(n, -1, np.int32)
    edge_to = np.empty(n, np.int32)
    found = 0
    for i in range(first, last):
        for p in range(indptr[i], indptr[i + 1]):
            e = ids[p]
            if fraction(reduced[e], cut[e], smoothing) < 1.0 - tolerance:
                owner[indices[p]] = i
                edge_to[indices[p]] = e
        for p in range(indptr[i], indptr[i + 1]):
            j, a = indices[p], ids[p]
            if j > i:
                break
            if fraction(reduced[a], cut[a], smoothing) <= tolerance:
                continue
            for q in range(indptr[j], indptr[j + 1]):
                k = indices[q]
                if owner[k] != i:
                    continue
                if found == multipliers.size:
                    return found
                b, c = edge_to[k], ids[q]
                step = ascend_triangle(a, b, c, reduced, cut, smoothing, tolerance)
                if step > 0:
                    triangles[found, 0], triangles[found, 1], triangles[found, 2] = a, b, c
                    multipliers[found] = step
                    found += 1
                    if fraction(reduced[a], cut[a], smoothing) <= tolerance:
                        break
    return found
