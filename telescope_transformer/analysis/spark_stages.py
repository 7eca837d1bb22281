"""Embed windows and assign them to clusters on a Spark cluster.

The work folder must have the same path on the driver and all executors, as for preparation. Each task embeds one file
of windows, with a checkpoint that is broadcast once per worker, and writes its vectors beside the array that the
driver assembles. The driver solves the core of the clustering; executors find the most attractive cluster for each
other window, a range of windows per task.
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

from telescope_transformer.analysis.assignment import Task, by_blocks
from telescope_transformer.embedding import embed_windows
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.model_files import checkpoint_digest, load_network
from telescope_transformer.preparation import EngineSettings, read_blocks, read_manifest
from telescope_transformer.preparation.spark import run_tasks, session_at

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Windows per assignment task: 128 MB of vectors of 128 dimensions.
RANGE = 2**18


@contextmanager
def spark_over(work: Path, engine: EngineSettings, what: str) -> Iterator["SparkSession"]:
    """A Spark session that spills into the work folder."""
    # The same name for all sessions, because Spark's JVM keeps using the folder of its first session.
    scratch = work / ".spark"
    scratch.mkdir(exist_ok=True)
    try:
        with session_at(engine, scratch, f"telescope {what}") as session:
            yield session
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True)
class _Shared:
    """A broadcast checkpoint, identified by its digest so that each worker loads it once."""

    digest: str
    files: Any = field(compare=False)


def embed_on_spark(work: Path, model: str | None, engine: EngineSettings, parts: Path, block: int) -> list[Path]:
    """Embed the windows of a work folder on the executors; returns a `.npy` file per file of windows, in order.

    Args:
        work: folder with the windows.
        model: directory or Hub id of a checkpoint; None is the shipped one.
        engine: settings of Spark.
        parts: folder of the `.npy` files. Files of an interrupted run are kept.
        block: windows that are embedded at a time.
    """
    parts.mkdir(exist_ok=True)
    number = len(read_manifest(work).files_of())
    folder = checkpoint_folder(model)
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
        loaded = load_network(folder)
    return lambda windows: embed_windows(*loaded, windows, progress=False)


class Executors:
    """Runs a task over the rows of a work folder's embeddings on the executors, like `assignment.by_blocks`.

    Args:
        work: the work folder.
        array: file of the embeddings.
        session: the Spark session.
    """

    def __init__(self, work: Path, array: Path, session: "SparkSession"):
        self._work, self._array, self._session = work, array, session

    def __call__(
        self, task: Task, rows: np.ndarray, cells_a_row: int
    ) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        """Yield rows and the task's results for them, range by range; see `assignment.by_blocks`."""
        array, ranges = self._array, [rows[first : first + RANGE] for first in range(0, len(rows), RANGE)]
        with TemporaryDirectory(prefix=".assigned-", dir=self._work) as folder:
            # Spark pickles this function with the variables that it uses, and broadcasts them if they are large.
            def assign(at: int) -> dict[str, Any]:
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
    """Write an array atomically, because Spark may run a task twice at the same time."""
    handle, partial = mkstemp(prefix=f".{target.name}-", dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        np.save(file, values)
    os.replace(partial, target)
