"""A module for `evaluate.load`; `telescope_transformer.metrics.modules` says what it computes."""

from telescope_transformer.metrics.modules import metric_class

ClusterAgreement = metric_class("cluster_agreement")
