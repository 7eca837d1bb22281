"""Proved lower bounds of the cost by dual ascent over lazily separated inequalities.

:mod:`.ascent` explains what the ascent computes and why each of its states proves a bound.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from telescope_transformer.correlation_clustering.bounds.ascent import (
    proved_value,
    sweep_rows,
    sweep_triangles,
    value_of,
)
from telescope_transformer.correlation_clustering.bounds.rows import Rows
from telescope_transformer.correlation_clustering.bounds.separation_cycles import LONGEST, separate_cycles
from telescope_transformer.correlation_clustering.bounds.separation_triangles import (
    Range,
    State,
    edge_fractions,
    fractions_dense,
    near_rows,
    pack_pairs,
    pairs_cut,
    separate_dense,
    separate_sparse,
)
from telescope_transformer.correlation_clustering.bounds.tiles import Tiling
from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph
from telescope_transformer.correlation_clustering.graph_kernels import edge_entries
from telescope_transformer.correlation_clustering.solution import PROVED, Deadline, Progress

# Smoothing at the start, relative to the largest attractive weight. A warmer start and slower cooling give better
# multipliers: on 5,000 embeddings with 30 s, the gap is 0.2 %, against 8.7 % if it starts at 0.006 and is halved in
# each round. Sparse graphs need less smoothing: a graph of nearest neighbours is proved optimal in 1.2 s from 0.006,
# and in 2.3 s from 0.05.
FIRST_SMOOTHING, _FIRST_SMOOTHING_SPARSE = 0.1, 0.006
# After each round of separation, the smoothing is multiplied by the first factor, or by the second one in sparse
# graphs. If that is too slow to reach the last smoothing by the deadline, a smaller factor is used, but at least the
# third one. After four rounds on 5,000 embeddings, the gap was 0.8 % with a fastest factor of 0.15 and 2.0 % with 0.3.
# For the 1,034 nodes in small clusters of a block of the neighbour graph of 100,000 embeddings, all cycles together
# leave a gap of 13.1 %. The ascent gets to 21.5 % in 0.9 s with a factor of 0.8, and to 15.7 % in 1.2 s with 0.9. For
# a block of 4,546 nodes, the gap after 3 s is 3.6 and 3.7 %.
_COOLING, _COOLING_SPARSE, _FASTEST_COOLING = 0.8, 0.9, 0.1
# A run with a time limit cools down to this smoothing, relative to the initial one. From there on, another round gains
# more than less smoothing, and a run that no longer makes progress ends. With 1e-3, 3e-3 and 1e-2, the gap of 2,000
# embeddings (kind b, threshold 0.27) after 4 s is 0.15, 0.20 and 0.43 %, and that of 5,000 (a, 0.2) after 30 s is
# 0.17, 0.11 and 0.21 %; with 3e-3 and 1e-2, that of 9,630 windows after 60 s is 2.8 and 3.1 %.
_LAST_IN_TIME = 3e-3
# A round counts as progress if it closes this share of the remaining gap. With 3e-4, 1e-3, 3e-3 and 1e-2, the ascent
# on 1,200 embeddings (kind b, threshold 0.3) ends after 3.4, 3.1, 2.6 and 2.5 s, at 1.23 to 1.24 %.
_GAIN = 1e-3
# Sweeps between two separations. After ten rounds on 9,630 windows, the gap is 5.8, 4.4 and 3.6 % with 4, 8 and 15,
# which take 64, 70 and 71 s. With 8 sweeps, bitcoin_alpha is not proved optimal.
_SWEEPS = 15
# Least violation of an inequality that is added. Later rounds deal with smaller violations. With 0.05, 0.1 and 0.2,
# the gap of 9,630 windows after 90 s is 6.1, 3.1 and 2.7 %; with 0.05, 0.1 and 0.15, that of 5,000 embeddings (kind
# a, threshold 0.2) after 30 s is 0.04, 0.04 and 0.11 %.
_TOLERANCE = 0.1
# Centres and entries that are processed between two checks of the time. Each takes less than 0.1 s.
_CENTRES_A_CALL = 200
_ENTRIES_A_CALL = 40_000_000
# Number of entries that the search for cycles may read from one node at first. It doubles whenever few cycles are
# found, unless the last search read more entries than the second number, which takes about 0.3 s. For a block of 4,546
# nodes of the neighbour graph of 100,000 embeddings, the same rounds prove the same bound in 8.3, 9.1 and 24 s with
# 3,000, 10,000 and 100,000 entries at first, and in 5.8 s if the number never exceeds 10,000.
_FIRST_WORK, _MOST_READ = 3_000, 1 << 26
# Longer cycles are searched for once the new triangles are fewer than this share of the active ones. On a neighbour
# graph of 1,200 embeddings, optimality is proved in 3.3 s, against 5.0 s if longer cycles are always searched for.
_MANY_TRIANGLES = 0.1
# Number of triangles that one separation may add: per node of a complete graph, per entry of a sparse graph, at least,
# and at most in either. They take 20 bytes each, so at most 336 MB. Threads may find twice as many in a large complete
# graph. A separation that reaches this limit continues in the next round.
_TRIANGLES_A_NODE, _TRIANGLES_AN_ENTRY, _LEAST_CAPACITY = 1_024, 2, 1 << 16
_MOST_CAPACITY, _MOST_CAPACITY_SPARSE = 1 << 23, 1 << 24
# Number of cycles that one separation may add, as a share of its limit of triangles, and the average number of edges
# per cycle for which memory is reserved. A separation that reaches these limits continues in the next round.
_CYCLES_A_TRIANGLE, _CYCLE = 0.25, 4
# Least number of nodes between two checks of the time in the search for cycles, however much work each node is.
_LEAST_STRIDE = 20
# Least number of seconds that a round counts as, so that the number of rounds stays finite.
_SHORTEST_ROUND = 1e-6
# New cycles count as few if they are fewer than this share of the active ones.
_FEW_CYCLES = 0.05


class Dual:
    """State of an ascent: reduced costs of the pairs, active inequalities and their multipliers.

    Pairs without a variable are not attractive and count as cut. Subclasses say which pairs have a variable and how
    violated triangles among them are found.

    Attributes:
        slowest: largest factor for the smoothing after a round.
        inverse: float32 (m,), by how much the reduced cost of a pair changes per unit of a multiplier; None if by 1.

    Args:
        weights: float64 (m,), weights of the pairs that have a variable.
        scale: largest absolute weight of the graph, > 0.
        labels: int64 (n,), a good clustering.
        smoothing: T at the start, in the unit of the weights.
        capacity: number of inequalities after which a separation stops.
    """

    slowest: float
    inverse: np.ndarray | None = None

    def __init__(
        self, weights: np.ndarray, scale: float, labels: np.ndarray, *, smoothing: float, capacity: int
    ) -> None:
        self.weights = weights
        self.reduced = weights.copy()
        self.scale = _attraction(weights, scale)
        self.smoothing = self.first_smoothing = smoothing
        self.triangles = np.empty((0, 3), dtype=np.int32 if weights.size < 2**31 else np.int64)
        self.multipliers = np.empty(0)
        self.rows = Rows()
        self._capacity = capacity
        self.guide(labels)

    def guide(self, labels: np.ndarray) -> None:
        """Use ``labels`` (n,) as the guiding clustering. The multipliers keep their values and stay valid."""
        self.cut = self._pairs_cut(np.ascontiguousarray(labels, dtype=np.int64))

    def _state(self) -> State:
        """What separation needs, see :mod:`.separation_triangles`."""
        return self.reduced, self.cut, self.smoothing, _TOLERANCE

    def _pairs_cut(self, labels: np.ndarray) -> np.ndarray:
        """Whether the clustering ``labels`` (n,) cuts each pair, bool (m,)."""
        raise NotImplementedError

    def separate(self, deadline: Deadline) -> int:
        """Add violated triangle inequalities and drop those without a multiplier; returns how many were added."""
        raise NotImplementedError

    def _sweep_triangles(self) -> None:
        """One pass over the active triangle inequalities."""
        sweep_triangles(self.triangles, self.multipliers, self.reduced, self.cut, self.inverse, self.smoothing)

    def sweep(self, deadline: Deadline, sweeps: int = _SWEEPS) -> None:
        """Run coordinate ascent over all active inequalities.

        Args:
            deadline: when to stop.
            sweeps: number of passes.
        """
        rows = self.rows
        for _ in range(sweeps):
            self._sweep_triangles()
            sweep_rows(
                rows.starts, rows.edges, rows.signs, rows.right, rows.multipliers,
                self.reduced, self.cut, self.smoothing,
            )  # fmt: skip
            if deadline.passed:
                return

    def cooling(self, seconds_left: float, round_seconds: float) -> float:
        """Factor for the smoothing after a round: cool as slowly as the time allows.

        Args:
            seconds_left: seconds until the deadline, inf if there is none.
            round_seconds: how long the last round took.
        """
        last = _LAST_IN_TIME * self.first_smoothing
        if not np.isfinite(seconds_left) or self.smoothing <= last:
            return self.slowest
        rounds = max(seconds_left / max(round_seconds, _SHORTEST_ROUND), 1.0)
        return float(np.clip((last / self.smoothing) ** (1.0 / rounds), _FASTEST_COOLING, self.slowest))

    def value(self) -> float:
        """Value of the dual at the running reduced costs; not safe against rounding."""
        return value_of(self.weights, self.reduced) - float(self.rows.right @ self.rows.multipliers)

    def bound(self) -> float:
        """Proved lower bound of the cost. Recomputes the reduced costs to remove accumulated rounding errors."""
        # The new weights take the memory of the old ones.
        del self.reduced
        value, self.reduced = proved_value(self.weights, self.triangles, self.multipliers, self.rows)
        return value


class DenseDual(Dual):
    """The ascent on a complete graph of original nodes: every pair has a variable.

    Args:
        graph: the graph; all its sizes are 1.
        labels: int64 (n,), a good clustering.
        smoothing: initial smoothing, relative to the largest weight.
    """

    slowest = _COOLING

    def __init__(self, graph: DenseGraph, labels: np.ndarray, *, smoothing: float = FIRST_SMOOTHING) -> None:
        self.n = graph.n
        weights = pack_pairs(graph.matrix, graph.threshold)
        capacity = min(_TRIANGLES_A_NODE * (graph.n + 64), _MOST_CAPACITY)
        super().__init__(weights, graph.scale, labels, smoothing=smoothing * graph.scale, capacity=capacity)
        self._tiling = Tiling(graph.n)
        self._ends = np.zeros(len(self._tiling.triples), dtype=np.int64)
        # The tile and the nodes that are searched between two checks of the time.
        self._steps = list(enumerate(self._tiling.tiles))
        if len(self._steps) == 1:
            self._steps = [(0, (k, min(k + _CENTRES_A_CALL, graph.n))) for k in range(0, graph.n, _CENTRES_A_CALL)]
        self._next = 0

    def _pairs_cut(self, labels: np.ndarray) -> np.ndarray:
        return pairs_cut(labels)

    def separate(self, deadline: Deadline) -> int:
        """Add violated triangle inequalities and drop those without a multiplier; returns how many were added.

        The search always goes through the nodes k of x_ij <= x_ik + x_kj in the same order, with large clusters first.
        A search that stops early continues from there in the next round.
        """
        x, tiling = self.fractions(), self._tiling
        keep = self.multipliers > 0
        parts = [[(self.triangles[part][keep[part]], self.multipliers[part][keep[part]])] for part in self._parts()]
        found = 0
        for step in range(self._next, len(self._steps)):
            self._next = (step + 1) % len(self._steps)
            tile, centres = self._steps[step]
            pairs = [(i, j) for i in range(len(tiling.tiles)) for j in range(i + 1)]
            tasks = [tiling.number(tile, *pair) for pair in pairs]
            find = partial(self._find, x, centres, pairs)
            for task, (triangles, multipliers) in zip(tasks, tiling.run(find, tasks), strict=True):
                parts[task].append((triangles, multipliers))
                found += multipliers.size
            if found >= self._capacity or deadline.passed:
                break
        self._ends = np.cumsum([sum(multipliers.size for _, multipliers in part) for part in parts])
        self.triangles = np.concatenate([triangles for part in parts for triangles, _ in part])
        self.multipliers = np.concatenate([multipliers for part in parts for _, multipliers in part])
        return found

    def _find(
        self, x: np.ndarray, centres: Range, pairs: list[tuple[int, int]], place: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Violated triangles (t, 3) with the third node among the centres, and their multipliers (t,)."""
        rows, columns = (self._tiling.tiles[tile] for tile in pairs[place])
        room = 2 * self._capacity // (1 + len(pairs))
        triangles, multipliers = np.empty((room, 3), dtype=self.triangles.dtype), np.empty(room)
        found = separate_dense(x, self._state(), self.inverse, centres, rows, columns, triangles, multipliers)
        return triangles[:found].copy(), multipliers[:found].copy()

    def _parts(self) -> list[slice]:
        """Where the active triangles of each triple of tiles are."""
        return [slice(first, end) for first, end in pairwise([0, *self._ends.tolist()])]

    def _sweep_triangles(self) -> None:
        parts = self._parts()
        # The largest ones first, so that no thread is left alone with a large one at the end.
        sizes = np.diff(self._ends, prepend=0)
        tasks = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)].tolist()

        def work(place: int) -> None:
            part = parts[tasks[place]]
            sweep_triangles(
                self.triangles[part], self.multipliers[part], self.reduced, self.cut, self.inverse, self.smoothing
            )

        self._tiling.run(work, tasks)

    def fractions(self) -> np.ndarray:
        """Primal estimates of all pairs, float32 (n, n): 1 cut, 0 joined."""
        return fractions_dense(self.reduced, self.cut, self.smoothing, self.n)

    def rounding_graph(self) -> DenseGraph:
        """The graph in which a pair attracts as far as its estimate is below 1/2."""
        return DenseGraph(np.float32(0.5) - self.fractions())


class SparseDual(Dual):
    """The ascent on a sparse graph. Only edges have variables; cycles replace the triangles that involve absent pairs.

    Args:
        graph: the graph.
        labels: int64 (n,), a good clustering.
    """

    slowest = _COOLING_SPARSE

    def __init__(self, graph: SparseGraph, labels: np.ndarray) -> None:
        self._graph = graph
        self._work = _FIRST_WORK
        in_larger, in_smaller = edge_entries(graph.indptr, graph.indices)
        ids = np.empty(graph.indices.size, dtype=np.int32)
        ids[in_larger] = ids[in_smaller] = np.arange(in_larger.size, dtype=np.int32)
        self._edges = (graph.indptr, graph.indices, ids)
        weights = graph.data[in_larger]
        smoothing = _FIRST_SMOOTHING_SPARSE * _attraction(weights, graph.scale)
        capacity = int(np.clip(_TRIANGLES_AN_ENTRY * ids.size, _LEAST_CAPACITY, _MOST_CAPACITY_SPARSE))
        super().__init__(weights, graph.scale, labels, smoothing=smoothing, capacity=capacity)

    def _pairs_cut(self, labels: np.ndarray) -> np.ndarray:
        in_larger, in_smaller = edge_entries(self._graph.indptr, self._graph.indices)
        cut: np.ndarray = labels[self._graph.indices[in_larger]] != labels[self._graph.indices[in_smaller]]
        return cut

    def _separate_triangles(self, deadline: Deadline) -> int:
        """Add violated triangles and drop those without a multiplier; returns how many were added."""
        triangles, multipliers = np.empty((self._capacity, 3), dtype=self.triangles.dtype), np.empty(self._capacity)
        near, found = near_rows(self._edges, self._state()), 0
        calls = 1 + int(np.diff(near[0])[self._graph.indices].sum()) // _ENTRIES_A_CALL
        borders = np.linspace(0, self._graph.n, calls + 1, dtype=np.int64)
        for first, last in pairwise(borders):
            found += separate_sparse(
                self._edges, near, self._state(), first, last, triangles[found:], multipliers[found:],
            )  # fmt: skip
            if deadline.passed:
                break
        keep = self.multipliers > 0
        self.triangles = np.concatenate([self.triangles[keep], triangles[:found]])
        self.multipliers = np.concatenate([self.multipliers[keep], multipliers[:found]])
        return found

    def separate(self, deadline: Deadline) -> int:
        """Add violated triangles, then longer cycles if there are few new triangles; returns how many were added."""
        triangles = self._separate_triangles(deadline)
        self.rows.drop_idle()
        if triangles > _MANY_TRIANGLES * self.multipliers.size:
            return triangles
        return triangles + self._separate_cycles(deadline)

    def _separate_cycles(self, deadline: Deadline) -> int:
        """Add violated cycles; returns how many."""
        capacity, found, read = int(_CYCLES_A_TRIANGLE * self._capacity), 0, 0
        state = self._state()
        starts, edges = np.zeros(capacity + 1, dtype=np.int64), np.empty(LONGEST + _CYCLE * capacity, dtype=np.int64)
        multipliers, x = np.empty(capacity), edge_fractions(*state[:3]).astype(np.float32)
        near = near_rows(self._edges, state)
        stride = max(_ENTRIES_A_CALL // self._work, _LEAST_STRIDE)
        for first in range(0, self._graph.n, stride):
            if deadline.passed:
                break
            last = min(first + stride, self._graph.n)
            rows = (starts[found:], edges, multipliers[found:])
            new, scanned = separate_cycles(self._edges, near, state, x, self._work, first, last, rows)
            found, read = found + new, read + scanned
            if found == capacity or starts[found] + LONGEST > edges.size:
                break
        signs = np.full(starts[found], -1.0)
        signs[starts[:found]] = 1.0
        self.rows.append(starts[: found + 1], edges[: starts[found]], signs, np.zeros(found), multipliers[:found])
        if found < _FEW_CYCLES * self.rows.right.size and read < _MOST_READ:
            self._work = min(2 * self._work, self._graph.indices.size)
        return found

    def rounding_graph(self) -> SparseGraph:
        """The graph in which an edge attracts as far as its estimate is below 1/2."""
        indptr, indices, ids = self._edges
        return SparseGraph(indptr, indices, 0.5 - edge_fractions(self.reduced, self.cut, self.smoothing)[ids])


def _attraction(weights: np.ndarray, scale: float) -> float:
    """Largest attractive weight, since repulsion may be arbitrarily large; the scale of the graph if there is none."""
    largest = float(weights.max(initial=0.0))
    return largest if largest > 0 else scale


def ascend(dual: Dual, progress: Progress, deadline: Deadline, rounds: int | None = None) -> None:
    """Raise the bound until it reaches the cost, until less smoothing gains nothing, or until the deadline.

    Args:
        dual: the state to continue from.
        progress: receives the bounds.
        deadline: when to stop.
        rounds: maximum number of rounds of separation, or None.
    """
    try:
        _ascend(dual, progress, deadline, rounds)
    finally:
        # Evaluate the bound even if an interrupt ends the ascent.
        progress.prove(dual.bound())


def _ascend(dual: Dual, progress: Progress, deadline: Deadline, rounds: int | None) -> None:
    """Alternate between separation, sweeps and cooling; see `ascend`."""
    last, first = -np.inf, dual.smoothing
    while not deadline.passed and rounds != 0:
        started = now()
        rounds = None if rounds is None else rounds - 1
        dual.separate(deadline)
        dual.sweep(deadline)
        value = dual.value()
        missing = progress.cost - value
        if progress.closes(value) or (progress.graph.whole and missing < 1.0):
            progress.prove(dual.bound())
            if progress.closed:
                return
        idle = value - last <= _GAIN * missing
        # Smoothing below the gap that counts as closed gains nothing.
        if (idle and dual.smoothing < _LAST_IN_TIME * first) or dual.smoothing < PROVED * dual.scale:
            return
        last = value
        dual.smoothing *= dual.cooling(deadline.seconds_left, now() - started)
