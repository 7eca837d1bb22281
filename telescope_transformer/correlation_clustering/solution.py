"""A clustering with what is proved of it, and what solvers share: the best so far and the time left."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels

# A gap below this is rounding: costs are sums of up to 10^8 terms in float64.
PROVED = 1e-9
# Nodes whose cost tells how long that of a whole graph takes, where it is not known while one searches; and the share
# of a limit of time that is left for the search whatever the cost takes.
_SAMPLE, _LEAST_SHARE = 4_096, 0.1
# A cost by the difference of two sums is right to a gap that counts as none, where it is more than this share of them:
# sums of products are right to about 1e-13.
_CANCELS = 1e-4


@dataclass(frozen=True)
class Solution:
    """A clustering, its cost, and a proved lower bound of the cost of any clustering.

    ``labels`` (n,) int64 are 0..k-1 in order of first member. ``cost`` is the disagreement and at least 0. ``bound``
    is nan where nothing was proved.
    """

    labels: np.ndarray
    cost: float
    bound: float = float("nan")

    @property
    def gap(self) -> float:
        """(cost - bound) / cost, the share of the cost that another clustering can save at most.

        0 where the cost is 0, nan where there is no bound.
        """
        return relative_gap(self.cost, self.bound)

    @property
    def n_clusters(self) -> int:
        return int(self.labels.max(initial=-1)) + 1

    def scaled(self, factor: float) -> "Solution":
        """The same solution of the graph whose weights are ``factor`` > 0 times these."""
        return Solution(self.labels, factor * self.cost, factor * self.bound)

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON, without the labels; bound and gap are None where nothing was proved."""
        proved = not np.isnan(self.bound)
        return {
            "cost": float(self.cost),
            "lower_bound": float(self.bound) if proved else None,
            "gap": float(self.gap) if proved else None,
            "n_clusters": self.n_clusters,
        }


def relative_gap(cost: float, bound: float) -> float:
    """(cost - bound) / cost; 0 where the cost is 0 or not above the bound, nan where there is no bound."""
    if np.isnan(bound):
        return float("nan")
    return 0.0 if cost <= 0 else max(cost - bound, 0.0) / cost


class Progress:
    """The best clustering and the best proved lower bound of one graph, and the time left for improving them.

    Solvers offer clusterings and bounds as soon as they have them, so that an interrupted run loses nothing. Searches
    compare scores, which differ from costs by a constant of the graph; the cost is worked out when someone asks.
    ``time_limit`` is in seconds from construction (None: no limit); a relative ``gap`` is one that suffices.
    ``scores`` has the seconds and the score of every improvement.
    """

    def __init__(self, graph: Graph, time_limit: float | None = None, gap: float | None = None) -> None:
        self._start = now()
        self.graph = graph
        self.labels = np.arange(graph.n, dtype=np.int64)
        self.score = graph.score(self.labels)
        free = graph.n < 2 or (graph.scores_are_costs and self.score == 0)
        self.lower_bound = 0.0 if free else float("nan")
        self._gap = PROVED if gap is None else max(gap, PROVED)
        self._limit = float("inf") if time_limit is None else time_limit
        self.scores: list[tuple[float, float]] = []
        # Whether annealing gained on restarts: the search goes on with what does.
        self.annealing_gains = False
        # What scores are less than costs, where that is known, and the time that is kept back for working it out.
        self._constant = 0.0 if graph.scores_are_costs else None
        self._kept = 0.0

    def keep_time_for_cost(self) -> None:
        """Let the time end earlier by what the cost of the solution will take, if searches do without it."""
        if self.graph.scores_are_costs or not self.limited:
            return
        some = min(self.graph.n, _SAMPLE)
        part = self.graph.part(np.arange(some))
        started = now()
        part.cost(np.zeros(some, dtype=np.int64))
        needed = (now() - started) * (self.graph.n / some) ** 2
        self._kept = min(needed, (1.0 - _LEAST_SHARE) * max(self.seconds_left, 0.0))
        self._limit -= self._kept

    @property
    def cost(self) -> float:
        """Disagreement of the best clustering; the first time, it may take a pass over all pairs."""
        if self._constant is None:
            self._constant = self.graph.cost(self.labels) - self.score
            self._limit, self._kept = self._limit + self._kept, 0.0
        return self.score + self._constant

    def offer(self, labels: np.ndarray) -> bool:
        """Keep ``labels`` if it costs less than the best so far; says whether it did."""
        score = self.graph.score(labels)
        if score < self.score:
            self.labels, self.score = canonical_labels(labels), score
            self.scores.append((now() - self._start, score))
            if score == 0 and self.graph.scores_are_costs:
                self.prove(0.0)
            return True
        return False

    def prove(self, bound: float) -> None:
        """Keep a proved lower bound of the optimal cost if it is the highest so far. Nan proves nothing."""
        if np.isnan(bound):
            return
        if self.graph.whole:
            # So is the optimal cost.
            bound = float(np.ceil(bound))
        if not bound <= self.lower_bound:
            self.lower_bound = max(bound, 0.0)

    def solution(self) -> Solution:
        """The best so far. Its cost is summed anew, unless a difference of sums tells it well enough."""
        known = not self.graph.scores_are_costs and self._constant is not None
        cost = self.cost if known and self.cost > _CANCELS * abs(self.score) else self.graph.cost(self.labels)
        # No clustering costs less than one of cost 0, which proves itself.
        return Solution(self.labels, cost, 0.0 if cost == 0 else self.lower_bound)

    @property
    def gap(self) -> float:
        """Relative gap between cost and bound; nan without a bound."""
        return float("nan") if np.isnan(self.lower_bound) else relative_gap(self.cost, self.lower_bound)

    @property
    def seconds_left(self) -> float:
        return self._limit - (now() - self._start)

    def give(self, seconds: float) -> None:
        """Let the time end in so many seconds."""
        self._limit = now() - self._start + seconds

    @property
    def limited(self) -> bool:
        """Whether there is a limit of time."""
        return bool(np.isfinite(self._limit))

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
        self._end = now() + seconds

    def stop(self) -> None:
        """Let the moment be now."""
        self._end = -np.inf

    @property
    def passed(self) -> bool:
        return now() >= self._end

    @property
    def seconds_left(self) -> float:
        return self._end - now()
