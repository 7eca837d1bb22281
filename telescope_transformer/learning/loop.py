"""The training loop: steps, logging, stopping, and continuing after a kill."""

import json
import math
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedType
from torch import nn
from transformers import BatchEncoding

from telescope_transformer.errors import TrainingError
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.learning.checkpoints import (
    checkpoint_path,
    disk_errors,
    newest_whole,
    read_state,
    write_checkpoint,
)
from telescope_transformer.learning.data import MixedBatches, PairBatches, batches, chunks_of
from telescope_transformer.learning.gradients import cached_backward
from telescope_transformer.learning.objectives import PairFacts, make_objective
from telescope_transformer.learning.state import load_state, save_state
from telescope_transformer.model import TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.progress import progress_bar

# Options that may differ between a run and its continuation, because they change neither batches nor gradients.
FREE_TO_CHANGE = {"steps", "workers", "cpu", "log_every", "save_every", "keep_checkpoints", "tracker"}
# If the loss exceeds that of random guessing by this factor, the run has diverged and ends.
DIVERGED = 3.0


def trained_parameters(model: nn.Module, freeze: list[str]) -> list[nn.Parameter]:
    """Freeze the parameters whose names match a pattern, and return the others.

    Raises:
        TrainingError: if a pattern matches no parameter, or no parameter is left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in freeze:
        if not any(fnmatch(name, pattern) for name in names):
            raise TrainingError(f"pattern {pattern!r} matches no parameter; they are {', '.join(names)}")
    left = []
    for name, parameter in model.named_parameters():
        if any(fnmatch(name, pattern) for pattern in freeze):
            parameter.requires_grad_(False)
        else:
            left.append(parameter)
    if not left:
        raise TrainingError(f"the patterns {freeze} freeze every parameter")
    return left


def check_shardable(accelerator: Accelerator, config: TelescopeConfig) -> None:
    """Refuse models that FSDP cannot shard.

    Raises:
        TrainingError: if the model has no encoder layers to shard.
    """
    if accelerator.distributed_type != DistributedType.FSDP:
        return
    if config.num_hidden_layers == 0:
        raise TrainingError(
            "a model with no encoder layers does not train under FSDP: use training/accelerate/multi_gpu_ddp.yaml, "
            "which suits models that fit into one GPU"
        )


class Trainer:
    """A training run, which continues from its newest checkpoint if it has one.

    Args:
        accelerator: devices and processes.
        model: trained in place.
        data: batches of this process.
        arguments: options of the run.
        output: directory of checkpoints and logs.
        identity: facts, besides the options, that must be the same when the run is continued.
        progress: whether to show a progress bar on a terminal.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: TelescopeForContrastiveLearning,
        data: PairBatches | MixedBatches,
        arguments: TrainingArguments,
        output: Path,
        identity: dict[str, Any],
        *,
        progress: bool = True,
    ):
        self.progress = progress
        self.accelerator, self.data, self.arguments, self.output = accelerator, data, arguments, output
        self.identity = identity | {"processes": accelerator.num_processes}
        check_shardable(accelerator, model.config)
        self.objective = make_objective(arguments.objective, arguments.objective_options)
        optimizer = torch.optim.AdamW(
            trained_parameters(model, arguments.freeze),
            lr=arguments.learning_rate,
            weight_decay=arguments.weight_decay,
            fused=True,
        )
        # Imported here because transformers then imports peft, if that is installed, which takes 15 MB.
        from transformers import get_scheduler

        self.scheduler = get_scheduler(
            {"constant": "constant_with_warmup"}.get(arguments.schedule, arguments.schedule),
            optimizer,
            num_warmup_steps=arguments.warmup_steps,
            num_training_steps=arguments.steps,
        )
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.limit = DIVERGED * math.log(2 * arguments.batch_pairs - 1)
        self.log_path = output / "log.jsonl"

    def run(self) -> dict[str, Any]:
        """Train to the last step; returns the last line of the log.

        Raises:
            TrainingError: if the loss is not finite or diverges, the disk is full, or OUTPUT holds another run.
        """
        first, last = self._resume(), self.arguments.steps
        self.model.train()
        # The run was killed after its last step: its result is in the log.
        record = self._last_logged() if first >= last else {}
        steps, since, begun = range(first, last), first, time.perf_counter()
        with self._bar(first) as bar:
            for step, batch in zip(steps, batches(self.data, steps, self.arguments.workers), strict=True):
                loss, norm = self._step(step, batch)
                done = step + 1
                bar.update()
                if done % self.arguments.log_every == 0 or done == last:
                    speed = (done - since) * self.arguments.batch_pairs / (time.perf_counter() - begun)
                    record = {"step": done, "loss": loss, "gradient_norm": norm, "pairs_per_second": speed}
                    record["learning_rate"] = self.scheduler.get_last_lr()[0]
                    self._log(record)
                    bar.set_postfix(loss=f"{loss:.4f}", pairs_per_s=f"{speed:.0f}")
                    since, begun = done, time.perf_counter()
                if done % self.arguments.save_every == 0 or done == last:
                    self._save(done)
        return record

    def time_steps(self, steps: int) -> float:
        """Seconds of the fastest of the first few steps. Running them changes the weights."""
        self.model.train()
        taken, begun = [], time.perf_counter()
        for step, batch in enumerate(batches(self.data, range(steps))):
            self._step(step, batch)
            taken.append(time.perf_counter() - begun)
            begun = time.perf_counter()
        return min(taken)

    def _bar(self, first: int) -> Any:
        """A progress bar in the main process, if stderr is a terminal."""
        shown = self.progress and self.accelerator.is_main_process
        return progress_bar(
            total=self.arguments.steps, done=first, unit="step", description="training", show=None if shown else False
        )

    def _step(self, step: int, batch: BatchEncoding) -> tuple[float, float]:
        """Update the weights once; returns the loss over all processes and the norm of the gradient."""
        batch = batch.to(self.accelerator.device)
        self.optimizer.zero_grad()
        chunks = chunks_of(batch, 2 * self.arguments.chunk_pairs)
        temperature = self.accelerator.unwrap_model(self.model).config.temperature
        bf16 = self.arguments.mixed_precision == "bf16"

        def embed(chunk: dict[str, torch.Tensor]) -> torch.Tensor:
            # Accelerate is not used for this, because its precision is set once for the whole process.
            with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=bf16):
                embeddings: torch.Tensor = self.model(**chunk, return_dict=True).embeddings.float()
                return embeddings

        def loss_of(embeddings: torch.Tensor) -> torch.Tensor:
            return self.objective.loss(embeddings, PairFacts(batch["sources"], batch["networks"], temperature))

        if len(chunks) == 1:
            loss = loss_of(embed(chunks[0]))
            self.accelerator.backward(loss)
        else:
            loss = cached_backward(
                embed,
                chunks,
                loss_of,
                self.accelerator.backward,
                without_sync=lambda: self.accelerator.no_sync(self.model),
            )
        mean = float(self.accelerator.reduce(loss.detach(), "mean"))
        if not mean <= self.limit:
            self._stop(step, batch, mean)
        norm = self._clip()
        # In half precision the scaler skips steps whose gradient overflows. Otherwise such a step ends the run.
        if not math.isfinite(norm) and self.accelerator.mixed_precision != "fp16":
            self._stop(step, batch, mean, norm)
        self.optimizer.step()
        self.scheduler.step()
        return mean, norm

    def _clip(self) -> float:
        bound = self.arguments.max_grad_norm or math.inf
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), bound)
        return float(norm) if norm is not None else math.nan

    def _stop(self, step: int, batch: BatchEncoding, loss: float, norm: float | None = None) -> None:
        """Save this process's batch for inspection and end the run."""
        path = self.output / f"failed-step-{step:08d}-process-{self.accelerator.process_index}.npz"
        arrays = {name: values.cpu().numpy() for name, values in batch.items()}
        addresses = self.data.addresses(step, arrays["sources"])
        np.savez(path, **arrays, addresses=np.array(addresses), loss=loss)
        what = f"the gradient's norm is {norm}" if norm is not None else f"the loss is {loss}"
        raise TrainingError(
            f"step {step}: {what} (limit {self.limit:.2f}); its batch is in {path}. Lower the learning rate or look "
            "at that batch; earlier checkpoints are untouched"
        )

    def _log(self, record: dict[str, Any]) -> None:
        self.accelerator.log({name: value for name, value in record.items() if name != "step"}, step=record["step"])
        if self.accelerator.is_main_process:
            with disk_errors(self.log_path), self.log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def _save(self, done: int) -> None:
        write_checkpoint(
            self.output / "checkpoints",
            done,
            lambda folder: save_state(folder, self.accelerator, self.model, self.optimizer, self.scheduler),
            {"step": done, "identity": self.identity},
            keep=self.arguments.keep_checkpoints,
            main=self.accelerator.is_main_process,
            wait=self.accelerator.wait_for_everyone,
        )

    def _resume(self) -> int:
        """Load the newest valid checkpoint, if there is one; returns the next step."""
        found = newest_whole(self.output / "checkpoints") if self.accelerator.is_main_process else None
        step = torch.tensor(read_state(found)["step"] if found else 0, device=self.accelerator.device)
        first = int(self.accelerator.reduce(step, "sum"))
        if first == 0:
            self._cut_log(0)
            return 0
        checkpoint = checkpoint_path(self.output / "checkpoints", first)
        # Options that are newer than the version that began the run have their defaults.
        before = TrainingArguments().to_dict() | read_state(checkpoint)["identity"]
        changed = sorted(
            name
            for name in before.keys() | self.identity.keys()
            if name not in FREE_TO_CHANGE and before.get(name) != self.identity.get(name)
        )
        if changed:
            raise TrainingError(
                f"{self.output} holds a run with another {changed[0]} ({before.get(changed[0])!r}, now "
                f"{self.identity.get(changed[0])!r}): give another --output, or the same options to go on"
            )
        load_state(checkpoint, self.accelerator, self.model, self.optimizer, self.scheduler)
        self._cut_log(first)
        return first

    def _last_logged(self) -> dict[str, Any]:
        lines = self.log_path.read_text(encoding="utf-8").splitlines() if self.log_path.exists() else []
        return json.loads(lines[-1]) if lines else {}

    def _cut_log(self, step: int) -> None:
        """Drop the log entries after the checkpoint that the run continues from; they will be written again."""
        if not self.accelerator.is_main_process or not self.log_path.exists():
            return
        kept = []
        for line in self.log_path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:
                # A kill can leave half a line at the end.
                break
        self.log_path.write_text("".join(kept), encoding="utf-8")
