"""Disjoint sets as forests of parents, components that attractive edges connect, and biconnected blocks."""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph_kernels import edge_entries


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
def dense_components(matrix: np.ndarray, threshold: float) -> np.ndarray:
    """The same as `attractive_components` for a complete graph, given by the fields of a `DenseGraph`."""
    parent = np.arange(matrix.shape[0])
    for i in range(parent.size):
        for j in range(i):
            if matrix[i, j] > threshold:
                join(parent, i, j)
    return roots(parent)


@compiled()
def biconnected_blocks(indptr: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, int]:
    """For each entry of the rows, the number of its biconnected block; and the number of blocks.

    No cycle crosses from one block to another.
    Depth-first search with low points, without recursion (Hopcroft and Tarjan, *Algorithm 447*, 1973).
    """
    n = indptr.size - 1
    block = np.full(indices.size, -1, np.int32)
    depth, low = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    above, entry, next_entry = np.full(n, -1, np.int64), np.full(n, -1, np.int64), indptr[:-1].copy()
    stack = np.empty(indices.size // 2, np.int64)
    height, count = 0, 0
    for root in range(n):
        if depth[root] >= 0:
            continue
        depth[root] = 0
        v = root
        while v >= 0:
            if next_entry[v] < indptr[v + 1]:
                p = next_entry[v]
                next_entry[v] += 1
                u = indices[p]
                if depth[u] < 0:
                    stack[height] = p
                    height += 1
                    depth[u] = low[u] = depth[v] + 1
                    above[u], entry[u] = v, p
                    v = u
                elif depth[u] < depth[v] and u != above[v]:
                    stack[height] = p
                    height += 1
                    low[v] = min(low[v], depth[u])
                continue
            # A block is complete if no node below v has an edge to a node above the parent of v.
            w = above[v]
            if w >= 0:
                low[w] = min(low[w], low[v])
                if low[v] >= depth[w]:
                    while block[entry[v]] < 0:
                        height -= 1
                        block[stack[height]] = count
                    count += 1
            v = w
    in_larger, in_smaller = edge_entries(indptr, indices)
    found = np.maximum(block[in_larger], block[in_smaller])
    block[in_larger], block[in_smaller] = found, found
    return block, count
