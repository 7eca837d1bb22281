"""Train or fine-tune a model on prepared datasets.

The output is the model's directory (`from_pretrained` and `telescope push` accept it). Besides the model it holds
checkpoints, the log (`log.jsonl`), the tracker's files and `training.json`, which says how the model was made. The
same call continues a run that was killed.
"""

import gc
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from accelerate import Accelerator, PartialState
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration, set_seed
from huggingface_hub.errors import StrictDataclassError

from telescope_transformer.embedding import BF16_IN_SOFTWARE, computes_bf16
from telescope_transformer.errors import CheckpointError, TelescopeError, TrainingError
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.learning.checkpoints import disk_errors
from telescope_transformer.learning.data import MixedBatches, PairBatches
from telescope_transformer.learning.loop import Trainer
from telescope_transformer.learning.sampling import PairSampler
from telescope_transformer.learning.store import RecordStore, build_store, open_store, store_of_windows
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model_files import load_model, tokenizer_for, without_bars
from telescope_transformer.progress import Say, say_nothing

LIBRARIES = ("torch", "transformers", "accelerate", "telescope-transformer")


@dataclass(frozen=True)
class TrainingPaths:
    """Where a run reads and writes.

    Args:
        datasets: directories that `telescope prepare` wrote.
        output: directory of the model, checkpoints and logs.
        start_from: directory or Hub id of the model to start from; "shipped" is the checkpoint in this package, and
            None creates a model from the recipe.
        revision: revision of that model on the Hub.
        split: split of the datasets; "all" uses all splits.
        cache: directory of the encoded records; None is OUTPUT/cache.
    """

    datasets: Sequence[Path]
    output: Path
    start_from: str | None = None
    revision: str | None = None
    split: str = "train"
    cache: Path | None = None


def train(paths: TrainingPaths, arguments: TrainingArguments, say: Say = say_nothing) -> dict[str, Any]:
    """Train a model.

    Args:
        paths: inputs and outputs.
        arguments: the options of the recipe.
        say: called by the main process with a message about the checkpoint.

    Returns:
        The last line of the log.

    Raises:
        TelescopeError: if an input, an option or the machine does not allow it; the message names it.
    """
    arguments, accelerator = _begun(arguments, paths.output)
    model, tokenizer = make_model(arguments, paths.start_from, paths.revision)
    stores = open_stores(accelerator, paths, tokenizer)
    identity = {"start_from": paths.start_from}
    trainer, facts = make_trainer(accelerator, model, tokenizer, stores, arguments, paths.output, identity)
    accelerator.init_trackers("telescope", config={name: str(value) for name, value in facts.items()})
    record = trainer.run()
    save_model(accelerator, trainer, tokenizer, paths.output, facts | {"result": record})
    accelerator.end_training()
    if accelerator.is_main_process:
        say(f"checkpoint in {paths.output}")
    return record


def train_on_windows(tables: Sequence[pa.Table], arguments: TrainingArguments, output: Path) -> None:
    """Train a new model on tables of windows, as `train` does on prepared datasets. A finished run is not repeated.

    Args:
        tables: windows of any length, one table per dataset.
        arguments: options of the run, with the architecture of the model.
        output: directory of the model, checkpoints and logs.

    Raises:
        TelescopeError: if an option or the machine does not allow it.
    """
    arguments, accelerator = _begun(arguments, output)
    model, tokenizer = make_model(arguments)
    stores = [store_of_windows(table, tokenizer) for table in tables]
    trainer, facts = make_trainer(accelerator, model, tokenizer, stores, arguments, output, {})
    save_model(accelerator, trainer, tokenizer, output, facts | {"result": trainer.run()})
    accelerator.free_memory()


def _begun(arguments: TrainingArguments, output: Path) -> tuple[TrainingArguments, Accelerator]:
    """Create the folder of a run and its accelerator; returns the options in a precision that the device computes."""
    with disk_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    arguments = with_precision_of_device(arguments)
    accelerator = make_accelerator(arguments, output)
    # All processes have the same seed, so that they have the same initial weights.
    set_seed(arguments.seed)
    return arguments, accelerator


def make_trainer(
    accelerator: Accelerator,
    model: TelescopeForContrastiveLearning,
    tokenizer: FlowTokenizer,
    stores: Sequence[RecordStore],
    arguments: TrainingArguments,
    output: Path,
    identity: Mapping[str, Any],
    *,
    progress: bool = True,
) -> tuple[Trainer, dict[str, Any]]:
    """Create a run on encoded records, with the facts that identify it: options, base model, number of records.

    Raises:
        TrainingError: if windows are longer than the model accepts, or there are too few sources.
    """
    model.set_attn_implementation(arguments.attention)
    # From here on, processes have different seeds, so that their dropout differs.
    set_seed(arguments.seed, device_specific=True)
    if arguments.max_records > model.config.max_position_embeddings:
        raise TrainingError(
            f"max_records {arguments.max_records} exceeds max_position_embeddings "
            f"{model.config.max_position_embeddings} of the model"
        )
    data = make_batches(accelerator, stores, arguments, tokenizer)
    records = sum(int(store.offsets[-1]) for store in stores)
    facts = arguments.to_dict() | dict(identity) | {"records": records}
    trainer = Trainer(accelerator, model, data, arguments, output, facts, progress=progress)
    # The device is not part of the identity, because a run may continue on another device.
    return trainer, facts | {"device": accelerator.device.type}


def with_precision_of_device(arguments: TrainingArguments) -> TrainingArguments:
    """The options, with full precision instead of bfloat16 if the device would emulate it in software."""
    wanted = arguments.mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if wanted != "bf16" or computes_bf16(PartialState(cpu=arguments.cpu).device):
        return arguments
    warnings.warn(BF16_IN_SOFTWARE, stacklevel=2)
    return replace(arguments, mixed_precision="no")


def fastest_precision(arguments: TrainingArguments) -> TrainingArguments:
    """The options, with bfloat16 if they leave the precision open and the device has instructions for it."""
    native = computes_bf16(PartialState(cpu=arguments.cpu).device)
    return replace(arguments, mixed_precision=arguments.mixed_precision or ("bf16" if native else "no"))


def make_accelerator(arguments: TrainingArguments, output: Path) -> Accelerator:
    """Create the accelerator with the devices and processes that the launcher set up.

    Raises:
        TrainingError: if the launcher did not start the requested number of processes, or the tracker is unknown.
    """
    name = arguments.tracker
    trackers = [str(tracker) for tracker in get_available_trackers()]
    if name == "auto":
        name = "tensorboard" if "tensorboard" in trackers else "none"
    if name != "none" and name not in trackers:
        raise TrainingError(f"tracker {name!r} is not known or not installed; available are {['none', *trackers]}")
    # The loop computes bfloat16 itself, so that a process can train in several precisions.
    precision = {"": None, "bf16": "no"}.get(arguments.mixed_precision, arguments.mixed_precision)
    accelerator = Accelerator(
        cpu=arguments.cpu,
        mixed_precision=precision,
        log_with=None if name == "none" else name,
        project_config=ProjectConfiguration(project_dir=str(output), logging_dir=str(output / "logs")),
        step_scheduler_with_optimizer=False,
    )
    check_world_size(accelerator.num_processes, os.environ)
    if arguments.batch_pairs % accelerator.num_processes:
        raise TrainingError(
            f"batch_pairs {arguments.batch_pairs} does not divide among {accelerator.num_processes} processes"
        )
    return accelerator


def check_world_size(started: int, environment: Mapping[str, str]) -> None:
    """Compare the number of processes that train together with the number requested from the launcher.

    Raises:
        TrainingError: if they differ. If its configuration does not fit the machine, Accelerate silently starts a
            single process, or several processes that do not know about each other.
    """
    launched = int(environment.get("WORLD_SIZE", 1))
    if launched != started:
        raise TrainingError(
            f"the launcher started {launched} processes, but each would train alone: the configuration is for GPUs "
            "that this machine does not have; the configuration cpu_two_processes.yaml with --cpu is for the CPU"
        )
    # The launcher sets the address only if several processes were requested.
    if "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment and started == 1:
        raise TrainingError(
            "several processes were asked for, but `accelerate launch --cpu` starts one: use "
            "`accelerate launch --config_file cpu_two_processes.yaml` with --cpu"
        )


def make_model(
    arguments: TrainingArguments, start_from: str | None = None, revision: str | None = None
) -> tuple[TelescopeForContrastiveLearning, FlowTokenizer]:
    """Create a new model as the recipe describes it, or load the model to start from.

    Raises:
        CheckpointError: if the model to start from cannot be loaded.
        TrainingError: if the recipe's model is not a valid configuration.
    """
    if start_from is not None:
        try:
            model, tokenizer = load_model(checkpoint_folder(start_from, revision=revision))
        except TelescopeError as error:
            raise CheckpointError(f"cannot start from {start_from}: {error}") from error
        if arguments.model:
            warnings.warn(f"the recipe's model is not used: the architecture is that of {start_from}", stacklevel=2)
        return model, tokenizer
    unknown = sorted(set(arguments.model) - set(TelescopeConfig().to_dict()))
    if unknown:
        raise TrainingError(f"the recipe's model has an unknown field {unknown[0]!r}")
    try:
        config = TelescopeConfig(**arguments.model)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise TrainingError(f"the recipe's model is not valid: {error}") from error
    return TelescopeForContrastiveLearning(config), tokenizer_for(config)


def open_stores(accelerator: Accelerator, paths: TrainingPaths, tokenizer: FlowTokenizer) -> list[RecordStore]:
    """Open the encoded records of each dataset; the first process of each machine builds them.

    Raises:
        DatasetError: if a dataset is missing or damaged.
    """
    cache = paths.cache or paths.output / "cache"
    several = len(paths.datasets) > 1
    folders = [cache / str(number) if several else cache for number in range(len(paths.datasets))]
    with accelerator.main_process_first(), disk_errors(cache):
        if accelerator.is_local_main_process:
            for dataset, folder in zip(paths.datasets, folders, strict=True):
                build_store(dataset, paths.split, tokenizer, folder)
    return [open_store(folder) for folder in folders]


def make_batches(
    accelerator: Accelerator, stores: Sequence[RecordStore], arguments: TrainingArguments, tokenizer: FlowTokenizer
) -> PairBatches | MixedBatches:
    """Batches of this process from all datasets."""
    rank, processes = accelerator.process_index, accelerator.num_processes
    parts = []
    for number, store in enumerate(stores):
        # Each dataset has draws of its own.
        sampler = PairSampler(store.offsets, replace(arguments, seed=arguments.seed + number), store.networks)
        parts.append(PairBatches(store, sampler, tokenizer, rank, processes))
    return parts[0] if len(parts) == 1 else MixedBatches(parts, arguments.mix, arguments.seed)


def save_model(
    accelerator: Accelerator, trainer: Trainer, tokenizer: FlowTokenizer, output: Path, facts: Mapping[str, Any]
) -> None:
    """Save model, tokenizer and `training.json`; every process calls this."""
    weights = accelerator.get_state_dict(trainer.model)
    if not accelerator.is_main_process:
        return
    with disk_errors(output):
        with without_bars():
            accelerator.unwrap_model(trainer.model).save_pretrained(output, state_dict=weights)
        tokenizer.save_pretrained(output)
        versions = {name: version(name) for name in LIBRARIES}
        (output / "training.json").write_text(json.dumps({**facts, "versions": versions}, indent=2), encoding="utf-8")


def end_processes() -> None:
    """Leave the process group, if there is one."""
    if torch.distributed.is_initialized():
        # If a wrapped model outlives the group, the model destroys the group while it holds the interpreter's lock.
        # The group's own thread may be waiting for that lock, and the process would hang forever.
        gc.collect()
        torch.distributed.destroy_process_group()
