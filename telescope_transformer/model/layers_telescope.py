"""What surrounds the encoder: embeddings of fields, times and positions before it, pooling after it.

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

# Functions of the inter-arrival time in seconds, each one number.
TIME_FEATURES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "log_microseconds": lambda seconds: torch.log1p(seconds * 1e6),
    "log_seconds": torch.log1p,
}


class TelescopeFieldEmbedding(nn.Module):
    """One field's ids to vectors; [PAD] and [UNK] become zeros, so that the table has a row per value and no more."""

    def __init__(self, offset: int, size: int, width: int):
        super().__init__()
        self.offset = offset
        self.table = nn.Embedding(size, width)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        values = ids - self.offset  # (B, T)
        known = (values >= 0) & (values < self.table.num_embeddings)
        vectors = self.table(torch.where(known, values, 0))  # (B, T, width)
        return vectors * known.unsqueeze(-1)


class TelescopeTimeEmbedding(nn.Module):
    """Inter-arrival times in seconds (B, T) to vectors (B, T, time_embedding_size)."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.functions = [TIME_FEATURES[name] for name in config.time_features]
        self.projection = nn.Linear(len(self.functions), config.time_embedding_size)

    def forward(self, inter_arrival: torch.Tensor) -> torch.Tensor:
        seconds = inter_arrival.float()
        features = torch.stack([function(seconds) for function in self.functions], dim=-1)  # (B, T, features)
        return self.projection(features.to(self.projection.weight.dtype))


class TelescopeSinusoidalPositions(nn.Module):
    """Sines and cosines of the position (Vaswani et al. 2017, section 3.5), added to the representations.

    Each tower has the same ones, but for bags of records, which have no order and get none.
    """

    table: torch.Tensor

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.shape = (config.max_position_embeddings, config.tower_size)
        self.towers, self.bags = config.num_towers, config.num_bag_towers
        self.register_buffer("table", self.compute(), persistent=False)

    def compute(self) -> torch.Tensor:
        length, width = self.shape
        position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
        table = torch.zeros(length, width)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency)[:, : width // 2]
        return torch.cat([torch.zeros(length, self.bags * width), table.repeat(1, self.towers - self.bags)], dim=1)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        length = hidden_states.shape[1]
        if length > self.shape[0]:
            raise ValueError(f"a window of {length} records is longer than max_position_embeddings {self.shape[0]}")
        return hidden_states + self.table[:length].to(hidden_states.dtype)


class TelescopeTowerLinear(nn.Linear):
    """Linear layer of several towers: each maps its share of the channels to its share of the outputs."""

    def __init__(self, towers: int, inputs: int, outputs: int):
        super().__init__(inputs // towers, outputs)
        self.towers = towers

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if self.towers == 1:
            return super().forward(hidden_states)
        shares = (
            hidden_states.chunk(self.towers, dim=-1),
            self.weight.chunk(self.towers),
            self.bias.chunk(self.towers),
        )
        return torch.cat([F.linear(*share) for share in zip(*shares, strict=True)], dim=-1)


class TelescopeTowerNorm(nn.LayerNorm):
    """LayerNorm of each tower's share of the channels."""

    def __init__(self, towers: int, width: int, eps: float):
        super().__init__(width, eps=eps)
        self.towers = towers

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if self.towers == 1:
            return super().forward(hidden_states)
        shares = hidden_states.unflatten(-1, (self.towers, -1))
        normed = F.layer_norm(shares, shares.shape[-1:], eps=self.eps).flatten(-2)
        return normed * self.weight + self.bias


class TelescopeEmbeddings(nn.Module):
    """Fields and inter-arrival time of a record, fused by a linear layer and LayerNorm."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        offsets, sizes = field_offsets(config.fields), config.field_embedding_sizes
        self.fields = nn.ModuleList(
            TelescopeFieldEmbedding(offsets[name], FIELD_SIZES[name], sizes[name]) for name in config.fields
        )
        self.time = TelescopeTimeEmbedding(config)
        self.features = TelescopeRecordFeatures(config.record_features, offsets) if config.record_features else None
        width = sum(sizes.values()) + config.time_embedding_size + (self.features.width if self.features else 0)
        self.fuse = nn.Linear(width, config.hidden_size)
        towers, hidden = config.num_towers, config.hidden_size
        self.norm = TelescopeTowerNorm(towers, hidden, config.layer_norm_eps)
        self.record_layers = nn.Sequential(
            *(
                nn.Sequential(ACT2FN[config.hidden_act], TelescopeTowerLinear(towers, hidden, hidden))
                for _ in range(config.record_layers)
            )
        )
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        # A bag of records has no order, so it gets no positions.
        self.positions = TelescopeSinusoidalPositions(config) if config.num_hidden_layers > 0 else nn.Identity()

    def forward(
        self, input_ids: torch.Tensor, inter_arrival: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        parts = [embed(input_ids[..., index]) for index, embed in enumerate(self.fields)]
        parts.append(self.time(inter_arrival))
        if self.features is not None:
            parts.append(self.features(input_ids, inter_arrival, attention_mask))
        hidden_states = self.record_layers(self.norm(self.fuse(torch.cat(parts, dim=-1))))  # (B, T, H)
        return self.dropout(self.positions(hidden_states))


class TelescopeMeanPooling(nn.Module):
    """Mean over the real records of a window; a window without any gives zeros."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        # Selected, not multiplied: what stands at a padded place must not count even where it is not a number.
        real = torch.where(attention_mask.unsqueeze(-1).bool(), hidden_states, 0)
        return real.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True).clamp(min=1).to(hidden_states.dtype)


class TelescopeMomentPooling(nn.Module):
    """Mean, standard deviation and maximum over the real records of a window, of each tower together: (B, 3 H)."""

    # The root has no slope at zero: the records of a window may all be the same.
    smallest_variance = 1e-4

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.activation = ACT2FN[config.hidden_act]
        self.mean = TelescopeMeanPooling(config)
        self.dropout = nn.Dropout(config.pooled_dropout_prob)
        self.towers = config.num_towers
        self.norm = TelescopeTowerNorm(self.towers, config.pooled_size, config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden_states = self.activation(hidden_states)
        mean = self.mean(hidden_states, attention_mask)
        variance = self.mean((hidden_states - mean.unsqueeze(1)) ** 2, attention_mask)
        real = attention_mask.unsqueeze(-1).bool()
        most = torch.where(real, hidden_states, -torch.inf).amax(dim=1)
        most = torch.where(real.any(dim=1), most, 0)
        moments = (mean, (variance + self.smallest_variance).sqrt(), most)
        pooled = torch.cat([moment.unflatten(-1, (self.towers, -1)) for moment in moments], dim=-1).flatten(-2)
        return self.norm(self.dropout(pooled))


def mean_time_of_day(time_of_day: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The mean over the records of a window of the points that their times of day are on the unit circle: (B, 2).

    It has length 1 where all records are of one moment of the day, and is near 0 where they are spread over it.

    Args:
        time_of_day: (B, T) seconds since midnight, negative where unknown; records of unknown time stand at 0.
        attention_mask: (B, T).
    """
    angles = time_of_day.float() * (2 * math.pi / 86_400)
    points = torch.stack([angles.cos(), angles.sin()], dim=-1)  # (B, T, 2)
    known = (attention_mask.bool() & (time_of_day >= 0)).unsqueeze(-1)
    return torch.where(known, points, 0).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True).clamp(min=1)


POOLINGS: dict[str, type[nn.Module]] = {"mean": TelescopeMeanPooling, "moments": TelescopeMomentPooling}
