"""Correlation clustering of signed graphs with a certificate: labels, cost, a proved lower bound and the gap."""

from telescope_transformer.correlation_clustering.estimator import CorrelationClustering
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph, VectorGraph
from telescope_transformer.correlation_clustering.greedy import gaec
from telescope_transformer.correlation_clustering.local_search import refine
from telescope_transformer.correlation_clustering.lp_relaxation import relax
from telescope_transformer.correlation_clustering.neighbours import neighbour_graph
from telescope_transformer.correlation_clustering.reduction import reduce_graph
from telescope_transformer.correlation_clustering.rounding import round_fractions
from telescope_transformer.correlation_clustering.sweep import sweep, sweep_similarities
from telescope_transformer.correlation_clustering.validation import check_weights

__all__ = [
    "CorrelationClustering",
    "DenseGraph",
    "SparseGraph",
    "VectorGraph",
    "check_weights",
    "gaec",
    "neighbour_graph",
    "reduce_graph",
    "refine",
    "relax",
    "round_fractions",
    "sweep",
    "sweep_similarities",
]
