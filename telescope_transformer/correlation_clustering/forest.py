"""Disjoint sets as forests of parents, and the parts of a graph that attractive pairs connect."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def find(parent, a):
    """Root of a node in a forest of parents; halves the path."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@njit(cache=True, nogil=True)
def join(parent, a, b):
    """Unite the sets of two nodes; the lower root stays."""
    a, b = find(parent, a), find(parent, b)
    parent[max(a, b)] = min(a, b)


@njit(cache=True, nogil=True)
def roots(parent):
    """Root of each node in a forest of parents (n,), which is overwritten."""
    for i in range(parent.size):
        parent[i] = find(parent, i)
    return parent


@njit(cache=True, nogil=True)
def attractive_components(indptr, indices, data):
    """Smallest node (n,) of the part of each that attractive edges connect."""
    parent = np.arange(indptr.size - 1)
    for i in range(parent.size):
        for p in range(indptr[i], indptr[i + 1]):
            if data[p] > 0 and indices[p] < i:
                join(parent, i, indices[p])
    return roots(parent)


@njit(cache=True, nogil=True)
def dense_components(matrix, threshold, sizes):
    """The same of a complete graph."""
    parent = np.arange(matrix.shape[0])
    for i in range(parent.size):
        for j in range(i):
            if matrix[i, j] > threshold * sizes[i] * sizes[j]:
                join(parent, i, j)
    return roots(parent)
