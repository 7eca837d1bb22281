"""Block-coordinate ascent on a smoothed Lagrangian dual: the compiled core of the lower bounds.

Write x_e = 1 if pair e is cut and 0 if it is joined, and w_e for its weight. Every valid inequality a_t x <= b_t (a
triangle: x_ij - x_ik - x_kj <= 0) has a multiplier y_t >= 0. With the reduced costs r = w + A'y,

    sum of w_e x_e  >=  D(y) = -b'y + sum over e of min(0, r_e)

holds for every clustering and every y >= 0. The ascent may therefore stop at any time and still prove a bound.

Exact coordinate ascent on D gets stuck because D is not smooth (see Lange et al. 2018 on cycle packing, and Abbas and
Swoboda 2022, RAMA, who average min-marginals). We therefore smooth min(0, r) over an interval of length 2T, which
turns each coordinate step into a line search on a piecewise linear slope, and lower T step by step. The slope of the
smoothed term is a primal estimate of x:

    x_e = clip((h_e - r_e) / 2T, 0, 1),    h_e = 0 if a good clustering joins e, 2T if it cuts e.

The interval is placed by the best known clustering. If that clustering is optimal for the relaxation, the smoothed
optimum equals the true one at every T, because the ascent then solves for complementary slackness with it.

Throughout this module, ``reduced`` (m,) are the reduced costs, ``cut`` (m,) says which pairs the guiding clustering
cuts, and ``smoothing`` is T, in the unit of the weights.
"""

import numpy as np

from telescope_transformer.correlation_clustering.bounds.rows import Rows
from telescope_transformer.correlation_clustering.compiled import compiled
from telescope_transformer.correlation_clustering.graph_kernels import EPSILON, two_sum

# Violations are sums of a few estimates between 0 and 1, so their rounding error is below 1e-15 per term. Anything
# below this limit counts as no violation.
_TINY = 1e-12
# Maximum number of Newton steps in a line search. A search that stops early still gives a valid step, and the next
# sweep continues from there.
_NEWTON_STEPS = 8
# Steps for triangles are 50 % longer than those of the line search (successive over-relaxation). This was the best
# factor between 1 and 1.9.
_RELAXATION = 1.5


@compiled(inline="always")
def fraction(reduced: float, cut: bool, smoothing: float) -> float:
    """Primal estimate of one pair, from 0 (joined) to 1 (cut)."""
    x = (1.0 if cut else 0.0) - reduced * (0.5 / smoothing)
    return min(1.0, max(0.0, x))


@compiled(inline="always")
def until_below(reduced: float, cut: bool, smoothing: float) -> float:
    """How far the reduced cost can rise before the estimate drops below 1."""
    return max(0.0, (0.0 if cut else -2.0 * smoothing) - reduced)


@compiled(inline="always")
def until_above(reduced: float, cut: bool, smoothing: float) -> float:
    """How far the reduced cost can fall before the estimate rises above 0."""
    return max(0.0, reduced - (2.0 * smoothing if cut else 0.0))


@compiled()
def line_search(
    violation: float, a: float, b: float, c: float, p: float, q: float, r: float, smoothing: float
) -> float:
    """Step length at which three estimates together have removed a violation.

    Args:
        violation: amount by which the estimates violate the inequality, > 0.
        a: by how much the first reduced cost changes before its estimate does.
        b: the same for the second pair.
        c: the same for the third pair. The order of the three does not matter.
        p: by how much the first reduced cost changes in a step of length 1.
        q: the same for the second pair.
        r: the same for the third pair.
        smoothing: T.
    """
    first, second, third = a / p, b / q, c / r
    if first > second:
        first, second, p, q = second, first, q, p
    if second > third:
        second, third, q, r = third, second, r, q
    if first > second:
        first, second, p, q = second, first, q, p
    width = 2.0 * smoothing * violation
    step = first + width / p
    if step > second:
        step = (width + p * first + q * second) / (p + q)
        if step > third:
            step = (width + p * first + q * second + r * third) / (p + q + r)
    return step


@compiled(inline="always")
def _part_of(inverse: np.ndarray | None, e: int) -> float:
    """By how much a reduced cost changes in a step of length 1."""
    return 1.0 if inverse is None else np.float64(inverse[e])


@compiled(inline="always")
def triangle_step(
    a: int,
    b: int,
    c: int,
    violation: float,
    reduced: np.ndarray,
    cut: np.ndarray,
    inverse: np.ndarray | None,
    smoothing: float,
) -> float:
    """Change of the multiplier of x_a <= x_b + x_c after which the estimates satisfy it with equality."""
    p, q, r = _part_of(inverse, a), _part_of(inverse, b), _part_of(inverse, c)
    if violation > 0:
        first = until_below(reduced[a], cut[a], smoothing)
        second = until_above(reduced[b], cut[b], smoothing)
        third = until_above(reduced[c], cut[c], smoothing)
        return line_search(violation, first, second, third, p, q, r, smoothing)
    first = until_above(reduced[a], cut[a], smoothing)
    second = until_below(reduced[b], cut[b], smoothing)
    third = until_below(reduced[c], cut[c], smoothing)
    return -line_search(-violation, first, second, third, p, q, r, smoothing)


@compiled(inline="always")
def add_to_triangle(a: int, b: int, c: int, step: float, reduced: np.ndarray, inverse: np.ndarray | None) -> None:
    """Change the reduced costs by a step of the multiplier of x_a <= x_b + x_c."""
    reduced[a] += _part_of(inverse, a) * step
    reduced[b] -= _part_of(inverse, b) * step
    reduced[c] -= _part_of(inverse, c) * step


@compiled()
def sweep_triangles(
    triangles: np.ndarray,
    multipliers: np.ndarray,
    reduced: np.ndarray,
    cut: np.ndarray,
    inverse: np.ndarray | None,
    smoothing: float,
) -> None:
    """One pass of coordinate steps over the triangle inequalities x_a <= x_b + x_c.

    Args:
        triangles: (t, 3) integers, the pairs (a, b, c) of each inequality.
        multipliers: float64 (t,), updated in place.
        reduced: float64 (m,), updated in place.
        cut: bool (m,).
        inverse: see `Dual`.
        smoothing: T.
    """
    for t in range(multipliers.size):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        violation = fraction(reduced[a], cut[a], smoothing)
        violation -= fraction(reduced[b], cut[b], smoothing)
        violation -= fraction(reduced[c], cut[c], smoothing)
        if violation > _TINY or (violation < -_TINY and multipliers[t] > 0):
            step = _RELAXATION * triangle_step(a, b, c, violation, reduced, cut, inverse, smoothing)
            step = max(step, -multipliers[t])
            multipliers[t] += step
            add_to_triangle(a, b, c, step, reduced, inverse)


@compiled()
def search_row(
    edges: np.ndarray,
    signs: np.ndarray,
    right: float,
    reduced: np.ndarray,
    cut: np.ndarray,
    smoothing: float,
    direction: float,
) -> float:
    """Step length that removes the violation of one inequality, found by Newton steps from 0.

    Args:
        edges: integers (p,), the pairs of the inequality.
        signs: float64 (p,), their coefficients, 1 or -1.
        right: right-hand side.
        reduced: float64 (m,).
        cut: bool (m,).
        smoothing: T.
        direction: 1 to raise the multiplier, -1 to lower it.

    Returns:
        The step as a length, at least 0.
    """
    step = 0.0
    for _ in range(_NEWTON_STEPS):
        value = -right
        moving = 0
        nearest = np.inf
        for p in range(edges.size):
            e = edges[p]
            rise = direction * signs[p]
            r = reduced[e] + step * rise
            x = fraction(r, cut[e], smoothing)
            value += signs[p] * x
            ahead = until_below(r, cut[e], smoothing) if rise > 0 else until_above(r, cut[e], smoothing)
            if ahead > 0:
                nearest = min(nearest, ahead)
            elif (rise > 0 and x > 0) or (rise < 0 and x < 1):
                moving += 1
        value *= direction
        if value <= _TINY:
            break
        if moving == 0:
            if nearest == np.inf:
                break
            step += nearest
        else:
            step += min(2.0 * smoothing * value / moving, nearest)
    return step


@compiled()
def sweep_rows(
    starts: np.ndarray,
    edges: np.ndarray,
    signs: np.ndarray,
    right: np.ndarray,
    multipliers: np.ndarray,
    reduced: np.ndarray,
    cut: np.ndarray,
    smoothing: float,
) -> None:
    """One pass of coordinate steps over general inequalities, sum of signs * x <= right.

    Args:
        starts: int64 (t + 1,), where the entries of each inequality begin.
        edges: int64 (entries,), pairs.
        signs: float64 (entries,), coefficients 1 or -1.
        right: float64 (t,), right-hand sides.
        multipliers: float64 (t,), updated in place.
        reduced: float64 (m,), updated in place.
        cut: bool (m,).
        smoothing: T.
    """
    for t in range(multipliers.size):
        row = edges[starts[t] : starts[t + 1]]
        sign = signs[starts[t] : starts[t + 1]]
        violation = -right[t]
        for p in range(row.size):
            violation += sign[p] * fraction(reduced[row[p]], cut[row[p]], smoothing)
        if violation > _TINY:
            step = search_row(row, sign, right[t], reduced, cut, smoothing, 1.0)
        elif violation < -_TINY and multipliers[t] > 0:
            step = -min(search_row(row, sign, right[t], reduced, cut, smoothing, -1.0), multipliers[t])
        else:
            continue
        multipliers[t] += step
        for p in range(row.size):
            reduced[row[p]] += step * sign[p]


@compiled()
def _multipliers_on_edges(
    m: int,
    triangles: np.ndarray,
    triangle_multipliers: np.ndarray,
    starts: np.ndarray,
    edges: np.ndarray,
    signs: np.ndarray,
    row_multipliers: np.ndarray,
) -> tuple[np.ndarray, int, float]:
    """Sum up what the multipliers add to the weight of each pair.

    Returns:
        The change of each weight float64 (m,), the number of terms of the longest of these sums, and the sum of the
        absolute values of all terms.
    """
    change = np.zeros(m)
    terms = np.zeros(m, np.int32)
    size = 0.0
    for t in range(triangle_multipliers.size):
        y = triangle_multipliers[t]
        change[triangles[t, 0]] += y
        change[triangles[t, 1]] -= y
        change[triangles[t, 2]] -= y
        size += 3.0 * y
        for p in range(3):
            terms[triangles[t, p]] += 1
    for t in range(row_multipliers.size):
        y = row_multipliers[t]
        for p in range(starts[t], starts[t + 1]):
            change[edges[p]] += signs[p] * y
            terms[edges[p]] += 1
            size += abs(signs[p]) * y
    return change, terms.max() if m else 0, size


@compiled()
def _compensated_sum(values: np.ndarray) -> tuple[float, float]:
    """Compensated sum of values (Neumaier 1974), and the plain sum of their absolute values.

    The relative error of the compensated sum is at most two roundings.
    """
    total, lost, size = 0.0, 0.0, 0.0
    for value in values:
        size += abs(value)
        total, error = two_sum(total, value)
        lost += error
    return total + lost, size


@compiled()
def _paid_by_edges(weights: np.ndarray, change: np.ndarray) -> tuple[float, float]:
    """Compensated sum of the pairs' contributions to the bound, and the sum of their absolute values.

    Overwrites ``change`` with the reduced costs, because a copy may not fit in memory.
    """
    total, lost, size = 0.0, 0.0, 0.0
    for e in range(weights.size):
        reduced = weights[e] + change[e]
        value = min(-weights[e], change[e]) if weights[e] < 0 else min(reduced, 0.0)
        change[e] = reduced
        size += abs(value)
        total, error = two_sum(total, value)
        lost += error
    return total + lost, size


def proved_value(
    weights: np.ndarray, triangles: np.ndarray, multipliers: np.ndarray, rows: Rows
) -> tuple[float, np.ndarray]:
    """Lower bound that the multipliers prove, safe against rounding, and the reduced costs.

    A pair contributes min(0, w + change) if it attracts and min(-w, change) if it repels. In this form, one huge
    weight does not absorb the other terms. The margin that is subtracted covers all rounding errors. The error of a
    pair's change is bounded by the number of terms of the longest sum, and the error of the total by the compensated
    sum (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, sections 4.2 and 4.3).

    Args:
        weights: float64 (m,).
        triangles: (t, 3) integers, see `sweep_triangles`.
        multipliers: float64 (t,), at least 0.
        rows: other inequalities and their multipliers.

    Returns:
        A number not above the dual's exact value at these multipliers, and the reduced costs float64 (m,).
    """
    change, terms, size = _multipliers_on_edges(
        weights.size, triangles, multipliers, rows.starts, rows.edges, rows.signs, rows.multipliers
    )
    paid, paid_size = _paid_by_edges(weights, change)
    spent, spent_size = _compensated_sum(rows.right * rows.multipliers)
    # Machine epsilon is twice the unit roundoff; the factor 2 covers the rounding of the sums of sizes.
    margin = EPSILON * ((int(terms) + 4) * size + 8 * (paid_size + spent_size))
    return float(paid - spent - margin), change


@compiled()
def value_of(weights: np.ndarray, reduced: np.ndarray) -> float:
    """Value of the dual without the right-hand sides, at running reduced costs; not safe against rounding."""
    total = 0.0
    for e in range(weights.size):
        total += min(reduced[e], 0.0) - min(weights[e], 0.0)
    return total
