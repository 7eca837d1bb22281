"""`CorrelationClustering`: the scikit-learn face of the solvers, chosen by the size and kind of the graph."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from telescope_transformer.correlation_clustering.certificate import certify
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph
from telescope_transformer.correlation_clustering.greedy import gaec
from telescope_transformer.correlation_clustering.local_search import evolve, improve
from telescope_transformer.correlation_clustering.progress import Progress
from telescope_transformer.correlation_clustering.validation import check_embeddings, check_weights
from telescope_transformer.errors import SolverError

_CERTIFY_UP_TO = 6_000
METHODS = ("auto", "lp", "local_search", "greedy")


class CorrelationClustering(ClusterMixin, BaseEstimator):
    """Correlation clustering of a signed graph, with a proved lower bound of its cost.

    Parameters
    ----------
    method : ``"auto"``, ``"lp"`` (relaxation, rounding, search), ``"local_search"`` or ``"greedy"`` (GAEC alone).
    time_limit : seconds that a fit may take (None: until nothing improves).
    gap : relative gap at which to stop; None asks for a proof of optimality within what the method does.
    random_state : seed; the same seed gives the same labels unless a time limit cuts the search.

    Attributes
    ----------
    labels_ : (n,) int64, 0..k-1 in order of first member.
    cost_ : disagreement, the cut attractive plus the joined repulsive weight; at least 0.
    lower_bound_ : proved lower bound of the optimal cost; nan where none was computed.
    gap_ : (cost_ - lower_bound_) / cost_; 0 where both are 0, nan without a bound.
    n_clusters_ : number of clusters.
    solver_ : what ran.
    """

    def __init__(
        self,
        method: str = "auto",
        time_limit: float | None = None,
        gap: float | None = None,
        random_state: int | None = None,
    ) -> None:
        self.method = method
        self.time_limit = time_limit
        self.gap = gap
        self.random_state = random_state

    def fit(self, weights: Any, y: None = None) -> Self:
        """Cluster a dense symmetric array (n, n) or a SciPy sparse matrix of weights (an absent pair weighs 0).

        Positive weights attract, negative ones repel, the diagonal is ignored. Raises
        :class:`~telescope_transformer.errors.WeightsError` naming the first offending pair.
        """
        return self._solve(check_weights(weights))

    def fit_embeddings(self, embeddings: Any, threshold: float) -> Self:
        """Cluster the complete graph of the vectors (n, d) with weights <x_i, x_j> - threshold."""
        vectors = check_embeddings(embeddings, threshold)
        return self._solve(DenseGraph(vectors @ vectors.T, float(threshold)))

    def _solve(self, graph: Graph) -> Self:
        if self.method not in METHODS:
            raise SolverError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        progress = Progress(graph, self.time_limit, self.gap)
        rng = np.random.default_rng(self.random_state)
        self.solver_ = "greedy"
        start = gaec(graph)
        progress.offer(start)
        if self.method != "greedy":
            self.solver_ = "local_search"
            progress.offer(improve(graph, start, rng, progress.part(1.0)))
            evolve(progress, rng, progress.part(1.0))
        if self.method == "auto" and isinstance(graph, DenseGraph) and graph.n <= _CERTIFY_UP_TO:
            self.solver_ = "local_search+dual"
            certify(progress, rng, progress.part(1.0))
        return self._keep(progress)

    def _keep(self, progress: Progress) -> Self:
        self.labels_ = progress.labels
        self.cost_ = progress.cost
        self.lower_bound_ = progress.lower_bound
        self.gap_ = progress.gap
        self.n_clusters_ = int(progress.labels.max(initial=-1)) + 1
        return self
