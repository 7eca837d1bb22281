"""The code that is uploaded to the Hub: configuration, tokenizer and model. It uses no other part of this package."""

from typing import Any, NoReturn

from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoTokenizer
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_telescope import DEFAULT_FIELDS, FIELD_SIZES, TelescopeConfig
from .contrastive_loss import nt_xent_loss
from .encoding_telescope import WindowEncoder
from .modeling_telescope import TelescopeForContrastiveLearning, TelescopeModel, TelescopePreTrainedModel
from .pipeline_telescope import TASK, FlowEmbeddingPipeline
from .tokenization_telescope import FlowTokenizer


class _Task(dict[str, Any]):
    """The registered pipeline, which has no default model: saved configurations would name its folder."""

    def __missing__(self, key: str) -> NoReturn:
        if key == "default":
            raise ValueError(
                f'pipeline("{TASK}") needs a `model`, a folder or a Hub id; the shipped checkpoint is '
                "telescope_transformer.load()"
            )
        raise KeyError(key)


# If the package is installed, the Auto classes find the model without remote code.
AutoConfig.register("telescope", TelescopeConfig)
AutoModel.register(TelescopeConfig, TelescopeModel)
AutoModelForPreTraining.register(TelescopeConfig, TelescopeForContrastiveLearning)
AutoTokenizer.register(TelescopeConfig, tokenizer_class=FlowTokenizer)
PIPELINE_REGISTRY.register_pipeline(TASK, FlowEmbeddingPipeline, pt_model=AutoModelForPreTraining)
PIPELINE_REGISTRY.supported_tasks[TASK] = _Task(PIPELINE_REGISTRY.supported_tasks[TASK])

__all__ = [
    "DEFAULT_FIELDS",
    "FIELD_SIZES",
    "FlowEmbeddingPipeline",
    "FlowTokenizer",
    "TelescopeConfig",
    "TelescopeForContrastiveLearning",
    "TelescopeModel",
    "TelescopePreTrainedModel",
    "WindowEncoder",
    "nt_xent_loss",
]
