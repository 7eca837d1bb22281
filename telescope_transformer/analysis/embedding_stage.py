"""The stage of embeddings: the windows of a prepared dataset, a block at a time, into one array on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from telescope_transformer import embedding
from telescope_transformer.analysis.settings import Say, Settings, counted
from telescope_transformer.analysis.work import EMBEDDINGS, made_of, run_stage
from telescope_transformer.errors import DatasetError
from telescope_transformer.files import file_digest, write_text
from telescope_transformer.preparation import read_blocks, read_manifest
from telescope_transformer.preparation.manifest import MANIFEST

# Windows that are embedded at a time. Batches are made within a block, so that the same windows give the same
# embeddings to the last bit, whatever the shards.
BLOCK = 16_384
ARRAY, PROGRESS = "embeddings.npy", "progress.json"

Embed = Callable[[pa.Table], np.ndarray]


class Embedder:
    """Windows to embeddings, float32 (n_windows, dimensions), by a checkpoint that is loaded when it is first needed.

    Args:
        model: directory or Hub name of a checkpoint; None is the one that the package ships.
    """

    def __init__(self, model: str | None):
        self.model = model
        self._embed: Embed | None = None

    def __call__(self, windows: pa.Table) -> np.ndarray:
        if self._embed is None:
            model, tokenizer = embedding.load_model(self.model)
            self._embed = lambda table: embedding.embed_windows(model, tokenizer, table, progress=False)
        return self._embed(windows)

    @property
    def digest(self) -> str:
        """Digest of what the embeddings depend on."""
        return embedding.checkpoint_digest(self.model)


def adapt_stage(work: Path, settings: Settings, say: Say) -> str | None:
    """The checkpoint that embeds the windows of a work folder: that of the settings.

    Adaptation to the windows at hand goes here: it keeps its checkpoint in `work / "model"` and returns that path.
    """
    return settings.model


def embed_stage(work: Path, embed: Embedder, say: Say) -> np.ndarray:
    """Embed the windows of a work folder, or take what is there.

    Returns:
        float32 (n_windows, dimensions), in the order of the windows, mapped from the disk.

    Raises:
        DatasetError: if the folder is no prepared dataset, or its embeddings are damaged.
    """
    manifest = read_manifest(work)
    number = sum(file.windows for file in manifest.files_of())
    ingredients = {
        "dataset": file_digest(work / MANIFEST),
        "model": embed.model,
        "checkpoint": embed.digest,
        "windows": number,
    }

    def build(partial: Path) -> None:
        say(f"embedding {counted(number, 'window')}")
        embed_blocks(work, number, embed, partial)

    if not run_stage(work / EMBEDDINGS, ingredients, build):
        say(f"using the embeddings of {counted(number, 'window')} that are there")
    return open_embeddings(work, number)


def embed_blocks(work: Path, number: int, embed: Embed, folder: Path) -> None:
    """Write `ARRAY` into the folder; blocks that an interrupted run wrote are not computed again."""
    done = json.loads((folder / PROGRESS).read_text())["windows"] if (folder / PROGRESS).is_file() else 0
    vectors = np.load(folder / ARRAY, mmap_mode="r+") if done else None
    begin = 0
    for block in read_blocks(work, BLOCK):
        end = begin + len(block)
        if end > done:
            values = embed(block.to_table())
            if vectors is None:
                shape = (number, values.shape[1])
                vectors = np.lib.format.open_memmap(folder / ARRAY, mode="w+", dtype=np.float32, shape=shape)
            vectors[begin:end] = values
            vectors.flush()
            write_text(folder / PROGRESS, json.dumps({"windows": end}))
        begin = end


def model_of(work: Path) -> str | None:
    """The checkpoint that made the embeddings of a work folder.

    Raises:
        DatasetError: if it has none.
    """
    found = made_of(work / EMBEDDINGS)
    if found is None or "model" not in found:
        raise DatasetError(f"{work} has no embeddings; run telescope embed {work}")
    return found["model"]


def open_embeddings(work: Path, number: int) -> np.ndarray:
    """The embeddings of a work folder, mapped from the disk.

    Raises:
        DatasetError: if there are none, or not so many.
    """
    path = work / EMBEDDINGS / ARRAY
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: no embeddings: {error}; run telescope embed {work}") from error
    if vectors.ndim != 2 or len(vectors) != number or vectors.dtype != np.float32:
        raise DatasetError(f"{path}: {vectors.dtype} {vectors.shape} are not embeddings of {number} windows")
    return vectors
