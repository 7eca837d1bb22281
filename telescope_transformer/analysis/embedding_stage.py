"""The stage of embeddings: the windows of a prepared dataset, a block at a time, into one array on disk."""

import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer import embedding
from telescope_transformer.analysis.settings import AnalysisSettings, Say, counted
from telescope_transformer.analysis.work import EMBEDDINGS, MODEL, made_of, run_stage
from telescope_transformer.embedding import ADAPTATION_FILE
from telescope_transformer.errors import DatasetError
from telescope_transformer.files import file_digest, write_text
from telescope_transformer.preparation import EngineSettings, read_blocks, read_manifest
from telescope_transformer.preparation.manifest import MANIFEST
from telescope_transformer.windows import Windows

# Windows that are embedded at a time. Batches are made within a block, so that the same windows give the same
# embeddings to the last bit, whatever the shards.
BLOCK = 16_384
# Windows that adaptation draws from: more than the 102,400 that 200 steps of 256 pairs show it.
MOST_LEARNED = 10 * BLOCK
ARRAY, PROGRESS, PARTS = "embeddings.npy", "progress.json", "parts"

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


def adapt_stage(work: Path, settings: AnalysisSettings, say: Say) -> str | None:
    """Adapt the shipped model to the windows of a work folder, or take the adapted one that is there.

    Returns:
        The checkpoint that embeds the windows: `work / "model"`, or what the settings say if nothing was adapted.
    """
    if settings.model is not None:
        return settings.model
    steps = settings.training_steps
    ingredients = {
        "dataset": file_digest(work / MANIFEST),
        "checkpoint": embedding.checkpoint_digest(None),
        "steps": steps,
        "seed": settings.seed,
    }

    def build(partial: Path) -> None:
        # Training brings libraries that an analysis with a given model does without.
        from telescope_transformer.learning.adapt import AdaptSettings, adapt

        run = partial / "run"
        adapting = AdaptSettings(steps=steps, seed=settings.seed)
        found = adapt(_first_windows(work), settings=adapting, folder=run, say=say)
        shutil.rmtree(run, ignore_errors=True)
        if found.changed:
            found.save(partial)
        else:
            write_text(partial / ADAPTATION_FILE, json.dumps(found.facts, indent=1) + "\n")

    if not run_stage(work / MODEL, ingredients, build):
        say("using the adapted model that is there")
    return str(work / MODEL) if (work / MODEL / "config.json").is_file() else None


def adaptation_facts(work: Path) -> dict[str, Any]:
    """What adaptation to the windows of a work folder brought; says that nothing was adapted if there was none.

    Raises:
        DatasetError: if the file is damaged.
    """
    path = work / MODEL / ADAPTATION_FILE
    if not path.is_file():
        return {"adapted": False}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: no facts of an adaptation: {error}") from error


def unseen_windows(work: Path, model: str | None, sources: pa.ChunkedArray) -> np.ndarray:
    """Which windows are of sources that the model did not learn from, bool (n,).

    Args:
        work: folder with the windows.
        model: the checkpoint that embeds them; only the one in the folder learned from any.
        sources: (n,) their sources, in order.
    """
    facts = adaptation_facts(work)
    if not facts["adapted"] or model != str(work / MODEL):
        return np.ones(len(sources), dtype=bool)
    from telescope_transformer.learning.held_out import keep_out

    known = pc.unique(sources.slice(0, MOST_LEARNED))
    learned = known.filter(pa.array(~keep_out(known, facts["hold_out"], facts["seed"])))
    return ~pc.is_in(sources, value_set=learned).to_numpy()


def _first_windows(work: Path) -> Windows:
    """The first windows of a work folder, those of a random part of the sources where there are very many."""
    blocks = list(islice(read_blocks(work, BLOCK), -(-MOST_LEARNED // BLOCK)))
    return Windows.from_table(pa.concat_tables([block.to_table() for block in blocks]))


def embed_stage(work: Path, embed: Embedder, say: Say, engine: EngineSettings | None = None) -> np.ndarray:
    """Embed the windows of a work folder, or take what is there.

    Args:
        work: the folder.
        embed: the checkpoint.
        say: told what is done.
        engine: where windows are embedded: on the executors of Spark, or here.

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
        if engine is not None and engine.engine == "spark":
            _embed_on_spark(work, number, embed, partial, engine)
        else:
            embed_blocks(work, number, embed, partial)

    if not run_stage(work / EMBEDDINGS, ingredients, build):
        say(f"using the embeddings of {counted(number, 'window')} that are there")
    return open_embeddings(work, number)


def embed_blocks(work: Path, number: int, embed: Embed, folder: Path) -> None:
    """Write `ARRAY` into the folder; blocks that an interrupted run wrote are not computed again."""
    done = (
        json.loads((folder / PROGRESS).read_text(encoding="utf-8"))["windows"] if (folder / PROGRESS).is_file() else 0
    )
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


def _embed_on_spark(work: Path, number: int, embed: Embedder, folder: Path, engine: EngineSettings) -> None:
    """Write `ARRAY` into the folder from what the executors made; they go on with what an interrupted run left."""
    from telescope_transformer.analysis.spark_stages import embed_on_spark

    files = embed_on_spark(work, embed.model, engine, folder / PARTS, BLOCK)
    begin, vectors = 0, None
    for file in files:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        if vectors is None:
            shape = (number, values.shape[1])
            vectors = np.lib.format.open_memmap(folder / ARRAY, mode="w+", dtype=np.float32, shape=shape)
        vectors[begin : begin + len(values)] = values
        begin += len(values)
    if vectors is not None:
        vectors.flush()
    shutil.rmtree(folder / PARTS)


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
