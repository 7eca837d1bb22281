"""Pairs that must or must not be in one cluster: what they make of a graph, and clusterings that keep to them.

What must be together is contracted. What must not gets a weight so repulsive that every optimum keeps it apart, and no
more: solvers then see weights of one order of magnitude. A node that shares a cluster with one that it must not be
with can leave it, which costs no more than the attraction of all its edges.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from telescope_transformer.correlation_clustering.bounds.reduction import Reduction, contracted
from telescope_transformer.correlation_clustering.graph import SparseGraph, canonical_labels, sparse_graph
from telescope_transformer.errors import WeightsError

# Repulsion of what must be apart, in units of the attraction of the node at either end that has less: anything above 1
# keeps the optimum.
_REPULSION = 2.0


@dataclass(frozen=True)
class LinkedGraph:
    """What links leave of a graph: the contracted one, its offset and drift (`Reduction`), and pairs of its nodes that
    must be apart (m, 2)."""

    reduction: Reduction
    apart: np.ndarray

    def bound(self, bound: float) -> float:
        """Lower bound of the cost in the original graph, from one in the contracted graph."""
        return max(0.0, self.reduction.offset + bound - self.reduction.drift)

    def labels_of(self, labels: np.ndarray) -> np.ndarray:
        """Labels of the original nodes from those of the contracted graph, which keep to every link; canonical."""
        labels = labels.copy()
        left, right = self.apart.T
        for p in np.flatnonzero(labels[left] == labels[right]):
            if labels[left[p]] == labels[right[p]]:
                labels[left[p]] = labels.max() + 1
        return canonical_labels(labels[self.reduction.pieces])


def link(graph: SparseGraph, must: np.ndarray, cannot: np.ndarray) -> LinkedGraph:
    """The graph in which each group of must-links is a node, and cannot-links repel as much as they need to.

    Raises :class:`WeightsError` naming a pair that must be both together and apart.
    """
    pairs = sparse.coo_array((np.ones(len(must)), must.T), shape=(graph.n, graph.n))
    pieces = canonical_labels(csgraph.connected_components(pairs, directed=False)[1])
    impossible = cannot[pieces[cannot[:, 0]] == pieces[cannot[:, 1]]]
    if len(impossible):
        i, j = impossible[0]
        raise WeightsError(f"pair ({i}, {j}) must not be in one cluster, but must-links join the two")
    found = contracted(graph, pieces)
    apart = np.unique(np.sort(pieces[cannot], axis=1), axis=0)
    found.graph = _repelled(found.graph, apart)
    return LinkedGraph(found, apart)


def _repelled(graph: SparseGraph, apart: np.ndarray) -> SparseGraph:
    """The graph with these pairs (m, 2) as repulsive as they need to be, whatever they weighed."""
    rows = graph.rows()
    attraction = rows.maximum(0).sum(axis=1)
    left, right = apart.T
    needed = _REPULSION * np.minimum(attraction[left], attraction[right]) + graph.scale
    change = sparse.coo_array((-needed - rows[left, right], (left, right)), shape=rows.shape)
    # A sum of two that are not far apart may be off by a rounding: the pair is cut in every optimum all the same.
    return sparse_graph((rows + change + change.T).tocsr())
