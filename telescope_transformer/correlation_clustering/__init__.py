"""Correlation clustering of signed graphs with a certificate: labels, cost, a proved lower bound and the gap."""

from telescope_transformer.correlation_clustering.estimator import CorrelationClustering
from telescope_transformer.correlation_clustering.greedy import gaec
from telescope_transformer.correlation_clustering.local_search import refine

__all__ = ["CorrelationClustering", "gaec", "refine"]
