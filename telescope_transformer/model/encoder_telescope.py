"""Encoder layers: attention among the records of a window and a feed-forward block, within each of the towers.

B is windows, T records of a window.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_telescope import TelescopeConfig
from .layers_telescope import TelescopeTowerLinear, TelescopeTowerNorm


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written plainly; query, key and value are (B, heads, T, head size), the result (B, T, heads, size)."""
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


class TelescopeAttention(nn.Module):
    """Multi-head self-attention through the attention interface of transformers, within each of the towers."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        self.config = config
        self.is_causal = config.is_causal
        self.towers = config.num_towers - config.num_bag_towers
        self.head_size = config.tower_size // config.num_attention_heads
        self.scaling = self.head_size**-0.5
        width = self.towers * config.tower_size
        self.qkv = TelescopeTowerLinear(self.towers, width, 3 * width)
        self.output = TelescopeTowerLinear(self.towers, width, width)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch, length, _ = hidden_states.shape
        qkv = self.qkv(hidden_states).view(batch, length, self.towers, 3, -1, self.head_size)
        # Each (B, heads, T, head size), the heads of one tower after those of the other.
        query, key, value = qkv.permute(3, 0, 2, 4, 1, 5).flatten(2, 3)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        attended, weights = attend(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return self.output(attended.reshape(batch, length, -1)), weights


class TelescopeEncoderLayer(GradientCheckpointingLayer):
    """Attention and feed-forward, each with a residual and a normalisation after it (post-norm), within each tower."""

    def __init__(self, config: TelescopeConfig):
        super().__init__()
        towers = config.num_towers - config.num_bag_towers
        width, inner = towers * config.tower_size, config.intermediate_size
        self.attention = TelescopeAttention(config)
        self.attention_norm = TelescopeTowerNorm(towers, width, config.layer_norm_eps)
        self.feed_forward = nn.Sequential(
            TelescopeTowerLinear(towers, width, inner),
            ACT2FN[config.hidden_act],
            nn.Dropout(config.hidden_dropout_prob),
            TelescopeTowerLinear(towers, inner, width),
        )
        self.feed_forward_norm = TelescopeTowerNorm(towers, width, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        attended, _ = self.attention(hidden_states, attention_mask, **kwargs)
        hidden_states = self.attention_norm(hidden_states + self.dropout(attended))
        return self.feed_forward_norm(hidden_states + self.dropout(self.feed_forward(hidden_states)))
