"""Atomic checkpoints: written to a temporary folder, sealed with digests, then renamed.

A process that is killed at any moment leaves the last sealed checkpoint intact. A checkpoint that was damaged later
does not match its seal; then the previous one is used.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telescope_transformer.errors import CheckpointError, TrainingError, reason
from telescope_transformer.files import file_digest, read_json

SEAL = "seal.json"
STATE = "trainer.json"
PREFIX = "checkpoint-"


def checkpoint_path(folder: Path, step: int) -> Path:
    """Path of the checkpoint after `step` steps."""
    return folder / f"{PREFIX}{step:08d}"


def write_checkpoint(
    folder: Path,
    step: int,
    save: Callable[[Path], None],
    state: dict[str, Any],
    *,
    keep: int,
    main: bool = True,
    wait: Callable[[], None] = lambda: None,
) -> Path:
    """Write a checkpoint of all processes together.

    Args:
        save: writes the state of this process to the given directory; every process calls it.
        state: state of the run, stored as JSON.
        keep: number of newest checkpoints to keep.
        main: whether this process seals and renames.
        wait: barrier that returns when every process has called it.

    Raises:
        TrainingError: if the disk is full or not writable; earlier checkpoints stay.
    """
    final = checkpoint_path(folder, step)
    aside = folder / f".{final.name}.partial"
    with disk_errors(final):
        if main:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        wait()
        save(aside)
        wait()
        if main:
            (aside / STATE).write_text(json.dumps(state), encoding="utf-8")
            _seal(aside)
            shutil.rmtree(final, ignore_errors=True)
            aside.rename(final)
            _flush(folder)
            for old in list_checkpoints(folder)[keep:]:
                shutil.rmtree(old)
    wait()
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that were renamed, newest first."""
    return sorted(folder.glob(f"{PREFIX}*"), reverse=True)


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint that matches its seal, or None; warns about each that does not match."""
    for checkpoint in list_checkpoints(folder):
        fault = find_fault(checkpoint)
        if fault is None:
            return checkpoint
        warnings.warn(f"skipping damaged {checkpoint}: {fault}", stacklevel=2)
    return None


def find_fault(checkpoint: Path) -> str | None:
    """Description of what is wrong with a checkpoint, or None."""
    try:
        seal = read_json(checkpoint / SEAL)
        if STATE not in seal:
            return f"{SEAL} does not name {STATE}"
        for name, digest in seal.items():
            if file_digest(checkpoint / name) != digest:
                return f"{name} differs from what was written"
    except (OSError, ValueError, AttributeError, TypeError) as error:
        return str(error)
    return None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The state that was stored in a checkpoint.

    Raises:
        CheckpointError: if it cannot be read.
    """
    try:
        return dict(read_json(checkpoint / STATE))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{checkpoint / STATE}: {reason(error)}") from error


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the errors of a full or unwritable disk into one error that names the target.

    Raises:
        TrainingError: with the cause and the free space.
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(_disk_message(target, error)) from error
    except Exception as error:
        # torch and safetensors write in native code and report the system's error as text.
        words = ("No space left", "File too large", "write failed", "I/O error", "PytorchStreamWriter", "iostream")
        if not any(word in str(error) for word in words):
            raise
        raise TrainingError(_disk_message(target, error)) from error


def _disk_message(target: Path, error: Exception) -> str:
    place = next(parent for parent in [target, *target.parents] if parent.exists())
    free = shutil.disk_usage(place).free
    return f"cannot write {target}: {error} ({free / 2**20:.0f} MiB free); earlier checkpoints are untouched"


def _seal(folder: Path) -> None:
    """Write the digest of every file, and flush all files to the disk before the rename."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (folder / SEAL).write_text(
        json.dumps({str(path.relative_to(folder)): file_digest(path) for path in files}), encoding="utf-8"
    )
    for path in [*files, folder / SEAL, folder]:
        _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
