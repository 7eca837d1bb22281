"""The embedding stage: embed the windows of a prepared dataset block by block, into one array on disk."""

import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer import embedding, model_files
from telescope_transformer.analysis.settings import AnalysisSettings
from telescope_transformer.analysis.work import EMBEDDINGS, MODEL, advice, made_of, run_stage
from telescope_transformer.arrays import create_array, load_array
from telescope_transformer.calibration import Calibration
from telescope_transformer.errors import DatasetError, reason
from telescope_transformer.files import file_digest, read_json, write_text
from telescope_transformer.hub import SHIPPED, SHIPPED_CHECKPOINT, checkpoint_folder
from telescope_transformer.memory import release_memory
from telescope_transformer.model_calibration import calibrate_telescope
from telescope_transformer.model_files import ADAPTATION_FILE
from telescope_transformer.placement import Embed
from telescope_transformer.preparation import EngineSettings, read_blocks, read_manifest
from telescope_transformer.preparation.manifest import MANIFEST
from telescope_transformer.progress import Say
from telescope_transformer.report.summary_check import ADAPTATION
from telescope_transformer.shapes import check_shape
from telescope_transformer.similarity import UNIT_TOLERANCE, row_blocks
from telescope_transformer.windows import Windows
from telescope_transformer.words import counted

# Windows that are embedded at a time: 8 MB of vectors. Batches stay within a block, so that the embeddings are the
# same to the last bit for any number of shards.
BLOCK = 16_384
# Windows that adaptation samples from. In 200 steps of 256 pairs it sees 102,400, which is fewer.
MOST_LEARNED = 10 * BLOCK
ARRAY, PROGRESS, PARTS = "embeddings.npy", "progress.json", "parts"


class LazyEmbedder:
    """Embeds windows, float32 (n_windows, dimensions), with a checkpoint that is loaded on first use.

    Args:
        model: directory or Hub id of a checkpoint; None is the shipped one.
    """

    def __init__(self, model: str | None):
        self.model = model
        self._embed: Embed | None = None

    def check(self) -> None:
        """Read a checkpoint that was named, and what is beside it, so that a fault is found before records are read.

        The shipped one is read when it is first needed, which it is not if another is made from it.

        Raises:
            CheckpointError: if a file is missing or damaged.
            DatasetError: if the file that describes the adaptation is damaged.
            HubError: if a Hub id cannot be downloaded.
        """
        if self.model is not None:
            self._loaded()

    def _loaded(self) -> Embed:
        if self._embed is None:
            folder = checkpoint_folder(self.model)
            loaded = model_files.load_network(folder)
            Calibration.load(folder)
            adaptation_facts(folder)
            self._embed = lambda table: embedding.embed_windows(*loaded, table, progress=False)
        return self._embed

    def __call__(self, windows: pa.Table) -> np.ndarray:
        vectors = self._loaded()(windows)
        # The freed tensors of the batches would otherwise stay until the peak of a later stage.
        release_memory()
        return vectors

    @property
    def digest(self) -> str:
        """Digest of the files that the embeddings depend on."""
        return model_files.checkpoint_digest(self.model)


def adapt_stage(work: Path, settings: AnalysisSettings, say: Say) -> str | None:
    """Adapt the shipped model to the windows of a work folder, or use the adapted model that is already there.

    Returns:
        The checkpoint that embeds the windows: `work / "model"`, or that of the settings if nothing was adapted.
    """
    if settings.model is not None:
        return settings.model
    steps = settings.training_steps
    ingredients = {
        "dataset": file_digest(work / MANIFEST),
        "checkpoint": model_files.checkpoint_digest(None),
        "steps": steps,
        "seed": settings.seed,
    }

    def build(partial: Path) -> None:
        # Imported here because an analysis with a given model does not need the libraries for training.
        from telescope_transformer.learning.adapt import AdaptSettings, adapt

        run = partial / "run"
        adapting = AdaptSettings(steps=steps, seed=settings.seed)
        # The clustering stage calibrates the model.
        found = adapt(_first_windows(work), settings=adapting, folder=run, calibrated=False, say=say)
        shutil.rmtree(run, ignore_errors=True)
        if found.changed:
            found.save(partial)
        else:
            write_text(partial / ADAPTATION_FILE, json.dumps(found.facts, indent=1) + "\n")

    if not run_stage(work / MODEL, ingredients, build):
        say("using the existing model")
    return str(work / MODEL) if (work / MODEL / "config.json").is_file() else None


def adaptation_facts(folder: Path) -> dict[str, Any]:
    """How the checkpoint in a folder was adapted. Without an adaptation, it says that nothing was adapted.

    Raises:
        DatasetError: if the file is damaged.
    """
    path = folder / ADAPTATION_FILE
    if not path.is_file():
        return {"adapted": False}
    try:
        facts: dict[str, Any] = read_json(path)
        check_shape(facts, ADAPTATION)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} does not describe an adaptation: {reason(error)}") from error
    return facts


def unseen_windows(model: str | None, sources: pa.ChunkedArray) -> np.ndarray | None:
    """Mask of the windows whose sources the model has certainly not learned from, bool (n,); None means all.

    The shipped model has learned from none of a user's sources. If it was adapted to the same sources, the held-out
    ones are known. Any other model may have learned from any of them.

    Args:
        model: the checkpoint that embeds the windows.
        sources: (n,) sources of the windows, in order.

    Raises:
        DatasetError: if the file that describes the adaptation is damaged.
    """
    folder = checkpoint_folder(model)
    facts = adaptation_facts(folder)
    from_shipped = facts.get("base") == SHIPPED or facts.get("from_scratch") is True
    if folder == SHIPPED_CHECKPOINT or (from_shipped and not facts.get("adapted")):
        return None
    if from_shipped:
        # Imported here because an analysis with the shipped model does not need the libraries for training.
        from telescope_transformer.learning.held_out import digest_of_sources, keep_out

        # `analyze` adapts to the first windows, `telescope adapt` to all.
        for given in (pc.unique(sources.slice(0, MOST_LEARNED)), pc.unique(sources)):
            if digest_of_sources(given) == facts.get("sources_digest"):
                try:
                    kept = keep_out(given, float(facts["hold_out"]), int(facts["seed"]))
                except (KeyError, TypeError, ValueError) as error:
                    raise DatasetError(
                        f"{folder / ADAPTATION_FILE} does not say what was held out: {error}"
                    ) from error
                learned: np.ndarray = ~pc.is_in(sources, value_set=given.filter(pa.array(~kept))).to_numpy()
                return learned
    return np.zeros(len(sources), dtype=bool)


def calibration_of_adapted(work: Path, seed: int) -> Calibration | None:
    """A calibration of the model that was adapted in a work folder, fitted to windows cut to eight records.

    If there are few records, these are more windows than the folder has. None if there are still too few.
    """
    windows = _first_windows(work).to_table()
    mask = unseen_windows(str(work / MODEL), windows["source"])
    unseen = None if mask is None else pc.unique(windows["source"].filter(pa.array(mask)))
    return calibrate_telescope(*model_files.load_network(work / MODEL), windows, unseen=unseen, seed=seed)


def _first_windows(work: Path) -> Windows:
    """The first windows of a work folder. If there are more, they belong to a random part of the sources."""
    blocks = list(islice(read_blocks(work, BLOCK), -(-MOST_LEARNED // BLOCK)))
    return Windows.from_table(pa.concat_tables([block.to_table() for block in blocks]))


def embed_stage(work: Path, embed: LazyEmbedder, say: Say, engine: EngineSettings | None = None) -> np.ndarray:
    """Embed the windows of a work folder, or use the embeddings that are already there.

    Args:
        work: the work folder.
        embed: the checkpoint.
        say: called with a message about each step.
        engine: embeds on the executors of Spark, if it is Spark; otherwise this process embeds.

    Returns:
        float32 (n_windows, dimensions), in the order of the windows, memory-mapped.

    Raises:
        DatasetError: if the folder is not a prepared dataset, or its embeddings are damaged.
    """
    manifest = read_manifest(work)
    number = sum(file.windows for file in manifest.files_of())
    ingredients = {
        "dataset": file_digest(work / MANIFEST),
        "model": _recorded(work, embed.model),
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
        say(f"using the existing embeddings of {counted(number, 'window')}")
    return open_embeddings(work, number)


def embed_blocks(work: Path, number: int, embed: Embed, folder: Path) -> None:
    """Write `ARRAY` into the folder; blocks that an interrupted run has written are kept."""
    try:
        done = read_json(folder / PROGRESS)["windows"]
        vectors: Any = load_array(folder / ARRAY, "r+") if done else None
    except (OSError, ValueError, LookupError, TypeError):
        # Nothing was written yet, or it cannot be used.
        done, vectors = 0, None
    begin = 0
    for block in read_blocks(work, BLOCK):
        end = begin + len(block)
        if end > done:
            values = embed(block.to_table())
            if vectors is None:
                shape = (number, values.shape[1])
                vectors = create_array(folder / ARRAY, np.float32, shape)
            vectors[begin:end] = values
            vectors.flush()
            write_text(folder / PROGRESS, json.dumps({"windows": end}))
        begin = end


def _embed_on_spark(work: Path, number: int, embed: LazyEmbedder, folder: Path, engine: EngineSettings) -> None:
    """Embed on the executors and write `ARRAY` into the folder; parts of an interrupted run are kept."""
    from telescope_transformer.analysis.spark_stages import embed_on_spark

    files = embed_on_spark(work, embed.model, engine, folder / PARTS, BLOCK)
    begin, vectors = 0, None
    for file in files:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        if vectors is None:
            shape = (number, values.shape[1])
            vectors = create_array(folder / ARRAY, np.float32, shape)
        vectors[begin : begin + len(values)] = values
        begin += len(values)
    if vectors is not None:
        vectors.flush()
    shutil.rmtree(folder / PARTS)


def model_of(work: Path) -> str | None:
    """The checkpoint that made the embeddings of a work folder.

    Raises:
        DatasetError: if the folder has no embeddings.
    """
    found = made_of(work / EMBEDDINGS)
    model = (found or {}).get("model", "")
    if model == "" or not isinstance(model, str | None):
        raise DatasetError(f"{work} has no embeddings; {advice(work / EMBEDDINGS, 'embed')}")
    return str(work / MODEL) if model == MODEL else model


def _recorded(work: Path, model: str | None) -> str | None:
    """The name of a checkpoint to store: valid even if the work folder is renamed or the process starts elsewhere."""
    if model is None or not Path(model).is_dir():
        return model
    return MODEL if model == str(work / MODEL) else os.path.abspath(model)


def open_embeddings(work: Path, number: int, *, mode: Literal["r", "c"] = "r") -> np.ndarray:
    """Memory-map the embeddings of a work folder.

    Args:
        work: the work folder.
        number: number of windows.
        mode: of `numpy.memmap`: "r" to read, or "c" to change them in memory, but not on disk.

    Raises:
        DatasetError: if there are none, they are damaged, or they are of other windows than the folder now has.
    """
    folder = work / EMBEDDINGS
    path = folder / ARRAY
    try:
        vectors = load_array(path, mode)
        if vectors.ndim != 2 or len(vectors) != number or not vectors.shape[1] or vectors.dtype != np.float32:
            raise ValueError(f"{vectors.dtype} {vectors.shape} are not embeddings of {counted(number, 'window')}")
        _check_lengths(vectors)
    except (OSError, ValueError) as error:
        told = f"{path}: the embeddings cannot be read: {reason(error)}; {advice(folder, 'embed')}"
        raise DatasetError(told) from error
    if (made_of(folder) or {}).get("dataset") != file_digest(work / MANIFEST):
        raise DatasetError(f"{folder} was made from other windows than {work} holds now: run telescope embed {work}")
    return vectors


def _check_lengths(vectors: np.ndarray) -> None:
    """Raise a ValueError if a row is not of length 1; a row of zeros is no direction and allowed."""
    for rows in row_blocks(len(vectors), vectors.shape[1]):
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(vectors[rows], axis=1)
        wrong = np.flatnonzero((lengths != 0) & ~(np.abs(lengths - 1) < UNIT_TOLERANCE))
        if len(wrong):
            raise ValueError(f"row {rows.start + wrong[0]} has length {lengths[wrong[0]]:.3g}, not 1")
