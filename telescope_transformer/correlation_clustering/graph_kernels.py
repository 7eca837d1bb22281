"""Compiled operations of dense and sparse graphs."""

import numpy as np

from telescope_transformer.correlation_clustering.compiled import compiled

# Machine epsilon: twice the largest relative error of a rounding.
EPSILON = float(np.finfo(np.float64).eps)


# Side of the squares in which symmetric matrices are visited, so that both (i, j) and (j, i) are in the cache.
SQUARE = 32


@compiled()
def mirror(matrix: np.ndarray) -> None:
    """Copy the lower triangle of a matrix to the upper one."""
    n = matrix.shape[0]
    for first in range(0, n, SQUARE):
        for start in range(0, first + SQUARE, SQUARE):
            for i in range(first, min(first + SQUARE, n)):
                for j in range(start, min(start + SQUARE, i)):
                    matrix[j, i] = matrix[i, j]


@compiled()
def dot(first: np.ndarray, second: np.ndarray) -> float:
    """Inner product, summed in order."""
    total = 0.0
    for p in range(first.size):
        total += first[p] * second[p]
    return total


@compiled(inline="always")
def two_sum(first: float, second: float) -> tuple[float, float]:
    """The rounded sum of two numbers, and its rounding error, which is exact (Knuth, *TAOCP*, volume 2, 4.2.2)."""
    total = first + second
    part = total - first
    return total, (first - (total - part)) + (second - part)


# Each row has its own accumulator, so a sum of terms that are at least 0 has a relative error of at most (n + 2)
# roundings.
@compiled()
def dense_disagreement(
    matrix: np.ndarray,
    threshold: float,
    left_sizes: np.ndarray,
    right_sizes: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    diagonal: bool,
) -> float:
    """Cut attractive plus joined repulsive weight of the pairs of a complete graph, or of a block of them.

    A pair weighs ``matrix[i, j] - threshold * left_sizes[i] * right_sizes[j]``.

    Args:
        matrix: (m, k).
        threshold: see `DenseGraph`.
        left_sizes: float64 (m,).
        right_sizes: float64 (k,).
        left: int64 (m,), labels.
        right: int64 (k,), labels.
        diagonal: whether rows and columns are the same nodes, so that only the pairs below the diagonal count.
    """
    cost = 0.0
    for i in range(left.size):
        row = 0.0
        penalty = threshold * left_sizes[i]
        for j in range(i if diagonal else right.size):
            weight = matrix[i, j] - penalty * right_sizes[j]
            # The term is chosen without a branch. The cost is not computed as a difference of sums, in which a large
            # weight would absorb the other terms.
            row += max(-weight, 0.0) if left[i] == right[j] else max(weight, 0.0)
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
def compressed_rows(matrix: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compressed rows of the weights that are not 0 in a complete graph, given by the fields of a `DenseGraph`."""
    n = len(matrix)
    indptr = np.zeros(n + 1, np.int64)
    # Pages that are never written take no memory.
    indices, data = np.empty(n * n, np.int32), np.empty(n * n)
    used = 0
    for i in range(n):
        for j in range(n):
            weight = matrix[i, j] - threshold
            if i != j and weight != 0:
                indices[used], data[used] = j, weight
                used += 1
        indptr[i + 1] = used
    return indptr, indices[:used], data[:used]


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
def edge_entries(indptr: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each edge is stored in the compressed rows: in the row of its larger end and of its smaller end, (m,).

    Edges are numbered in the order of the first array.
    """
    in_larger, in_smaller = np.empty(indices.size // 2, np.int64), np.empty(indices.size // 2, np.int64)
    seen = indptr[:-1].copy()
    e = 0
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j < i:
                # Rows are sorted, so row j stores the ends of its edges in the order of i.
                while indices[seen[j]] != i:
                    seen[j] += 1
                in_larger[e], in_smaller[e] = p, seen[j]
                e += 1
    return in_larger, in_smaller


@compiled()
def contract_sparse(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Contract clusters to nodes, and keep account of the cost and the rounding errors.

    If attractive and repulsive edges become one edge, every clustering pays for the smaller of the two sums. Every
    clustering also pays for the repulsion inside a contracted node.

    Args:
        indptr: rows of the graph.
        indices: columns.
        data: weights.
        labels: (n,), clusters 0..k-1.
        k: number of clusters.

    Returns:
        Compressed rows of the contracted graph, the cost that every clustering pays for the contracted edges, and the
        sum of rounding errors.
    """
    members = np.argsort(labels, kind="mergesort")
    sums, attraction, repulsion, lost = np.zeros(k), np.zeros(k), np.zeros(k), np.zeros(k)
    seen = np.full(k, -1, np.int64)
    small_indptr = np.zeros(k + 1, np.int64)
    small_indices, small_data = np.empty(indices.size, np.int32), np.empty(indices.size)
    used, place, offset, drift = 0, 0, 0.0, 0.0
    for c in range(k):
        start, settled = used, 0.0
        while place < members.size and labels[members[place]] == c:
            i = members[place]
            place += 1
            for p in range(indptr[i], indptr[i + 1]):
                b = labels[indices[p]]
                if b == c:
                    # Each pair inside a cluster is stored twice.
                    settled += 0.5 * max(-data[p], 0.0)
                    continue
                if seen[b] != c:
                    seen[b] = c
                    sums[b] = attraction[b] = repulsion[b] = lost[b] = 0.0
                    small_indices[used] = b
                    used += 1
                sums[b], error = two_sum(sums[b], data[p])
                lost[b] += abs(error)
                attraction[b] += max(data[p], 0.0)
                repulsion[b] += max(-data[p], 0.0)
        small_indices[start:used].sort()
        for p in range(start, used):
            b = small_indices[p]
            small_data[p] = sums[b]
            if b < c:
                settled += min(attraction[b], repulsion[b])
                drift += lost[b]
        offset += settled
        small_indptr[c + 1] = used
    small_indices, small_data = small_indices[:used], small_data[:used]
    # The two sums of an edge were rounded in different orders.
    in_larger, in_smaller = edge_entries(small_indptr, small_indices)
    small_data[in_smaller] = small_data[in_larger]
    return small_indptr, small_indices, small_data, offset, drift


@compiled()
def all_whole(values: np.ndarray) -> bool:
    # Numba cannot compile the generator expression that ruff suggests.
    """Whether all values are whole numbers."""
    for value in values:  # noqa: SIM110
        if value != np.floor(value):
            return False
    return True
