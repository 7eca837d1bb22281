"""Input files: found from paths, folders and globs, opened through their compression, damage told with its offset."""

import bz2
import glob
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from telescope_transformer.errors import InputError

HEAD_BYTES = 65_536
BLOCK_BYTES = 1 << 20
LONGEST_LINE = 16 << 20

_COMPRESSIONS = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
}


class DamagedInput(InputError):
    """A file is cut off or corrupt, from a byte offset on where that is known; what lies before it was read.

    Of a compressed file, the offset is that within its decompressed content.
    """

    def __init__(self, path: str | Path, offset: int | None, reason: str) -> None:
        super().__init__(f"{path}: damaged{'' if offset is None else f' at byte {offset}'}: {reason}")
        self.path = str(path)
        self.offset = offset
        self.reason = reason


@dataclass(frozen=True)
class InputFile:
    """One file to read, and the values that the `key=value` folders above it give (hive partitions)."""

    path: Path
    partitions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def compression(self) -> str | None:
        """`gzip`, `zstd`, `bzip2` or `xz` by the file's first bytes, else None."""
        with self._open_raw() as raw:
            start = raw.read(6)
        return next((name for name, magic in _COMPRESSIONS.items() if start.startswith(magic)), None)

    @cached_property
    def head(self) -> bytes:
        """The first HEAD_BYTES of the content, decompressed; fewer where the file is short or damaged.

        Raises InputError if the file is empty or cannot be read.
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
            raise InputError(f"{self.path}: the file is empty")
        return bytes(found[:HEAD_BYTES])

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The content in order, decompressed, in blocks of about `size` bytes; raises DamagedInput at damage."""
        with self._open_raw() as raw:
            if self.compression is None:
                yield from iter(lambda: raw.read(size), b"")
            elif self.compression == "zstd":
                yield from self._zstd_blocks(size)
            else:
                yield from self._stream_blocks(raw, size)

    def _open_raw(self) -> io.BufferedReader:
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror or error}") from error

    def _zstd_blocks(self, size: int) -> Iterator[bytes]:
        produced = 0
        try:
            with pa.CompressedInputStream(pa.OSFile(str(self.path)), "zstd") as stream:
                while block := stream.read(size):
                    produced += len(block)
                    yield block
        except OSError as error:
            raise DamagedInput(self.path, produced, f"broken zstd stream ({error})") from error

    def _stream_blocks(self, raw: io.BufferedReader, size: int) -> Iterator[bytes]:
        """gzip, bzip2 and xz, each possibly of several members one after another; memory stays bounded by `size`."""
        make = _DECOMPRESSORS[self.compression or "gzip"]
        member, produced, pending = make(), 0, b""
        while True:
            needs_input = getattr(member, "needs_input", True)
            if not pending and needs_input:
                pending = raw.read(size)
            if not pending and needs_input:
                if not member.eof:
                    raise DamagedInput(self.path, produced, f"the {self.compression} stream ends early")
                return
            try:
                block = member.decompress(pending, size)
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise DamagedInput(self.path, produced, f"broken {self.compression} stream ({error})") from error
            pending = b""
            if block:
                produced += len(block)
                yield block
            if member.eof:
                pending = member.unused_data or raw.read(size)
                if not pending:
                    return
                member = make()


class _GzipMember:
    """A gzip member behind the interface of `bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": _GzipMember,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
}


class LineStream(io.RawIOBase):
    """Blocks of text as a stream that ends, at damage, after the last whole line before it.

    A value cut in two could pass for a valid one (port 22 of 2222). `damage` then holds what was met.
    """

    def __init__(self, blocks: Iterator[bytes], name: str) -> None:
        self._blocks = blocks
        self._name = name
        self._ready = b""
        self._held = b""
        self.damage: DamagedInput | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        while not self._ready:
            if not self._advance():
                return 0
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _advance(self) -> bool:
        """Makes more bytes ready; False at the end. The last, perhaps partial, line is held until its end is seen."""
        try:
            block = next(self._blocks, b"")
        except DamagedInput as damage:
            self.damage, self._held = damage, b""
            return False
        if not block:
            self._ready, self._held = self._held, b""
            return bool(self._ready)
        end = block.rfind(b"\n") + 1
        if end:
            self._ready, self._held = self._held + block[:end], block[end:]
        else:
            self._held += block
            if len(self._held) > LONGEST_LINE:
                raise InputError(f"{self._name}: a line is longer than {LONGEST_LINE >> 20} MiB: no records as text")
        return True


def _partitions_of(path: Path, root: Path) -> dict[str, str]:
    folders = path.relative_to(root).parts[:-1]
    return dict(folder.split("=", 1) for folder in folders if "=" in folder)


def _files_below(root: Path) -> list[InputFile]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    visible = [path for path in paths if not any(part[0] in "._" for part in path.relative_to(root).parts)]
    return [InputFile(path, _partitions_of(path, root)) for path in visible]


def find_inputs(inputs: Sequence[str | Path]) -> list[InputFile]:
    """The files of `inputs`, each a file, a folder (all below it, hidden and `_` files left out) or a glob.

    A file that several inputs name is read once.
    Raises InputError for an input that is absent or matches nothing.
    """
    found: list[InputFile] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            files = _files_below(path)
        elif path.exists():
            files = [InputFile(path)]
        else:
            matches = sorted(glob.glob(str(given), recursive=True))
            files = [InputFile(Path(match)) for match in matches if Path(match).is_file()]
        if not files:
            raise InputError(f"{given}: no such file, or nothing in it to read")
        found += files
    if not found:
        raise InputError("no input was given")
    once: dict[Path, InputFile] = {}
    for file in found:
        once.setdefault(file.path.resolve(), file)
    return list(once.values())
