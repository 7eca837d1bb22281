"""A checker of certificates in exact arithmetic. It shares no code with the solvers whose results it checks.

A certificate is a list of inequalities, sum of sign * x_e <= right over pairs e, each with a multiplier of at least 0.
The checker proves that every inequality holds for every clustering (x_e is 1 if e is cut, 0 if it is joined), and
computes the bound that they prove together in exact fractions. It is slow; use it on small graphs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from telescope_transformer.correlation_clustering.bounds.dual import Dual
from telescope_transformer.errors import SolverError

# An inequality that is not a cycle inequality is checked on all partitions of its nodes, for up to this many nodes. 8
# nodes have 4,140 partitions.
_MOST_NODES = 8


@dataclass(frozen=True)
class Inequality:
    """A linear inequality: the sum over p of ``signs[p]`` times x of ``pairs[p]`` is at most ``right``.

    Attributes:
        pairs: pairs of nodes.
        signs: coefficient of each pair.
        right: right-hand side.
        multiplier: multiplier of the inequality in the certificate.
    """

    pairs: tuple[tuple[int, int], ...]
    signs: tuple[int, ...]
    right: float
    multiplier: float


def certificate_of(dual: Dual, ends: np.ndarray) -> list[Inequality]:
    """The inequalities of a dual whose multiplier is not 0.

    Args:
        dual: state of an ascent.
        ends: (m, 2) integers, the two nodes of each pair of the dual.
    """
    pairs = [(int(a), int(b)) for a, b in ends]
    found = [
        Inequality(tuple(pairs[e] for e in row), (1, -1, -1), 0.0, float(y))
        for row, y in zip(dual.triangles, dual.multipliers, strict=True)
        if y != 0
    ]
    rows = dual.rows
    for t in np.flatnonzero(rows.multipliers):
        row = slice(rows.starts[t], rows.starts[t + 1])
        signs = tuple(int(sign) for sign in rows.signs[row])
        members = tuple(pairs[e] for e in rows.edges[row])
        found.append(Inequality(members, signs, float(rows.right[t]), float(rows.multipliers[t])))
    return found


def verify(weights: np.ndarray, labels: np.ndarray, certificate: list[Inequality]) -> tuple[Fraction, Fraction]:
    """Exact cost of a clustering, and the exact bound that a certificate proves.

    Args:
        weights: (n, n), symmetric.
        labels: (n,), the clustering.
        certificate: inequalities with multipliers.

    Returns:
        Cost and bound.

    Raises:
        SolverError: the labels are not one for each node, a multiplier is negative or not finite, or an inequality
            does not hold for every clustering of these nodes.
    """
    n = len(weights)
    if len(labels) != n:
        raise SolverError(f"labels must be {n}, one for each node, not {len(labels)}")
    change: dict[tuple[int, int], Fraction] = {}
    bound = Fraction(0)
    for row in certificate:
        nodes = {node for pair in row.pairs for node in pair}
        if not 0 <= row.multiplier < np.inf or not nodes <= set(range(n)) or not _valid(row):
            raise SolverError(f"the certificate's inequality {row} proves nothing")
        y = Fraction(row.multiplier)
        bound -= Fraction(row.right) * y
        for pair, sign in zip(row.pairs, row.signs, strict=True):
            key = (max(pair), min(pair))
            change[key] = change.get(key, Fraction(0)) + sign * y
    cost = Fraction(0)
    for i in range(n):
        for j in range(i):
            weight = Fraction(float(weights[i, j]))
            cost += max(-weight, Fraction(0)) if labels[i] == labels[j] else max(weight, Fraction(0))
            bound += min(weight + change.get((i, j), Fraction(0)), Fraction(0)) - min(weight, Fraction(0))
    return cost, bound


def _valid(row: Inequality) -> bool:
    """Whether the inequality holds for every clustering."""
    if len(row.signs) != len(row.pairs) or not np.isfinite(row.right):
        return False
    if row.right >= 0 and row.signs.count(1) == 1 and set(row.signs) <= {1, -1}:
        target = row.pairs[row.signs.index(1)]
        others = [pair for pair, sign in zip(row.pairs, row.signs, strict=True) if sign < 0]
        # If the ends of a path are in different clusters, at least one of its edges is cut.
        return _connected(target, others)
    nodes = sorted({node for pair in row.pairs for node in pair})
    if len(nodes) > _MOST_NODES:
        raise SolverError(f"an inequality of {len(nodes)} nodes is too large to be checked")
    place = {node: p for p, node in enumerate(nodes)}
    return all(
        sum(sign for (a, b), sign in zip(row.pairs, row.signs, strict=True) if labels[place[a]] != labels[place[b]])
        <= row.right
        for labels in _partitions(len(nodes))
    )


def _connected(target: tuple[int, int], pairs: list[tuple[int, int]]) -> bool:
    """Whether a path of ``pairs`` connects the two nodes of ``target``."""
    reached, grows = {target[0]}, True
    while grows:
        new = {v for pair in pairs for v in pair if set(pair) & reached} - reached
        reached |= new
        grows = bool(new)
    return target[1] in reached


def _partitions(n: int) -> Iterator[list[int]]:
    """All partitions of n nodes, as labels."""
    if n == 0:
        yield []
        return
    for labels in _partitions(n - 1):
        for c in range(max(labels, default=-1) + 2):
            yield [*labels, c]
