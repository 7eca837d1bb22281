"""The linear programming relaxation over triangle inequalities, in cvxpy with HiGHS, by cutting planes.

A variable x_ij in [0, 1] says how much pair (i, j) is cut: minimise the sum of w_ij x_ij subject to
x_ij <= x_ik + x_kj for all i, j, k (Charikar, Guruswami and Wirth 2005; Demaine et al. 2006). The inequalities are
separated lazily. What costs is starting the solver anew each round, so the first round begins with those that a dual
ascent found active: two or three rounds then suffice. An unfinished simplex value proves nothing; but any multipliers
y >= 0 of the rows do, through the Lagrangian dual, and so every round's do here, evaluated in float64.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy import sparse

from telescope_transformer.correlation_clustering.bounds.ascent import proved_value
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual, Rows, ascend
from telescope_transformer.correlation_clustering.bounds.separation import pair_index
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.correlation_clustering.search.local_search import refine
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.errors import SolverError

if TYPE_CHECKING:
    import cvxpy as cp

# Violations below this are what HiGHS calls feasible; its own tolerance.
TOLERANCE = 1e-7
# Rounds of cuts, of which two or three suffice where the dual ascent has found the active inequalities.
_ROUNDS = 100
# Three cuts of a pair and round took 1.7 s where one took 5.7 s (300 nodes).
_CUTS_PER_PAIR = 3
# Share of the time left that the simplex may take; the interior point method finishes some that it stalls on.
_SHARE_OF_SIMPLEX = 0.5


@dataclass(frozen=True)
class Relaxation:
    """Solution of the relaxation: ``x`` (n, n) float64 symmetric, 1 cut and 0 joined; a proved ``lower_bound`` of the
    cost; whether ``x`` satisfies every triangle inequality (``complete``); and the ``rounds`` of cuts it took."""

    x: np.ndarray
    lower_bound: float
    complete: bool
    rounds: int


@njit(cache=True, nogil=True)
def violated_triangles(x, tolerance, per_pair):
    """The ``per_pair`` most violated inequalities x_ij <= x_ik + x_kj of each pair, as rows of pair indices (m, 3)."""
    n = x.shape[0]
    rows = np.empty((n * (n - 1) // 2 * per_pair, 3), np.int64)
    worst = np.empty(per_pair)
    apex = np.empty(per_pair, np.int64)
    found = 0
    for i in range(n):
        for j in range(i):
            if x[i, j] <= tolerance:
                continue
            worst[:] = tolerance
            apex[:] = -1
            for k in range(n):
                violation = x[i, j] - x[i, k] - x[k, j]
                if violation > worst[0] and k not in (i, j):
                    place = 0
                    while place + 1 < per_pair and worst[place + 1] < violation:
                        worst[place], apex[place] = worst[place + 1], apex[place + 1]
                        place += 1
                    worst[place], apex[place] = violation, k
            for k in apex:
                if k >= 0:
                    rows[found, 0], rows[found, 1] = pair_index(i, j), pair_index(i, k)
                    rows[found, 2] = pair_index(k, j)
                    found += 1
    return rows[:found]


def relax(
    graph: DenseGraph, *, labels: np.ndarray | None = None, time_limit: float | None = None, seed: int = 0
) -> Relaxation:
    """Solve the relaxation of a complete graph; ``labels`` is a good clustering, if one is known.

    A dual ascent first finds the active inequalities. Past the ``time_limit`` (seconds) the last x is returned, with
    the best bound proved so far. Raises :class:`SolverError` where HiGHS returns nothing at all.
    """
    progress = Progress(graph, time_limit)
    progress.offer(refine(graph, seed=seed) if labels is None else labels)
    dual = DenseDual(graph, progress.labels, seed=seed)
    ascend(dual, progress, progress.part(0.3))
    return relax_from(dual, progress, progress.part(1.0))


def relax_from(dual: DenseDual, progress: Progress, deadline: Deadline) -> Relaxation:
    """Solve the relaxation beginning with the active inequalities of ``dual``; proves bounds to ``progress``."""
    n, weights = dual.n, dual.weights
    scaled = weights / dual.scale
    rows = dual.triangles.astype(np.int64)
    x = unpack(dual.fractions(), n)
    for rounds in range(1, _ROUNDS + 1):
        value = _solve(scaled, rows, deadline)
        if value is None:
            break
        packed, multipliers = value
        progress.prove(lagrangian_bound(weights, rows, np.maximum(multipliers, 0.0) * dual.scale))
        x = unpack(packed, n)
        cuts = violated_triangles(x, TOLERANCE, _CUTS_PER_PAIR)
        if not cuts.size:
            return Relaxation(x, progress.lower_bound, True, rounds)
        if deadline.passed:
            break
        # Rows that carry nothing now are dropped, unless they are new: an old one comes back if it is violated.
        rows = np.unique(np.concatenate([rows[multipliers > 0] if rounds % 4 == 0 else rows, cuts]), axis=0)
    return Relaxation(x, progress.lower_bound, False, rounds)


def lagrangian_bound(weights: np.ndarray, rows: np.ndarray, multipliers: np.ndarray) -> float:
    """Lower bound of the cost that multipliers >= 0 of triangle rows (m, 3) prove, safe against rounding."""
    none = Rows()
    return proved_value(weights, rows, multipliers, none.starts, none.edges, none.signs, none.right, none.multipliers)[
        0
    ]


def unpack(packed: np.ndarray, n: int) -> np.ndarray:
    """Symmetric matrix (n, n) float64 of packed pairs, or of a matrix already; clipped to [0, 1], diagonal 0."""
    if packed.ndim == 2:
        return packed.astype(np.float64)
    x = np.zeros((n, n))
    x[np.tril_indices(n, -1)] = np.clip(packed, 0.0, 1.0)
    return x + x.T


def _solve(weights: np.ndarray, rows: np.ndarray, deadline: Deadline) -> tuple[np.ndarray, np.ndarray] | None:
    """x and multipliers of one round: by the simplex, or the interior point method where that takes too long."""
    # Importing cvxpy takes longer than most fits.
    import cvxpy as cp

    x = cp.Variable(weights.size, bounds=[0, 1])
    m = rows.shape[0]
    values = np.tile([1.0, -1.0, -1.0], m)
    matrix = sparse.csr_array((values, rows.reshape(-1), 3 * np.arange(m + 1)), shape=(m, weights.size))
    constraints = [matrix @ x <= 0] if m else []
    problem = cp.Problem(cp.Minimize(weights @ x), constraints)
    for solver, share in (("simplex", _SHARE_OF_SIMPLEX), ("ipm", 1.0)):
        seconds = share * deadline.seconds_left
        if seconds <= 0 or not _run(problem, solver, seconds):
            continue
        multipliers = constraints[0].dual_value if m else np.empty(0)
        return np.asarray(x.value), np.asarray(multipliers)
    return None


def _run(problem: "cp.Problem", solver: str, seconds: float) -> bool:
    """Whether HiGHS solved the problem in time."""
    import cvxpy as cp

    options: dict[str, Any] = {"solver": solver, "output_flag": False}
    if np.isfinite(seconds):
        options["time_limit"] = seconds
    try:
        with _quiet_stdout():
            problem.solve(solver=cp.HIGHS, highs_options=options)
    except cp.SolverError:
        return False
    if problem.status in (cp.INFEASIBLE, cp.UNBOUNDED):
        raise SolverError(f"HiGHS found the relaxation {problem.status}, which it never is")
    return problem.status == cp.OPTIMAL


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Nothing is written to the process's standard output: HiGHS 1.16 prints a banner before it reads its options."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        # There is no standard output.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
