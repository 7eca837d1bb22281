"""The telescope model: a window of flow records to one embedding, trained with NT-Xent.

After *Contrastive Learning and Correlation Clustering for Sequences of Network Telescope Data* (arXiv 2606.04733).
B is windows, T records of a window, F fields of a record, H the hidden size, P the projection size, E the
embedding size.
"""

import math
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .checkpoint_telescope import CheckedPreTrainedModel
from .configuration_telescope import TelescopeConfig
from .contrastive_loss import nt_xent_loss
from .encoder_telescope import TelescopeAttention, TelescopeEncoderLayer
from .layers_telescope import (
    POOLINGS,
    TelescopeEmbeddings,
    TelescopeSinusoidalPositions,
    TelescopeTowerLinear,
    mean_time_of_day,
)
from .pieces_telescope import cut_pieces

# transformers 5.23 renamed the argument that tells of a cache, and 5.40 drops the old name.
NO_CACHE = {name: None for name in ("cache", "past_key_values") if name in signature(create_causal_mask).parameters}


@dataclass
class TelescopeContrastiveOutput(ModelOutput):
    """Output of `TelescopeForContrastiveLearning`.

    Args:
        loss: NT-Xent over the pairs that were given, else None.
        embeddings: (B, E), of unit length.
        pooler_output: (B, pooled size), before the projection head; the mean over the pieces of a window.
        last_hidden_state: (B, T, H).
        hidden_states, attentions: of every layer, where asked for; of the pieces (P, L, ...), in the order of their
            windows, where `piece_records` has windows cut.
    """

    loss: torch.Tensor | None = None
    embeddings: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class TelescopeProjectionHead(nn.Module):
    """Two layers from the pooled representation to embeddings of unit length, and the temperature if learned.

    The directions and their centres, if the configuration has any, are fitted after training and take no part in it;
    nor does the time of day, which nothing is learned of.
    """

    directions: torch.Tensor
    offset: torch.Tensor
    centres: torch.Tensor
    centre_shares: torch.Tensor
    # Of the softmax that weighs the centres by their nearness; 0.07 and 0.14 change little.
    centre_temperature = 0.1

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        width = config.projection_hidden_size or config.hidden_size
        self.towers = config.num_towers
        self.hidden = TelescopeTowerLinear(self.towers, config.pooled_size, width)
        self.activation = ACT2FN[config.hidden_act]
        self.output = TelescopeTowerLinear(self.towers, width, config.projection_size)
        start = torch.tensor(math.log(config.temperature))
        self.log_temperature = nn.Parameter(start) if config.learn_temperature else None
        self.discriminant_weight = config.discriminant_weight if config.discriminant_size else 0.0
        self.time_of_day_weight = config.time_of_day_weight
        if config.discriminant_size:
            self.register_buffer("directions", torch.zeros(config.discriminant_size, config.pooled_size))
            self.register_buffer("offset", torch.zeros(config.discriminant_size))
        self.has_centres, self.centred_weight = config.discriminant_centres > 0, config.centred_weight
        if self.has_centres:
            self.register_buffer("centres", torch.zeros(config.discriminant_centres, config.discriminant_size))
            self.register_buffer("centre_shares", torch.ones(config.discriminant_centres))

    def forward(self, pooled: torch.Tensor, time_of_day: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings of pooled vectors (B, pooled size) and mean times of day (B, 2); zeros where these are None."""
        projected = self.output(self.activation(self.hidden(pooled))).unflatten(-1, (self.towers, -1))
        learned = F.normalize(projected, dim=-1).flatten(-2) / math.sqrt(self.towers)  # (B, P)
        if self.training:
            return learned
        parts = [learned]
        if self.discriminant_weight:
            placed = F.normalize(F.linear(pooled, self.directions, self.offset), dim=-1)
            parts.append(self.discriminant_weight * placed)
            if self.has_centres:
                parts.append(self.centred_weight * self.centred(placed))
        if self.time_of_day_weight:
            time_of_day = learned.new_zeros(len(learned), 2) if time_of_day is None else time_of_day
            parts.append(self.time_of_day_weight * time_of_day.to(learned.dtype))
        return F.normalize(torch.cat(parts, dim=-1), dim=-1) if len(parts) > 1 else learned

    def centred(self, placed: torch.Tensor) -> torch.Tensor:
        """Vectors in the fitted directions (B, D) as seen from the centres around them, of unit length.

        Localized centering (Hara et al. 2015, Localized Centering: Reducing Hubness in Large-Sample Data, AAAI):
        where many windows of different sources lie close together, being close says little; what sets a window apart
        from those around it says more.
        """
        nearness = placed @ self.centres.T / self.centre_temperature + self.centre_shares.log()
        return F.normalize(placed - nearness.softmax(dim=-1) @ self.centres, dim=-1)


def real_records(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """The mask that was given (B, T), or that of windows without padding."""
    if attention_mask is not None:
        return attention_mask
    return torch.ones(input_ids.shape[:2], dtype=torch.long, device=input_ids.device)


class TelescopePreTrainedModel(CheckedPreTrainedModel):
    """Loading, saving and initial weights."""

    config: TelescopeConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    # An encoder of its own leaves the projection head of its checkpoint aside.
    _keys_to_ignore_on_load_unexpected = [r"^head\."]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = ["TelescopeEmbeddings", "TelescopeEncoderLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": TelescopeEncoderLayer, "attentions": TelescopeAttention}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # The layers are narrow: the usual standard deviation of 0.02 would start every window at nearly one point.
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.embedding_std)
        elif isinstance(module, TelescopeProjectionHead) and module.log_temperature is not None:
            init.constant_(module.log_temperature, math.log(self.config.temperature))
        elif isinstance(module, TelescopeSinusoidalPositions):
            init.copy_(module.table, module.compute())
        else:
            super()._init_weights(module)


class TelescopeModel(TelescopePreTrainedModel):
    """Encoder: a window of flow records to a vector per record and a pooled one."""

    def __init__(self, config: TelescopeConfig):
        super().__init__(config)
        self.embeddings = TelescopeEmbeddings(config)
        self.layers = nn.ModuleList(TelescopeEncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.pooling = POOLINGS[config.pooling](config)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        # All of them: sharding and hooks need a module that is called.
        return self.embeddings

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor,
        inter_arrival: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        time_of_day: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Embed windows.

        Args:
            input_ids: (B, T, F) int64, as the tokenizer gives them.
            inter_arrival: (B, T) seconds since the record before, 0 for the first.
            attention_mask: (B, T), 1 for real records, 0 for padding after them; None means all are real.
            time_of_day: (B, T), as the tokenizer gives it. The encoder does not see it: it is for the head.

        Returns:
            `last_hidden_state` (B, T, H) and `pooler_output` (B, pooled size).

        Raises:
            ValueError: where records have another number of fields than the configuration, or are too many.
        """
        if input_ids.dim() != 3 or input_ids.shape[-1] != len(self.config.fields):
            raise ValueError(f"input_ids must be (B, T, {len(self.config.fields)}), not {tuple(input_ids.shape)}")
        attention_mask = real_records(input_ids, attention_mask)
        hidden_states = self.embeddings(input_ids, inter_arrival, attention_mask)
        if len(self.layers):
            hidden_states = self._encode(hidden_states, attention_mask, **kwargs)
        pooled = self.pooling(hidden_states, attention_mask)
        return BaseModelOutputWithPooling(last_hidden_state=hidden_states, pooler_output=pooled)

    def _encode(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """The layers, past which go the channels of towers that are bags."""
        bags = self.config.num_bag_towers * self.config.tower_size
        mask = self._layer_mask(hidden_states, attention_mask)
        encoded = hidden_states[..., bags:]
        for layer in self.layers:
            encoded = layer(encoded, attention_mask=mask, **kwargs)
        return torch.cat([hidden_states[..., :bags], encoded], dim=-1) if bags else encoded

    def _layer_mask(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """What the layers add to attention; None where the kernel needs no mask."""
        # Padding after the records is later than all of them, so no record of a causal model attends to it.
        padded_after = bool((attention_mask[:, 1:] <= attention_mask[:, :-1]).all())
        needed = None if self.config.is_causal and padded_after else attention_mask
        return create_causal_mask(self.config, hidden_states, needed, **NO_CACHE)


class TelescopeForContrastiveLearning(TelescopePreTrainedModel):
    """Encoder and projection head: a window to an embedding of unit length, and NT-Xent where pairs are given."""

    def __init__(self, config: TelescopeConfig):
        super().__init__(config)
        self.model = TelescopeModel(config)
        self.head = TelescopeProjectionHead(config)
        self.post_init()

    def temperature(self) -> torch.Tensor | float:
        """Temperature of NT-Xent: the configuration's, or the one that is learned."""
        learned = self.head.log_temperature
        return self.config.temperature if learned is None else learned.exp()

    def of_towers(self, embeddings: torch.Tensor) -> list[torch.Tensor]:
        """The learned part of embeddings (B, E) as those of each tower, (B, P / towers), of unit length."""
        learned = embeddings[..., : self.config.projection_size].chunk(self.config.num_towers, dim=-1)
        return [F.normalize(each, dim=-1) for each in learned]

    def forward(
        self,
        input_ids: torch.Tensor,
        inter_arrival: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        time_of_day: torch.Tensor | None = None,
        pairs: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> TelescopeContrastiveOutput:
        """Embed windows, and compare pairs of them.

        Args:
            input_ids, inter_arrival, attention_mask: as `TelescopeModel.forward` takes them.
            time_of_day: (B, T) seconds since midnight UTC of each record, negative where unknown; None where no time
                is known. Not used in training.
            pairs: (N, 2) rows of the batch that are positive pairs, for the loss.
        """
        attention_mask = real_records(input_ids, attention_mask)
        pieces = cut_pieces(attention_mask, self.config.piece_records)
        if pieces is not None:
            input_ids, inter_arrival = pieces.of(input_ids), pieces.gaps(inter_arrival)
            time_of_day = None if time_of_day is None else pieces.of(time_of_day)
            attention_mask = pieces.attention_mask
        outputs = self.model(input_ids, inter_arrival, attention_mask, **kwargs)
        clock = None
        if time_of_day is not None and self.config.time_of_day_weight and not self.training:
            clock = mean_time_of_day(time_of_day, attention_mask)
        embeddings = self.head(outputs.pooler_output, clock)
        if pieces is not None:
            embeddings = F.normalize(pieces.mean(embeddings), dim=-1)
            outputs.pooler_output = pieces.mean(outputs.pooler_output)
            outputs.last_hidden_state = pieces.back(outputs.last_hidden_state)
        loss = None
        if pairs is not None:
            towers = self.of_towers(embeddings)
            losses = [nt_xent_loss(each[pairs[:, 0]], each[pairs[:, 1]], self.temperature()) for each in towers]
            loss = torch.stack(losses).mean()
        return TelescopeContrastiveOutput(
            loss=loss,
            embeddings=embeddings,
            pooler_output=outputs.pooler_output,
            last_hidden_state=outputs.last_hidden_state,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["TelescopeForContrastiveLearning", "TelescopeModel", "TelescopePreTrainedModel"]
