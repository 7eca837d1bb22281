"""Layers around the encoder: embeddings of fields, times and positions before it, and pooling after it.

B is windows, T records of a window, F fields of a record, H the hidden size.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from .configuration_telescope import FIELD_SIZES, TelescopeConfig, field_offsets
from .record_features_telescope import TelescopeRecordFeatures

# Functions of the inter-arrival time in seconds. Each returns one number per record.
TIME_FEATURES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "log_microseconds": lambda seconds: torch.log1p(seconds * 1e6),
    "log_seconds": torch.log1p,
}


def computed_in(linear: nn.Module) -> torch.dtype:
    """The dtype for the input of a linear layer: the dtype of its weights, or float32 if the layer is quantised."""
    weight = linear.weight
    return weight.dtype if isinstance(weight, torch.Tensor) else torch.float32


class TelescopeFieldEmbedding(nn.Module):
    """Embeds the ids of one field. [PAD] and [UNK] become zeros, so the table has exactly one row per value."""

    def __init__(self, offset: int, size: int, width: int):
        super().__init__()
        # Not read from the table, which peft may replace by a module without `num_embeddings`.
        self.offset, self.size = offset, size
        self.table = nn.Embedding(size, width)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        values = ids - self.offset  # (B, T)
        known = (values >= 0) & (values < self.size)
        vectors: torch.Tensor = self.table(torch.where(known, values, 0))  # (B, T, width)
        return vectors * known.unsqueeze(-1)


class TelescopeTimeEmbedding(nn.Module):
    """Embeds inter-arrival times in seconds (B, T) as vectors (B, T, time_embedding_size)."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.functions = [TIME_FEATURES[name] for name in config.time_features]
        self.projection = nn.Linear(len(self.functions), config.time_embedding_size)

    def forward(self, inter_arrival: torch.Tensor) -> torch.Tensor:
        seconds = inter_arrival.float()
        features = torch.stack([function(seconds) for function in self.functions], dim=-1)  # (B, T, features)
        projected: torch.Tensor = self.projection(features.to(computed_in(self.projection)))
        return projected


class TelescopeSinusoidalPositions(nn.Module):
    """Sines and cosines of a record's position (Vaswani et al. 2017, section 3.5), added to its representation."""

    table: torch.Tensor

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.shape = (config.max_position_embeddings, config.hidden_size)
        self.register_buffer("table", self.compute(), persistent=False)

    def compute(self) -> torch.Tensor:
        length, width = self.shape
        position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
        table = torch.zeros(length, width)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency)[:, : width // 2]
        return table

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        length = hidden_states.shape[1]
        if length > self.shape[0]:
            raise ValueError(f"a window of {length} records is longer than max_position_embeddings {self.shape[0]}")
        # Only real records are counted, so that padding may be on either side.
        positions = (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
        return hidden_states + self.table[positions].to(hidden_states.dtype)


class TelescopeEmbeddings(nn.Module):
    """Fuses the fields, the inter-arrival time and the record features of each record into one vector."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        offsets, sizes = field_offsets(config.fields), config.field_embedding_sizes
        self.fields = nn.ModuleList(
            TelescopeFieldEmbedding(offsets[name], FIELD_SIZES[name], sizes[name]) for name in config.fields
        )
        self.time = TelescopeTimeEmbedding(config)
        self.features = TelescopeRecordFeatures(offsets) if config.record_features else None
        width = sum(sizes.values()) + config.time_embedding_size + (self.features.width if self.features else 0)
        self.fuse = nn.Linear(width, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        # Without encoder layers the model is a bag of records, which has no order.
        self.positions = TelescopeSinusoidalPositions(config) if config.num_hidden_layers > 0 else None

    def forward(
        self, input_ids: torch.Tensor, inter_arrival: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        parts = [embed(input_ids[..., index]) for index, embed in enumerate(self.fields)]
        parts.append(self.time(inter_arrival))
        if self.features is not None:
            # Computed in float32, since products of ports and times overflow half precision.
            features = self.features(input_ids, inter_arrival, attention_mask)
            parts.append(features.to(computed_in(self.fuse)))
        hidden_states = self.norm(self.fuse(torch.cat(parts, dim=-1)))  # (B, T, H)
        if self.positions is not None:
            hidden_states = self.positions(hidden_states, attention_mask)
        dropped: torch.Tensor = self.dropout(hidden_states)
        return dropped


class TelescopeMeanPooling(nn.Module):
    """Mean over the real records of a window (B, H); zeros if it has no records."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        # Selected instead of multiplied by 0, because NaN at a padded position must be ignored.
        real = torch.where(attention_mask.unsqueeze(-1).bool(), hidden_states, 0)
        return real.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True).clamp(min=1).to(hidden_states.dtype)


class TelescopeMomentPooling(nn.Module):
    """Mean, standard deviation and maximum over the real records of a window (B, 3 H), normalised together."""

    # All records of a window may be equal, and the square root has no finite gradient at zero.
    smallest_variance = 1e-4

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.activation = ACT2FN[config.hidden_act]
        self.mean = TelescopeMeanPooling(config)
        self.norm = nn.LayerNorm(config.pooled_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden_states = self.activation(hidden_states)
        mean = self.mean(hidden_states, attention_mask)
        variance = self.mean((hidden_states - mean.unsqueeze(1)) ** 2, attention_mask)
        real = attention_mask.unsqueeze(-1).bool()
        largest = torch.zeros_like(mean)
        if hidden_states.shape[1] > 0:
            found = hidden_states.masked_fill(~real, torch.finfo(hidden_states.dtype).min).amax(dim=1)
            largest = torch.where(real.any(dim=1), found, 0)
        pooled: torch.Tensor = self.norm(
            torch.cat([mean, (variance + self.smallest_variance).sqrt(), largest], dim=-1)
        )
        return pooled


class TelescopeProjectionHead(nn.Module):
    """Two layers from the pooled representation (B, pooled size) to embeddings of unit length (B, projection size)."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.hidden = nn.Linear(config.pooled_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.output = nn.Linear(config.hidden_size, config.projection_size)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        projected = self.output(self.activation(self.hidden(pooled)))
        # In float32, since in half precision the length would be off by 0.1 %.
        return F.normalize(projected.float(), dim=-1).to(projected.dtype)


POOLINGS: dict[str, type[nn.Module]] = {"mean": TelescopeMeanPooling, "moments": TelescopeMomentPooling}
