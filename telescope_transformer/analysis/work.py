"""The work folder of an analysis: a prepared dataset, and beside it a folder for each stage that follows.

    manifest.json, windows/, ...   the prepared dataset (`preparation`)
    model/                         the checkpoint that was adapted to these windows, if one was
    embeddings/embeddings.npy      float32 (n_windows, dimensions), rows of length 1, in the order of the windows
    clusters/labels.npy, ...       the clustering

Each folder of a stage has a `stage.json` that says what it was made of. A run that finds what it would make uses it. A
stage is written beside its place and put there as one set, so that a run that was killed leaves nothing half-written.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telescope_transformer.errors import DatasetError
from telescope_transformer.files import write_text

STAGE = "stage.json"
MODEL, EMBEDDINGS, CLUSTERS = "model", "embeddings", "clusters"


@contextmanager
def working_in(work: Path) -> Iterator[None]:
    """Keep other processes out of a work folder.

    Raises:
        DatasetError: if another process works in it, or it is no folder.
    """
    try:
        handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DatasetError(f"{work} is no folder to work in: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DatasetError(f"{work}: another process works in it") from error
    finally:
        os.close(handle)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a stage's folder, replacing the target as a whole."""
    partial = target.with_name(f".{target.name}.partial")
    if partial.is_symlink() or target.is_symlink():
        raise DatasetError(f"{target} or {partial} is a link, and what it points to is not ours to change")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns(STAGE))
    if target.exists():
        shutil.rmtree(target)
    os.rename(partial, target)


def made_of(folder: Path) -> dict[str, Any] | None:
    """What a stage's folder says that it was made of; None where there is no such folder or it is damaged."""
    try:
        found = json.loads((folder / STAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def run_stage(folder: Path, ingredients: dict[str, Any], build: Callable[[Path], None]) -> bool:
    """Make the folder of a stage, unless it is there and was made of the same.

    Args:
        folder: of the stage.
        ingredients: plain values that decide what the stage makes.
        build: writes the stage's files into an empty folder, or goes on with one that an interrupted run of the same
            ingredients left.

    Returns:
        Whether it had to be made.
    """
    if made_of(folder) == ingredients:
        return False
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.is_symlink() or folder.is_symlink():
        raise DatasetError(f"{folder} or {partial} is a link, and what it points to is not ours to change")
    if made_of(partial) != ingredients:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write_text(partial / STAGE, json.dumps(ingredients, indent=1) + "\n")
    build(partial)
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(partial, folder)
    return True
