"""`CorrelationClustering`: a scikit-learn estimator that runs the solvers."""

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import validate_data

from telescope_transformer.correlation_clustering.clock import now
from telescope_transformer.correlation_clustering.compiled import plain_interrupts
from telescope_transformer.correlation_clustering.graph import DenseGraph, Graph
from telescope_transformer.correlation_clustering.links import link
from telescope_transformer.correlation_clustering.neighbours import neighbour_graph
from telescope_transformer.correlation_clustering.options import check_limit, check_threshold, check_whole_number
from telescope_transformer.correlation_clustering.solution import Progress, Solution
from telescope_transformer.correlation_clustering.solve import METHODS, form_for, solve
from telescope_transformer.correlation_clustering.validation import (
    CheckedWeights,
    check_embeddings,
    check_graph,
    check_samples,
    check_scale,
    check_weights_and_links,
)
from telescope_transformer.correlation_clustering.vectors import VectorGraph
from telescope_transformer.errors import SolverError

# Up to this many nodes, products are float64 (134 MB), which keeps the certificate exact. Beyond, float32 halves the
# time and the memory.
_DOUBLE_UP_TO = 4_096
_PAIRS = ("all", "neighbours")
_AFFINITIES = ("precomputed", "inner_product")


class CorrelationClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Correlation clustering of a signed graph, with a proved lower bound of its cost.

    A positive weight says that two nodes should be together, a negative one that they should be apart. The cost of a
    clustering is the sum of the positive weights between clusters plus the absolute values of the negative weights
    inside them. The number of clusters is not given; it follows from the weights.

    Which method to use:

    - ``"auto"`` searches and proves. Use it to know how good the clustering is.
    - ``"local_search"`` only searches. Use it to spend all the time on a better clustering.
    - ``"greedy"`` only runs greedy additive edge contraction (GAEC). It is the fastest method, and deterministic.
    - ``"lp"`` solves the linear programming relaxation with HiGHS and rounds it, for up to 2,000 nodes.

    What the certificate means: no clustering of the same graph costs less than ``lower_bound_``, so no other
    clustering saves more than the share ``gap_`` of the cost. A gap of 0 means that the clustering is optimal. A gap
    of 0.02 means that the best clustering costs at least 98 % of this one; it may well be this one. The certificate
    only concerns the weights: it does not say that the weights are right.

    What to pass:

    - A graph: ``fit(weights)`` with a symmetric array or a SciPy sparse matrix. For a networkx graph, use
      ``networkx.to_scipy_sparse_array(graph, weight="weight")``.
    - Vectors: ``fit_embeddings(vectors, threshold)``, or ``affinity="inner_product"`` and ``fit(vectors)`` if
      scikit-learn calls `fit`. Pairs weigh <x_i, x_j> - threshold. Divide vectors by their lengths to get cosines.
    - Pairs that must or must not be together: ``must_link`` and ``cannot_link``, or weights of inf and -inf.

    Args:
        method: ``"auto"``, ``"lp"``, ``"local_search"`` or ``"greedy"``; see above.
        time_limit: seconds that a fit may take, or None to continue until nothing improves. Time to compute the final
            cost over all pairs is reserved within the limit, but a fit of vectors without a matrix always takes at
            least this time. Compiling kernels, which takes up to a minute at the first fit on a machine, does not
            count.
        gap: relative gap at which to stop; None asks for a proof of optimality, as far as the method can give one.
        random_state: int, RandomState or None. The same seed gives the same labels unless a time limit ends the search
            early.
        memory_limit: bytes that the matrix of all pairs of vectors may take, 2 GiB by default (23,170 vectors in
            float32). If the matrix would be larger, it is not computed.
        pairs: which pairs of vectors are weighed if the matrix would be larger than ``memory_limit``. ``"all"`` weighs
            all of them by sums over clusters, in O(n d) memory; packed conflicts and the pairs of nearest neighbours
            prove the lower bound, and the cost takes a pass of O(n^2 d) time. ``"neighbours"`` weighs only the pairs
            of nearest neighbours, and all others 0: this is a different objective, whose optimum joins far fewer
            vectors.
        n_neighbors: number of neighbours of each vector in the graph of nearest neighbours.
        affinity: what `fit` takes: weights of pairs (``"precomputed"``), or vectors whose pairs weigh <x_i, x_j> -
            ``threshold`` (``"inner_product"``).
        threshold: inner product at which a pair of vectors neither attracts nor repels; used if
            ``affinity="inner_product"``.

    Attributes:
        labels_: int64 (n_samples,), cluster of each node, 0..k-1 in the order of their first members.
        cost_: disagreement, which is the attractive weight that is cut plus the repulsive weight that is joined; at
            least 0. It is nan if Ctrl-C was pressed while it was computed.
        lower_bound_: proved lower bound of the optimal cost; nan if none was computed.
        gap_: ``(cost_ - lower_bound_) / cost_``; 0 if the cost is 0, nan without a bound.
        solution_: `Solution` with labels, cost and bound.
        n_clusters_: number of clusters.
        solver_: which solvers ran.
        seconds_: how long each of them took.
        history_: for every improvement, the seconds since the graph was built, and the cost.
        outside_pairs_: how pairs that have no explicit weight were weighed.
        n_features_in_: number of columns of the fitted array.
        feature_names_in_: names of these columns, if they are strings.

    Examples:
        Two pairs of nodes that attract each other, and a proof that no other clustering costs less:

        >>> import numpy as np
        >>> from telescope_transformer.correlation_clustering import CorrelationClustering
        >>> weights = np.array([[0, 2, -1, -1], [2, 0, 1, -1], [-1, 1, 0, 2], [-1, -1, 2, 0]])
        >>> solver = CorrelationClustering(random_state=0).fit(weights)
        >>> solver.labels_.tolist(), solver.cost_, solver.gap_
        ([0, 0, 1, 1], 1.0, 0.0)

        The other methods, which only search, only run GAEC, or only solve the relaxation:

        >>> methods = ("local_search", "greedy", "lp")
        >>> [CorrelationClustering(method=method, random_state=0).fit(weights).cost_ for method in methods]
        [1.0, 1.0, 1.0]

        A pair that must be together:

        >>> solver.fit(weights, must_link=[(0, 3)]).labels_.tolist()
        [0, 0, 0, 0]

        Vectors are clustered by their inner products:

        >>> vectors = np.array([[1.0, 0.0], [0.9, 0.4], [0.0, 1.0]])
        >>> CorrelationClustering(random_state=0).fit_embeddings(vectors, threshold=0.5).labels_.tolist()
        [0, 0, 1]
        >>> CorrelationClustering(affinity="inner_product", threshold=0.5).fit_predict(vectors).tolist()
        [0, 0, 1]

        A SciPy sparse matrix, in which absent pairs weigh 0, and a gap at which the solver stops:

        >>> from scipy import sparse
        >>> CorrelationClustering(gap=0.01, random_state=0).fit(sparse.csr_array(weights)).n_clusters_
        2
    """

    def __init__(
        self,
        method: str = "auto",
        time_limit: float | None = None,
        gap: float | None = None,
        random_state: Any = None,
        memory_limit: int = 2 << 30,
        pairs: str = "all",
        n_neighbors: int = 50,
        affinity: str = "precomputed",
        threshold: float = 0.0,
    ) -> None:
        self.method = method
        self.time_limit = time_limit
        self.gap = gap
        self.random_state = random_state
        self.memory_limit = memory_limit
        self.pairs = pairs
        self.n_neighbors = n_neighbors
        self.affinity = affinity
        self.threshold = threshold

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = tags.input_tags.sparse = self.affinity == "precomputed"
        return tags

    def fit(self, X: Any, y: None = None, *, must_link: Any = None, cannot_link: Any = None) -> Self:
        """Cluster a graph given by the weights of its pairs, or vectors if ``affinity`` is ``"inner_product"``.

        Args:
            X: a symmetric array (n, n) or a SciPy sparse matrix of weights, in which an absent pair weighs 0. Positive
                weights attract, negative ones repel, and the diagonal is ignored. A weight of inf is a must-link, and
                -inf is a cannot-link. Such a pair costs nothing. Finite weights of linked pairs count like all other
                weights. If ``affinity="inner_product"``, an array of vectors (n, d).
            y: ignored.
            must_link: (m, 2) integers, pairs that must be in one cluster.
            cannot_link: (m, 2) integers, pairs that must be in different clusters.

        Returns:
            The estimator.

        Raises:
            WeightsError: the weights, vectors or links are not valid; the message names the first offending pair.
            SolverError: an option is out of range.
        """
        started = now()
        self._check_options()
        if self.affinity == "inner_product":
            check_samples(X)
            return self.fit_embeddings(X, self.threshold, must_link=must_link, cannot_link=cannot_link)
        with plain_interrupts():
            checked = check_weights_and_links(X).with_links(must_link, cannot_link)
        return self._solve(X, checked, started)

    def fit_embeddings(
        self, embeddings: Any, threshold: float, *, must_link: Any = None, cannot_link: Any = None
    ) -> Self:
        """Cluster the complete graph of the vectors with weights <x_i, x_j> - threshold.

        If the matrix of all pairs would exceed ``memory_limit``, ``pairs`` decides which pairs are weighed, and
        ``outside_pairs_`` says how the others were weighed.

        Args:
            embeddings: (n, d).
            threshold: inner product at which a pair neither attracts nor repels.
            must_link: see `fit`.
            cannot_link: see `fit`.

        Returns:
            The estimator.

        Raises:
            WeightsError: see `fit`.
            SolverError: see `fit`.
        """
        started = now()
        checked = CheckedWeights(self.graph_of(embeddings, threshold)).with_links(must_link, cannot_link)
        return self._solve(embeddings, checked, started)

    def fit_graph(self, graph: Graph) -> Self:
        """Cluster a graph that `graph_of` returned."""
        started = now()
        self._check_options()
        check_graph(graph)
        return self._solve(np.empty((0, graph.n)), CheckedWeights(graph), started)

    def graph_of(self, embeddings: Any, threshold: float) -> Graph:
        """The graph that `fit_embeddings` solves: with a full matrix, without one, or of nearest neighbours."""
        self._check_options()
        vectors = check_embeddings(embeddings, threshold)
        n = vectors.shape[0]
        if n <= _DOUBLE_UP_TO:
            vectors = vectors.astype(np.float64)
        if vectors.itemsize * n * n > self.memory_limit:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            near = neighbour_graph(vectors, threshold, self.n_neighbors, seed=seed)
            if self.pairs == "neighbours":
                return near
            return VectorGraph(vectors, float(threshold), near)
        return DenseGraph(vectors @ vectors.T, float(threshold))

    def _check_options(self) -> None:
        """Check every parameter."""
        for name, known in (("method", METHODS), ("pairs", _PAIRS), ("affinity", _AFFINITIES)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise SolverError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        check_limit("time_limit", self.time_limit)
        check_limit("gap", self.gap)
        check_threshold(self.threshold)
        check_whole_number("memory_limit", self.memory_limit, 0)
        check_whole_number("n_neighbors", self.n_neighbors, 1)
        try:
            check_random_state(self.random_state)
        except ValueError as error:
            raise SolverError(f"random_state must be None, a seed or a RandomState of NumPy: {error}") from error

    def _solve(self, given: Any, checked: CheckedWeights, started: float) -> Self:
        """Solve a graph and set the fitted attributes.

        Args:
            given: the input that the user passed; determines the number and the names of the columns.
            checked: the graph and its links.
            started: time at which the fit began, by the solvers' clock.
        """
        # Only stores the names of columns; the input has been checked.
        validate_data(self, given, reset=True, skip_check_array=True, ensure_2d=False)
        self.n_features_in_ = int(np.shape(given)[1]) if np.ndim(given) == 2 or sparse.issparse(given) else 0
        graph = checked.graph
        check_scale(graph)
        linked = None
        if len(checked.must_link) or len(checked.cannot_link):
            with plain_interrupts():
                linked = link(graph.as_sparse(), checked.must_link, checked.cannot_link)
        solved = form_for(self.method, linked.reduction.graph if linked else graph)
        # The time to compute products and neighbours counts towards the limit.
        left = None if self.time_limit is None else max(self.time_limit - (now() - started), 0.0)
        progress = Progress(solved, left, self.gap)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.seconds_ = solve(progress, self.method, np.random.default_rng(seed))
        self.solver_ = "+".join(self.seconds_)
        self.outside_pairs_ = graph.outside_pairs
        self.solution_ = progress.solution()
        if linked:
            labels = linked.labels_of(self.solution_.labels)
            self.solution_ = Solution(labels, graph.cost(labels), linked.reduction.bound([self.solution_.bound]))
        self.labels_ = self.solution_.labels
        self.cost_ = self.solution_.cost
        self.lower_bound_ = self.solution_.bound
        self.gap_ = self.solution_.gap
        self.n_clusters_ = self.solution_.n_clusters
        constant = self.cost_ - progress.score
        self.history_ = [(seconds, score + constant) for seconds, score in progress.scores]
        return self
