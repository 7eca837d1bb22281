"""What an anytime solver shares with its caller: the time left, the best clustering so far and the best bound."""

import time

import numpy as np

from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels

PROVED = 1e-9


class Progress:
    """Best clustering and best proved lower bound of one graph, and the budget of time for improving them.

    Solvers offer clusterings and bounds as soon as they have them, so that an interrupted run loses nothing.
    ``time_limit`` is in seconds from construction (None: no limit); a relative ``gap`` is one that suffices.
    ``history`` has the seconds and the cost of every improvement.
    """

    def __init__(self, graph: Graph, time_limit: float | None = None, gap: float | None = None) -> None:
        self._start = time.monotonic()
        self.graph = graph
        self.labels = np.arange(graph.n, dtype=np.int64)
        self.cost = graph.cost(self.labels)
        # No pair disagrees with a clustering of cost 0, which no other can beat.
        self.lower_bound = 0.0 if self.cost == 0 else float("nan")
        self._gap = PROVED if gap is None else max(gap, PROVED)
        self._limit = float("inf") if time_limit is None else time_limit
        self.history: list[tuple[float, float]] = []

    def offer(self, labels: np.ndarray) -> bool:
        """Keep ``labels`` if it costs less than the best so far; says whether it did."""
        cost = self.graph.cost(labels)
        if cost < self.cost:
            self.labels, self.cost = canonical_labels(labels), cost
            self.history.append((time.monotonic() - self._start, cost))
            if cost == 0:
                self.prove(0.0)
            return True
        return False

    def prove(self, bound: float) -> None:
        """Keep a proved lower bound of the optimal cost if it is the highest so far."""
        if not bound <= self.lower_bound:
            self.lower_bound = max(bound, 0.0)

    @property
    def gap(self) -> float:
        """(cost - lower bound) / cost; 0 where both are 0, nan without a bound."""
        return relative_gap(self.cost, self.lower_bound)

    @property
    def seconds_left(self) -> float:
        return self._limit - (time.monotonic() - self._start)

    @property
    def closed(self) -> bool:
        """Whether the gap suffices."""
        return self.gap <= self._gap

    @property
    def finished(self) -> bool:
        """Whether the gap suffices or the time is up."""
        return self.closed or self.seconds_left <= 0

    def of(self, graph: Graph, labels: np.ndarray, seconds: float) -> "Progress":
        """Progress on a graph that stands for this one or a part of it, from ``labels``; the same gap suffices."""
        progress = Progress(graph, seconds, self._gap)
        progress.offer(labels)
        return progress

    def part(self, fraction: float, at_most: float = float("inf")) -> "Deadline":
        """A deadline after the given fraction of the time left, and ``at_most`` seconds."""
        return Deadline(min(fraction * self.seconds_left, at_most))


class Deadline:
    """A moment after which a solver stops at the next opportunity."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self._end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._end

    @property
    def seconds_left(self) -> float:
        return self._end - time.monotonic()


def relative_gap(cost: float, lower_bound: float) -> float:
    """(cost - lower bound) / cost; 0 where both are 0 (to 1e-9 of rounding), nan where there is no bound."""
    if np.isnan(lower_bound):
        return float("nan")
    return 0.0 if cost <= 0 else max(cost - lower_bound, 0.0) / cost
