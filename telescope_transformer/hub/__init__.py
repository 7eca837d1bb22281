"""Uploads checkpoints, prepared datasets and metrics to the Hugging Face Hub (`hub.push.push`), and downloads them."""

from telescope_transformer.hub.retries import redact, with_retries
from telescope_transformer.hub.transfers import checkpoint_folder, download, load_pretrained, push_folder

__all__ = ["checkpoint_folder", "download", "load_pretrained", "push_folder", "redact", "with_retries"]
