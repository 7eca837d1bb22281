"""Must-links and cannot-links: apply them to a graph, and make clusterings satisfy them.

Nodes that must be together are contracted. A pair that must be apart gets a weight that is repulsive enough for every
optimum to cut it. The weight is not made larger, so that all weights keep a similar order of magnitude. If a node
shares a cluster with a node from which it must be apart, it can always leave the cluster; this costs at most the total
attraction of its edges.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from telescope_transformer.correlation_clustering.bounds.reduction import Reduction, contracted, rounding_of
from telescope_transformer.correlation_clustering.graph import SparseGraph, canonical_labels, sparse_graph
from telescope_transformer.errors import WeightsError

# Repulsion of a cannot-link, in units of the total attraction of its less attracted end. Any value above 1 makes every
# optimum cut the pair; 2 leaves room for rounding.
_REPULSION = 2.0


@dataclass(frozen=True)
class LinkedGraph:
    """A graph after its links have been applied.

    Attributes:
        reduction: the contracted graph with its offset and drift.
        apart: int64 (m, 2), pairs of nodes of the contracted graph that must be apart.
    """

    reduction: Reduction
    apart: np.ndarray

    def labels_of(self, labels: np.ndarray) -> np.ndarray:
        """Labels of the original nodes that satisfy every link.

        Args:
            labels: int64, a clustering of the contracted graph.

        Returns:
            Canonical labels int64 (n,).
        """
        labels = labels.copy()
        left, right = self.apart.T
        for p in np.flatnonzero(labels[left] == labels[right]):
            if labels[left[p]] == labels[right[p]]:
                labels[left[p]] = labels.max() + 1
        return canonical_labels(labels[self.reduction.pieces])


def link(graph: SparseGraph, must: np.ndarray, cannot: np.ndarray) -> LinkedGraph:
    """Contract must-links, and make cannot-links so repulsive that every optimum cuts them.

    Args:
        graph: the graph.
        must: int64 (m, 2), pairs that must be together.
        cannot: int64 (k, 2), pairs that must be apart.

    Raises:
        WeightsError: must-links connect the nodes of a cannot-link.
    """
    pairs = sparse.coo_array((np.ones(len(must)), must.T), shape=(graph.n, graph.n))
    pieces = canonical_labels(csgraph.connected_components(pairs, directed=False)[1])
    impossible = cannot[pieces[cannot[:, 0]] == pieces[cannot[:, 1]]]
    if len(impossible):
        i, j = impossible[0]
        raise WeightsError(f"pair ({i}, {j}) must not be in one cluster, but must-links join the two")
    found = contracted(graph, pieces)
    apart = np.unique(np.sort(pieces[cannot], axis=1), axis=0)
    # Every clustering that satisfies the links pays for the attraction of the pairs that it must cut.
    if len(apart):
        found.offset += float(np.maximum(found.graph.rows()[apart[:, 0], apart[:, 1]], 0.0).sum())
    if not graph.whole:
        found.drift += rounding_of(graph) * found.offset
    found.graph = _repelled(found.graph, apart)
    return LinkedGraph(found, apart)


def _repelled(graph: SparseGraph, apart: np.ndarray) -> SparseGraph:
    """Make the pairs (m, 2) so repulsive that every optimum cuts them, whatever they weighed before."""
    rows = graph.rows()
    attraction = rows.maximum(0).sum(axis=1)
    left, right = apart.T
    needed = _REPULSION * np.minimum(attraction[left], attraction[right]) + graph.scale
    change = sparse.coo_array((-needed - rows[left, right], (left, right)), shape=rows.shape)
    # The sum may have a rounding error, for which `_REPULSION` leaves room.
    return sparse_graph((rows + change + change.T).tocsr())
