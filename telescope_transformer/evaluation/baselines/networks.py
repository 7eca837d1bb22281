"""The transformer as a method."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from telescope_transformer.embedding import embed_windows
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.model import TelescopeConfig, TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_files import load_network


def untrained(seed: int) -> Callable[[WindowSet], Representation]:
    """The paper's preset with random weights."""
    config = TelescopeConfig.paper()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TelescopeForContrastiveLearning(config)
    return partial(embedded, model, WindowEncoder(config.fields))


def trained(model: str | Path | None) -> Callable[[WindowSet], Representation]:
    """A trained model from a directory or Hub id; None is the checkpoint that is shipped with the package.

    Raises:
        CheckpointError: if the model cannot be loaded.
    """
    return partial(embedded, *load_network(model))


def embedded(model: TelescopeForContrastiveLearning, encoder: WindowEncoder, windows: WindowSet) -> Representation:
    """The embeddings of windows by a model."""
    return Representation.of_vectors(embed_windows(model, encoder, windows.table, progress=False))
