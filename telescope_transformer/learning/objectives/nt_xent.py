"""NT-Xent over the batches of all processes, the default objective.

It is exact: N processes with B / N pairs each get the loss and the gradient of one process with B pairs.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import distributed
from torch.nn import functional as F

from telescope_transformer.learning.gradients import gather_with_gradient, world_size
from telescope_transformer.learning.objectives import PairFacts
from telescope_transformer.model.contrastive_loss import left_out, nt_xent_loss


@dataclass(frozen=True)
class NTXent:
    """NT-Xent (Chen et al. 2020, SimCLR): each window finds its partner among the windows of other pairs.

    NT-Xent compares a pair with its own anchor's negatives only, so similarities of different anchors need not be on
    one scale, and a single threshold for all of them suffers. A share of the loss can compare every pair with the
    negatives of all anchors: log(1 + mean over anchors of sum over negatives of exp(n / t) / exp(p / t)), a smooth
    stand-in for the partial AUC at low false-positive rates (Zhu et al. 2022, When AUC meets DRO).

    Args:
        ignore_siblings: sources of one /24 (IPv6: /48) are no negatives of each other; one actor often uses several.
        shared_negatives: weight, from 0 to 1, of the comparison with the negatives of all anchors.
    """

    name: ClassVar[str] = "nt_xent"

    ignore_siblings: bool = False
    shared_negatives: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shared_negatives <= 1:
            raise ValueError(f"shared_negatives must be between 0 and 1, not {self.shared_negatives}")

    def loss(self, embeddings: torch.Tensor, pairs: PairFacts) -> torch.Tensor:
        """Mean over this process's anchors, with the windows of all processes as negatives."""
        first, second = embeddings.chunk(2)
        groups = pairs.networks if self.ignore_siblings else None
        if world_size() == 1 and not self.shared_negatives:
            return nt_xent_loss(first, second, pairs.temperature, groups)
        logits, partner = _compare(first, second, pairs.temperature, groups)
        loss = F.cross_entropy(logits, partner)
        if not self.shared_negatives:
            return loss
        columns = partner.unsqueeze(1)
        positive = logits.gather(1, columns).squeeze(1)
        negatives = logits.scatter(1, columns, -torch.inf).flatten().logsumexp(dim=0)
        of_all = gather_with_gradient(negatives.unsqueeze(0)).logsumexp(dim=0) - math.log(logits.shape[1])
        return torch.lerp(loss, F.softplus(of_all - positive).mean(), self.shared_negatives)


def _compare(
    first: torch.Tensor, second: torch.Tensor, temperature: float | torch.Tensor, groups: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of this process's anchors and the windows of all processes (2n, 2 x total), and the partners' columns.

    A window that is neither a negative of an anchor nor its partner has the logit -inf.
    """
    anchors = torch.cat([first, second])
    everyone = torch.cat([gather_with_gradient(first), gather_with_gradient(second)])
    # In single precision at least: exp(1 / 0.07) leaves half precision no digits.
    precision = torch.promote_types(anchors.dtype, torch.float32)
    anchors, everyone = anchors.to(precision), everyone.to(precision)
    pairs, total, device = len(first), len(everyone) // 2, first.device
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    own = torch.arange(pairs, device=device) + pairs * rank
    itself = torch.cat([own, own + total])  # columns of `everyone`
    partner = torch.cat([own + total, own])
    of_all = torch.arange(total, device=device) if groups is None else gather_with_gradient(groups)
    unused = left_out(itself, partner, torch.cat([of_all, of_all]))
    return (anchors @ everyone.T / temperature).masked_fill(unused, -torch.inf), partner
