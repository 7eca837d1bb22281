"""The files of a model: load them, save them, and tell by a digest whether they are the same."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from telescope_transformer.errors import CheckpointError, reason
from telescope_transformer.files import file_digest, write_text
from telescope_transformer.hub import SHIPPED_CHECKPOINT, checkpoint_folder, load_pretrained, weight_files
from telescope_transformer.hub.checkpoints import TOKENIZER_FILES
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning, WindowEncoder

# oneDNN keeps the code that it compiles for each shape of a tensor, by default for the last 1,024 shapes. These small
# blocks lie between the freed tensors of earlier batches, whose memory can then not be used again: an analysis takes
# 60 MB more. Four are enough for one batch, and compiling takes little time.
COMPILED_SHAPES = 4
# Facts about the adaptation that produced a checkpoint, stored in its folder (`learning.adapt`).
ADAPTATION_FILE = "adaptation.json"


def load_model(
    model: str | Path | None = SHIPPED_CHECKPOINT,
) -> tuple[TelescopeForContrastiveLearning, FlowTokenizer]:
    """Load a model and its tokenizer, in evaluation mode and in float32, whatever precision it was saved in.

    Args:
        model: as for `hub.checkpoint_folder`.

    Raises:
        CheckpointError: if it is missing, damaged or of another architecture, if model and tokenizer do not match, or
            if a weight is not a finite number.
        HubError: if a Hub id cannot be downloaded.
    """
    folder = checkpoint_folder(model)
    loaded, _ = load_network(folder)
    tokenizer = load_pretrained(FlowTokenizer, folder)
    if tokenizer.fields != loaded.config.fields:
        raise CheckpointError(
            f"{folder}: the tokenizer has the fields {tokenizer.fields}, but the model reads {loaded.config.fields}"
        )
    return loaded, tokenizer


def load_network(
    model: str | Path | None = SHIPPED_CHECKPOINT,
) -> tuple[TelescopeForContrastiveLearning, WindowEncoder]:
    """Load a model as `load_model` does, and what encodes windows for it, without the vocabulary of its tokenizer.

    Args:
        model: as for `hub.checkpoint_folder`.

    Raises:
        CheckpointError: if it is missing, damaged or of another architecture, or if a weight is not a finite number.
        HubError: if a Hub id cannot be downloaded.
    """
    # oneDNN reads this when it is first used.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(COMPILED_SHAPES))
    folder = checkpoint_folder(model)
    with without_bars():
        loaded = load_pretrained(TelescopeForContrastiveLearning, folder, dtype=torch.float32)
    odd = [name for name, weights in loaded.state_dict().items() if not np.isfinite(weights.numpy()).all()]
    if odd:
        raise CheckpointError(f"{folder}: the weights {odd[0]} hold values that are not finite numbers")
    return loaded.eval(), WindowEncoder(loaded.config.fields)


def save_checkpoint(
    folder: str | Path,
    model: TelescopeForContrastiveLearning,
    tokenizer: FlowTokenizer | Path,
    beside: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> None:
    """Write what `load_model` reads.

    Args:
        folder: created if it does not exist.
        model: the model, whose weights and configuration are written.
        tokenizer: its tokenizer, or the folder of a checkpoint with the same tokenizer, which is copied.
        beside: further files by name, such as calibration.json, with their content; None removes a file that an
            earlier checkpoint left.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with without_bars():
            model.save_pretrained(folder)
        if not isinstance(tokenizer, Path):
            tokenizer.save_pretrained(folder)
        elif not folder.samefile(tokenizer):
            for name in TOKENIZER_FILES:
                shutil.copyfile(tokenizer / name, folder / name)
        for name, values in (beside or {}).items():
            if values is None:
                (folder / name).unlink(missing_ok=True)
            else:
                write_text(folder / name, json.dumps(values, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write {folder}: {reason(error)}") from error


def tokenizer_for(config: TelescopeConfig) -> FlowTokenizer:
    """A new tokenizer for a model of this configuration: of its fields, and truncating where the model ends."""
    return FlowTokenizer(config.fields, model_max_length=config.max_position_embeddings)


@contextmanager
def without_bars() -> Iterator[None]:
    """Hide the progress bars of transformers, since a small model loads in an instant."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def checkpoint_digest(model: str | Path | None) -> str:
    """Digest of the files of a checkpoint that embeddings depend on: configuration and weights.

    Raises:
        CheckpointError, HubError: if there is no such checkpoint.
    """
    folder = checkpoint_folder(model)
    return " ".join(file_digest(path) for path in [folder / "config.json", *weight_files(folder)])
