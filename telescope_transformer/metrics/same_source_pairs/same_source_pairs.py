"""Do pairs of windows of one source score above pairs of different sources? A module for `evaluate.load`."""

import evaluate
import numpy as np
from datasets import Features, List, Value

from telescope_transformer.metrics.pairs import same_source_statistics

_DESCRIPTION = """
Ranks all pairs of windows by the cosine of their embeddings and asks whether pairs of one source come first.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the windows' embeddings, each a list of floats.
    references: the source of each window, as text.

Returns:
    auroc: chance that a pair of one source scores above a pair of two, ties counted half.
    tpr_at_1pct, tpr_at_01pct: share of the pairs of one source above what 1 % or 0.1 % of the others reach.
    intra, inter: mean cosine of pairs of one source, and of different sources.

Examples:
    >>> metric = evaluate.load("telescope_transformer/metrics/same_source_pairs")
    >>> windows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
    >>> metric.compute(predictions=windows, references=["a", "a", "b", "b"])["auroc"]
    1.0
"""

_CITATION = """
@misc{telescope_transformer,
  title = {telescope-transformer: contrastive embeddings and correlation clustering of network-telescope data},
  note = {https://arxiv.org/abs/2606.04733},
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class SameSourcePairs(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=Features({"predictions": List(Value("float32")), "references": Value("string")}),
        )

    def _compute(self, predictions: list[list[float]], references: list[str]) -> dict[str, float]:
        """Embeddings (n, d) and sources (n,) to the figures of `pairs.same_source_statistics`."""
        return dict(same_source_statistics(np.asarray(predictions, np.float32), np.asarray(references)))
