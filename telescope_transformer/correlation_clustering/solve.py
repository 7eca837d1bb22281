"""Which solvers run on which graph, in which order, for how long."""

from collections.abc import Callable
from functools import partial

import numpy as np

from telescope_transformer.correlation_clustering.bounds.certify import prove, relax_and_round
from telescope_transformer.correlation_clustering.bounds.kernels import by_kernels
from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.search.annealing import ANNEAL_UP_TO, Annealer, breed
from telescope_transformer.correlation_clustering.search.local_search import (
    evolve,
    gaec,
    resolve_neighbourhoods,
)
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.errors import SolverError

METHODS = ("auto", "lp", "local_search", "greedy")

# One variable for each pair: HiGHS takes minutes beyond.
_RELAX_UP_TO = 2_000
# Restarts without gain after which a search ends that has a limit of time: someone who gives one wants it used.
_PATIENCE_WITH_LIMIT = 1_000
# Restarts before annealing is tried: where weights are as good as random, it gains more at once than they ever do.
_FIRST_RESTARTS = 3
# Share of the time left that the first search may take. On 5,000 embeddings and 30 s, a longer one found nothing more,
# and the gap was 2.8 % with 0.4 and 1.9 % with 0.25.
_SEARCH_SHARE = 0.25
# Shares of the time left that a proof may take that finds no better clusterings itself; restarts have the rest. Where
# annealing gains, weights are as good as random: bounds stay far from the cost, and the search goes on gaining.
_CERTIFY_SHARE, _CERTIFY_SHARE_ANNEALING = 0.8, 0.3
# Seconds; the bound of a large graph rises for hours if one lets it.
_LONGEST_CERTIFICATE = 300.0

Stage = Callable[[Progress, np.random.Generator], None]


def solve(progress: Progress, method: str, rng: np.random.Generator) -> dict[str, float]:
    """Improve ``progress`` by the method's solvers; returns what ran, in seconds. Ctrl-C keeps the best so far."""
    if method == "lp":
        _check_relaxable(progress)
    clock = _Clock()
    progress.keep_time_for_cost()
    try:
        clock.run("greedy", _greedy, progress, rng)
        if method == "lp":
            clock.run_all([("local_search", _search), ("lp", _relax)], progress, rng)
        elif method != "greedy":
            by_kernels(progress, partial(_solve_part, method, clock), rng, progress.part(1.0))
    except KeyboardInterrupt:
        clock.seconds["interrupted"] = 0.0
    return clock.seconds


class _Clock:
    """Runs stages and adds up the seconds that each took, over all parts of a graph."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, stage: Stage, progress: Progress, rng: np.random.Generator) -> None:
        started = now()
        try:
            stage(progress, rng)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + now() - started

    def run_all(self, stages: list[tuple[str, Stage]], progress: Progress, rng: np.random.Generator) -> None:
        for name, stage in stages:
            if progress.finished:
                return
            self.run(name, stage, progress, rng)


def _solve_part(method: str, clock: _Clock, progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    if method == "local_search":
        clock.run("local_search", _search_to_the_end, progress, rng)
    else:
        clock.run_all([("local_search", _search), ("dual", _certify), ("restarts", _restart)], progress, rng)


def _greedy(progress: Progress, rng: np.random.Generator) -> None:
    progress.offer(gaec(progress.graph))


def _search(progress: Progress, rng: np.random.Generator) -> None:
    if progress.graph.rounds_estimates:
        evolve(progress, rng, progress.part(_SEARCH_SHARE), most=1)
    else:
        _search_until(progress, rng, progress.part(_SEARCH_SHARE))


def _search_to_the_end(progress: Progress, rng: np.random.Generator) -> None:
    _search_until(progress, rng, progress.part(1.0))
    _restart(progress, rng)


def _search_until(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Restarts and annealing; where annealing gains nothing on the restarts, these go on, here and in `_restart`."""
    graph = progress.graph
    # From single nodes first: it takes less time and mostly gets further than a refinement of GAEC.
    annealable = graph.complete and graph.n <= ANNEAL_UP_TO
    if annealable:
        evolve(progress, rng, deadline, most=_FIRST_RESTARTS)
        if deadline.passed:
            return
        progress.annealing_gains = progress.offer(Annealer(graph, rng, deadline).run(progress.labels, room=1))
        if progress.annealing_gains:
            return
    evolve(progress, rng, deadline)
    resolve_neighbourhoods(progress, rng, deadline)


def _restart(progress: Progress, rng: np.random.Generator) -> None:
    deadline = progress.part(1.0)
    if progress.annealing_gains:
        breed(progress, rng, deadline, rounds=None if progress.limited else 1)
    elif progress.limited:
        evolve(progress, rng, deadline, patience=_PATIENCE_WITH_LIMIT)


def _check_relaxable(progress: Progress) -> None:
    graph = progress.graph
    if graph.n > _RELAX_UP_TO:
        raise SolverError(
            f"method 'lp' has a variable for each pair: at most {_RELAX_UP_TO} nodes, not {graph.n}; use 'auto'"
        )
    progress.graph = graph.filled()


def _relax(progress: Progress, rng: np.random.Generator) -> None:
    relax_and_round(progress, progress.graph.filled(), rng)


def _certify(progress: Progress, rng: np.random.Generator) -> None:
    if progress.graph.rounds_estimates:
        share = 1.0
    else:
        share = _CERTIFY_SHARE_ANNEALING if progress.annealing_gains else _CERTIFY_SHARE
    prove(progress, rng, progress.part(share, at_most=_LONGEST_CERTIFICATE))
