"""The linear programming relaxation with triangle inequalities: cvxpy states it, HiGHS solves it by cutting planes.

A variable x_ij in [0, 1] says to what degree pair (i, j) is cut. The relaxation minimises the sum of w_ij x_ij subject
to x_ij <= x_ik + x_kj for all i, j, k (Charikar, Guruswami and Wirth 2005; Demaine et al. 2006). The inequalities are
added lazily. Starting the solver in each round is the expensive part, so the first round begins with the inequalities
that a dual ascent found active. Two or three rounds are then enough.

The value of an unfinished simplex run proves nothing. But any multipliers y >= 0 of the inequalities prove a bound
through the Lagrangian dual, so the multipliers of every round are evaluated in float64.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from telescope_transformer.correlation_clustering.bounds.ascent import proved_value
from telescope_transformer.correlation_clustering.bounds.dual import DenseDual, ascend
from telescope_transformer.correlation_clustering.bounds.rows import Rows
from telescope_transformer.correlation_clustering.bounds.separation_triangles import pair_index
from telescope_transformer.correlation_clustering.compiled import compiled, plain_interrupts
from telescope_transformer.correlation_clustering.graph import Graph
from telescope_transformer.correlation_clustering.options import check_limit, check_whole_number
from telescope_transformer.correlation_clustering.search.local_search import refine
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.correlation_clustering.validation import check_graph, check_labels
from telescope_transformer.errors import SolverError

if TYPE_CHECKING:
    import cvxpy as cp
    import highspy

# Violations below this are ignored; it is the feasibility tolerance of HiGHS.
_TOLERANCE = 1e-7
# Limit on the rounds of cuts. Two or three are enough once the dual ascent has found the active inequalities.
_ROUNDS = 100
# With up to three cuts per pair and round, 300 nodes took 1.7 s; with one, 5.7 s.
_CUTS_PER_PAIR = 3
# Share of the remaining time that the simplex method may take. The interior point method then gets the rest; it
# finishes some problems on which the simplex method stalls.
_SHARE_OF_SIMPLEX = 0.5
# Share of the time that the dual ascent may take before HiGHS. With 0.1, 0.3, 0.6 and 0.8, the gap of 800 embeddings
# (kind b, threshold 0.25) after 4 s is 0.10, 0.01, 0.01 and 0.01 %; with more time, the share does not matter.
ASCENT_SHARE = 0.3
# Seconds between two looks at whether HiGHS has finished (on Windows, Ctrl-C is only noticed then), and how long it
# may take to stop after Ctrl-C. It takes 0.04 s with 3,000 variables and 0.5 s with 11,000.
_WAIT, _CANCEL = 0.1, 0.5


@dataclass(frozen=True)
class Relaxation:
    """Solution of the relaxation.

    Attributes:
        x: float64 (n, n), symmetric, 1 cut and 0 joined.
        lower_bound: a proved lower bound of the cost.
        complete: whether ``x`` satisfies every triangle inequality.
    """

    x: np.ndarray
    lower_bound: float
    complete: bool


@compiled()
def violated_triangles(x: np.ndarray) -> np.ndarray:
    """The most violated inequalities x_ij <= x_ik + x_kj of each pair (i, j), up to `_CUTS_PER_PAIR`.

    Args:
        x: float64 (n, n), symmetric.

    Returns:
        int64 (m, 3), the pairs (i, j), (i, k) and (k, j) by `pair_index`.
    """
    n = x.shape[0]
    rows = np.empty((n * (n - 1) // 2 * _CUTS_PER_PAIR, 3), np.int64)
    worst = np.empty(_CUTS_PER_PAIR)
    apex = np.empty(_CUTS_PER_PAIR, np.int64)
    found = 0
    for i in range(n):
        for j in range(i):
            if x[i, j] <= _TOLERANCE:
                continue
            worst[:] = _TOLERANCE
            apex[:] = -1
            for k in range(n):
                violation = x[i, j] - x[i, k] - x[k, j]
                if violation > worst[0] and k not in (i, j):
                    place = 0
                    while place + 1 < _CUTS_PER_PAIR and worst[place + 1] < violation:
                        worst[place], apex[place] = worst[place + 1], apex[place + 1]
                        place += 1
                    worst[place], apex[place] = violation, k
            for third in apex:
                if third >= 0:
                    rows[found, 0], rows[found, 1] = pair_index(i, j), pair_index(i, int(third))
                    rows[found, 2] = pair_index(int(third), j)
                    found += 1
    return rows[:found]


@plain_interrupts()
def relax(
    graph: Graph, *, labels: np.ndarray | None = None, time_limit: float | None = None, seed: int = 0
) -> Relaxation:
    """Solve the relaxation of a graph, with all its pairs. A dual ascent first finds the active inequalities.

    Args:
        graph: the graph.
        labels: (n,), a good clustering, if one is known.
        time_limit: seconds, after which the last x and the best bound are returned.
        seed: seed of the search.

    Raises:
        SolverError: HiGHS reports that the relaxation is infeasible or unbounded, or an option is out of range.
    """
    check_graph(graph)
    graph = graph.filled()
    check_limit("time_limit", time_limit)
    check_whole_number("seed", seed, 0)
    progress = Progress(graph, time_limit)
    progress.offer(refine(graph, seed=seed) if labels is None else check_labels(labels, graph.n))
    dual = DenseDual(graph, progress.labels)
    ascend(dual, progress, progress.deadline(ASCENT_SHARE))
    return relax_from(dual, progress, progress.deadline())


def relax_from(dual: DenseDual, progress: Progress, deadline: Deadline, *, until_closed: bool = False) -> Relaxation:
    """Solve the relaxation, beginning with the active inequalities of an ascent.

    Args:
        dual: the ascent.
        progress: receives the bounds.
        deadline: when to stop.
        until_closed: whether to stop once the gap is small enough, although x may violate inequalities. If many pairs
            weigh 0, the bound is final long before x satisfies all of them.
    """
    n, weights = dual.n, dual.weights
    if n < 2:
        return Relaxation(np.zeros((n, n)), progress.lower_bound, True)
    scaled = weights / dual.scale
    rows = dual.triangles.astype(np.int64)
    x = dual.fractions().astype(np.float64)
    for rounds in range(1, _ROUNDS + 1):
        value = _solve(scaled, rows, deadline)
        if value is None:
            break
        packed, multipliers = value
        progress.prove(proved_value(weights, rows, np.maximum(multipliers, 0.0) * dual.scale, Rows())[0])
        x = unpack(packed, n)
        cuts = violated_triangles(x)
        if not cuts.size:
            return Relaxation(x, progress.lower_bound, True)
        if deadline.passed or (until_closed and progress.closed):
            break
        # Every fourth round drops old inequalities without a multiplier, which keeps the problem small. A dropped
        # inequality is added again if it becomes violated.
        rows = np.unique(np.concatenate([rows[multipliers > 0] if rounds % 4 == 0 else rows, cuts]), axis=0)
    return Relaxation(x, progress.lower_bound, False)


def unpack(packed: np.ndarray, n: int) -> np.ndarray:
    """Symmetric matrix float64 (n, n) of packed pairs (pairs,), clipped to [0, 1], with a diagonal of 0."""
    x = np.zeros((n, n))
    x[np.tril_indices(n, -1)] = np.clip(packed, 0.0, 1.0)
    return x + x.T


def _solve(weights: np.ndarray, rows: np.ndarray, deadline: Deadline) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve one round by the simplex method, or by the interior point method if simplex takes too long.

    Args:
        weights: float64 (pairs,), scaled to about 1.
        rows: int64 (m, 3), the triangle inequalities.
        deadline: when to stop.

    Returns:
        x (pairs,) and the multipliers (m,); None if neither method finished in time.
    """
    # Imported here because the import takes longer than most fits.
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
    """Run HiGHS; returns whether it solved the problem in time.

    Raises:
        SolverError: HiGHS reports that the problem is infeasible or unbounded.
    """
    import cvxpy as cp
    from highspy import HighsModelStatus

    with _quiet_stdout():
        data, chain, inverse = problem.get_problem_data(cp.HIGHS)
        highs = _highs(data)
        highs.setOptionValue("solver", solver)
        if np.isfinite(seconds):
            highs.setOptionValue("time_limit", seconds)
        _run_until_interrupted(highs)
    status = highs.getModelStatus()
    if status in (HighsModelStatus.kInfeasible, HighsModelStatus.kUnbounded):
        raise SolverError(f"HiGHS calls the relaxation {status.name}, although it always has a solution")
    if status != HighsModelStatus.kOptimal:
        return False
    results = {
        "solution": highs.getSolution(),
        "basis": highs.getBasis(),
        "info": highs.getInfo(),
        "model_status": status.name,
        "run_time": highs.getRunTime(),
    }
    problem.unpack_results(results, chain, inverse)
    return True


def _highs(data: dict[str, Any]) -> "highspy.Highs":
    """A solver of the problem min c x, A x <= b, in the form in which cvxpy passes it to HiGHS."""
    import highspy

    matrix = data["A"].tocsc()
    rows, columns = matrix.shape
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = rows, columns
    lp.col_cost_, lp.row_upper_ = data["c"], data["b"]
    lp.row_lower_ = np.full(rows, -highspy.kHighsInf)
    lp.col_lower_, lp.col_upper_ = data["lower_bounds"], data["upper_bounds"]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.passModel(lp)
    return highs


def _run_until_interrupted(highs: "highspy.Highs") -> None:
    """Run HiGHS in a thread and cancel it on Ctrl-C. In the main thread, it would first finish, maybe after hours."""
    highs.HandleUserInterrupt = True
    try:
        highs.startSolve()
        while not highs.wait(_WAIT)[0]:
            pass
    except BaseException:
        highs.cancelSolve()  # type: ignore[no-untyped-call]
        highs.wait(_CANCEL)
        # If it takes longer, the interpreter has to wait at its end, because HiGHS still calls it.
        atexit.register(highs.wait)
        raise


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Discard the process's standard output. HiGHS 1.16 prints a banner before it reads its options."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        # The process has no standard output.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
