"""Does a clustering join and cut the pairs that a ground truth joins and cuts? A module for `evaluate.load`."""

import evaluate
import numpy as np
from datasets import Features, Value

from telescope_transformer.metrics.clusters import cluster_scores

_DESCRIPTION = """
Compares clusters with known groups over the edges of the complete graph, and as partitions.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the cluster of each window, a number.
    references: its true group, as text.

Returns:
    join_precision, join_recall, join_f1: of the pairs that the clustering joins.
    cut_precision, cut_recall, cut_f1: of the pairs that it cuts.
    ari: adjusted Rand index. homogeneity, completeness, v_measure. variation_of_information, in bits.
    n_clusters, n_classes.

Examples:
    >>> metric = evaluate.load("telescope_transformer/metrics/cluster_agreement")
    >>> metric.compute(predictions=[0, 0, 1, 1], references=["a", "a", "b", "b"])["ari"]
    1.0
"""

_CITATION = """
@misc{telescope_transformer,
  title = {telescope-transformer: contrastive embeddings and correlation clustering of network-telescope data},
  note = {https://arxiv.org/abs/2606.04733},
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class ClusterAgreement(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=Features({"predictions": Value("int64"), "references": Value("string")}),
        )

    def _compute(self, predictions: list[int], references: list[str]) -> dict[str, float]:
        """Clusters and true groups, both (n,), to the scores of `clusters.cluster_scores`."""
        return dict(cluster_scores(np.asarray(references), np.asarray(predictions)))
