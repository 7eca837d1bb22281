"""The state of a run in a checkpoint, as JSON and safetensors, so that nothing is unpickled to continue a run.

`model.safetensors` and `optimizer.safetensors` hold tensors, `state.json` the plain values of optimizer, learning-rate
schedule and gradient scaler, and `random-N.safetensors` the random numbers of process N.
"""

import json
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from telescope_transformer.errors import CheckpointError
from telescope_transformer.files import read_json

MODEL, OPTIMIZER, PLAIN = "model.safetensors", "optimizer.safetensors", "state.json"
# Separates the name of a parameter from the name of its optimizer state.
OF = "/"
# Ask for full tensors on the CPU, whether the model is plain, in DDP, or sharded by FSDP.
OPTIONS = StateDictOptions(full_state_dict=True, cpu_offload=True)


def save_state(
    folder: Path, accelerator: Accelerator, model: nn.Module, optimizer: Optimizer, scheduler: LRScheduler
) -> None:
    """Write the state of a run; every process calls this.

    Args:
        folder: an existing directory.
        model, optimizer: as returned by `accelerator.prepare`.
        scheduler: learning-rate scheduler of the optimizer.
    """
    weights = get_model_state_dict(model, options=OPTIONS)
    moments: dict[str, Any] = get_optimizer_state_dict(model, _bare(optimizer), options=OPTIONS)
    save_file(_random_numbers(), folder / f"random-{accelerator.process_index}.safetensors")
    if not accelerator.is_main_process:
        return
    save_file(_separate(weights), folder / MODEL)
    tensors = {f"{name}{OF}{key}": value for name, state in moments["state"].items() for key, value in state.items()}
    save_file(_separate(tensors), folder / OPTIMIZER)
    plain = {
        "groups": moments["param_groups"],
        "scheduler": scheduler.state_dict(),
        "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
    }
    (folder / PLAIN).write_text(json.dumps(plain), encoding="utf-8")


def load_state(
    folder: Path, accelerator: Accelerator, model: nn.Module, optimizer: Optimizer, scheduler: LRScheduler
) -> None:
    """Restore what `save_state` wrote, in place; every process calls this.

    Raises:
        CheckpointError: if a file is missing or damaged, or belongs to another model.
    """
    try:
        plain = read_json(folder / PLAIN)
        moments: dict[str, dict[str, torch.Tensor]] = {}
        for place, value in load_file(folder / OPTIMIZER).items():
            name, _, key = place.rpartition(OF)
            moments.setdefault(name, {})[key] = value
        weights: dict[str, Any] = load_file(folder / MODEL)
        set_model_state_dict(model, weights, options=OPTIONS)
        state: dict[str, Any] = {"state": moments, "param_groups": plain["groups"]}
        set_optimizer_state_dict(model, _bare(optimizer), state, options=OPTIONS)
        scheduler.load_state_dict(plain["scheduler"])
        if accelerator.scaler is not None and plain["scaler"]:
            accelerator.scaler.load_state_dict(plain["scaler"])
        numbers = load_file(folder / f"random-{accelerator.process_index}.safetensors")
    # The errors for damaged tensors, missing names and wrong shapes have no common base class.
    except Exception as error:
        raise CheckpointError(f"cannot go on from {folder}: {str(error).splitlines()[0]}") from error
    torch.set_rng_state(numbers["cpu"])
    if torch.cuda.is_available() and "cuda" in numbers:
        torch.cuda.set_rng_state(numbers["cuda"])


def _bare(optimizer: Any) -> Optimizer:
    """The optimizer inside Accelerate's wrapper."""
    bare: Optimizer = getattr(optimizer, "optimizer", optimizer)
    return bare


def _random_numbers() -> dict[str, torch.Tensor]:
    """State of the random number generators that dropout uses. Batches use separate generators."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _separate(tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Contiguous copies: safetensors refuses tensors that share memory."""
    return {name: value.detach().clone().contiguous() for name, value in tensors.items()}
