"""The cache of compiled kernels: one that can be written, without kernels of an earlier version.

numba looks for a cache folder when a function is decorated, and raises an error if it finds none. In a container,
under a service account or in a Spark executor, the package could then not be imported. A private temporary folder
solves this. It must belong to this user alone, because numba's cache files are pickles.
"""

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path


def _is_writable(folder: Path) -> bool:
    """Whether files can be created in `folder`, which is created if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _user_cache() -> Path | None:
    """The folder that numba tries second; None if there is no home folder."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    except RuntimeError:
        return None


def _private_folder() -> str:
    """A temporary folder that only this user can write: always the same path, or a new one if another user owns it."""
    if not hasattr(os, "getuid"):  # Windows: the temporary folder is the user's own.
        return tempfile.mkdtemp(prefix="telescope-transformer-")
    folder = Path(tempfile.gettempdir()) / f"telescope-transformer-{os.getuid()}"
    # Another user may have taken the name; then a new folder is used.
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return str(folder)
    return tempfile.mkdtemp(prefix="telescope-transformer-")


def _forget_outdated(folder: Path) -> None:
    """Delete compiled kernels in the package's folder that are older than the source of another kernel.

    A compiled kernel contains the kernels that it calls, but numba only compares it with its own source file. After an
    upgrade, it would run the earlier versions of those in other files.
    """
    indexes = list(folder.rglob("__pycache__/*.nbi"))
    sources = {index.parent.parent / f"{index.name.partition('.')[0]}.py" for index in indexes}
    newest = max((source.stat().st_mtime for source in sources if source.exists()), default=0.0)
    for index in indexes:
        # Another process may delete it at the same time. If the folder is read-only, numba uses another cache.
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()


def ensure_cache() -> None:
    """Delete outdated kernels and point numba to a writable cache folder. Called when the package is imported."""
    package = Path(__file__).parent
    # Kernels only call kernels of the same folder of the package.
    for folder in package.iterdir():
        if folder.is_dir():
            _forget_outdated(folder)
    given = os.environ.get("NUMBA_CACHE_DIR")
    # The folders that numba tries, in its order. A folder that the user has set may be read-only as well.
    tried = [Path(given) if given else None, package / "__pycache__", _user_cache()]
    if any(folder is not None and _is_writable(folder) for folder in tried):
        return
    os.environ["NUMBA_CACHE_DIR"] = _private_folder()
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()
