"""Do the nearest windows of other sources tell a label? A module for `evaluate.load`."""

import evaluate
import numpy as np
from datasets import Features, List, Value

from telescope_transformer.metrics.neighbours import classification_scores, neighbour_labels
from telescope_transformer.metrics.pairs import cosine_matrix

_DESCRIPTION = """
Predicts the label of each window by a majority of its k nearest windows of other sources (DarkVec's evaluation).
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the windows' embeddings, each a list of floats.
    references: the label of each window, as text.
    sources: the source of each window; a source's own windows never vote.
    k: neighbours that vote, 5 if not given.

Returns:
    accuracy: share of the windows whose label is predicted (micro F1).
    macro_f1: F1 averaged over labels.

Examples:
    >>> metric = evaluate.load("telescope_transformer/metrics/label_neighbours")
    >>> windows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
    >>> labels, sources = ["x", "x", "y", "y"], ["a", "b", "c", "d"]
    >>> metric.compute(predictions=windows, references=labels, sources=sources, k=1)
    {'accuracy': 1.0, 'macro_f1': 1.0}
"""

_CITATION = """
@misc{telescope_transformer,
  title = {telescope-transformer: contrastive embeddings and correlation clustering of network-telescope data},
  note = {https://arxiv.org/abs/2606.04733},
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class LabelNeighbours(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=Features(
                {
                    "predictions": List(Value("float32")),
                    "references": Value("string"),
                    "sources": Value("string"),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[float]], references: list[str], sources: list[str], k: int = 5
    ) -> dict[str, float]:
        """Embeddings (n, d), labels and sources (n,) to the scores of `neighbours.neighbour_labels`."""
        similarity = cosine_matrix(np.asarray(predictions, np.float32))
        labels = np.asarray(references)
        return classification_scores(labels, neighbour_labels(similarity, labels, np.asarray(sources), k=k))
