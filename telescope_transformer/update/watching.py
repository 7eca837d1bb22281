"""Waits for new files in a folder, for `telescope watch`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from telescope_transformer.records.files import is_unfinished


def new_files(folder: Path, *, interval: float, stop: Callable[[], bool]) -> Iterator[Path]:
    """Yield each file of the folder once its size has not changed for one interval. Files come in order of name.

    A file whose size changes later, such as a log or a slow copy, is yielded again.

    Args:
        folder: the folder; its subfolders are ignored.
        interval: seconds between two checks.
        stop: called after every check; the iteration ends when it returns true.
    """
    seen: dict[Path, int] = {}
    taken: dict[Path, int] = {}
    while True:
        for path in candidates(folder):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                # The file was moved away after the folder was listed.
                continue
            if size > 0 and seen.get(path) == size != taken.get(path):
                taken[path] = size
                yield path
            seen[path] = size
        if stop():
            return
        time.sleep(interval)


def candidates(folder: Path) -> list[Path]:
    """Files that may be inputs: they are not hidden, and not named like files that are still being written."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in paths if not path.name.startswith(".") and not is_unfinished(path)]
