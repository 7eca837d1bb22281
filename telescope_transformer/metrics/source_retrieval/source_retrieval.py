"""A module for `evaluate.load`; `telescope_transformer.metrics.modules` says what it computes."""

from telescope_transformer.metrics.modules import metric_class

SourceRetrieval = metric_class("source_retrieval")
