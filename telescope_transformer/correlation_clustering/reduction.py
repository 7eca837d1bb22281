"""Reduction of a complete graph to hard kernels without loss of optimality.

Nodes that no path of attractive pairs connects are apart in some optimum, so connected components are solved one by
one. Two nodes i, j are together in every optimum if w_ij exceeds the sum of |w_ik| over the other nodes k (Lange,
Karrenbauer and Andres, *Partial optimality and fast lower bounds for weighted correlation clustering*, ICML 2018), or
if 2 w_ij exceeds the sum of |w_ik - w_jk|: were they apart, moving i to j or j to i would gain. k runs over their
component only, since no optimum joins more. Persistent pairs are contracted until there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from telescope_transformer.correlation_clustering.graph import DenseGraph, canonical_labels

# A strict inequality that rounding of a sum of n terms cannot feign.
_MARGIN = 1e-9


@njit(cache=True, nogil=True)
def _find(parent, a):
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@njit(cache=True, nogil=True)
def _attractive_components(matrix, threshold, sizes):
    n = matrix.shape[0]
    parent = np.arange(n)
    for i in range(n):
        for j in range(i):
            if matrix[i, j] > threshold * sizes[i] * sizes[j]:
                a, b = _find(parent, i), _find(parent, j)
                if a != b:
                    parent[max(a, b)] = min(a, b)
    for i in range(n):
        parent[i] = _find(parent, i)
    return parent


@njit(cache=True, nogil=True)
def _persistent(weights, component, i, j):
    """Whether one of the two criteria joins i and j; stops as soon as all have failed."""
    limit = weights[i, j] * (1.0 - _MARGIN)
    first, second, twins = 0.0, 0.0, 0.0
    for k in range(weights.shape[0]):
        if component[k] == component[i] and k not in (i, j):
            first += abs(weights[i, k])
            second += abs(weights[j, k])
            twins += abs(weights[i, k] - weights[j, k])
            if first >= limit and second >= limit and twins >= 2.0 * limit:
                return False
    return True


@njit(cache=True, nogil=True)
def _persistent_joins(weights, component):
    """Smallest node that each is contracted with."""
    n = weights.shape[0]
    parent = np.arange(n)
    for i in range(n):
        for j in range(i):
            if weights[i, j] > 0 and _find(parent, i) != _find(parent, j) and _persistent(weights, component, i, j):
                a, b = _find(parent, i), _find(parent, j)
                parent[max(a, b)] = min(a, b)
    for i in range(n):
        parent[i] = _find(parent, i)
    return parent


@dataclass(frozen=True)
class Reduction:
    """What is left of a graph: the node of ``graph`` (k nodes) that each original node went into, ``pieces`` (n,);
    the ``components`` (k,) of attractive pairs; and the cost ``offset`` that contraction settled."""

    graph: DenseGraph
    pieces: np.ndarray
    components: np.ndarray
    offset: float

    def kernels(self) -> Iterator[tuple[np.ndarray, DenseGraph]]:
        """Nodes of ``graph`` and the graph among them, for each component of two or more."""
        for c in np.flatnonzero(np.bincount(self.components) > 1):
            nodes = np.flatnonzero(self.components == c)
            yield nodes, DenseGraph(np.ascontiguousarray(self.graph.matrix[np.ix_(nodes, nodes)]))


def reduce_graph(graph: DenseGraph) -> Reduction:
    """Contract persistent pairs and split into components; an optimum of the rest is one of ``graph``.

    Cost of a clustering of ``graph`` = ``offset`` + its cost on the reduced graph.
    """
    weights = graph.weights()
    whole = DenseGraph(weights)
    pieces = np.arange(graph.n)
    while True:
        components = canonical_labels(_attractive_components(weights, 0.0, np.ones(weights.shape[0])))
        joins = canonical_labels(_persistent_joins(weights, components))
        if not joins.size or int(joins.max()) + 1 == joins.size:
            break
        weights = DenseGraph(weights).contract(joins).matrix
        np.fill_diagonal(weights, 0.0)
        pieces = joins[pieces]
    reduced = DenseGraph(weights)
    offset = whole.cost(pieces) - reduced.cost(np.arange(reduced.n))
    return Reduction(reduced, pieces, components, max(offset, 0.0))
