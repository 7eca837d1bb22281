"""Renders model cards and dataset cards from templates and recorded facts, with the classes of huggingface_hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from telescope_transformer.errors import HubError
from telescope_transformer.files import data_folder
from telescope_transformer.hub.checkpoints import read_configuration
from telescope_transformer.hub.facts import (
    Measurement,
    check_tokenizer,
    count_parameters,
    describe_columns,
    describe_preparation,
    describe_splits,
    flat,
    read_json_if_any,
    read_training,
    training_cost,
)
from telescope_transformer.model import TelescopeConfig
from telescope_transformer.preparation.manifest import Manifest

TAGS = ["network-telescope", "darknet", "flow-records", "contrastive-learning", "correlation-clustering"]
# The Hub has no task for flow records; the closest is feature extraction, its name for embeddings of inputs.
PIPELINE_TAG = "feature-extraction"
MODEL_LICENCE, DATASET_LICENCE = "apache-2.0", "other"
TASK_NAME = "Similarity of windows of flow records"


def model_card(
    checkpoint: Path,
    name: str,
    *,
    licence: str | None = None,
    measurements: Sequence[Measurement] = (),
    measured_on: str | None = None,
) -> ModelCard:
    """The card of a checkpoint directory, from its configuration, its weights and training.json.

    Args:
        name: repository, "user/name".
        licence: as the Hub spells it; None is that of this package.
        measurements: results of its evaluation.
        measured_on: the models that were measured, if they are not the checkpoint itself. The card then says so, and
            the results stay out of its metadata, which would attribute them to the checkpoint.

    Raises:
        CheckpointError: if the checkpoint is incomplete.
    """
    check_tokenizer(checkpoint)
    config = read_configuration(checkpoint)
    described = TelescopeConfig.from_dict(config)
    training = read_training(checkpoint)
    own = () if measured_on else measurements
    data = ModelCardData(
        base_model=training.pop("start_from", None),
        license=licence or MODEL_LICENCE,
        library_name="transformers",
        pipeline_tag=PIPELINE_TAG,
        tags=[*TAGS, "arxiv:2606.04733"],
        model_name=name.split("/")[-1],
        eval_results=[_eval_result(row) for row in own] or None,
        metrics=sorted({_metric_type(row) for row in own}) or None,
    )
    cost = training_cost(training)
    architecture = (config.get("architectures") or ["TelescopeModel"])[0]
    context = {
        "name": name,
        "config": config,
        "architecture": architecture,
        "embedding_size": described.pooled_size if architecture == "TelescopeModel" else described.projection_size,
        "parameters": count_parameters(checkpoint),
        "measurements": measurements,
        "measured_on": measured_on,
        "cost": cost,
        "calibration": read_json_if_any(checkpoint / "calibration.json"),
        "training_data": {"flow records": f"{training.pop('records'):,}"} if "records" in training else {},
        "procedure": flat(training) or {"temperature": config["temperature"], "seed": "not recorded"},
    }
    card = ModelCard(_render("model_card.md.jinja", data, context))
    check_card(card, own)
    return card


def dataset_card(manifest: Manifest, name: str, *, licence: str | None = None) -> DatasetCard:
    """The card of a prepared dataset, whose metadata names the files of every split.

    Args:
        name: repository, "user/name".
        licence: as the Hub spells it; None is "other", since the records are not ours.
    """
    splits = describe_splits(manifest)
    data_files = [{"split": split.name, "path": f"{split.name}/*.parquet"} for split in splits]
    data = DatasetCardData(
        license=licence or DATASET_LICENCE,
        pretty_name=name.split("/")[-1],
        tags=TAGS[:3],
        task_categories=["other"],
        size_categories=[size_category(sum(split.windows for split in splits))],
        configs=[{"config_name": "default", "data_files": data_files}],
    )
    context = {
        "name": name,
        "splits": splits,
        "columns": describe_columns(manifest),
        "window": manifest.window,
        "divided": manifest.has_splits,
        "seed": manifest.seed,
        "facts": describe_preparation(manifest),
    }
    card = DatasetCard(_render("dataset_card.md.jinja", data, context))
    check_card(card)
    return card


def check_card(card: ModelCard | DatasetCard, measurements: Sequence[Measurement] = ()) -> None:
    """Check a card offline: the metadata must read back unchanged, and the text must be complete.

    Raises:
        HubError: if the card is wrong; the message says what.
    """
    read_back = type(card)(str(card)).data
    if read_back.to_dict() != card.data.to_dict():
        raise HubError("the card's metadata does not read back as it was written")
    for key in ("license", "tags"):
        if not getattr(read_back, key, None):
            raise HubError(f"the card's metadata lacks {key!r}")
    found = getattr(read_back, "eval_results", None) or []
    if sorted(result.metric_value for result in found) != sorted(row.value for row in measurements):
        raise HubError(f"the card's model-index has {len(found)} results, not {len(measurements)}")
    if "{{" in card.text or "{%" in card.text:
        raise HubError("the card's text has a part that was not filled in")


def _eval_result(row: Measurement) -> EvalResult:
    interval = None if row.low is None else {"interval_95": [row.low, row.high]}
    return EvalResult(
        task_type=PIPELINE_TAG,
        task_name=TASK_NAME,
        dataset_type=_identifier(row.dataset),
        dataset_name=row.dataset,
        dataset_split=row.split,
        metric_type=_metric_type(row),
        metric_name=row.metric,
        metric_value=row.value,
        metric_args=interval,
    )


def _metric_type(row: Measurement) -> str:
    """The name of the metric as one word, without the model's name before the colon."""
    return "_".join(row.metric.rpartition(": ")[2].split())


def _identifier(name: str) -> str:
    """The name of a dataset, reduced to the characters that the Hub allows in an identifier."""
    return "".join(letter if letter.isalnum() or letter in "-_./" else "-" for letter in name).strip("-./") or "own"


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    sizes = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = max(0, len(str(rows)) - 3)
    if place == 0:
        return "n<1K"
    return f"{sizes[place - 1]}<n<{sizes[place]}" if place < len(sizes) else "n>1T"


def _render(template: str, data: Any, context: dict[str, Any]) -> str:
    # Cards are Markdown. Values are plain text, so characters that end a table cell or begin a tag are escaped.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_plain)
    text = (data_folder("hub_cards") / template).read_text(encoding="utf-8")
    return environment.from_string(text).render(card_data=_Verbatim(data.to_yaml()), **context)


class _Verbatim(str):
    """Text that is rendered without escaping."""


def _plain(value: Any) -> Any:
    if isinstance(value, _Verbatim) or not isinstance(value, str):
        return value
    return " ".join(value.replace("|", "\\|").replace("<", "&lt;").split())
