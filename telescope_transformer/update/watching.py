"""Waits for new files in a folder, for `telescope watch`."""

import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from telescope_transformer.records.files import is_unfinished

# Size, and time of the last change.
_Version = tuple[int, int]


def new_files(folder: Path, *, interval: float, stop: Callable[[], bool]) -> Iterator[Path]:
    """Yield each file of the folder once it has not changed for one interval. Files come in order of name.

    A file that changes later, such as a log or a slow copy, is yielded again.

    Args:
        folder: the folder; its subfolders are ignored.
        interval: seconds between two checks.
        stop: called after every check; the iteration ends when it returns true.
    """
    seen: dict[Path, _Version] = {}
    taken: dict[Path, _Version] = {}
    while True:
        for path in candidates(folder):
            version = _version_of(path)
            if version is not None and seen.get(path) == version != taken.get(path):
                taken[path] = version
                yield path
            if version is not None:
                seen[path] = version
        if stop():
            return
        time.sleep(interval)


def candidates(folder: Path) -> list[Path]:
    """Names that inputs may have: they are not hidden, and not those of files that are still being written."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and not is_unfinished(path)]


def _version_of(path: Path) -> _Version | None:
    """Size and time of a file with content; None if it has none or is out of reach, such as behind a broken link.

    The size alone would not show that a file was written anew, or that one of a fixed size is being filled.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) and found.st_size else None
