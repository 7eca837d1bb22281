"""Reading small files, atomic replacement of files, digests, and the data files of the package."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from telescope_transformer.errors import InputError, TelescopeError, reason

try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover  # Windows
    fcntl = None  # type: ignore[assignment]

PACKAGE = Path(__file__).resolve().parent


def lock(handle: int) -> None:
    """Lock an open file or folder against other processes until it is closed; on Windows, nothing is locked.

    Raises:
        BlockingIOError: if another process has locked it.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse a path that is not a regular file. To open a named pipe, for example, would wait for its writer for ever.

    Raises:
        OSError: if it is a folder, a pipe, a socket or a device, or does not exist.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name that is not UTF-8, which Arrow and DuckDB cannot open.

    Raises:
        InputError: with the name.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: the name is not UTF-8, which Parquet and DuckDB files need: choose another"
        ) from error


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: if it is not a regular file, or cannot be read.
        ValueError: if it is not JSON.
    """
    check_regular(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def is_database(path: Path) -> bool:
    """Whether a file is a DuckDB database."""
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


def file_digest(path: str | Path) -> str:
    """BLAKE2b of a regular file's content, 128 bits as 32 hexadecimal digits."""
    check_regular(path)
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def text_digest(text: str) -> str:
    """BLAKE2b of a text in UTF-8, 128 bits as 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `target`. The file there replaces `target` when the block ends without an error.

    A reader sees either the old file or the complete new one. The content is flushed to the disk before the swap, so
    that this also holds after a loss of power. When the block raises, the temporary file is removed and `target` stays
    as it was.

    A symbolic link is kept, and the file that it points to is replaced. If the target is not a regular file, such as
    /dev/stdout or a named pipe, the content is written to it when the block ends.

    Raises:
        InputError: if `target` names a folder, its folder does not exist or cannot be written, or the disk is full.

    Example:
        >>> with replacing("clusters.json") as partial:
        ...     partial.write_text(content, encoding="utf-8")
    """
    target = Path(target)
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file in it")
    if _is_stream(target):
        with TemporaryDirectory() as folder:
            partial = Path(folder, "content")
            yield partial
            with written_in(target), partial.open("rb") as content, _open_stream(target) as stream:
                shutil.copyfileobj(content, stream)
        return
    given, target = target, Path(os.path.realpath(target))
    # The process id keeps two writers of one target from sharing a temporary file.
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        # Libraries would name the temporary file in their errors.
        partial.touch()
    except OSError as error:
        raise InputError(f"cannot write to {given}: {error.strerror}") from error
    try:
        with written_in(target):
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _is_stream(target: Path) -> bool:
    """Whether a path is a device, a pipe or a descriptor of this process, which replacing would destroy."""
    devices = os.path.realpath(target.parent) in ("/dev", "/dev/fd", f"/proc/{os.getpid()}/fd")
    return target.exists() and (devices or not target.is_file())


def _open_stream(target: Path) -> BinaryIO:
    """Open a device or a pipe for writing. A descriptor such as /dev/stdout is duplicated instead of opened again.

    If stdout is a file, opening it again would start at another position, and other programs that write to the same
    stdout would overwrite the content.
    """
    path = target.parent / os.readlink(target) if target.is_symlink() else target
    if path.name.isdigit() and os.path.realpath(path.parent) in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
        return os.fdopen(os.dup(int(path.name)), "wb")
    return target.open("ab")


@contextmanager
def replacing_files(folder: Path, *, last: str) -> Iterator[Path]:
    """Give an empty folder. Its files replace those of `folder` when the block ends without an error.

    So a full disk or Ctrl-C leaves the files that were there, and never those of two results.

    Args:
        folder: created if it does not exist.
        last: name of the file that is moved last, by which a reader sees that all have been moved.

    Raises:
        InputError: if a file cannot be written.
    """
    with written_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
            yield Path(partial)
            for path in Path(partial).iterdir():
                # A file would be moved into the folder of its name.
                if (folder / path.name).is_dir():
                    raise InputError(f"{folder / path.name} is a folder, and a file of this name is to be written")
            for path in sorted(Path(partial).iterdir(), key=lambda path: path.name == last):
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
                # As in `replacing`, a symbolic link is kept.
                shutil.move(path, os.path.realpath(folder / path.name))


@contextmanager
def written_in(place: Path) -> Iterator[None]:
    """Name a file or folder in an error of the file system that names none, such as that of a full disk.

    Raises:
        InputError: with the name.
    """
    try:
        yield
    except OSError as error:
        # Errors of pipes and sockets are not about this place.
        if error.filename is not None or isinstance(error, ConnectionError):
            raise
        raise InputError(f"cannot write to {place}: {reason(error)}") from error


def write_text(target: str | Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends in one step; see `replacing`."""
    with replacing(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def data_folder(name: str) -> Path:
    """Folder of data files that ship with the package.

    In a wheel they lie in `telescope_transformer/data/<name>`; in a checkout they lie in the repository's folder of
    the same name (`hub_cards`, `training/recipes`, ...), which is where people edit them.

    Raises:
        TelescopeError: when neither exists, which means that the installation is incomplete.
    """
    for folder in (PACKAGE / "data" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise TelescopeError(f"the installation is incomplete: the data folder {name!r} is missing; install it again")
