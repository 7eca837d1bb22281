"""NT-Xent, the normalised temperature-scaled cross entropy."""

import torch
from torch.nn import functional as F


def nt_xent_loss(first: torch.Tensor, second: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """NT-Xent (Chen et al. 2020, SimCLR, equation 1): mean over both directions of every positive pair.

    Row i of `first` and row i of `second` are a positive pair; the other 2N - 2 rows are negatives of both.

    Args:
        first, second: (N, P) embeddings of unit length.
        temperature: positive divisor of the cosine similarities.

    Raises:
        ValueError: where the shapes differ, N < 2 (no negatives), or the temperature is not positive.
    """
    if first.shape != second.shape or first.dim() != 2:
        raise ValueError(f"embeddings must be two (N, P), not {tuple(first.shape)} and {tuple(second.shape)}")
    if len(first) < 2:
        raise ValueError("NT-Xent needs at least two pairs: one pair has no negatives")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    both = torch.cat([first, second])
    # In single precision at least: exp(1 / 0.07) leaves half precision no digits.
    both = both.to(torch.promote_types(both.dtype, torch.float32))
    logits = both @ both.T / temperature  # (2N, 2N)
    logits = logits.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), -torch.inf)
    partner = torch.arange(len(both), device=both.device).roll(len(first))
    return F.cross_entropy(logits, partner)
