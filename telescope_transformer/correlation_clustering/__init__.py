"""Correlation clustering of signed graphs with a certificate: labels, cost, a proved lower bound and the gap."""

from telescope_transformer.correlation_clustering.estimator import CorrelationClustering
from telescope_transformer.correlation_clustering.greedy import greedy
from telescope_transformer.correlation_clustering.local_search import local_search

__all__ = ["CorrelationClustering", "greedy", "local_search"]
