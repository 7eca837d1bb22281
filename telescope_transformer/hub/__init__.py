"""Checkpoints, prepared datasets and metrics on the Hugging Face Hub: upload with `hub.push.push`, and download."""

from telescope_transformer.hub.retries import redact, with_retries
from telescope_transformer.hub.transfers import checkpoint_folder, download, load_pretrained, push_folder

__all__ = ["checkpoint_folder", "download", "load_pretrained", "push_folder", "redact", "with_retries"]
