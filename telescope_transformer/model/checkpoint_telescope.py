"""Checks while weights are loaded. Every fault raises an error that names the checkpoint.

If weights lack parameters, transformers prints a warning and leaves these parameters random. The embeddings of such a
model look like any others, so missing parameters are an error here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from .sharing_telescope import SharedWithCode


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Hide the warnings of transformers about missing and unexpected parameters, which become errors here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


class CheckedPreTrainedModel(SharedWithCode, PreTrainedModel):  # type: ignore[misc]
    """Refuses weights that are damaged, have other shapes, or lack parameters."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *args: Any,
        output_loading_info: bool = False,
        ignore_mismatched_sizes: bool = False,
        new_head: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load as in transformers, but refuse to leave parameters random.

        With `new_head`, those outside of the base model may be random: the projection head, or the layers that a
        subclass adds for another task.

        Raises:
            OSError: if a file is missing or damaged, or the Hub has no such file, revision or repository.
            ValueError: if the checkpoint is of another architecture or another format version, or lacks parameters.
        """
        name = pretrained_model_name_or_path
        try:
            with _without_load_report():
                loaded: Any = super().from_pretrained(
                    name, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
                )
        except SafetensorError as error:
            raise OSError(f"{name}: model.safetensors is damaged: {error}") from error
        model, info = loaded
        mismatched = sorted(info["mismatched_keys"])
        if mismatched and not ignore_mismatched_sizes:
            key, found, wanted = mismatched[0]
            raise ValueError(f"{name}: {key!r} has shape {list(found)}, and config.json says {list(wanted)}")
        missing = set(info["missing_keys"])
        head = {key for key in missing if _is_of_head(model, key)}
        lacking = sorted(missing - head if new_head else missing)
        if lacking:
            advice = "; with new_head=True they begin with random values" if head.issuperset(lacking) else ""
            raise ValueError(
                f"{name}: weights lack {len(lacking)} parameters of the model, the first {lacking[0]!r}{advice}"
            )
        return (model, info) if output_loading_info else model


def _is_of_head(model: PreTrainedModel, key: str) -> bool:
    """Whether a parameter is outside of the base model, such as one of the projection head."""
    return model.base_model is not model and not key.startswith(f"{model.base_model_prefix}.")
