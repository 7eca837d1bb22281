"""`CorrelationClustering`: the scikit-learn face of the solvers, chosen by the size and kind of the graph."""

import time
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph, VectorGraph
from telescope_transformer.correlation_clustering.neighbours import neighbour_graph
from telescope_transformer.correlation_clustering.progress import Progress
from telescope_transformer.correlation_clustering.strategy import METHODS, solve
from telescope_transformer.correlation_clustering.validation import check_embeddings, check_weights
from telescope_transformer.errors import SolverError

# Products in float64 keep a certificate of small graphs exact; beyond, float32 halves the time and the memory.
_DOUBLE_UP_TO = 4_096
# The pass over all pairs that a cost without a matrix needs takes minutes beyond.
_ALL_PAIRS_UP_TO = 200_000
_PAIRS = ("auto", "all", "neighbours")


class CorrelationClustering(ClusterMixin, BaseEstimator):
    """Correlation clustering of a signed graph, with a proved lower bound of its cost.

    Parameters
    ----------
    method : ``"auto"``, ``"lp"`` (relaxation, rounding, search), ``"local_search"`` or ``"greedy"`` (GAEC alone).
    time_limit : seconds that a fit may take (None: until nothing improves).
    gap : relative gap at which to stop; None asks for a proof of optimality within what the method does.
    random_state : seed; the same seed gives the same labels unless a time limit cuts the search.
    memory_limit : bytes that the matrix of all pairs may take in `fit_embeddings`; beyond it, none is held.
    pairs : which pairs `fit_embeddings` weighs beyond ``memory_limit``. ``"all"``: by sums over clusters, in O(n d)
        memory, with the lower bound that the pairs of nearest neighbours prove; the cost takes O(n^2 d) time.
        ``"neighbours"``: only those of nearest neighbours. ``"auto"``: all of up to 200,000 vectors.
    n_neighbors : neighbours of each vector in that graph.

    Attributes
    ----------
    labels_ : (n,) int64, 0..k-1 in order of first member.
    cost_ : disagreement, the cut attractive plus the joined repulsive weight; at least 0.
    lower_bound_ : proved lower bound of the optimal cost; nan where none was computed.
    gap_ : (cost_ - lower_bound_) / cost_; 0 where both are 0, nan without a bound.
    n_clusters_ : number of clusters.
    solver_ : what ran.
    seconds_ : how long each of these took by the clock.
    history_ : seconds since the graph was there, and cost, of every improvement.
    outside_pairs_ : how pairs without a weight of their own were weighed.
    """

    def __init__(
        self,
        method: str = "auto",
        time_limit: float | None = None,
        gap: float | None = None,
        random_state: int | None = None,
        memory_limit: int = 2 << 30,
        pairs: str = "auto",
        n_neighbors: int = 50,
    ) -> None:
        self.method = method
        self.time_limit = time_limit
        self.gap = gap
        self.random_state = random_state
        self.memory_limit = memory_limit
        self.pairs = pairs
        self.n_neighbors = n_neighbors

    def fit(self, weights: Any, y: None = None) -> Self:
        """Cluster a dense symmetric array (n, n) or a SciPy sparse matrix of weights (an absent pair weighs 0).

        Positive weights attract, negative ones repel, the diagonal is ignored. Raises
        :class:`~telescope_transformer.errors.WeightsError` naming the first offending pair, and
        :class:`~telescope_transformer.errors.SolverError` for an option out of range.
        """
        self._check_options()
        graph = check_weights(weights)
        outside = "all pairs are weighed" if isinstance(graph, DenseGraph) else "pairs without an entry weigh 0"
        return self._solve(graph, outside, time.monotonic())

    def fit_embeddings(self, embeddings: Any, threshold: float) -> Self:
        """Cluster the complete graph of the vectors (n, d) with weights <x_i, x_j> - threshold.

        Where the matrix of all pairs would exceed ``memory_limit``, ``pairs`` says which are weighed, and
        ``outside_pairs_`` which were. Raises like `fit`.
        """
        self._check_options()
        started = time.monotonic()
        return self.fit_graph(self.graph_of(embeddings, threshold), started)

    def fit_graph(self, graph: Graph, started: float | None = None) -> Self:
        """Cluster a graph that `graph_of` gave; the time limit counts from ``started`` (`time.monotonic`) or now."""
        started = time.monotonic() if started is None else started
        self._check_options()
        outside = f"pairs outside the graph of {self.n_neighbors} nearest neighbours weigh 0"
        if isinstance(graph, VectorGraph):
            outside = f"all pairs are weighed, of which those of {self.n_neighbors} nearest neighbours prove the bound"
        elif isinstance(graph, DenseGraph):
            outside = "all pairs are weighed"
        return self._solve(graph, outside, started)

    def graph_of(self, embeddings: Any, threshold: float) -> Graph:
        """The graph that `fit_embeddings` solves: with a matrix, without one, or of nearest neighbours."""
        vectors = check_embeddings(embeddings, threshold)
        n = vectors.shape[0]
        if 4 * n * n > self.memory_limit:
            near = neighbour_graph(vectors, threshold, self.n_neighbors, seed=self.random_state or 0)
            if self.pairs == "neighbours" or (self.pairs == "auto" and n > _ALL_PAIRS_UP_TO):
                return near
            return VectorGraph(vectors.astype(np.float64), float(threshold), near)
        if n <= _DOUBLE_UP_TO:
            vectors = vectors.astype(np.float64)
        return DenseGraph(vectors @ vectors.T, float(threshold))

    def solution(self) -> dict[str, Any]:
        """The result as plain values for JSON: a bound or gap that was not computed is None."""
        return {
            "cost": self.cost_,
            "lower_bound": None if np.isnan(self.lower_bound_) else self.lower_bound_,
            "gap": None if np.isnan(self.gap_) else self.gap_,
            "solver": self.solver_,
            "n_clusters": self.n_clusters_,
            "outside_pairs": self.outside_pairs_,
        }

    def _check_options(self) -> None:
        if self.method not in METHODS:
            raise SolverError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if self.pairs not in _PAIRS:
            raise SolverError(f"pairs must be one of {', '.join(_PAIRS)}, not {self.pairs!r}")
        for name in ("time_limit", "gap"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SolverError(f"{name} must be None or a number of at least 0, not {value!r}")

    def _solve(self, graph: Graph, outside: str, started: float) -> Self:
        # Products and neighbours count towards the limit.
        left = None if self.time_limit is None else max(self.time_limit - (time.monotonic() - started), 0.0)
        progress = Progress(graph, left, self.gap)
        self.seconds_ = solve(progress, self.method, np.random.default_rng(self.random_state))
        self.solver_ = "+".join(self.seconds_)
        self.outside_pairs_ = outside
        self.labels_ = progress.labels
        self.cost_ = progress.cost
        self.history_ = progress.history
        self.lower_bound_ = progress.lower_bound
        self.gap_ = progress.gap
        self.n_clusters_ = int(progress.labels.max(initial=-1)) + 1
        return self
