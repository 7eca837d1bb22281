"""Multipliers for all triangles of a clustering at once: a start for the dual ascent on large complete graphs.

If the clustering is optimal for the triangle relaxation, only two kinds of triangles have a multiplier (complementary
slackness). Both consist of pairs of one cluster C and of pairs to one further node:

- A node i outside of C attracts j in C. The attraction of (i, j) is moved to repulsive pairs (i, k) with k in C. Each
  unit that is moved uses up a unit of the attraction of (j, k).
- Nodes i and j of C repel each other. The attraction of (i, k) and of (j, k) compensates the repulsion.

The dual is therefore a transport problem for each node and cluster, and these problems share the attractive pairs
inside the clusters. A cluster of c nodes has n c^2 triangles, too many to store. We give them multipliers in product
form, such as b_ij s_jk n_ik, where n is the remaining repulsion and s the remaining attraction. Every choice of the
factors proves a bound, and the changes of the weights are products of matrices. If there is time, the first factors
come from :mod:`.factors`.

What is left of many similar nodes is then reduced by groups (:mod:`.groups`), and passed over again.

The result is a graph with other weights, r = w + A'y as in :mod:`.ascent`. The dual ascent continues from these
weights.
"""

import math
from itertools import pairwise

import numpy as np

from telescope_transformer.correlation_clustering.bounds.factors import (
    inside_pairs,
    outside_pairs,
    rows_of,
    triangle_factors,
)
from telescope_transformer.correlation_clustering.bounds.groups import changes_by_groups, similar_groups
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.correlation_clustering.graph_kernels import EPSILON, SQUARE, mirror
from telescope_transformer.correlation_clustering.solution import Deadline

# The passes end when one of them closes less than this share of the gap, because the ascent then gains more.
_GAIN = 0.15
# Share of the time after the first passes for the ascent on groups of similar nodes. For 9,630 windows in 48 s, passes
# prove 91.5 % of the cost, and 94.9 % after 6 s of this ascent and two more passes.
_SHARE_OF_GROUPS = 0.35
# Maximum number of nodes of a cluster that are handled together; larger clusters are split. A pass takes at most n^2
# times this many operations. For 9,630 windows of honeypots, whose largest cluster has 1,954, the passes prove 82 % of
# the cost, and 70 % with parts of 1,024.
_CHUNK = 2_048
# Up to this many nodes, weights are float64. The margin for the rounding of float32 is 0.01 % of the transported
# weight, which does not matter for graphs with a large gap.
_DOUBLE_UP_TO = 4_000
# Number of rows of a product that are summed in the precision of the weights. This bounds the rounding error.
_ROWS = 1_024
# Routes with less room than this, relative to the largest weight, are skipped, so that no quotient overflows.
_LEAST_ROOM = 1e-6
# Weights are divided by a power of two so that the largest is about 1. Products of numbers below 2^-100 vanish in
# float32. The resulting error of each pair is less than this.
_VANISHES = 2.0**-80
# With a larger absolute exponent of the largest weight, weights could leave the range of float32.
_LARGEST_EXPONENT = 30


@compiled(inline="always")
def _write(weights: np.ndarray, i: int, j: int, value: float, terms: float) -> None:
    """Write a weight minus the largest rounding error of its float64 sum of size ``terms`` and of its conversion."""
    weights[i, j] = value - (np.finfo(weights.dtype).eps * abs(value) + 4.0 * EPSILON * terms + _VANISHES)


@compiled(inline="always")
def _change(weights: np.ndarray, i: int, j: int, less: float, more: float) -> None:
    """Lower the weight of a pair by ``less`` and raise it by ``more``, rounded down."""
    if less > 0 or more > 0:
        weight = np.float64(weights[i, j])
        _write(weights, i, j, weight - less + more, abs(weight) + less + more)
        weights[j, i] = weights[i, j]


@compiled()
def _scaled_weights(matrix: np.ndarray, threshold: float, factor: float, weights: np.ndarray) -> None:
    """Write the weights times a power of two, rounded down; the diagonal is 0."""
    for i in range(matrix.shape[0]):
        weights[i, i] = 0.0
        for j in range(i):
            _write(weights, i, j, (np.float64(matrix[i, j]) - threshold) * factor, 0.0)
    mirror(weights)


@compiled()
def _quotient(amounts: np.ndarray, room: np.ndarray) -> None:
    """Divide amounts by the room of their routes, in place; 0 where there is no room."""
    for p in range(amounts.shape[0]):
        for q in range(amounts.shape[1]):
            amounts[p, q] = amounts[p, q] / room[p, q] if room[p, q] > _LEAST_ROOM else 0.0


@compiled()
def _limited(attraction: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Attraction (c, c), reduced where ``used`` plus its transpose would use more than all of it."""
    limited = np.empty_like(attraction)
    for p in range(attraction.shape[0]):
        for q in range(attraction.shape[1]):
            limited[p, q] = limited[q, p] = attraction[p, q] / max(1.0, used[p, q] + used[q, p])
    return limited


@compiled()
def _move(
    weights: np.ndarray,
    rows: np.ndarray,
    nodes: np.ndarray,
    routes: np.ndarray,
    demand: np.ndarray,
    sent: np.ndarray,
    received: np.ndarray,
    error: float,
) -> None:
    """Lower the weights of the pairs that send attraction, and raise those of the pairs that receive it.

    Args:
        weights: (n, n), updated.
        rows: int64 (m,), nodes outside of the cluster.
        nodes: int64 (c,), the cluster.
        routes: (m, c), the factors of the multipliers.
        demand: (m, c), the repulsion; also factors of the multipliers.
        sent: (m, c), sums of products that ``routes`` is multiplied by.
        received: (m, c), sums of products that ``demand`` is multiplied by.
        error: relative error of these sums.
    """
    for first in range(0, rows.size, SQUARE):
        for q in range(nodes.size):
            for p in range(first, min(first + SQUARE, rows.size)):
                less = np.float64(routes[p, q]) * sent[p, q] * (1.0 + error)
                more = np.float64(demand[p, q]) * received[p, q] * (1.0 - error)
                _change(weights, rows[p], nodes[q], less, more)


@compiled()
def _spend(
    weights: np.ndarray,
    nodes: np.ndarray,
    attraction: np.ndarray,
    used: np.ndarray,
    repaired: np.ndarray,
    made_up: np.ndarray,
    error: float,
) -> None:
    """Lower the attraction inside a cluster by the amount that was used, and raise the weights of repulsive pairs.

    Args:
        weights: (n, n), updated.
        nodes: int64 (c,), the cluster.
        attraction: (c, c), factors of the multipliers.
        used: (c, c), sums of products that ``attraction`` is multiplied by, from both sides.
        repaired: (c, c), factors of the multipliers of repulsive pairs, or zeros.
        made_up: (c, c), sums of products that ``repaired`` is multiplied by.
        error: relative error of these sums.
    """
    for p in range(nodes.size):
        for q in range(p):
            less = np.float64(attraction[p, q]) * (np.float64(used[p, q]) + used[q, p]) * (1.0 + error)
            more = np.float64(repaired[p, q]) * made_up[p, q] * (1.0 - error)
            _change(weights, nodes[p], nodes[q], less, more)


@compiled()
def _constant_of_rows(
    matrix: np.ndarray, threshold: float, weights: np.ndarray, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """For each row, the sum over pairs of min(0, new weight) - min(0, weight), and the sum of all absolute values."""
    sums, sizes = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[0])
    for i in range(matrix.shape[0]):
        for j in range(i):
            new = min(np.float64(weights[i, j]) / factor, 0.0)
            old = min(np.float64(matrix[i, j]) - threshold, 0.0)
            sums[i] += new - old
            sizes[i] += abs(new) + abs(old)
    return sums, sizes


@compiled()
def _count_paid(matrix: np.ndarray, threshold: float, labels: np.ndarray) -> int:
    """See `count_paid`."""
    count = 0
    for i in range(labels.size):
        for j in range(i):
            if labels[i] == labels[j]:
                count += matrix[i, j] < threshold
            else:
                count += matrix[i, j] > threshold
    return count


def count_paid(graph: DenseGraph, labels: np.ndarray) -> int:
    """Number of pairs that a clustering pays for, in a graph of original nodes."""
    count: int = _count_paid(graph.matrix, graph.threshold, labels)
    return count


def transported(graph: DenseGraph, labels: np.ndarray, deadline: Deadline) -> tuple[DenseGraph, float]:
    """A graph with other weights, whose costs plus a constant are lower bounds of the costs in the given graph.

    Args:
        graph: a graph of original nodes.
        labels: int64 (n,), a good clustering. The better it is, the higher the bound.
        deadline: when to stop.

    Returns:
        The new graph and the constant: a clustering costs at least the constant plus its cost in the new graph.
    """
    exponent = math.frexp(graph.scale)[1]
    dtype = np.float64 if graph.n <= _DOUBLE_UP_TO or abs(exponent) > _LARGEST_EXPONENT else np.float32
    weights = np.empty((graph.n, graph.n), dtype=dtype)
    _scaled_weights(graph.matrix, graph.threshold, 2.0**-exponent, weights)
    chunks, cost = _chunks(labels), graph.cost(labels)
    factors = triangle_factors(weights, labels, chunks, deadline)
    if factors is not None:
        for nodes in chunks:
            _apply(weights, factors, rows_of(weights, labels, nodes), nodes)
    constant = _passes(graph, weights, labels, chunks, cost, deadline)
    groups = similar_groups(graph.matrix, labels)
    changes = changes_by_groups(weights, groups, labels, Deadline(_SHARE_OF_GROUPS * deadline.seconds_left))
    if changes is not None:
        _add_changes(weights, groups, changes)
        constant = _passes(graph, weights, labels, chunks, cost, deadline)
    # Multiplying by a power of two does not round.
    weights *= 2.0**exponent
    return DenseGraph(weights), constant


def _passes(
    graph: DenseGraph,
    weights: np.ndarray,
    labels: np.ndarray,
    chunks: list[np.ndarray],
    cost: float,
    deadline: Deadline,
) -> float:
    """Pass over the clusters until a pass gains little; returns the constant. The clustering costs ``cost``."""
    constant = _constant(graph, weights)
    for number in range(graph.n):
        for nodes in chunks if number % 2 else reversed(chunks):
            if deadline.passed:
                break
            _repair(weights, nodes)
            _transport(weights, rows_of(weights, labels, nodes), nodes)
        before, constant = constant, _constant(graph, weights)
        if deadline.passed or constant - before < _GAIN * (cost - before):
            break
    return constant


@compiled()
def _add_changes(weights: np.ndarray, groups: np.ndarray, changes: np.ndarray) -> None:
    """Add to each weight the change of the groups of its two nodes, rounded down."""
    for i in range(groups.size):
        for j in range(i):
            weight, more = np.float64(weights[i, j]), changes[groups[i], groups[j]]
            if more != 0.0:
                _write(weights, i, j, weight + more, abs(weight) + abs(more))
    mirror(weights)


def _chunks(labels: np.ndarray) -> list[np.ndarray]:
    """Members of each cluster of at least two nodes. Large clusters are split into parts of about equal size."""
    order = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[order], prepend=-1, append=-1))
    clusters = [order[first:last] for first, last in pairwise(borders)]
    return [part for nodes in clusters for part in np.array_split(nodes, -(-nodes.size // _CHUNK)) if part.size > 1]


def _error(terms: int, weights: np.ndarray) -> float:
    """Relative error of a sum of ``terms`` products that are at least 0, in any order (Higham 2002, section 3.1).

    Products and sums have the precision of ``weights``.
    """
    return (terms + 8) * float(np.finfo(weights.dtype).eps)


def _add_products(used: np.ndarray, routes: np.ndarray, demand: np.ndarray) -> None:
    """Add routes.T @ demand in blocks of rows, so that the rounding error does not grow with the number of rows."""
    for first in range(0, len(routes), _ROWS):
        used += routes[first : first + _ROWS].T @ demand[first : first + _ROWS]


def _apply(weights: np.ndarray, factors: np.ndarray, rows: np.ndarray, nodes: np.ndarray) -> None:
    """Move attraction to repulsive pairs by the triangles that have two nodes in a cluster, or all three."""
    attraction, repulsion = (part.astype(weights.dtype) for part in inside_pairs(factors, nodes))
    routes, demand = (part.astype(weights.dtype) for part in outside_pairs(factors, rows, nodes))
    used = (repulsion @ attraction).astype(np.float64)
    _add_products(used, routes, demand)
    error = _error(max(nodes.size, _ROWS), weights)
    _move(weights, rows, nodes, routes, demand, demand @ attraction, routes @ attraction, error)
    _spend(weights, nodes, attraction, used, repulsion, attraction @ attraction, error)


def _repair(weights: np.ndarray, nodes: np.ndarray) -> None:
    """Compensate repulsion inside a cluster by the attraction of its other pairs."""
    attraction, routes = inside_pairs(weights, nodes)
    if not routes.any():
        return
    _quotient(routes, attraction @ attraction)
    attraction = _limited(attraction, routes @ attraction)
    error = _error(nodes.size, weights)
    _spend(weights, nodes, attraction, routes @ attraction, routes, attraction @ attraction, error)


def _transport(weights: np.ndarray, rows: np.ndarray, nodes: np.ndarray) -> None:
    """Move the attraction between outside nodes and a cluster to repulsive pairs of these nodes with the cluster."""
    attraction, _ = inside_pairs(weights, nodes)
    if not rows.size or not attraction.any():
        return
    routes, demand = outside_pairs(weights, rows, nodes)
    _quotient(routes, demand @ attraction)
    used = np.zeros((nodes.size, nodes.size))
    _add_products(used, routes, demand)
    attraction = _limited(attraction, used)
    error = _error(max(nodes.size, _ROWS), weights)
    _move(weights, rows, nodes, routes, demand, demand @ attraction, routes @ attraction, error)
    _spend(weights, nodes, attraction, used, np.zeros_like(attraction), attraction, error)


def _constant(graph: DenseGraph, weights: np.ndarray) -> float:
    """Least amount by which every clustering costs more than with the new weights; safe against rounding."""
    factor = 2.0 ** -math.frexp(graph.scale)[1]
    sums, sizes = _constant_of_rows(graph.matrix, graph.threshold, weights, factor)
    return math.fsum(sums) - EPSILON * (graph.n + 8) * math.fsum(sizes) - graph.n**2 * _VANISHES / factor
