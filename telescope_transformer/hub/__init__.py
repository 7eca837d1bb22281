"""Uploads checkpoints, prepared datasets and metrics to the Hugging Face Hub (`hub.push.push`), and downloads them."""

from telescope_transformer.hub.checkpoints import (
    SHIPPED,
    SHIPPED_CHECKPOINT,
    check_checkpoint,
    checkpoint_folder,
    load_pretrained,
    weight_files,
)
from telescope_transformer.hub.retries import redact, with_retries
from telescope_transformer.hub.transfers import download, push_folder

__all__ = [
    "SHIPPED",
    "SHIPPED_CHECKPOINT",
    "check_checkpoint",
    "checkpoint_folder",
    "download",
    "load_pretrained",
    "push_folder",
    "redact",
    "weight_files",
    "with_retries",
]
