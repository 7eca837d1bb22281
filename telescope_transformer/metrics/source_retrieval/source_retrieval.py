"""Is the nearest window one of the same source? A module for `evaluate.load`."""

import evaluate
import numpy as np
from datasets import Features, List, Value

from telescope_transformer.metrics.bootstrap import weighted_mean
from telescope_transformer.metrics.neighbours import retrieval
from telescope_transformer.metrics.pairs import cosine_matrix

_DESCRIPTION = """
Ranks, for each window, all others by the cosine of their embeddings and looks for those of its own source.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the windows' embeddings, each a list of floats.
    references: the source of each window, as text.

Returns:
    recall_at_1: share of the windows whose nearest other window is of their source; ties share.
    map: mean over windows of the average precision of the ranking.
    Windows that are the only one of their source are ranked against, and ask nothing.

Examples:
    >>> metric = evaluate.load("telescope_transformer/metrics/source_retrieval")
    >>> windows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
    >>> metric.compute(predictions=windows, references=["a", "a", "b", "b"])
    {'recall_at_1': 1.0, 'map': 1.0}
"""

_CITATION = """
@misc{telescope_transformer,
  title = {telescope-transformer: contrastive embeddings and correlation clustering of network-telescope data},
  note = {https://arxiv.org/abs/2606.04733},
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class SourceRetrieval(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=Features({"predictions": List(Value("float32")), "references": Value("string")}),
        )

    def _compute(self, predictions: list[list[float]], references: list[str]) -> dict[str, float]:
        """Embeddings (n, d) and sources (n,) to the means of `neighbours.retrieval` over windows."""
        sources = np.unique(references, return_inverse=True)[1]
        recall, precision = retrieval(cosine_matrix(np.asarray(predictions, np.float32)), sources)
        counted = np.ones(len(sources))
        return {"recall_at_1": weighted_mean(recall, counted), "map": weighted_mean(precision, counted)}
