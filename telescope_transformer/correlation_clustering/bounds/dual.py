"""Proved lower bounds of the cost by dual ascent over lazily separated inequalities.

What the ascent is, and why each of its states proves a bound, is said in :mod:`.ascent`.
"""

from itertools import pairwise

import numpy as np

from telescope_transformer.arrays import offsets_of
from telescope_transformer.correlation_clustering.bounds.ascent import (
    proved_value,
    sweep_rows,
    sweep_triangles,
    value_of,
)
from telescope_transformer.correlation_clustering.bounds.separation import (
    edge_fractions,
    edge_ids,
    edge_positions,
    edges_cut,
    fractions_dense,
    near_rows,
    pack_pairs,
    pairs_cut,
    separate_dense,
    separate_sparse,
)
from telescope_transformer.correlation_clustering.bounds.separation_cycles import LONGEST, separate_cycles, ways_out
from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph
from telescope_transformer.correlation_clustering.solution import PROVED, Deadline, Progress

# Smoothing at the start, relative to the largest attractive weight. The warmer the start and the slower the cooling,
# the better the multipliers: on 5,000 embeddings and 30 s, a gap of 0.2 % against 8.7 % from a start at 0.006 with
# halving. A graph of their neighbours is proved optimal in 1.2 s from 0.006, in 2.3 s from 0.05.
FIRST_SMOOTHING, FIRST_SMOOTHING_SPARSE = 0.1, 0.006
# Each round of separation cools by the first, or by what reaches the last smoothing at the deadline, but not by more
# than the second: after four rounds on 5,000 embeddings, the gap was 0.8 % with 0.15 and 2.0 % with 0.3.
_COOLING, _FASTEST_COOLING = 0.8, 0.1
# Where a limit of time ends the cooling; less gains less than another round does.
_LAST_IN_TIME = 1e-4
_LAST_IN_TIME_SPARSE = 1e-6
# Below this share of the first smoothing, an ascent that gains nothing any more ends. It always ends where smoothing,
# relative to the scale, is as small as a gap that counts as none.
_COOL, _LAST_SMOOTHING = 1e-3, PROVED
# A round gains something if it closes this share of what is missing.
_GAIN = 1e-3
# Steps overshoot by half, as in successive over-relaxation; measured best of 1 to 1.9.
_RELAXATION = 1.5
# Sweeps between separations of a complete graph and of a sparse one. A search takes as long as 30 sweeps. On 5,000
# embeddings, four rounds of 15 sweeps left a gap of 0.49 %, of 5 sweeps 0.82 %. On a sparse graph, 9,630 windows had a
# gap of 7.6 % after 14 s with 15 sweeps, of 9.3 % with 5.
_SWEEPS, _SWEEPS_SPARSE = 10, 15
# Violations below this are left to later rounds.
_TOLERANCE = 0.05
# Work between two looks at the clock, under 0.1 s each.
_CENTRES_A_CALL = 200
_ENTRIES_A_CALL = 40_000_000
# Entries that the search for cycles looks at from one node; twice as many each time it finds few. A small graph can
# afford to begin with many, which proved 5,000 nodes of neighbours that stalled at 15 % with few.
_FIRST_WORK, _MOST_WORK = 4_000, 1 << 30
_FIRST_WORK_SMALL, _SMALL = 1_000_000, 1_000_000
# Longer cycles are looked for once the new triangles are fewer than this share of the active ones: on a graph of the
# neighbours of 1,200 embeddings, optimality is proved in 3.3 s, against 5.0 s where they always are.
_MANY_TRIANGLES = 0.1
# New cycles are few where they are less than this share of the active ones.
_FEW_CYCLES = 0.05


class Rows:
    """Valid inequalities beyond triangles, sum of signs * x <= right, in compressed rows with their multipliers."""

    def __init__(self) -> None:
        self.starts = np.zeros(1, dtype=np.int64)
        self.edges = np.empty(0, dtype=np.int64)
        self.signs = np.empty(0)
        self.right = np.empty(0)
        self.multipliers = np.empty(0)

    def append(
        self,
        starts: np.ndarray,
        edges: np.ndarray,
        signs: np.ndarray,
        right: np.ndarray,
        multipliers: np.ndarray | None = None,
    ) -> None:
        """Add rows, with multipliers of 0 where none are given."""
        added = np.zeros(right.size) if multipliers is None else multipliers
        starts = np.concatenate([self.starts, self.starts[-1] + starts[1:]])
        edges, signs = np.concatenate([self.edges, edges]), np.concatenate([self.signs, signs])
        right, added = np.concatenate([self.right, right]), np.concatenate([self.multipliers, added])
        # Assign together: an interrupt may read these mid-update.
        self.starts, self.edges, self.signs, self.right, self.multipliers = starts, edges, signs, right, added

    def drop_idle(self) -> None:
        """Forget the rows whose multiplier is 0."""
        keep = self.multipliers > 0
        entries = np.repeat(keep, np.diff(self.starts))
        starts = offsets_of(np.diff(self.starts)[keep])
        edges, signs = self.edges[entries], self.signs[entries]
        right, kept = self.right[keep], self.multipliers[keep]
        self.starts, self.edges, self.signs, self.right, self.multipliers = starts, edges, signs, right, kept


class Dual:
    """State of an ascent: reduced weights of the pairs, active inequalities and their multipliers.

    ``weights`` (m,) float64 are those of the pairs that have a variable; all others are not attractive and count as
    cut. Subclasses say which pairs these are, and find violated triangles among them.
    """

    last_in_time, sweeps = _LAST_IN_TIME, _SWEEPS

    def __init__(self, weights: np.ndarray, scale: float, labels: np.ndarray, *, seed: int, capacity: int) -> None:
        self.weights = weights
        self.reduced = weights.copy()
        # Repulsion may be as large as it likes: smoothing is relative to what attracts.
        largest = float(weights.max(initial=0.0))
        self.scale = largest if largest > 0 else scale
        self.smoothing = FIRST_SMOOTHING * scale
        self.triangles = np.empty((0, 3), dtype=np.int32 if weights.size < 2**31 else np.int64)
        self.multipliers = np.empty(0)
        self.rows = Rows()
        self._capacity = capacity
        self._rng = np.random.default_rng(seed)
        self._rounds = 0
        self.guide(labels)

    def guide(self, labels: np.ndarray) -> None:
        """Place the smoothing by the clustering ``labels``; multipliers keep their values and stay valid."""
        self.cut = self._pairs_cut(np.ascontiguousarray(labels, dtype=np.int64))

    def _pairs_cut(self, labels: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _separate(self, tolerance: float, triangles: np.ndarray, multipliers: np.ndarray, deadline: Deadline) -> int:
        raise NotImplementedError

    def separate(self, deadline: Deadline, tolerance: float = _TOLERANCE) -> int:
        """Add violated triangle inequalities, drop those without multiplier; returns how many were added."""
        triangles = np.empty((self._capacity, 3), dtype=self.triangles.dtype)
        multipliers = np.empty(self._capacity)
        found = self._separate(tolerance, triangles, multipliers, deadline)
        keep = self.multipliers > 0
        triangles = np.concatenate([self.triangles[keep], triangles[:found]])
        multipliers = np.concatenate([self.multipliers[keep], multipliers[:found]])
        # Neighbouring inequalities share pairs: sorted, a sweep stays in the cache, and the two orders alternate.
        order = np.argsort(triangles[:, self._rounds % 2], kind="stable")
        triangles, multipliers = np.ascontiguousarray(triangles[order]), multipliers[order]
        self.triangles, self.multipliers = triangles, multipliers
        self._rounds += 1
        return found

    def sweep(self, deadline: Deadline, sweeps: int | None = None) -> None:
        """Coordinate ascent over all active inequalities, ``sweeps`` times or until the deadline."""
        rows = self.rows
        for _ in range(self.sweeps if sweeps is None else sweeps):
            sweep_triangles(self.triangles, self.multipliers, self.reduced, self.cut, self.smoothing, _RELAXATION)
            sweep_rows(
                rows.starts, rows.edges, rows.signs, rows.right, rows.multipliers,
                self.reduced, self.cut, self.smoothing,
            )  # fmt: skip
            if deadline.passed:
                return

    def cooling(self, seconds_left: float, round_seconds: float) -> float:
        """Factor by which to lower the smoothing after a round that took so long: as slowly as the time allows."""
        last = self.last_in_time * self.scale
        if not np.isfinite(seconds_left) or self.smoothing <= last:
            return _COOLING
        rounds = max(seconds_left / max(round_seconds, 1e-6), 1.0)
        return float(np.clip((last / self.smoothing) ** (1.0 / rounds), _FASTEST_COOLING, _COOLING))

    def estimate(self) -> float:
        """Value of the dual at the running reduced weights; not yet safe against rounding."""
        return value_of(self.weights, self.reduced) - float(self.rows.right @ self.rows.multipliers)

    def bound(self) -> float:
        """Proved lower bound of the cost; the running reduced weights are worked out anew, too."""
        rows = self.rows
        value, self.reduced = proved_value(
            self.weights, self.triangles, self.multipliers,
            rows.starts, rows.edges, rows.signs, rows.right, rows.multipliers,
        )  # fmt: skip
        return value


class DenseDual(Dual):
    """The ascent on a complete graph of original nodes: every pair has a variable."""

    def __init__(self, graph: DenseGraph, labels: np.ndarray, *, seed: int = 0) -> None:
        self.n = graph.n
        weights = pack_pairs(graph.matrix, graph.threshold)
        capacity = min(1024 * (graph.n + 64), 1 << 23)
        super().__init__(weights, graph.scale, labels, seed=seed, capacity=capacity)

    def _pairs_cut(self, labels: np.ndarray) -> np.ndarray:
        return pairs_cut(labels)

    def _separate(self, tolerance: float, triangles: np.ndarray, multipliers: np.ndarray, deadline: Deadline) -> int:
        x, found = self.fractions(), 0
        for centres in np.array_split(self._rng.permutation(self.n), 1 + self.n // _CENTRES_A_CALL):
            found += separate_dense(
                x, self.reduced, self.cut, self.smoothing, tolerance, centres,
                triangles[found:], multipliers[found:],
            )  # fmt: skip
            if deadline.passed:
                break
        return found

    def fractions(self) -> np.ndarray:
        """Primal estimate x (n, n) float32 of the relaxation's solution: 1 cut, 0 joined."""
        return fractions_dense(self.reduced, self.cut, self.smoothing, self.n)


class SparseDual(Dual):
    """The ascent on a sparse graph: its edges have variables; long cycles stand for triangles of absent pairs."""

    last_in_time, sweeps = _LAST_IN_TIME_SPARSE, _SWEEPS_SPARSE

    def __init__(
        self,
        graph: SparseGraph,
        labels: np.ndarray,
        *,
        seed: int = 0,
        capacity: int = 1 << 23,
        smoothing: float = FIRST_SMOOTHING_SPARSE,
    ) -> None:
        self._graph = graph
        self._work = _FIRST_WORK_SMALL if graph.entries < _SMALL else _FIRST_WORK
        self._ids = edge_ids(graph.indptr, graph.indices)
        weights = graph.data[edge_positions(graph.indptr, graph.indices)]
        super().__init__(weights, graph.scale, labels, seed=seed, capacity=capacity)
        self.smoothing = smoothing * self.scale

    def _pairs_cut(self, labels: np.ndarray) -> np.ndarray:
        return edges_cut(self._graph.indptr, self._graph.indices, labels)

    def _separate(self, tolerance: float, triangles: np.ndarray, multipliers: np.ndarray, deadline: Deadline) -> int:
        rows, found = (self._graph.indptr, self._graph.indices, self._ids), 0
        near = near_rows(*rows, self.reduced, self.cut, self.smoothing, 1.0 - tolerance)
        calls = 1 + int(np.diff(near[0])[rows[1]].sum()) // _ENTRIES_A_CALL
        borders = np.linspace(0, self._graph.n, calls + 1, dtype=np.int64)
        for first, last in pairwise(borders):
            found += separate_sparse(
                rows, near, self.reduced, self.cut, self.smoothing, tolerance,
                first, last, triangles[found:], multipliers[found:],
            )  # fmt: skip
            if deadline.passed:
                break
        return found

    def separate(self, deadline: Deadline, tolerance: float = _TOLERANCE) -> int:
        """Triangles as for a dense graph, then longer cycles among what they leave."""
        triangles = super().separate(deadline, tolerance)
        self.rows.drop_idle()
        if triangles > _MANY_TRIANGLES * self.multipliers.size:
            return triangles
        capacity, found = self._capacity // 4, 0
        graph = (self._graph.indptr, self._graph.indices, self._ids)
        state = (self.reduced, self.cut, self.smoothing, tolerance)
        starts, edges = np.zeros(capacity + 1, dtype=np.int64), np.empty(LONGEST + 4 * capacity, dtype=np.int64)
        multipliers, ways = np.empty(capacity), ways_out(*graph[::2], *state)
        stride = max(_ENTRIES_A_CALL // self._work, 20)
        for first in range(0, self._graph.n, stride):
            if deadline.passed:
                break
            last = min(first + stride, self._graph.n)
            rows = (starts[found:], edges, multipliers[found:])
            found += separate_cycles(graph, state, ways, self._work, first, last, rows)
            if found == capacity or starts[found] + LONGEST > edges.size:
                break
        signs = np.full(starts[found], -1.0)
        signs[starts[:found]] = 1.0
        self.rows.append(starts[: found + 1], edges[: starts[found]], signs, np.zeros(found), multipliers[:found])
        if found < _FEW_CYCLES * self.rows.right.size:
            self._work = min(2 * self._work, _MOST_WORK)
        return triangles + found

    def fractions(self) -> np.ndarray:
        """Primal estimate x (m,) of the relaxation's solution, in the order of the compressed rows."""
        return edge_fractions(self.reduced, self.cut, self.smoothing)[self._ids]


def ascend(dual: Dual, progress: Progress, deadline: Deadline, rounds: int | None = None) -> None:
    """Raise the bound until it meets the cost, nothing is gained by less smoothing, or the deadline passes.

    Stops after so many ``rounds`` of separation, if that is given.
    """
    try:
        _ascend(dual, progress, deadline, rounds)
    finally:
        # Also where an interrupt ends it.
        progress.prove(dual.bound())


def _ascend(dual: Dual, progress: Progress, deadline: Deadline, rounds: int | None) -> None:
    last, barren = -np.inf, 0
    first = dual.smoothing
    while not deadline.passed and rounds != 0:
        started = now()
        rounds = None if rounds is None else rounds - 1
        dual.separate(deadline)
        dual.sweep(deadline)
        value = dual.estimate()
        missing = progress.cost - value
        if missing < 1.0 if progress.graph.whole else missing <= PROVED * progress.cost:
            progress.prove(dual.bound())
            if progress.closed:
                return
        barren = 0 if value - last > _GAIN * missing else barren + 1
        if (barren > 2 and dual.smoothing < _COOL * first) or dual.smoothing < _LAST_SMOOTHING * dual.scale:
            return
        last = value
        dual.smoothing *= dual.cooling(deadline.seconds_left, now() - started)
