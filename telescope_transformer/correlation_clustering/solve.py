"""Which solvers run on which graph, in which order, for how long."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from telescope_transformer.correlation_clustering.bounds.certify import by_kernels, prove, relax_and_round
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph
from telescope_transformer.correlation_clustering.search.local_search import evolve, gaec
from telescope_transformer.correlation_clustering.search.neighbourhoods import RESOLVE_UP_TO, resolve_neighbourhoods
from telescope_transformer.correlation_clustering.search.tabu import TABU_UP_TO, breed, search_tabu
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.errors import SolverError

METHODS = ("auto", "lp", "local_search", "greedy")

# One variable for each pair: HiGHS takes minutes beyond.
_RELAX_UP_TO = 2_000
# Someone who gives a limit wants it used.
_PATIENCE_WITH_LIMIT = 1_000
# Shares of the time left that the first search and the proof may take.
_SEARCH_SHARE = 0.4
_CERTIFY_SHARE = 0.8
# Seconds; a bound of a large graph rises for hours if one lets it.
_LONGEST_CERTIFICATE = 300.0

Stage = Callable[[Progress, np.random.Generator], None]


def solve(progress: Progress, method: str, rng: np.random.Generator) -> dict[str, float]:
    """Improve ``progress`` by the method's solvers; returns what ran, in seconds. Ctrl-C keeps the best so far."""
    if method == "lp":
        _check_relaxable(progress)
    clock = _Clock()
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
        started = time.monotonic()
        try:
            stage(progress, rng)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

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
    # On sparse graphs, the roundings of the dual's estimate get further than restarts.
    most = 1 if isinstance(progress.graph, SparseGraph) else None
    _search_until(progress, rng, progress.part(_SEARCH_SHARE), most)


def _search_to_the_end(progress: Progress, rng: np.random.Generator) -> None:
    _search_until(progress, rng, progress.part(1.0))
    _restart(progress, rng)


def _search_until(progress: Progress, rng: np.random.Generator, deadline: Deadline, most: int | None = None) -> None:
    # From single nodes first: it takes less time and mostly gets further than a refinement of GAEC.
    evolve(progress, rng, deadline, most=most)
    if isinstance(progress.graph, DenseGraph) and progress.graph.n <= RESOLVE_UP_TO:
        resolve_neighbourhoods(progress, progress.graph, rng, deadline)
        if progress.graph.n <= TABU_UP_TO:
            progress.offer(search_tabu(progress.graph, progress.labels, rng, deadline))


def _restart(progress: Progress, rng: np.random.Generator) -> None:
    limited = np.isfinite(progress.seconds_left)
    deadline = progress.part(1.0)
    if isinstance(progress.graph, DenseGraph) and progress.graph.n <= TABU_UP_TO:
        breed(progress, progress.graph, rng, deadline, rounds=None if limited else 1)
    elif limited:
        evolve(progress, rng, deadline, patience=_PATIENCE_WITH_LIMIT)


def _check_relaxable(progress: Progress) -> None:
    graph = progress.graph
    if graph.n <= _RELAX_UP_TO and isinstance(graph, SparseGraph):
        progress.graph = graph.filled()
    if graph.n > _RELAX_UP_TO or not isinstance(progress.graph, DenseGraph):
        raise SolverError(
            f"method 'lp' has a variable for each pair: at most {_RELAX_UP_TO} nodes, not {graph.n}; use 'auto'"
        )


def _relax(progress: Progress, rng: np.random.Generator) -> None:
    if isinstance(progress.graph, DenseGraph):
        relax_and_round(progress, progress.graph, rng)


def _certify(progress: Progress, rng: np.random.Generator) -> None:
    share = 1.0 if isinstance(progress.graph, SparseGraph) else _CERTIFY_SHARE
    prove(progress, rng, progress.part(share, at_most=_LONGEST_CERTIFICATE))
