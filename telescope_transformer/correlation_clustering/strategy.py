"""Which solvers run on which graph, in which order, for how long."""

import time
from collections.abc import Callable

import numpy as np

from telescope_transformer.correlation_clustering.certificate import (
    certify,
    certify_neighbours,
    certify_sparse,
    relax_and_round,
)
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, SparseGraph
from telescope_transformer.correlation_clustering.greedy import gaec
from telescope_transformer.correlation_clustering.local_search import evolve
from telescope_transformer.correlation_clustering.neighbourhoods import RESOLVE_UP_TO, resolve_neighbourhoods
from telescope_transformer.correlation_clustering.progress import Deadline, Progress
from telescope_transformer.correlation_clustering.tabu import TABU_UP_TO, breed, search_tabu
from telescope_transformer.errors import SolverError

METHODS = ("auto", "lp", "local_search", "greedy")

# A sparse graph of up to this many nodes is solved with all its pairs: triangles then see every cycle.
_FILL_UP_TO = 2_000
_CERTIFY_UP_TO = 12_000
_RELAX_UP_TO = 2_000
# Someone who gives a limit wants it used.
_PATIENCE_WITH_LIMIT = 1_000
_SEARCH_SHARE = 0.4
_CERTIFY_SHARE = 0.8
# Seconds; a bound of a large graph rises for hours if one lets it.
_LONGEST_CERTIFICATE = 300.0

Stage = Callable[[Progress, np.random.Generator], None]


def solve(progress: Progress, method: str, rng: np.random.Generator) -> dict[str, float]:
    """Improve ``progress`` by the method's solvers; returns what ran, in seconds. Ctrl-C keeps the best so far."""
    if isinstance(progress.graph, SparseGraph) and progress.graph.n <= _FILL_UP_TO:
        progress.graph = fill(progress.graph)
    if method == "lp":
        _check_relaxable(progress.graph)
    ran: dict[str, float] = {}
    try:
        for name, stage in _stages(progress, method):
            ran[name] = -time.monotonic()
            stage(progress, rng)
            ran[name] += time.monotonic()
            if progress.finished:
                break
    except KeyboardInterrupt:
        ran[name] += time.monotonic()
        ran["interrupted"] = 0.0
    return ran


def fill(graph: SparseGraph) -> DenseGraph:
    """The same graph with a weight of 0 for every absent pair."""
    matrix = np.zeros((graph.n, graph.n))
    matrix[np.repeat(np.arange(graph.n), np.diff(graph.indptr)), graph.indices] = graph.data
    return DenseGraph(matrix)


def _stages(progress: Progress, method: str) -> list[tuple[str, Stage]]:
    graph = progress.graph
    if method == "greedy":
        return [("greedy", _greedy)]
    if method == "local_search":
        return [("greedy", _greedy), ("local_search", _search_to_the_end)]
    stages: list[tuple[str, Stage]] = [("greedy", _greedy), ("local_search", _search)]
    if method == "lp":
        stages += [("lp", _relax)]
    elif not isinstance(graph, DenseGraph) or graph.n <= _CERTIFY_UP_TO:
        stages += [("dual", _certify), ("restarts", _restart)]
    return stages


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


def _check_relaxable(graph: Graph) -> None:
    if not isinstance(graph, DenseGraph) or graph.n > _RELAX_UP_TO:
        raise SolverError(
            f"method 'lp' has a variable for each pair: at most {_RELAX_UP_TO} nodes, not {graph.n}; use 'auto'"
        )


def _relax(progress: Progress, rng: np.random.Generator) -> None:
    if isinstance(progress.graph, DenseGraph):
        relax_and_round(progress, progress.graph, rng)


def _certify(progress: Progress, rng: np.random.Generator) -> None:
    share = 1.0 if isinstance(progress.graph, SparseGraph) else _CERTIFY_SHARE
    deadline = progress.part(share, at_most=_LONGEST_CERTIFICATE)
    if isinstance(progress.graph, DenseGraph):
        certify(progress, progress.graph, rng, deadline)
    elif isinstance(progress.graph, SparseGraph):
        certify_sparse(progress, progress.graph, rng, deadline)
    else:
        certify_neighbours(progress, progress.graph, rng, deadline)
