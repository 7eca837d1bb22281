"""NT-Xent over the batches of all processes, and gradients of batches that do not fit into memory.

Both are exact: N processes with B / N pairs each get the loss and the gradient of one process with B pairs, and chunks
get those of the whole batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import distributed
from torch.nn import functional as F

from telescope_transformer.model.contrastive_loss import left_out
from telescope_transformer.model.contrastive_loss import nt_xent_loss as nt_xent

__all__ = ["cached_backward", "gather_with_gradient", "nt_xent", "nt_xent_across_processes"]


class _Gather(torch.autograd.Function):
    """All processes' rows, in the order of ranks; the gradients that they give a row are summed."""

    @staticmethod
    def forward(context: Any, local: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, local.contiguous())
        context.rows = len(local)
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        summed = gradients[0].contiguous()
        distributed.all_reduce(summed)
        begin = context.rows * distributed.get_rank()
        return summed[begin : begin + context.rows]


def world_size() -> int:
    """Processes that train together; 1 outside of `torch.distributed`."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_with_gradient(local: torch.Tensor) -> torch.Tensor:
    """Rows (n, d) of this process to those of all processes (processes x n, d), differentiably."""
    return local if world_size() == 1 else _Gather.apply(local)


def nt_xent_across_processes(
    first: torch.Tensor,
    second: torch.Tensor,
    temperature: float | torch.Tensor,
    groups: torch.Tensor | None = None,
    shared: float = 0.0,
) -> torch.Tensor:
    """This process's part of NT-Xent: the mean over its own anchors, with the windows of all processes as negatives.

    The mean of the processes' parts is the loss of all pairs in one process. As data parallelism averages gradients,
    so is the gradient that results, with every process holding the same number of pairs.

    NT-Xent compares a pair with its own anchor's negatives only, so that similarities of different anchors need not
    agree, as one threshold for all of them asks. A share of the loss can instead compare every pair with the negatives
    of all anchors together: log(1 + mean over anchors of the sum over negatives of exp(n / t) / exp(p / t)), a smooth
    stand-in for the partial AUC at low false-positive rates (Zhu et al. 2022, When AUC meets DRO).

    Args:
        first, second: (n, d) embeddings of unit length of this process's pairs.
        temperature: positive divisor of the cosine similarities.
        groups: (n,) integers of this process's pairs; windows of one group are no negatives of each other.
        shared: weight from 0 to 1 of the second comparison.
    """
    if world_size() == 1 and not shared:
        return nt_xent(first, second, temperature, groups)
    logits, partner = _compared(first, second, temperature, groups)
    loss = F.cross_entropy(logits, partner)
    if not shared:
        return loss
    columns = partner.unsqueeze(1)
    positive = logits.gather(1, columns).squeeze(1)
    negatives = logits.scatter(1, columns, -torch.inf).flatten().logsumexp(dim=0)
    of_all = gather_with_gradient(negatives.unsqueeze(0)).logsumexp(dim=0) - math.log(logits.shape[1])
    return torch.lerp(loss, F.softplus(of_all - positive).mean(), shared)


def _compared(
    first: torch.Tensor, second: torch.Tensor, temperature: float | torch.Tensor, groups: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of this process's anchors and the windows of all processes (2n, 2 x total), and the partners' columns.

    What is no negative of an anchor, nor its partner, has the logit -inf.
    """
    anchors, everyone = (
        torch.cat([first, second]),
        torch.cat([gather_with_gradient(first), gather_with_gradient(second)]),
    )
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


def cached_backward(
    embed: Callable[[Any], torch.Tensor],
    chunks: Sequence[Any],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    backward: Callable[[torch.Tensor], Any] = torch.Tensor.backward,
    *,
    direct: Sequence[torch.Tensor] = (),
    without_sync: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> torch.Tensor:
    """Loss of a batch and its gradient, with the graph of one chunk in memory at a time (Gao et al. 2021, GradCache).

    The chunks are embedded without a graph, the loss is differentiated by the embeddings, and each chunk is embedded
    again, from the same state of the random numbers, to carry its gradient on to the parameters.

    Args:
        embed: a chunk to its embeddings (rows, d).
        loss_of: all embeddings, in the order of the chunks, to the loss.
        backward: what runs the backward pass, for instance `accelerator.backward`.
        direct: parameters that `loss_of` uses itself, such as a learned temperature.
        without_sync: context for all chunks but the last, such as DDP's `no_sync`.

    Returns:
        The loss, detached.
    """
    states, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_random_state())
            parts.append(embed(chunk))
    embeddings = torch.cat(parts).requires_grad_()
    loss = loss_of(embeddings)
    gradient, *direct_gradients = torch.autograd.grad(loss, [embeddings, *direct])
    gradients = gradient.split([len(part) for part in parts])
    for index, (chunk, state, part) in enumerate(zip(chunks, states, gradients, strict=True)):
        last = index == len(chunks) - 1
        with nullcontext() if last else without_sync():
            with _replayed(state):
                surrogate = (embed(chunk) * part).sum()
            if last:
                pairs = zip(direct, direct_gradients, strict=True)
                surrogate = surrogate + sum((value * slope).sum() for value, slope in pairs)
            backward(surrogate)
    return loss.detach()


def _random_state() -> tuple[torch.Tensor, torch.Tensor | None]:
    device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return torch.get_rng_state(), device


@contextmanager
def _replayed(state: tuple[torch.Tensor, torch.Tensor | None]) -> Iterator[None]:
    """Random numbers as they were at `state`; afterwards as they were before."""
    host, device = state
    with torch.random.fork_rng(devices=[] if device is None else [torch.cuda.current_device()]):
        torch.set_rng_state(host)
        if device is not None:
            torch.cuda.set_rng_state(device)
        yield
