"""Which solvers run on which graph, in which order, and for how long."""

from collections.abc import Callable
from functools import partial

import numpy as np

from telescope_transformer.correlation_clustering.bounds.certify import prove, relax_and_round
from telescope_transformer.correlation_clustering.bounds.parts import by_parts
from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.compiled import plain_interrupts
from telescope_transformer.correlation_clustering.graph import Graph
from telescope_transformer.correlation_clustering.search.annealing import Annealer, breed, can_anneal
from telescope_transformer.correlation_clustering.search.local_search import evolve, gaec
from telescope_transformer.correlation_clustering.solution import Deadline, Progress
from telescope_transformer.errors import SolverError

METHODS = ("auto", "lp", "local_search", "greedy")

# The relaxation has one variable per pair, so 2 million for this many nodes. For 300 nodes, HiGHS takes 1.7 s.
_RELAX_UP_TO = 2_000
# A search with a time limit ends early after this many restarts in a row without improvement. The number is large
# because a user who sets a limit wants the time to be used. For a graph of 100 nodes, 1,000 restarts take 0.7 s.
_PATIENCE_WITH_LIMIT = 1_000
# Annealing is tried after this many restarts in a row without improvement. For weights that are close to random,
# annealing gains more than restarts ever do, but on embeddings restarts gain more: after 2, 3 and 8 failures, the cost
# of 1,000 embeddings in 2 s was 551.624, 551.617 and 551.598 on average, and that of 800 nodes with uniform weights in
# 4 s was 7,414,456, 7,414,449 and 7,415,290.
_FIRST_PATIENCE = 3
# Share of the remaining time that the first search may take. On 5,000 embeddings with 30 s, longer searches found
# nothing better, and the gap was 2.8 % with a share of 0.4 and 1.9 % with 0.25.
_SEARCH_SHARE = 0.25
# Share of the remaining time for a proof that does not find clusterings itself; restarts get the rest. For 1,500
# embeddings in 4 s, the gap was 0.094 % with 0.5 and 0.008 % with 0.8. The second share applies if annealing improved
# on restarts: the weights are then close to random, and bounds stay far from the cost while the search still finds
# better clusterings. For 600 Gaussian nodes in 3 s, a share of 0.6 instead of 0.3 raised the cost by 0.01 %.
_CERTIFY_SHARE, _CERTIFY_SHARE_ANNEALING = 0.8, 0.3
# The same share for small graphs whose proof rounds its estimates to clusterings. With 0.6 instead of 1, the cost of
# sparse random graphs of 300 to 1,800 nodes in 10 s was lower by 1 to 6 %. In large graphs, restarts gain less than
# the proof: the gap of 100,000 nodes of a neighbour graph after 60 s is 17.3 % with 0.95 and 21.6 % with 0.6, at costs
# within 0.1 %.
_CERTIFY_SHARE_SPARSE = 0.6
# Maximum number of seconds for a proof. Otherwise, without a time limit, the bound of a large graph would rise slowly
# for hours.
_LONGEST_CERTIFICATE = 300.0

# If the gap is above this, a search without a time limit tries one population of annealing. For 120 nodes with random
# weights on a fifth of their pairs, this takes 1 s after 6 s of proof and lowers the cost from 308.5 to 303.7.
_FAR = 1e-3

Stage = Callable[[Progress, np.random.Generator], None]


def form_for(method: str, graph: Graph) -> Graph:
    """The form of a graph that a method solves: for ``"lp"``, the graph with its matrix.

    Raises:
        SolverError: the graph is too large for method ``"lp"``.
    """
    if method != "lp":
        return graph
    if graph.n > _RELAX_UP_TO:
        raise SolverError(
            f"method 'lp' has a variable for each pair: at most {_RELAX_UP_TO} nodes, not {graph.n}; use 'auto'"
        )
    return graph.filled()


def solve(progress: Progress, method: str, rng: np.random.Generator) -> dict[str, float]:
    """Improve ``progress`` by the solvers of a method. After Ctrl-C, the best result so far is kept.

    Args:
        progress: a graph in the `form_for` this method, and its time limit; receives clusterings and bounds.
        method: one of `METHODS`.
        rng: source of random numbers.

    Returns:
        Seconds that each solver took, by name.
    """
    clock = _Clock()
    progress.keep_time_for_cost()
    try:
        with plain_interrupts():
            clock.run("greedy", _greedy, progress, rng)
            if method == "lp":
                clock.run_all([("local_search", _search), ("lp", relax_and_round)], progress, rng)
            elif method != "greedy":
                by_parts(progress, partial(_solve_part, method, clock), rng)
    except KeyboardInterrupt:
        clock.seconds["interrupted"] = 0.0
    return clock.seconds


class _Clock:
    """Runs stages, and sums up the seconds of each stage over all parts of a graph."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, stage: Stage, progress: Progress, rng: np.random.Generator) -> None:
        """Run one stage."""
        started = now()
        try:
            stage(progress, rng)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + now() - started

    def run_all(self, stages: list[tuple[str, Stage]], progress: Progress, rng: np.random.Generator) -> None:
        """Run stages in turn until the gap is closed or the time is up."""
        for name, stage in stages:
            if progress.finished:
                return
            self.run(name, stage, progress, rng)


def _solve_part(method: str, clock: _Clock, progress: Progress, rng: np.random.Generator) -> None:
    """Run the search and the proof on one part of a graph."""
    if method == "local_search":
        clock.run("local_search", _search_to_the_end, progress, rng)
    else:
        clock.run_all([("local_search", _search), ("dual", _certify), ("restarts", _restart)], progress, rng)


def _greedy(progress: Progress, rng: np.random.Generator) -> None:
    """Begin with GAEC."""
    progress.offer(gaec(progress.graph))


def _search(progress: Progress, rng: np.random.Generator) -> None:
    """Search before the proof, for a share of the time."""
    if progress.graph.proves_first:
        evolve(progress, rng, progress.deadline(_SEARCH_SHARE), most=1)
    else:
        _search_until(progress, rng, progress.deadline(_SEARCH_SHARE))


def _search_to_the_end(progress: Progress, rng: np.random.Generator) -> None:
    """Search without a proof."""
    _search_until(progress, rng, progress.deadline())
    _restart(progress, rng)


def _search_until(progress: Progress, rng: np.random.Generator, deadline: Deadline) -> None:
    """Run restarts, and annealing where it is fast enough.

    If annealing gains nothing over the restarts, restarts continue here and in `_restart`.
    """
    # Restarts begin with single nodes, which takes less time than refining GAEC and mostly gets further.
    evolve(progress, rng, deadline, patience=_FIRST_PATIENCE)
    if can_anneal(progress.labels) and not deadline.passed:
        annealer = Annealer(progress.graph, rng, deadline)
        progress.annealing_gains = progress.offer(annealer.run(progress.labels, room=1))
    if not progress.annealing_gains:
        evolve(progress, rng, deadline)


def _restart(progress: Progress, rng: np.random.Generator) -> None:
    """Search after the proof, with annealing or restarts, whichever gained before."""
    deadline = progress.deadline()
    if progress.graph.proves_first and (progress.limited or can_anneal(progress.labels)):
        # There was only one restart before the proof.
        _search_until(progress, rng, deadline)
    unproved = not progress.limited and progress.gap > _FAR and can_anneal(progress.labels)
    if progress.annealing_gains or unproved:
        breed(progress, rng, deadline, rounds=None if progress.limited else 1)
    elif progress.limited:
        evolve(progress, rng, deadline, patience=_PATIENCE_WITH_LIMIT)


def _certify(progress: Progress, rng: np.random.Generator) -> None:
    """Raise the lower bound, for a share of the time."""
    if progress.graph.proves_first and can_anneal(progress.labels):
        share = _CERTIFY_SHARE_SPARSE
    else:
        share = _CERTIFY_SHARE_ANNEALING if progress.annealing_gains else _CERTIFY_SHARE
    prove(progress, rng, min(share * progress.seconds_left, _LONGEST_CERTIFICATE))
