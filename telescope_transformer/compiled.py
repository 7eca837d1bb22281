"""Where numba keeps compiled kernels when neither the package's folder nor the home can be written.

numba looks for a place for its cache when a function is decorated and raises where it finds none: in a container,
under a service account or in a Spark executor the package could then not even be imported. A private temporary folder
is the way out. numba's cache files are pickles, so the folder must belong to this user alone.
"""

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`, which is made if it is absent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _user_cache() -> Path | None:
    """The folder of numba's own second choice, None if there is no home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    except RuntimeError:
        return None


def _private_folder() -> str:
    """A folder in the temporary one that nobody else can write: kept between runs, or new if that one is not ours."""
    folder = Path(tempfile.gettempdir()) / f"telescope-transformer-{os.getuid()}"
    # Another user's file may hold the name; a new folder does as well.
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return str(folder)
    return tempfile.mkdtemp(prefix="telescope-transformer-")


def ensure_cache() -> None:
    """Points numba to a folder that can be written, unless it has one; called when the package is imported."""
    if os.environ.get("NUMBA_CACHE_DIR") or _is_writable(Path(__file__).parent / "__pycache__"):
        return
    user_cache = _user_cache()
    if user_cache is not None and _is_writable(user_cache):
        return
    os.environ["NUMBA_CACHE_DIR"] = _private_folder()
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()
