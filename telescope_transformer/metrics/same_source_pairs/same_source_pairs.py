"""A module for `evaluate.load`; `telescope_transformer.metrics.modules` says what it computes."""

from telescope_transformer.metrics.modules import metric_class

SameSourcePairs = metric_class("same_source_pairs")
