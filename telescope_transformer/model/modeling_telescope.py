"""The telescope model, which maps a window of flow records to an embedding and is trained with NT-Xent.

After *Contrastive Learning and Correlation Clustering for Sequences of Network Telescope Data* (arXiv 2606.04733).
B is windows, T records of a window, F fields of a record, H the hidden size, P the projection size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput

# It makes `return_dict=False` give a tuple. transformers uses it in its own models and does not document it;
# `tests/model/test_common.py` fails if it changes.
from transformers.utils.generic import can_return_tuple

from .checkpoint_telescope import CheckedPreTrainedModel
from .configuration_telescope import TelescopeConfig
from .contrastive_loss import nt_xent_loss
from .encoder_telescope import TelescopeEncoderLayer
from .layers_telescope import POOLINGS, TelescopeEmbeddings, TelescopeProjectionHead, TelescopeSinusoidalPositions

# The default of PyTorch. With smaller values this model learns more slowly.
EMBEDDING_STD = 1.0


@dataclass
class TelescopeContrastiveOutput(ModelOutput):
    """Output of `TelescopeForContrastiveLearning`.

    Args:
        loss: NT-Xent over the given pairs; None without pairs.
        embeddings: (B, P), of unit length.
        pooler_output: (B, pooled size), before the projection head.
        last_hidden_state: (B, T, H).
        hidden_states, attentions: of every layer, if requested.
    """

    loss: torch.Tensor | None = None
    embeddings: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


def real_records(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """The given mask (B, T), or a mask of ones if none is given."""
    if attention_mask is not None:
        return attention_mask
    return torch.ones(input_ids.shape[:2], dtype=torch.long, device=input_ids.device)


def attention_bias(attention_mask: torch.Tensor | None, length: int, causal: bool, like: torch.Tensor) -> Any:
    """The term added to attention scores: 0, or the lowest number where a record must not attend.

    Args:
        attention_mask: (B, T), or None if all records are real.
        length: T.
        causal: whether a record attends only to itself and to earlier ones.
        like: a tensor with the result's dtype and device.

    Returns:
        (B or 1, 1, T, T); None if every record attends to every other, which is faster.
    """
    if attention_mask is None and not causal:
        return None
    allowed = torch.ones(1, 1, length, length, dtype=torch.bool, device=like.device)
    if causal:
        allowed = allowed.tril()
    if attention_mask is not None:
        allowed = allowed & attention_mask[:, None, None, :].bool()
    # Minus infinity would give NaN for a window of padding alone.
    return torch.zeros_like(allowed, dtype=like.dtype).masked_fill(~allowed, torch.finfo(like.dtype).min)


class TelescopePreTrainedModel(CheckedPreTrainedModel):
    """Loading, saving and initial weights."""

    config: TelescopeConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    # `TelescopeModel` has no projection head and ignores the one in the checkpoint.
    _keys_to_ignore_on_load_unexpected = [r"^head\."]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = ["TelescopeEmbeddings", "TelescopeEncoderLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_attention_backend = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # The layers are narrow. With the usual standard deviation of 0.02, all windows would start with nearly the
        # same embedding.
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=EMBEDDING_STD)
        elif isinstance(module, TelescopeSinusoidalPositions):
            init.copy_(module.table, module.compute())
        else:
            super()._init_weights(module)

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        raise NotImplementedError("the embeddings cannot be resized: each field has a table of its own values")


class TelescopeModel(TelescopePreTrainedModel):
    """Encodes a window of flow records as a vector per record and a pooled vector."""

    def __init__(self, config: TelescopeConfig):
        super().__init__(config)
        if config.hidden_act not in ACT2FN:
            raise ValueError(f"hidden_act must be an activation of transformers, not {config.hidden_act!r}")
        self.embeddings: nn.Module = TelescopeEmbeddings(config)
        self.layers = nn.ModuleList(TelescopeEncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.pooling = POOLINGS[config.pooling](config)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        # The module of all embeddings, because sharding and hooks need a module that is called.
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings = value

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        inter_arrival: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Encode windows.

        Args:
            input_ids: (B, T, F) int64, from the tokenizer.
            inter_arrival: (B, T) seconds since the previous record, 0 for the first.
            attention_mask: (B, T), 1 for real records, 0 for padding on either side; None means all are real.
            output_hidden_states: whether to return the input of the first layer and the output of every layer; None
                takes the value of the configuration.
            output_attentions: whether to return the attention weights of every layer, which only the eager attention
                has; None takes the value of the configuration.

        Returns:
            `last_hidden_state` (B, T, H), `pooler_output` (B, pooled size), and on request `hidden_states` and
            `attentions`.

        Raises:
            ValueError: if records do not have the number of fields of the configuration, a window has too many
                records, the shapes do not match, the ids are not integers, or the attention has no weights to return.
        """
        self._check_shapes(input_ids, inter_arrival, attention_mask)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_attentions and self.config._attn_implementation != "eager":
            raise ValueError(
                f"output_attentions needs the attention 'eager', and {self.config._attn_implementation!r} computes no "
                "weights: call set_attn_implementation('eager') first"
            )
        real = real_records(input_ids, attention_mask)
        hidden_states = self.embeddings(input_ids, inter_arrival, real)
        states = [hidden_states]
        attentions: list[torch.Tensor] = []
        # Empty batches skip the layers, since the attention of transformers does not support them.
        if len(self.layers) and input_ids.numel() > 0:
            bias = attention_bias(attention_mask, input_ids.shape[1], self.config.is_causal, hidden_states)
            for layer in self.layers:
                hidden_states, weights = layer(hidden_states, attention_mask=bias, **kwargs)
                states.append(hidden_states)
                attentions.append(weights)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden_states,
            pooler_output=self.pooling(hidden_states, real),
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )

    def _check_shapes(
        self, input_ids: torch.Tensor, inter_arrival: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> None:
        if input_ids.dim() != 3 or input_ids.shape[-1] != len(self.config.fields):
            raise ValueError(f"input_ids must be (B, T, {len(self.config.fields)}), not {tuple(input_ids.shape)}")
        if input_ids.is_floating_point():
            raise ValueError(f"input_ids must be integers, not {input_ids.dtype}")
        for name, given in (("inter_arrival", inter_arrival), ("attention_mask", attention_mask)):
            if given is not None and given.shape != input_ids.shape[:2]:
                raise ValueError(
                    f"{name} must be (B, T) = {tuple(input_ids.shape[:2])} as of input_ids, not {tuple(given.shape)}"
                )


class TelescopeForContrastiveLearning(TelescopePreTrainedModel):
    """Encoder with projection head: embeds windows as vectors of unit length, and computes NT-Xent for given pairs."""

    def __init__(self, config: TelescopeConfig):
        super().__init__(config)
        self.model = TelescopeModel(config)
        self.head = TelescopeProjectionHead(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        inter_arrival: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        pairs: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> TelescopeContrastiveOutput:
        """Embed windows, and compute the loss of pairs of them.

        Args:
            input_ids, inter_arrival, attention_mask: as for `TelescopeModel.forward`.
            pairs: (N, 2) rows of the batch that are positive pairs, for the loss. With the `Trainer` of transformers,
                set `label_names=["pairs"]` to get the loss in evaluation.
            kwargs: `output_hidden_states` and `output_attentions`, as for `TelescopeModel.forward`.

        Raises:
            ValueError: if `pairs` has another shape, or as for `TelescopeModel.forward`.
        """
        if pairs is not None and (pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point()):
            raise ValueError(f"pairs must be (N, 2) rows of the batch, not {pairs.dtype} {tuple(pairs.shape)}")
        outputs = self.model(input_ids, inter_arrival, attention_mask, return_dict=True, **kwargs)
        embeddings = self.head(outputs.pooler_output)
        loss = None
        if pairs is not None:
            loss = nt_xent_loss(embeddings[pairs[:, 0]], embeddings[pairs[:, 1]], self.config.temperature)
        return TelescopeContrastiveOutput(
            loss=loss,
            embeddings=embeddings,
            pooler_output=outputs.pooler_output,
            last_hidden_state=outputs.last_hidden_state,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["TelescopeForContrastiveLearning", "TelescopeModel", "TelescopePreTrainedModel"]
