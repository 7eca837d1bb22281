"""Training runs in their own, killable processes, forked from a server with all imports done."""

import multiprocessing
import os
import signal
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["telescope_transformer.learning.training", "telescope_transformer.cli.train"])

TINY = """
model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, projection_size: 8}
steps: 12
batch_pairs: 8
max_records: 12
log_every: 1
save_every: 3
keep_checkpoints: 2
schedule: cosine
warmup_steps: 2
cpu: true
"""


def options(dataset: Path, output: Path, *more: str) -> list[str]:
    """Command-line options of a small run with its own recipe."""
    recipe = output.parent / "recipe.yaml"
    recipe.write_text(TINY)
    return ["--dataset", str(dataset), "--output", str(output), "--config", str(recipe), *more]


def train_here(argv: Sequence[str], environment: dict[str, str], kill_at: tuple[str, int] | None) -> None:
    """Train in this process, which kills itself at the n-th call of the function named by `kill_at`."""
    from telescope_transformer.cli import train
    from telescope_transformer.learning import checkpoints, loop

    os.environ.update(environment)
    torch.set_num_threads(1)
    warnings.simplefilter("always")
    if kill_at is not None:
        place, calls = kill_at
        owner, name = {
            "step": (loop.Trainer, "_step"),
            "seal": (checkpoints, "_seal"),
            "rename": (Path, "rename"),
        }[place]
        original, count = getattr(owner, name), 0

        def killing(*arguments: object) -> object:
            nonlocal count
            count += 1
            if count == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        setattr(owner, name, killing)
    raise SystemExit(train.main(list(argv)))


def run(
    argv: Sequence[str], *, processes: int = 1, kill_at: tuple[str, int] | None = None, timeout: float = 240
) -> list[int | None]:
    """Run training in `processes` processes that train together; returns their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workers = []
    for rank in range(processes):
        environment = {}
        if processes > 1:
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
        workers.append(CONTEXT.Process(target=train_here, args=(list(argv), environment, kill_at)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout)
    return [worker.exitcode for worker in workers]
