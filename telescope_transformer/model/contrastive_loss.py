"""NT-Xent, the normalised temperature-scaled cross entropy."""

import torch
from torch.nn import functional as F


def nt_xent_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    temperature: float,
    groups: torch.Tensor | None = None,
) -> torch.Tensor:
    """NT-Xent (Chen et al. 2020, SimCLR, equation 1): mean over both directions of every positive pair.

    Row i of `first` and row i of `second` are a positive pair; the other 2N - 2 rows are negatives of both.

    Args:
        first, second: (N, P) embeddings of unit length.
        temperature: positive divisor of the cosine similarities.
        groups: (N,) integer group of each pair. Windows of the same group are not used as negatives of each other,
            because they may belong to one actor. None means that every pair is a separate group.

    Raises:
        ValueError: if the shapes differ, N < 2 (no negatives), or the temperature is not positive.
    """
    if first.shape != second.shape or first.dim() != 2:
        raise ValueError(f"embeddings must be two (N, P), not {tuple(first.shape)} and {tuple(second.shape)}")
    if len(first) < 2:
        raise ValueError("NT-Xent needs at least two pairs: one pair has no negatives")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    both = torch.cat([first, second])
    # At least float32: exp(1 / 0.07) overflows half precision.
    both = both.to(torch.promote_types(both.dtype, torch.float32))
    logits = both @ both.T / temperature  # (2N, 2N)
    itself = torch.arange(len(both), device=both.device)
    partner = itself.roll(len(first))
    of_both = None if groups is None else torch.cat([groups, groups])
    return F.cross_entropy(logits.masked_fill(left_out(itself, partner, of_both), -torch.inf), partner)


def left_out(itself: torch.Tensor, partner: torch.Tensor, groups: torch.Tensor | None) -> torch.Tensor:
    """Mask of the windows excluded from the denominator: the anchor, and the windows of its group except its partner.

    Args:
        itself, partner: (A,) columns of each anchor and of its partner.
        groups: (C,) integer group of each column; None if the columns are the anchors and each is a separate group.

    Returns:
        bool (A, C).
    """
    if groups is None:
        return torch.eye(len(itself), dtype=torch.bool, device=itself.device)
    same = groups[itself].unsqueeze(1) == groups  # includes the anchor
    return same.scatter(1, partner.unsqueeze(1), False)
