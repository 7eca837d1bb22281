"""A module for `evaluate.load`; `telescope_transformer.metrics.modules` says what it computes."""

from telescope_transformer.metrics.modules import metric_class

LabelNeighbours = metric_class("label_neighbours")
