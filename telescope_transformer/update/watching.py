"""`telescope watch`: files are taken as they appear in a folder."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from telescope_transformer.records.files import is_unfinished


def new_files(folder: Path, *, interval: float, stop: Callable[[], bool]) -> Iterator[Path]:
    """Files of the folder, oldest name first, once each, as soon as their size has not changed for one interval.

    Args:
        folder: is looked at, not those below it.
        interval: seconds between two looks.
        stop: asked after every look; true ends the watch.
    """
    seen: dict[Path, int] = {}
    taken: set[Path] = set()
    while True:
        for path in candidates(folder):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                # Moved away since the folder was listed.
                continue
            if path not in taken and size > 0 and seen.get(path) == size:
                taken.add(path)
                yield path
            seen[path] = size
        if stop():
            return
        time.sleep(interval)


def candidates(folder: Path) -> list[Path]:
    """Files that may be inputs: neither hidden nor under a name of unfinished files."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in paths if not path.name.startswith(".") and not is_unfinished(path)]
