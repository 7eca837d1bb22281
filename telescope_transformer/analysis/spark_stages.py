"""Embedding and the assignment of windows to clusters on a Spark cluster.

The work folder must be at the same path on the driver and all executors, as for preparation. Executors embed a file of
windows at a time, with the checkpoint broadcast once to each worker, and leave the vectors beside the array that the
driver puts together. The core of the clustering is solved on the driver; executors find the cluster that attracts each
other window most, a range of windows at a time.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp
from typing import TYPE_CHECKING, Any

import numpy as np

from telescope_transformer.embedding import checkpoint_digest, embed_windows, load_model, resolve_checkpoint
from telescope_transformer.preparation import EngineSettings, read_blocks, read_manifest
from telescope_transformer.preparation.spark import run_tasks, session_at

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Windows that a task assigns: 128 MB of vectors of 128 dimensions, seconds of work.
RANGE = 2**18

Task = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]


@contextmanager
def spark_over(work: Path, engine: EngineSettings, what: str) -> Iterator["SparkSession"]:
    """A session whose spilled data lie in the work folder."""
    # One name for all sessions: Spark's JVM makes the folder of its first session again for later ones.
    scratch = work / ".spark"
    scratch.mkdir(exist_ok=True)
    try:
        with session_at(engine, scratch, f"telescope {what}") as session:
            yield session
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True)
class _Shared:
    """A broadcast checkpoint, told by its digest, so that a worker loads it once."""

    digest: str
    files: Any = field(compare=False)


def embed_on_spark(work: Path, model: str | None, engine: EngineSettings, parts: Path, block: int) -> list[Path]:
    """Embed the windows of a work folder on the executors; a `.npy` file for each file of windows, in their order.

    Args:
        work: folder with the windows.
        model: directory or Hub name of a checkpoint; None is the one that the package ships.
        engine: of Spark.
        parts: folder for the files. Those that an interrupted run left there are not made again.
        block: windows that are embedded at a time.
    """
    parts.mkdir(exist_ok=True)
    number = len(read_manifest(work).files_of())
    folder = resolve_checkpoint(model)
    checkpoint = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    with spark_over(work, engine, "embed") as session:
        shared = _Shared(checkpoint_digest(model), session.sparkContext.broadcast(checkpoint))

        def embed_file(at: int) -> dict[str, Any]:
            target = parts / f"{at:06d}.npy"
            if not target.exists():
                _save(target, _embedded(work, at, shared, block))
            return {}

        run_tasks(session, embed_file, number)
    return [parts / f"{at:06d}.npy" for at in range(number)]


def _embedded(work: Path, file: int, checkpoint: _Shared, block: int) -> np.ndarray:
    embed = _loaded(checkpoint)
    return np.concatenate([embed(windows.to_table()) for windows in read_blocks(work, block, file=file)])


@cache
def _loaded(shared: _Shared) -> Callable[[Any], np.ndarray]:
    with TemporaryDirectory(prefix="telescope-model-") as folder:
        for name, content in shared.files.value.items():
            (Path(folder) / name).write_bytes(content)
        model, tokenizer = load_model(folder)
    return lambda windows: embed_windows(model, tokenizer, windows, progress=False)


class Executors:
    """Runs a task over the rows of a work folder's embeddings on the executors, as `clustering_stage.by_blocks` does.

    Args:
        work: the folder.
        array: file of the embeddings.
        session: of Spark.
    """

    def __init__(self, work: Path, array: Path, session: "SparkSession"):
        self._work, self._array, self._session = work, array, session

    def __call__(
        self, task: Task, rows: np.ndarray, cells_a_row: int
    ) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        """Rows and what the task gives for them, range by range; see `clustering_stage.by_blocks`."""
        array, ranges = self._array, [rows[first : first + RANGE] for first in range(0, len(rows), RANGE)]
        with TemporaryDirectory(prefix=".assigned-", dir=self._work) as folder:
            # Spark pickles the function with what it uses, and broadcasts that if it is large.
            def assign(at: int) -> dict[str, Any]:
                from telescope_transformer.analysis.clustering_stage import by_blocks

                vectors = np.load(array, mmap_mode="r", allow_pickle=False)
                found = [values for _, values in by_blocks(vectors)(task, ranges[at], cells_a_row)]
                for place, values in enumerate(zip(*found, strict=True)):
                    _save(Path(folder) / f"{at:06d}-{place}.npy", np.concatenate(values))
                return {"arrays": len(found[0])}

            counts = run_tasks(self._session, assign, len(ranges))
            for at, count in enumerate(counts):
                names = [Path(folder) / f"{at:06d}-{place}.npy" for place in range(count["arrays"])]
                yield ranges[at], tuple(np.load(name, allow_pickle=False) for name in names)


def _save(target: Path, values: np.ndarray) -> None:
    """Write an array so that it appears whole: a task may run twice at once."""
    handle, partial = mkstemp(prefix=f".{target.name}-", dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        np.save(file, values)
    os.replace(partial, target)
