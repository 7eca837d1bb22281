"""Finds input files by paths, folders, globs, pipes and URLs, and reads them decompressed."""

import atexit
import glob
import io
import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from telescope_transformer.errors import InputError
from telescope_transformer.extras import require
from telescope_transformer.records.compression import archive_hint, compression_of, decompressed
from telescope_transformer.records.damage import DamagedInput, NotFlowRecords
from telescope_transformer.records.rejects import escaped

logger = logging.getLogger(__name__)

HEAD_BYTES = 1 << 18
"""Bytes by which a format is recognised. The longest first lines seen are Suricata's statistics of many threads."""

# Bytes of a file that are read at a time. Our choice, small beside a batch of records.
BLOCK_BYTES = 1 << 20
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma")
# Hive writes this for a partition without a value.
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
# No file format begins with this many zeros, and text in UTF-16 begins with at most one.
_HOLE = bytes(16)
_UNFINISHED = (".part", ".tmp", ".partial", ".swp", ".crdownload")
_CURRENT_CAPTURE = "nfcapd.current"
# Files that occur together in a folder only if an analysis or a preparation wrote them.
_RESULTS = (("clusters.json", "windows.parquet"), ("manifest.json", "rejects.parquet"))


class InputFile:
    """One file to read.

    Attributes:
        path: where its content is: the file itself, or a temporary copy of a pipe or a URL.
        name: its name in messages and rejects, with unprintable bytes escaped.
        partitions: the values that `key=value` folders of its path give (hive partitions).
        given: whether the user named the file itself. A file found in a folder or by a glob is skipped, with a note,
            if it holds no flow records.
        from_pipe: whether it is from a pipe, whose name says nothing about its content.
    """

    def __init__(self, path: Path, *, name: str | None = None, given: bool = True, from_pipe: bool = False) -> None:
        self.path = path
        self.name = escaped(path) if name is None else name
        self.partitions: Mapping[str, str | None] = _partitions_of(path.absolute() if name is None else Path(name))
        self.given = given
        self.from_pipe = from_pipe

    @cached_property
    def compression(self) -> str | None:
        """`gzip`, `zstd`, `bzip2`, `xz`, `lzma` or `lz4` by the file's first bytes, else None."""
        with self._open() as raw:
            return compression_of(raw)

    @cached_property
    def head(self) -> bytes:
        """The first HEAD_BYTES of the content, decompressed; fewer if the file is short or damaged.

        Raises NotFlowRecords if the file is empty or another program has to unpack it, and InputError if it cannot be
        read.
        """
        found = bytearray()
        try:
            for block in self.blocks(HEAD_BYTES):
                found += block
                if len(found) >= HEAD_BYTES:
                    break
        except DamagedInput:
            if not found:
                raise
        if not found:
            raise NotFlowRecords(self.name, "the file is empty")
        hint = archive_hint(bytes(found))
        if hint:
            raise NotFlowRecords(self.name, hint)
        return bytes(found[:HEAD_BYTES])

    @property
    def is_empty(self) -> bool:
        """Whether the file is empty, such as those that `tcpdump -G` opens in a quiet period."""
        return self.path.stat().st_size == 0

    def blocks(self, size: int | None = None) -> Iterator[bytes]:
        """The content in order, decompressed, in blocks of about `size` bytes; raises DamagedInput at damage.

        Zeros before the content are left out.
        """
        yield from _without_hole(self._stored_blocks(size))

    def _stored_blocks(self, size: int | None) -> Iterator[bytes]:
        if self.compression is not None:
            yield from decompressed(self.path, self.name, self.compression, size or BLOCK_BYTES)
            return
        with self._open() as raw:
            yield from iter(lambda: raw.read(size or BLOCK_BYTES), b"")

    @cached_property
    def plain_path(self) -> Path:
        """A file with the decompressed content, for readers that need random access."""
        if self.compression is None:
            return self.path
        return _spooled(self.blocks())

    def _open(self) -> io.BufferedReader:
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}") from error


def _without_hole(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks without the zeros at the beginning of a log that was truncated while its writer kept its position."""
    in_hole: bool | None = None
    for block in blocks:
        in_hole = block.startswith(_HOLE) if in_hole is None else in_hole
        content = block.lstrip(b"\0") if in_hole else block
        if content:
            in_hole = False
            yield content


def _spool_folder() -> Path:
    """A private temporary folder for copies of pipes, URLs and compressed files; removed when the program ends."""
    global _spool
    if _spool is None:
        _spool = Path(tempfile.mkdtemp(prefix="telescope-input-"))
        atexit.register(shutil.rmtree, _spool, ignore_errors=True)
    return _spool


_spool: Path | None = None


def _spooled(blocks: Iterator[bytes]) -> Path:
    """A temporary file with the content of `blocks`."""
    handle, name = tempfile.mkstemp(dir=_spool_folder())
    with open(handle, "wb") as copy:
        for block in blocks:
            copy.write(block)
    return Path(name)


def _partitions_of(path: Path) -> dict[str, str | None]:
    """The values of `key=value` folders, percent-decoded as Hive and Spark write them."""
    pairs = (folder.split("=", 1) for folder in path.parts[:-1] if "=" in folder)
    return {unquote(key): None if value == _HIVE_NULL else unquote(value) for key, value in pairs}


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part[0] in "._" for part in path.relative_to(root).parts)


def is_unfinished(path: Path) -> bool:
    """Whether the name of a file says that a program is still writing it."""
    return path.suffix in _UNFINISHED or path.name.startswith(_CURRENT_CAPTURE)


def _files_below(root: Path) -> list[InputFile]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    results = {folder for folder in {path.parent for path in paths} - {root} if _holds_results(folder)}
    return [
        InputFile(path, given=False)
        for path in paths
        if not _is_hidden(path, root) and not is_unfinished(path) and results.isdisjoint(path.parents)
    ]


def _holds_results(folder: Path) -> bool:
    return any(all((folder / name).is_file() for name in names) for names in _RESULTS)


def _from_stream(path: Path) -> InputFile:
    """A copy of a pipe's content, because a file is read twice: to recognise its format, and for its records."""
    with open(path, "rb") if path.name != "-" else os.fdopen(os.dup(sys.stdin.fileno()), "rb") as stream:
        copy = _spooled(iter(lambda: stream.read(BLOCK_BYTES), b""))
    return InputFile(copy, name=escaped(path), from_pipe=True)


def _from_url(url: str) -> list[InputFile]:
    """Copies of the files of a URL that fsspec can open (s3://, https://, ...), globs included."""
    fsspec = require("fsspec")
    copies = []
    try:
        for remote in fsspec.open_files(url, "rb"):
            with remote as stream:
                copy = _spooled(iter(lambda stream=stream: stream.read(BLOCK_BYTES), b""))  # type: ignore[misc]
            copies.append(InputFile(copy, name=escaped(remote.full_name)))
    except ImportError as error:
        advice = "; pip install 'telescope-transformer[remote]' installs what s3:// needs"
        raise InputError(f"{escaped(url)}: {escaped(error)}{advice}") from error
    except Exception as error:  # Each remote file system raises its own errors.
        # Some errors only repeat the URL, and have the reason as their cause.
        reason = (error.__cause__ or error) if str(error) == url else error
        raise InputError(f"{escaped(url)}: cannot be fetched: {escaped(reason)}") from error
    return copies


def _files_of(given: str | Path | InputFile) -> list[InputFile]:
    if isinstance(given, InputFile):
        return [given]
    # An empty name would mean the current folder, but it mostly comes from a shell variable that is not set.
    if not str(given):
        raise InputError("the name of an input is empty")
    path = Path(given)
    if str(given) == "-":
        return [_from_stream(path)]
    if "://" in str(given) and not path.exists():
        return _from_url(str(given))
    if path.is_dir():
        return _files_below(path)
    if path.exists():
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            return [_from_stream(path)]
        if not stat.S_ISREG(mode):
            raise InputError(f"{escaped(path)}: a device, not a file")
        return [InputFile(path)]
    matches = sorted(glob.glob(str(given), recursive=True))
    return [InputFile(Path(match), given=False) for match in matches if Path(match).is_file()]


def paths_of(records: Any) -> list[str | Path] | None:
    """`records` as a list of paths; None if it is something else."""
    if isinstance(records, (str, Path)):
        return [records]
    if isinstance(records, (list, tuple)) and records and all(isinstance(each, (str, Path)) for each in records):
        return list(records)
    return None


def _original(path: Path, files: Mapping[Path, InputFile]) -> InputFile | None:
    """The file beside a compressed one with the same content, as `gzip -k` leaves it, and gzip while it runs."""
    original = files.get(path.with_suffix("")) if path.suffix in _COMPRESSED else None
    try:
        return original if original is not None and original.head.startswith(files[path].head) else None
    except InputError:
        return None


def find_inputs(inputs: Sequence[str | Path | InputFile] | str | Path) -> list[InputFile]:
    """Finds the files of `inputs`; a file that several inputs name, or whose compressed copy is there, is read once.

    Each input is a file, a folder, a glob, `-` for standard input, a named pipe, a URL, or an `InputFile`. A folder
    stands for all files below it, except hidden and unfinished files, those whose name begins with `_`, and folders
    that hold the results of an analysis.

    Raises:
        InputError: if an input does not exist or matches no file.
    """
    found: list[InputFile] = []
    for given in inputs if isinstance(inputs, Iterable) and not isinstance(inputs, str) else [inputs]:
        try:
            files = _files_of(given)
        except (OSError, TypeError, ValueError) as error:
            raise InputError(f"{escaped(given)}: {escaped(error)}") from error
        if not files:
            raise InputError(f"{escaped(given)}: no such file, or nothing in it to read")
        found += files
    if not found:
        raise InputError("no input was given")
    once: dict[Path, InputFile] = {}
    for file in found:
        once.setdefault(file.path.resolve(), file)
    copies = {path: original for path in once if (original := _original(path, once)) is not None}
    for path, original in copies.items():
        logger.warning("%s is left out: %s has the same content", once[path].name, original.name)
    return [file for path, file in once.items() if path not in copies]
