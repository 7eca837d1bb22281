"""The pairs of a complete graph that a lower bound can come from, as a sparse graph.

A repulsive pair costs something only where a clustering joins it, and a triangle makes a clustering join it only
through a third node that attracts both. All other repulsive pairs are left out: no clustering costs less for them, so
that a bound of what is left is a bound. Of 46 million pairs of 9,630 windows at a cosine of .8, 1.9 million are left.
"""

import numpy as np
from numba import njit
from scipy import sparse

from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph, sparse_graph


@njit(cache=True, nogil=True)
def _rows_below(indptr, indices, labels, most):
    """Nodes j < i that attract i, share a node that attracts both, or are in its cluster, in compressed rows.

    ``indptr`` and ``indices`` are the attractive pairs. Where there are more than ``most``, the last start is -1.
    """
    n = labels.size
    starts, found = np.zeros(n + 1, np.int64), np.empty(most, np.int32)
    seen = np.full(n, -1, np.int32)
    used = 0
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            k = indices[p]
            seen[k] = i
            for q in range(indptr[k], indptr[k + 1]):
                if indices[q] >= i:
                    break
                seen[indices[q]] = i
        for j in range(i):
            if seen[j] == i or labels[j] == labels[i]:
                if used == most:
                    starts[n] = -1
                    return starts, found
                found[used] = j
                used += 1
        starts[i + 1] = used
    return starts, found[:used].copy()


def conflict_graph(graph: DenseGraph, labels: np.ndarray, share: float) -> SparseGraph | None:
    """The attractive pairs of a graph of original nodes, and the repulsive ones that a triangle or ``labels`` joins.

    ``labels`` (n,) cost the same in it. None where more than a ``share`` of all pairs would be left.
    """
    most = int(share * graph.n * (graph.n - 1) / 2)
    attractive = graph.matrix > graph.threshold
    np.fill_diagonal(attractive, False)
    if np.count_nonzero(attractive) > 2 * most:
        return None
    rows = sparse.csr_array(attractive)
    starts, below = _rows_below(rows.indptr, rows.indices, labels, most)
    if starts[-1] < 0:
        return None
    weights = graph.matrix[np.repeat(np.arange(graph.n), np.diff(starts)), below].astype(np.float64) - graph.threshold
    half = sparse.csr_array((weights, below, starts), shape=(graph.n, graph.n))
    return sparse_graph((half + half.T).tocsr())
