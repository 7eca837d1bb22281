"""NT-Xent over the batches of all processes, the default objective.

It is exact: N processes with B / N pairs each get the same loss and gradient as one process with B pairs.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import distributed
from torch.nn import functional as F

from telescope_transformer.learning.gradients import gather_with_gradient
from telescope_transformer.learning.objectives import PairFacts
from telescope_transformer.model.contrastive_loss import left_out


@dataclass(frozen=True)
class NTXent:
    """NT-Xent (Chen et al. 2020, SimCLR): each window must identify its partner among the windows of the batch.

    The other pairs of a batch are from other sources, but not necessarily from other actors: a botnet may have sent a
    tenth of the batch. Two options keep windows of one actor from being pushed apart.

    Args:
        ignore_siblings: do not use sources of one /24 (IPv6: /48) as negatives of each other, because one actor often
            uses several addresses of a network.
        ignore_nearer: do not use windows as negatives if they are more similar to the anchor than its partner is. Two
            windows of one actor are as similar as two windows of one source, so half of the actor's other windows are
            ignored. Windows of other actors are ignored only until the model tells them apart.
    """

    name: ClassVar[str] = "nt_xent"

    ignore_siblings: bool = False
    ignore_nearer: bool = False

    def loss(self, embeddings: torch.Tensor, pairs: PairFacts) -> torch.Tensor:
        """Mean over this process's anchors, with the windows of all processes as negatives."""
        first, second = embeddings.chunk(2)
        logits, partner = _compare(first, second, pairs.temperature, pairs.networks if self.ignore_siblings else None)
        if self.ignore_nearer:
            known = logits.detach()
            logits = logits.masked_fill(known > known.gather(1, partner.unsqueeze(1)), -torch.inf)
        return F.cross_entropy(logits, partner)


def _compare(
    first: torch.Tensor, second: torch.Tensor, temperature: float, groups: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of this process's anchors and the windows of all processes (2n, 2 x total), and the partners' columns.

    Windows that are neither a negative nor the partner of an anchor get the logit -inf.
    """
    anchors = torch.cat([first, second])
    everyone = torch.cat([gather_with_gradient(first), gather_with_gradient(second)])
    # At least float32: exp(1 / 0.07) overflows half precision.
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
