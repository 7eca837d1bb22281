"""The work folder of an analysis: a prepared dataset, and a folder for each later stage.

    manifest.json, windows/, ...   the prepared dataset (`preparation`)
    model/                         the checkpoint that was adapted to these windows, if any
    embeddings/embeddings.npy      float32 (n_windows, dimensions), rows of length 1, in the order of the windows
    clusters/labels.npy, ...       the clustering

Each stage's folder has a `stage.json` with the ingredients that it was made from; a run that needs the same result
reuses it. A stage is built in a temporary folder and renamed when it is complete, so a killed run leaves no
half-written stage.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telescope_transformer.errors import DatasetError
from telescope_transformer.files import lock, read_json, write_text, written_in
from telescope_transformer.memory import release_memory

STAGE = "stage.json"
MODEL, EMBEDDINGS, CLUSTERS = "model", "embeddings", "clusters"


@contextmanager
def working_in(work: Path) -> Iterator[None]:
    """Lock a work folder against other processes.

    Raises:
        DatasetError: if another process is using it, or it is not a folder.
    """
    try:
        handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DatasetError(f"{work} cannot be used as a work folder: {error.strerror}") from error
    try:
        lock(handle)
        yield
    except BlockingIOError as error:
        raise DatasetError(f"{work}: another process is using this work folder") from error
    finally:
        os.close(handle)


def check_replaceable(target: Path, mark: str) -> None:
    """Check that a folder that is to be replaced is not somebody else's.

    Args:
        target: the folder; it need not exist.
        mark: a file that every folder has which this package wrote there.

    Raises:
        DatasetError: if it has files, but not this one.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / mark).is_file():
        raise DatasetError(f"{target} exists, and no analysis wrote it: rename it, or choose another output folder")


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a stage's folder and replace the target as a whole.

    Raises:
        DatasetError: if they cannot be written.
    """
    partial = _partial_of(target)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for path in source.iterdir():
            if path.name != STAGE:
                shutil.copyfile(path, partial / path.name)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DatasetError(f"cannot write {target}: {error.strerror}") from error
    _replace(partial, target)


def _partial_of(folder: Path) -> Path:
    """The folder beside a folder in which its new content is built."""
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.is_symlink() or folder.is_symlink():
        raise DatasetError(
            f"{folder} or {partial} is a link to a folder that this package did not create: remove the link"
        )
    return partial


def _replace(partial: Path, folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(partial, folder)


def made_of(folder: Path) -> dict[str, Any] | None:
    """The ingredients that a stage's folder records; None if there is no such folder or it is damaged."""
    try:
        found = read_json(folder / STAGE)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def advice(folder: Path, command: str) -> str:
    """How to make a missing or damaged stage again; a stage that still has a folder counts as complete."""
    first = f"delete {folder} and " if folder.exists() else ""
    return f"{first}run telescope {command} {folder.parent}"


def run_stage(folder: Path, ingredients: dict[str, Any], build: Callable[[Path], None]) -> bool:
    """Build the folder of a stage, unless it exists with the same ingredients.

    Args:
        folder: folder of the stage.
        ingredients: plain values that determine the result of the stage.
        build: writes the stage's files into an empty folder, or continues one that an interrupted run with the same
            ingredients left.

    Returns:
        Whether the stage was built.
    """
    if made_of(folder) == ingredients:
        return False
    partial = _partial_of(folder)
    if made_of(partial) != ingredients:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write_text(partial / STAGE, json.dumps(ingredients, indent=1) + "\n")
    with written_in(partial):
        build(partial)
    release_memory()
    _replace(partial, folder)
    return True
