"""Block-coordinate ascent on a smoothed Lagrangian dual: the compiled core of the lower bounds.

Write x_e = 1 for a cut pair e and w_e for its weight. Each valid inequality a_t x <= b_t (a triangle:
x_ij - x_ik - x_kj <= 0) gets a multiplier y_t >= 0, and with the reduced weights r = w + A'y

    sum of w_e x_e  >=  D(y) = -b'y + sum over e of min(0, r_e)

holds for every clustering and every y >= 0: a bound whenever the ascent is stopped. Exact coordinate ascent on D gets
stuck, since D is not smooth (cf. Lange et al. 2018 on cycle packing; Abbas and Swoboda 2022, RAMA, who average
min-marginals). So min(0, r) is rounded over a stretch of 2T, which makes each coordinate step a line search on a
piecewise linear slope, and T is lowered step by step. The slope in r is a primal estimate

    x_e = clip((h_e - r_e) / 2T, 0, 1),    h_e = 0 where a good clustering joins e, 2T where it cuts e.

Placing the stretch by the best clustering known makes the smoothed optimum exact at every T where that clustering is
optimal for the relaxation: its complementary slackness is what the ascent then solves.
"""

import numpy as np
from numba import njit

# Violations below this are rounding of estimates, which lie between 0 and 1.
_TINY = 1e-12
# Newton steps of a line search at most: a step that ends early is valid, and the next sweep goes on from it.
_NEWTON_STEPS = 8


@njit(cache=True, nogil=True, inline="always")
def fraction(reduced, cut, smoothing):
    """Primal estimate of one pair: 1 cut, 0 joined."""
    x = (1.0 if cut else 0.0) - reduced * (0.5 / smoothing)
    return min(1.0, max(0.0, x))


@njit(cache=True, nogil=True, inline="always")
def until_below(reduced, cut, smoothing):
    """How far the reduced weight may rise before the estimate begins to fall from 1."""
    return max(0.0, (0.0 if cut else -2.0 * smoothing) - reduced)


@njit(cache=True, nogil=True, inline="always")
def until_above(reduced, cut, smoothing):
    """How far the reduced weight may fall before the estimate begins to rise from 0."""
    return max(0.0, reduced - (2.0 * smoothing if cut else 0.0))


@njit(cache=True, nogil=True)
def line_search(violation, first, second, third, smoothing):
    """Step at which three estimates, which begin to change at the given steps, have made up for the violation."""
    if first > second:
        first, second = second, first
    if second > third:
        second, third = third, second
    if first > second:
        first, second = second, first
    width = 2.0 * smoothing * violation
    step = first + width
    if step > second:
        step = (width + first + second) / 2.0
        if step > third:
            step = (width + first + second + third) / 3.0
    return step


@njit(cache=True, nogil=True)
def sweep_triangles(triangles, multipliers, reduced, cut, smoothing, relaxation):
    """One pass over the triangle inequalities x_a <= x_b + x_c; rows of ``triangles`` are pairs (a, b, c)."""
    for t in range(multipliers.size):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ra, rb, rc = reduced[a], reduced[b], reduced[c]
        ca, cb, cc = cut[a], cut[b], cut[c]
        violation = fraction(ra, ca, smoothing) - fraction(rb, cb, smoothing) - fraction(rc, cc, smoothing)
        if violation > _TINY:
            first = until_below(ra, ca, smoothing)
            second = until_above(rb, cb, smoothing)
            third = until_above(rc, cc, smoothing)
            step = relaxation * line_search(violation, first, second, third, smoothing)
        elif violation < -_TINY and multipliers[t] > 0:
            first = until_above(ra, ca, smoothing)
            second = until_below(rb, cb, smoothing)
            third = until_below(rc, cc, smoothing)
            step = relaxation * line_search(-violation, first, second, third, smoothing)
            step = -min(step, multipliers[t])
        else:
            continue
        multipliers[t] += step
        reduced[a] += step
        reduced[b] -= step
        reduced[c] -= step


@njit(cache=True, nogil=True)
def search_row(edges, signs, right, reduced, cut, smoothing, direction):
    """Step in ``direction`` (1 up, -1 down) that ends the violation of one inequality; by Newton steps from 0."""
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


@njit(cache=True, nogil=True)
def sweep_rows(starts, edges, signs, right, multipliers, reduced, cut, smoothing):
    """One pass over general inequalities: row t is sum of signs * x over its edges <= right[t]; signs are +-1."""
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


@njit(cache=True, nogil=True)
def _multipliers_on_edges(m, triangles, triangle_multipliers, starts, edges, signs, row_multipliers):
    """What the multipliers add to each edge's weight (m,), how many terms the longest of these sums has, and the sum
    of all terms' sizes."""
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


@njit(cache=True, nogil=True, inline="always")
def _add(total, lost, value):
    """Add a value to a sum, and what its rounding loses to what was lost (Neumaier 1974)."""
    after = total + value
    if abs(total) >= abs(value):
        return after, lost + ((total - after) + value)
    return after, lost + ((value - after) + total)


@njit(cache=True, nogil=True)
def _compensated_sum(values):
    """Sum of values, and of their sizes; the first is right to two roundings of itself."""
    total, lost, size = 0.0, 0.0, 0.0
    for value in values:
        size += abs(value)
        total, lost = _add(total, lost, value)
    return total + lost, size


@njit(cache=True, nogil=True)
def _paid_by_edges(weights, change):
    """`_compensated_sum` of what edges contribute; ``change`` becomes the reduced weights, as memory is short here."""
    total, lost, size = 0.0, 0.0, 0.0
    for e in range(weights.size):
        reduced = weights[e] + change[e]
        value = min(-weights[e], change[e]) if weights[e] < 0 else min(reduced, 0.0)
        change[e] = reduced
        size += abs(value)
        total, lost = _add(total, lost, value)
    return total + lost, size


def proved_value(
    weights: np.ndarray,
    triangles: np.ndarray,
    triangle_multipliers: np.ndarray,
    starts: np.ndarray,
    edges: np.ndarray,
    signs: np.ndarray,
    right: np.ndarray,
    row_multipliers: np.ndarray,
) -> tuple[float, np.ndarray]:
    """A number that the dual's exact value at these multipliers >= 0 is not below, and the reduced weights.

    Weights never meet in a sum: an edge contributes min(0, w + change) where w attracts and min(-w, change) where it
    repels, so that one huge weight hides nothing of the others. What is subtracted bounds all roundings: those of an
    edge's change by the terms of the longest sum, those of the total by its compensated sum (Higham, *Accuracy and
    Stability of Numerical Algorithms*, 2002, sections 4.2 and 4.3).
    """
    change, terms, size = _multipliers_on_edges(
        weights.size, triangles, triangle_multipliers, starts, edges, signs, row_multipliers
    )
    paid, paid_size = _paid_by_edges(weights, change)
    spent, spent_size = _compensated_sum(right * row_multipliers)
    # Twice the unit roundoff for each term, and once more for the sums of sizes.
    margin = np.finfo(np.float64).eps * ((int(terms) + 4) * size + 8 * (paid_size + spent_size))
    return float(paid - spent - margin), change


@njit(cache=True, nogil=True)
def value_of(weights, reduced):
    """Value of the dual's edges at running reduced weights; not safe against rounding."""
    total = 0.0
    for e in range(weights.size):
        total += min(reduced[e], 0.0) - min(weights[e], 0.0)
    return total
