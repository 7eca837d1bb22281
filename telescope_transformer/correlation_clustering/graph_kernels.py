"""Compiled operations of dense and sparse graphs."""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled


# Each row has its own accumulator, so a sum of terms that are at least 0 has a relative error of at most (n + 2)
# roundings.
@compiled()
def dense_disagreement(matrix: np.ndarray, threshold: float, sizes: np.ndarray, labels: np.ndarray) -> float:
    """Cost of the clustering ``labels`` int64 (n,) of a complete graph, given by the fields of a `DenseGraph`."""
    cost = 0.0
    for i in range(labels.size):
        row = 0.0
        penalty = threshold * sizes[i]
        for j in range(i):
            weight = matrix[i, j] - penalty * sizes[j]
            # The term is chosen without a branch. The cost is not computed as a difference of sums, in which a large
            # weight would absorb the other terms.
            row += max(-weight, 0.0) if labels[i] == labels[j] else max(weight, 0.0)
        cost += row
    return cost


@compiled()
def contract_dense(matrix: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Sums of the weights between clusters, float64 (k, k)."""
    n = matrix.shape[0]
    small = np.zeros((k, k))
    row = np.empty(k)
    for i in range(n):
        row[:] = 0.0
        for j in range(n):
            row[labels[j]] += matrix[i, j]
        row[labels[i]] -= matrix[i, i]
        small[labels[i]] += row
    return small


@compiled()
def sparse_disagreement(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, labels: np.ndarray) -> float:
    """Cost of a clustering of a graph in compressed rows."""
    cost = 0.0
    for i in range(indptr.size - 1):
        for e in range(indptr[i], indptr[i + 1]):
            if indices[e] < i:
                if labels[i] == labels[indices[e]]:
                    cost += max(-data[e], 0.0)
                else:
                    cost += max(data[e], 0.0)
    return cost


@compiled()
def contract_sparse(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compressed rows of the contracted graph; the rows of a cluster's members are summed in a dense scratch row."""
    members = np.argsort(labels, kind="mergesort")
    sums = np.zeros(k)
    seen = np.full(k, -1, np.int64)
    small_indptr = np.zeros(k + 1, np.int64)
    small_indices = np.empty(indices.size, np.int32)
    small_data = np.empty(indices.size)
    used = 0
    place = 0
    for c in range(k):
        start = used
        while place < members.size and labels[members[place]] == c:
            i = members[place]
            place += 1
            for p in range(indptr[i], indptr[i + 1]):
                b = labels[indices[p]]
                if b == c:
                    continue
                if seen[b] != c:
                    seen[b] = c
                    sums[b] = 0.0
                    small_indices[used] = b
                    used += 1
                sums[b] += data[p]
        small_indices[start:used].sort()
        for p in range(start, used):
            small_data[p] = sums[small_indices[p]]
        small_indptr[c + 1] = used
    return small_indptr, small_indices[:used].copy(), small_data[:used].copy()


@compiled()
def all_whole(values: np.ndarray) -> bool:
    # Numba cannot compile the generator expression that ruff suggests.
    """Whether all values are whole numbers."""
    for value in values:  # noqa: SIM110
        if value != np.floor(value):
            return False
    return True
