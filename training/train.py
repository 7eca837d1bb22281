"""Train or fine-tune a telescope model: `accelerate launch -m training.train --dataset DIR --output DIR`.

OUTPUT becomes the model's directory (`from_pretrained` and `telescope push` take it); beside the model it holds
checkpoints, the log (`log.jsonl`), TensorBoard's files and `training.json`, which says how the model was made. The
same command continues a run that was killed.
"""

import dataclasses
import gc
import json
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration, set_seed
from huggingface_hub.errors import StrictDataclassError
from transformers.utils import logging as transformers_logging

from telescope_transformer.embedding import BF16_IN_SOFTWARE, computes_bf16
from telescope_transformer.errors import CheckpointError, TelescopeError, TrainingError
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from training.arguments import TrainingArguments, arguments_of, parser
from training.checkpoints import disk_errors
from training.data import MixedBatches, PairBatches, networks_of
from training.discriminant import check_enough, fit_discriminant
from training.invention import Invention, lacking
from training.loop import Trainer
from training.sampling import PairOptions, PairSampler
from training.store import build_store, open_store


def with_precision_of_device(arguments: TrainingArguments) -> TrainingArguments:
    """The options, in full precision where the device would compute bfloat16 in software."""
    wanted = arguments.mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if wanted != "bf16" or computes_bf16(PartialState(cpu=arguments.cpu).device):
        return arguments
    warnings.warn(BF16_IN_SOFTWARE, stacklevel=2)
    return dataclasses.replace(arguments, mixed_precision="no")


def make_accelerator(arguments: TrainingArguments, output: Path) -> Accelerator:
    """Devices and processes, as the launcher set them up.

    Raises:
        TrainingError: where fewer or more processes run than were asked for, or the tracker is not there.
    """
    name = arguments.tracker
    trackers = [str(tracker) for tracker in get_available_trackers()]
    if name != "none" and name not in trackers:
        raise TrainingError(f"tracker {name!r} is not known or not installed; there are {['none', *trackers]}")
    accelerator = Accelerator(
        cpu=arguments.cpu,
        mixed_precision=arguments.mixed_precision or None,
        log_with=None if name == "none" else name,
        project_config=ProjectConfiguration(project_dir=str(output), logging_dir=str(output / "logs")),
        step_scheduler_with_optimizer=False,
    )
    check_world_size(accelerator.num_processes, arguments.num_processes, os.environ)
    if arguments.batch_pairs % accelerator.num_processes:
        raise TrainingError(
            f"batch_pairs {arguments.batch_pairs} does not divide among {accelerator.num_processes} processes"
        )
    return accelerator


def check_world_size(started: int, asked: int, environment: Any) -> None:
    """Compare the processes that train together with those asked for, by option or by the launcher.

    Raises:
        TrainingError: where they differ. Accelerate starts one process, or several that do not know of one another,
            where its configuration and the machine do not fit, and says nothing.
    """
    launched = int(environment.get("WORLD_SIZE", 1))
    if asked and started != asked:
        raise TrainingError(f"{asked} processes were asked for, but {started} trains: see training/README.md")
    if launched != started:
        raise TrainingError(
            f"the launcher started {launched} processes, but each would train alone: the configuration is for GPUs "
            "that this machine does not have; training/accelerate/cpu_two_processes.yaml with --cpu is for the CPU"
        )
    # The launcher sets the address only where it was asked for several processes.
    if "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment and started == 1:
        raise TrainingError(
            "several processes were asked for, but `accelerate launch --cpu` starts one: use "
            "`accelerate launch --config_file training/accelerate/cpu_two_processes.yaml` with --cpu"
        )


def make_model(
    arguments: TrainingArguments, start_from: str | None, revision: str | None
) -> tuple[TelescopeForContrastiveLearning, FlowTokenizer]:
    """A new model as the recipe describes it, or one that exists.

    Raises:
        CheckpointError: where the model to start from cannot be loaded.
        TrainingError: where the recipe's model is not a valid configuration.
    """
    if start_from is not None:
        try:
            model = TelescopeForContrastiveLearning.from_pretrained(start_from, revision=revision or "main")
            tokenizer = FlowTokenizer.from_pretrained(start_from, revision=revision or "main")
        # What the libraries raise has no common base, down to the parser's own errors.
        except Exception as error:
            raise CheckpointError(f"cannot start from {start_from}: {str(error).splitlines()[0]}") from error
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
    return TelescopeForContrastiveLearning(config), FlowTokenizer(config.fields)


def make_batches(
    accelerator: Accelerator, paths: Namespace, arguments: TrainingArguments, tokenizer: FlowTokenizer
) -> tuple[PairBatches | MixedBatches, int]:
    """Batches of this process from all datasets, and the number of records that they draw from."""
    cache, datasets = paths.cache or Path(paths.output) / "cache", paths.dataset
    folders = [cache / str(number) for number in range(len(datasets))] if len(datasets) > 1 else [cache]
    with accelerator.main_process_first(), disk_errors(cache):
        if accelerator.is_local_main_process:
            for dataset, folder in zip(datasets, folders, strict=True):
                build_store(dataset, paths.split, tokenizer, folder)
    stores = [open_store(folder) for folder in folders]
    rank, processes = accelerator.process_index, accelerator.num_processes
    # What one of the datasets shows is learnt from it, and not made up for the others.
    invented = lacking(stores, tokenizer) if arguments.invention else set()
    parts = []
    for number, store in enumerate(stores):
        grouped = arguments.sibling_pairs > 0 or arguments.ignore_siblings
        networks = networks_of(store.sources) if grouped else None
        names = {entry.name for entry in dataclasses.fields(PairOptions)} - {"seed"}
        told = {name: getattr(arguments, name) for name in names}
        sampler = PairSampler(store.offsets, PairOptions(**told, seed=arguments.seed + number), networks)
        groups = networks if arguments.ignore_siblings else None
        rates = arguments.field_dropout
        invent = Invention(store, tokenizer, sampler.options, invented, arguments.invention) if invented else None
        part = PairBatches(
            store, sampler, tokenizer, rank, processes, field_dropout=rates, groups=groups, invent=invent
        )
        parts.append(part)
    records = sum(int(store.offsets[-1]) for store in stores)
    return (parts[0] if len(parts) == 1 else MixedBatches(parts, arguments.mix, arguments.seed)), records


def fits_discriminant(config: TelescopeConfig, parts: Sequence[PairBatches], start_from: str | None) -> bool:
    """Whether the directions of the head are to be fitted after training; told before it.

    Raises:
        TrainingError: where a new model has directions to be fitted, and too little data for them.
    """
    try:
        check_enough(config, parts)
    except TrainingError as error:
        if start_from is None:
            raise
        warnings.warn(f"{error}: those of {start_from} are kept", stacklevel=2)
        return False
    return config.discriminant_size > 0


def train(paths: Namespace, arguments: TrainingArguments) -> dict[str, Any]:
    """Train as told; returns the last line of the log.

    Raises:
        TelescopeError: as the modules that it calls say.
    """
    output = Path(paths.output)
    with disk_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    arguments = with_precision_of_device(arguments)
    accelerator = make_accelerator(arguments, output)
    # The same weights in every process; the random numbers of dropout differ from here on.
    set_seed(arguments.seed)
    model, tokenizer = make_model(arguments, paths.start_from, paths.revision)
    model.set_attn_implementation(arguments.attention)
    set_seed(arguments.seed, device_specific=True)
    if arguments.max_records > model.config.max_position_embeddings:
        raise TrainingError(
            f"max_records {arguments.max_records} exceeds max_position_embeddings "
            f"{model.config.max_position_embeddings} of the model"
        )
    data, records = make_batches(accelerator, paths, arguments, tokenizer)
    parts = data.parts if isinstance(data, MixedBatches) else [data]
    refit = fits_discriminant(model.config, parts, paths.start_from)
    identity = arguments.to_dict() | {"start_from": paths.start_from, "records": records}
    trainer = Trainer(accelerator, model, data, arguments, output, identity)
    accelerator.init_trackers("telescope", config={name: str(value) for name, value in identity.items()})
    record = trainer.run()
    if refit and accelerator.is_main_process:
        fit_discriminant(model, parts)
    save_model(accelerator, trainer, tokenizer, output, identity | {"result": record})
    accelerator.end_training()
    return record


def save_model(
    accelerator: Accelerator, trainer: Trainer, tokenizer: FlowTokenizer, output: Path, facts: dict[str, Any]
) -> None:
    """Save model, tokenizer and `training.json`."""
    weights = accelerator.get_state_dict(trainer.model)
    if not accelerator.is_main_process:
        return
    libraries = ("torch", "transformers", "accelerate", "telescope-transformer")
    with disk_errors(output):
        accelerator.unwrap_model(trainer.model).save_pretrained(output, state_dict=weights)
        tokenizer.save_pretrained(output)
        versions = {name: version(name) for name in libraries}
        (output / "training.json").write_text(json.dumps(facts | {"versions": versions}, indent=2))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parsed = parser().parse_args(argv)
    transformers_logging.disable_progress_bar()
    try:
        train(parsed, arguments_of(parsed))
    except TelescopeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    finally:
        if torch.distributed.is_initialized():
            # A wrapped model that outlives the group ends it while it holds the interpreter's lock, for which the
            # group's own thread may be waiting: the process would never end.
            gc.collect()
            torch.distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
