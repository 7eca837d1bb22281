"""Correlation clustering of signed graphs with a certificate: labels, cost, a proved lower bound and the gap."""

from telescope_transformer.correlation_clustering.bounds.certify import certify
from telescope_transformer.correlation_clustering.bounds.lp import relax
from telescope_transformer.correlation_clustering.estimator import CorrelationClustering
from telescope_transformer.correlation_clustering.graph import DenseGraph, SparseGraph
from telescope_transformer.correlation_clustering.neighbours import neighbour_graph
from telescope_transformer.correlation_clustering.search.local_search import gaec, refine
from telescope_transformer.correlation_clustering.search.sweep import sweep, sweep_similarities
from telescope_transformer.correlation_clustering.solution import Solution
from telescope_transformer.correlation_clustering.validation import check_weights
from telescope_transformer.correlation_clustering.vectors import VectorGraph

__all__ = [
    "CorrelationClustering",
    "DenseGraph",
    "Solution",
    "SparseGraph",
    "VectorGraph",
    "certify",
    "check_weights",
    "gaec",
    "neighbour_graph",
    "refine",
    "relax",
    "sweep",
    "sweep_similarities",
]
