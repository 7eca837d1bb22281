"""A clustering with its proved bound, and the state that solvers share: the best result and the remaining time."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.compiled import plain_interrupts
from telescope_transformer.correlation_clustering.graph import Graph, canonical_labels

# A gap below this counts as closed. Costs are summed row by row, so their relative error is at most (n + 2) roundings
# of 1.1e-16 each: 1e-12 for 10,000 nodes.
PROVED = 1e-9
# If the search does not know the cost, the cost of this many nodes is computed to estimate how long the cost of the
# whole graph takes: 4,096 vectors of 128 dimensions take 0.2 s. The second number is the least share of the time limit
# that is left to the search, however long the cost takes.
_SAMPLE, _LEAST_SHARE = 4_096, 0.1
# A cost that is the difference of sums loses digits. Sums of products are correct to about 1e-13, so a difference
# above this share of the sums is correct to the 1e-9 of `PROVED`.
_CANCELS = 1e-4


@dataclass(frozen=True)
class Solution:
    """A clustering, its cost, and a proved lower bound of the cost of every clustering.

    Attributes:
        labels: int64 (n,), clusters 0..k-1 in the order of their first members.
        cost: disagreement, at least 0; nan if its computation was interrupted.
        bound: proved lower bound; nan if none was computed.
    """

    labels: np.ndarray
    cost: float
    bound: float = float("nan")

    @property
    def gap(self) -> float:
        """(cost - bound) / cost, the largest share of the cost that another clustering can save.

        The gap is 0 if the cost is 0, and nan if there is no bound.
        """
        return relative_gap(self.cost, self.bound)

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.labels.max(initial=-1)) + 1

    def scaled(self, factor: float) -> "Solution":
        """The same solution for a graph whose weights are multiplied by ``factor`` > 0."""
        return Solution(self.labels, factor * self.cost, factor * self.bound)

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON, without the labels. Bound and gap are None if nothing was proved."""
        proved = not np.isnan(self.bound)
        return {
            "cost": float(self.cost),
            "lower_bound": float(self.bound) if proved else None,
            "gap": float(self.gap) if proved else None,
            "n_clusters": self.n_clusters,
        }


def relative_gap(cost: float, bound: float) -> float:
    """(cost - bound) / cost; 0 if the cost is 0 or not above the bound, nan if there is no bound."""
    if np.isnan(bound):
        return float("nan")
    return 0.0 if cost <= 0 else max(cost - bound, 0.0) / cost


def sum_of_bounds(bounds: Iterable[float], *constants: float) -> float:
    """Lower bound of the sum of costs and constants, from a lower bound of each cost (nan counts as 0)."""
    terms = [*constants, *(max(0.0, float(np.nan_to_num(bound))) for bound in bounds)]
    total = math.fsum(terms)
    rounded_up = math.fsum([*terms, -total]) < 0
    return math.nextafter(total, -math.inf) if rounded_up else total


class Progress:
    """The best clustering and the best proved lower bound of a graph, and the time left to improve them.

    Solvers offer clusterings and bounds as soon as they have them, so an interrupted run loses nothing. Searches
    compare scores, which differ from costs by a constant of the graph. The cost itself is computed on demand.

    Attributes:
        graph: the graph.
        labels: int64 (n,), the best clustering so far.
        score: its score.
        lower_bound: highest proved bound; nan if there is none.
        scores: seconds since the start and score of every improvement.
        annealing_gains: whether annealing improved on restarts. If so, the search continues with annealing.

    Args:
        graph: the graph.
        time_limit: seconds from now, or None.
        gap: relative gap at which to stop, or None for a proof of optimality.
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
        self.annealing_gains = False
        # Cost minus score once it is known, and the time that is reserved for computing the cost.
        self._constant = 0.0 if graph.scores_are_costs else None
        self._kept = 0.0

    def keep_time_for_cost(self) -> None:
        """Reserve the time that the final cost will take, if the search does not compute costs anyway."""
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
        """Disagreement of the best clustering. The first call may need a pass over all pairs."""
        if self._constant is None:
            self._constant = self.graph.cost(self.labels) - self.score
            self._limit, self._kept = self._limit + self._kept, 0.0
        return self.score + self._constant

    def cost_of(self, labels: np.ndarray) -> float:
        """Cost of the clustering ``labels`` (n,); summed over all pairs only if its score does not give it."""
        if self._constant is not None and not self.graph.scores_are_costs:
            score = self.graph.score(labels)
            if score + self._constant > _CANCELS * (abs(score) + self.graph.largest_sum):
                return score + self._constant
        return self.graph.cost(labels)

    def offer(self, labels: np.ndarray) -> bool:
        """Keep ``labels`` (n,) if they cost less than the best clustering so far; returns whether they do."""
        score = self.graph.score(labels)
        if score < self.score:
            self.labels, self.score = canonical_labels(labels), score
            self.scores.append((now() - self._start, score))
            if score == 0 and self.graph.scores_are_costs:
                self.prove(0.0)
            return True
        return False

    def prove(self, bound: float) -> None:
        """Keep a proved lower bound if it is the highest so far. A bound of nan is ignored."""
        if np.isnan(bound):
            return
        if self.graph.whole:
            # The optimal cost is then also a whole number.
            bound = float(np.ceil(bound))
        if not bound <= self.lower_bound:
            self.lower_bound = max(bound, 0.0)

    def solution(self) -> Solution:
        """The best solution so far. If Ctrl-C ends the computation of its cost, the cost is nan."""
        try:
            with plain_interrupts():
                cost = self.cost_of(self.labels)
        except KeyboardInterrupt:
            cost = float("nan")
        # A clustering of cost 0 is optimal, because no cost is negative.
        return Solution(self.labels, cost, 0.0 if cost == 0 else self.lower_bound)

    @property
    def gap(self) -> float:
        """Relative gap between cost and bound; nan if there is no bound."""
        return float("nan") if np.isnan(self.lower_bound) else relative_gap(self.cost, self.lower_bound)

    @property
    def seconds_left(self) -> float:
        """Seconds until the time limit, inf if there is none."""
        return self._limit - (now() - self._start)

    def set_limit(self, seconds: float) -> None:
        """Set the time limit to this many seconds from now."""
        self._limit = now() - self._start + seconds

    @property
    def limited(self) -> bool:
        """Whether there is a time limit."""
        return bool(np.isfinite(self._limit))

    @property
    def closed(self) -> bool:
        """Whether the gap is small enough to stop."""
        return self.closes(self.lower_bound)

    def closes(self, bound: float) -> bool:
        """Whether the gap would be small enough with this bound."""
        return relative_gap(self.cost, bound) <= self._gap

    @property
    def finished(self) -> bool:
        """Whether the gap is small enough or the time is up."""
        return self.closed or self.seconds_left <= 0

    def on(self, graph: Graph, labels: np.ndarray, seconds: float, constant: float = 0.0) -> "Progress":
        """Progress on another graph that represents this graph or a part of it, with the same target gap.

        Args:
            graph: the other graph.
            labels: (n,), its first clustering.
            seconds: time limit.
            constant: amount by which clusterings cost more in this graph than in the other; the gap is relative to the
                cost in this graph.
        """
        progress = Progress(graph, seconds, self._gap)
        progress.offer(labels)
        if constant > 0 and progress.cost > 0:
            progress._gap *= 1.0 + constant / progress.cost
        return progress

    def deadline(self, share: float = 1.0) -> "Deadline":
        """A deadline after a share of the remaining time."""
        return Deadline(share * self.seconds_left)


class Deadline:
    """A time after which a solver stops at the next opportunity.

    Args:
        seconds: seconds from now until the deadline.
    """

    def __init__(self, seconds: float = float("inf")) -> None:
        self._end = now() + seconds

    def stop(self) -> None:
        """Move the deadline to now."""
        self._end = -np.inf

    @property
    def passed(self) -> bool:
        """Whether the deadline has passed."""
        return now() >= self._end

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self._end - now()
