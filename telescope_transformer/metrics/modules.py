"""The metrics as modules for `evaluate.load` and Spaces for the Hub, all made from one table.

Each metric is a row of `MODULES`: its description, its inputs, and a function of arrays. The class that
`evaluate.load` finds in the metric's folder and the files of its Space are made from this row.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
from datasets import Features, List, Value
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from telescope_transformer.metrics.bootstrap import weighted_mean
from telescope_transformer.metrics.clusters import cluster_scores
from telescope_transformer.metrics.neighbours import classification_scores, neighbour_labels, retrieval
from telescope_transformer.metrics.pairs import cosine_matrix, same_source_statistics

SPACE = Path(__file__).parent / "space"
CITATION = """@misc{telescope_transformer,
  title = {telescope-transformer: contrastive embeddings and correlation clustering of network-telescope data},
  note = {https://arxiv.org/abs/2606.04733},
}"""

VECTOR, TEXT, NUMBER = List(Value("float32")), Value("string"), Value("int64")
WINDOWS = "windows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]"
EMBEDDINGS_AND_SOURCES = {
    "predictions": "the windows' embeddings, each a list of floats",
    "references": "the source of each window, as text",
}


@dataclass(frozen=True)
class MetricModule:
    """One metric.

    Attributes:
        title: title of its card.
        question: the question that it answers, in a sentence.
        description: how it answers the question, in a sentence.
        features: type of each input that has a value per window.
        inputs: description of each input, including further arguments.
        outputs: description of each figure, one per line.
        example: statements, then the call and its result.
        limitations: what to be aware of when reading the figures.
        compute: function from the inputs, as keyword arguments, to the figures.
    """

    title: str
    question: str
    description: str
    features: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    example: tuple[tuple[str, ...], str, str]
    limitations: str
    compute: Callable[..., Mapping[str, float]]

    def usage(self, name: str) -> str:
        """Arguments, results and a doctest, as `evaluate` shows them."""
        statements, call, result = self.example
        lines = ["Args:", *(f"    {each}: {text}." for each, text in self.inputs.items())]
        lines += ["", "Returns:", *(f"    {each}" for each in self.outputs), "", "Examples:"]
        lines += [f'    >>> metric = evaluate.load("telescope_transformer/metrics/{name}")']
        lines += [*(f"    >>> {each}" for each in statements), f"    >>> {call}", f"    {result}"]
        return "\n".join(lines) + "\n"


def _same_source_pairs(predictions: list[list[float]], references: list[str]) -> Mapping[str, float]:
    return dict(same_source_statistics(np.asarray(predictions, np.float32), np.asarray(references)))


def _source_retrieval(predictions: list[list[float]], references: list[str]) -> Mapping[str, float]:
    sources = np.unique(references, return_inverse=True)[1]
    recall, precision = retrieval(cosine_matrix(np.asarray(predictions, np.float32)), sources)
    ones = np.ones(len(sources))
    return {"recall_at_1": weighted_mean(recall, ones), "map": weighted_mean(precision, ones)}


def _label_neighbours(
    predictions: list[list[float]], references: list[str], sources: list[str], k: int = 5
) -> Mapping[str, float]:
    similarity = cosine_matrix(np.asarray(predictions, np.float32))
    labels = np.asarray(references)
    return classification_scores(labels, neighbour_labels(similarity, labels, np.asarray(sources), k=k))


def _cluster_agreement(predictions: list[int], references: list[str]) -> Mapping[str, float]:
    return dict(cluster_scores(np.asarray(references), np.asarray(predictions)))


MODULES = {
    "same_source_pairs": MetricModule(
        title="Same-source pairs",
        question="Do pairs of windows of one source score above pairs of different sources?",
        description="Ranks all pairs of windows by the cosine of their embeddings.",
        features={"predictions": VECTOR, "references": TEXT},
        inputs=EMBEDDINGS_AND_SOURCES,
        outputs=(
            "auroc: probability that a pair of one source scores above a pair of two sources; ties count half.",
            "tpr_at_1pct, tpr_at_01pct: true-positive rate at false-positive rates of 1 % and 0.1 %.",
            "intra, inter: mean cosine of pairs of one source, and of pairs of different sources.",
        ),
        example=((WINDOWS,), 'metric.compute(predictions=windows, references=["a", "a", "b", "b"])["auroc"]', "1.0"),
        limitations="AUROC depends only on the order of the similarities. The mean cosines change with the "
        "temperature of training, so do not compare them across models. Check that the length of a window alone "
        "scores 0.5: if the lengths of windows give their source away, no figure here means anything.",
        compute=_same_source_pairs,
    ),
    "source_retrieval": MetricModule(
        title="Source retrieval",
        question="Is the nearest window one of the same source?",
        description="For each window, ranks all others by the cosine of their embeddings.",
        features={"predictions": VECTOR, "references": TEXT},
        inputs=EMBEDDINGS_AND_SOURCES,
        outputs=(
            "recall_at_1: share of the windows whose nearest other window is of their source; ties share.",
            "map: mean over windows of the average precision of the ranking.",
            "Windows that are the only one of their source are candidates but not queries.",
        ),
        example=(
            (WINDOWS,),
            'metric.compute(predictions=windows, references=["a", "a", "b", "b"])',
            "{'recall_at_1': 1.0, 'map': 1.0}",
        ),
        limitations="Both figures fall as sources are added. Compare methods on the same windows only.",
        compute=_source_retrieval,
    ),
    "label_neighbours": MetricModule(
        title="Labels by neighbours",
        question="Do the nearest windows of other sources tell a label, such as the scanning organisation?",
        description="Predicts the label of each window by a majority of its k nearest windows of other sources, as "
        "the evaluation of DarkVec does.",
        features={"predictions": VECTOR, "references": TEXT, "sources": TEXT},
        inputs={
            "predictions": EMBEDDINGS_AND_SOURCES["predictions"],
            "references": "the label of each window, as text",
            "sources": "the source of each window; windows of the same source never vote",
            "k": "number of neighbours that vote; default: 5",
        },
        outputs=(
            "accuracy: share of the windows whose label is predicted (micro F1).",
            "macro_f1: F1 averaged over labels.",
        ),
        example=(
            (WINDOWS, 'labels, sources = ["x", "x", "y", "y"], ["a", "b", "c", "d"]'),
            "metric.compute(predictions=windows, references=labels, sources=sources, k=1)",
            "{'accuracy': 1.0, 'macro_f1': 1.0}",
        ),
        limitations="Leave out labels that only one source has: no neighbour can predict them.",
        compute=_label_neighbours,
    ),
    "cluster_agreement": MetricModule(
        title="Cluster agreement",
        question="Does a clustering join and cut the pairs that a ground truth joins and cuts?",
        description="Compares clusters with known groups over the edges of the complete graph, and as partitions.",
        features={"predictions": NUMBER, "references": TEXT},
        inputs={
            "predictions": "the cluster of each window, a number",
            "references": "the true group of each window, as text",
        },
        outputs=(
            "join_precision, join_recall, join_f1: of the pairs that the clustering joins.",
            "cut_precision, cut_recall, cut_f1: of the pairs that the clustering cuts.",
            "ari: adjusted Rand index.",
            "homogeneity, completeness, v_measure: of the partition.",
            "variation_of_information: in bits.",
            "n_clusters, n_classes: numbers of clusters and of true groups.",
        ),
        example=((), 'metric.compute(predictions=[0, 0, 1, 1], references=["a", "a", "b", "b"])["ari"]', "1.0"),
        limitations="The V-measure favours many small clusters; the adjusted Rand index and the variation of "
        "information do not.",
        compute=_cluster_agreement,
    ),
}


def metric_class(name: str) -> type[evaluate.Metric]:
    """The class that `evaluate.load` looks for, for a metric of `MODULES`."""
    row = MODULES[name]

    class Metric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description=f"{row.question} {row.description}",
                citation=CITATION,
                inputs_description=row.usage(name),
                features=Features(dict(row.features)),
            )

        def _compute(self, **inputs: Any) -> dict[str, float]:
            return dict(row.compute(**inputs))

    Metric.__name__ = Metric.__qualname__ = "".join(word.title() for word in name.split("_"))
    Metric.__doc__ = f"{row.question} {row.description}\n\n{row.usage(name)}"
    return Metric


def write_space(name: str, folder: Path, repository: str | None = None) -> None:
    """Write the files of a metric's Space: its module, card, demonstration page and requirements.

    Args:
        name: name of the metric, a key of `MODULES`.
        folder: existing folder to write to.
        repository: name of the Space; the client looks for a module of that name. None uses the metric's name.
    """
    row = MODULES[name]
    templates = Environment(loader=FileSystemLoader(SPACE), undefined=StrictUndefined, keep_trailing_newline=True)
    card = templates.get_template("README.md.jinja").render(metric=row, name=name, citation=CITATION)
    (folder / "README.md").write_text(card, encoding="utf-8")
    for file in ("app.py", "requirements.txt"):
        shutil.copyfile(SPACE / file, folder / file)
    shutil.copyfile(SPACE.parent / name / f"{name}.py", folder / f"{repository or name}.py")
