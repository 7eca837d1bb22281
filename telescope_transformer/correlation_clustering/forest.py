"""Disjoint sets as forests of parents, and the components of a graph that attractive edges connect."""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled


@compiled()
def find(parent: np.ndarray, a: int) -> int:
    """Root of a node in a forest of parents; halves the path to the root."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@compiled()
def join(parent: np.ndarray, a: int, b: int) -> None:
    """Unite the sets of two nodes. The lower root remains the root."""
    a, b = find(parent, a), find(parent, b)
    parent[max(a, b)] = min(a, b)


@compiled()
def roots(parent: np.ndarray) -> np.ndarray:
    """Root of each node in a forest of parents (n,), which is overwritten."""
    for i in range(parent.size):
        parent[i] = find(parent, i)
    return parent


@compiled()
def attractive_components(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> np.ndarray:
    """For each node, the lowest node of its part, int64 (n,). A part is connected by attractive edges."""
    parent = np.arange(indptr.size - 1)
    for i in range(parent.size):
        for p in range(indptr[i], indptr[i + 1]):
            if data[p] > 0 and indices[p] < i:
                join(parent, i, indices[p])
    return roots(parent)


@compiled()
def dense_components(matrix: np.ndarray, threshold: float, sizes: np.ndarray) -> np.ndarray:
    """The same as `attractive_components` for a complete graph, given by the fields of a `DenseGraph`."""
    parent = np.arange(matrix.shape[0])
    for i in range(parent.size):
        for j in range(i):
            if matrix[i, j] > threshold * sizes[i] * sizes[j]:
                join(parent, i, j)
    return roots(parent)
