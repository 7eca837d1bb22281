"""Embeddings of all processes with gradients, and gradients of batches that do not fit into memory.

Both are exact: a loss over gathered embeddings has the same gradient as in one process with all pairs, and a batch in
chunks has the same gradient as the whole batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import distributed


class _Gather(torch.autograd.Function):
    """Rows of all processes in the order of ranks. The backward pass sums the gradients of each row over processes."""

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
    """Number of processes that train together; 1 without `torch.distributed`."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_with_gradient(local: torch.Tensor) -> torch.Tensor:
    """Gather the rows (n, d) of all processes into (processes x n, d), with gradients."""
    return local if world_size() == 1 else _Gather.apply(local)


def cached_backward(
    embed: Callable[[Any], torch.Tensor],
    chunks: Sequence[Any],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    backward: Callable[[torch.Tensor], Any] = torch.Tensor.backward,
    *,
    without_sync: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> torch.Tensor:
    """Loss and gradient of a batch, with the graph of one chunk in memory at a time (Gao et al. 2021, GradCache).

    First all chunks are embedded without a graph, and the loss is differentiated with respect to the embeddings. Then
    each chunk is embedded again, with the same random numbers, to propagate its gradient to the parameters.

    Args:
        embed: maps a chunk to its embeddings (rows, d).
        loss_of: maps all embeddings, in the order of the chunks, to the loss.
        backward: runs the backward pass, for example `accelerator.backward`.
        without_sync: context for all chunks except the last, such as `no_sync` of DDP.

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
    (gradient,) = torch.autograd.grad(loss, [embeddings])
    gradients = gradient.split([len(part) for part in parts])
    for index, (chunk, state, part) in enumerate(zip(chunks, states, gradients, strict=True)):
        last = index == len(chunks) - 1
        with nullcontext() if last else without_sync():
            with _replayed(state):
                surrogate = (embed(chunk) * part).sum()
            backward(surrogate)
    return loss.detach()


def _random_state() -> tuple[torch.Tensor, torch.Tensor | None]:
    device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return torch.get_rng_state(), device


@contextmanager
def _replayed(state: tuple[torch.Tensor, torch.Tensor | None]) -> Iterator[None]:
    """Set the random number generators to `state` inside the block, and restore them afterwards."""
    host, device = state
    with torch.random.fork_rng(devices=[] if device is None else [torch.cuda.current_device()]):
        torch.set_rng_state(host)
        if device is not None:
            torch.cuda.set_rng_state(device)
        yield
