"""Reads compressed files block by block in bounded memory. The first bytes show which compression a file has."""

import bz2
import io
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from telescope_transformer.records.damage import DamagedInput, NotFlowRecords

_MAGICS = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "lzma": b"\x5d\x00\x00",
    "lz4": b"\x04\x22\x4d\x18",
}
# Files that another program has to unpack first, and how.
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive: unpack it first; save an Excel workbook as CSV",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive: unpack it first",
    b"Rar!\x1a\x07": "a RAR archive: unpack it first",
    b"\x1f\x9d": "compressed with compress(1): decompress it with gunzip first",
    **dict.fromkeys((b"x\x01", b"x\x9c", b"x\xda"), "a bare zlib stream: decompress it first, with pigz -dz"),
    b"\x02\x21\x4c\x18": "a file in the legacy LZ4 format: decompress it with lz4 -d first",
    b"SQLite format 3\0": "an SQLite database: export its table as CSV, with sqlite3 -header -csv",
    b"ElfFile\0": "a Windows event log: read the log of Windows Firewall, pfirewall.log, instead",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Excel workbook: save it as CSV",
    b"\xff\x06\x00\x00sNaPpY": "a framed Snappy stream: decompress it first",
    b"\xde\xad\xbe\xef": "a SiLK file: print it with rwcut",
    b"\xcf\x10": "a flow-tools file: print it with flow-export -f2",
    b"snoop\0\0\0": "a snoop capture: convert it with editcap -F pcap",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file: export its table as Parquet or CSV",
    b"FEA1": "a Feather version 1 file: save it as version 2 or as Parquet",
    b"PARE": "an encrypted Parquet file: decrypt it first",
    b"version https://git-lfs.github.com/": "a Git LFS pointer, not the file itself: fetch it with git lfs pull",
    b"/annex/objects/": "a git-annex pointer, not the file itself: fetch it with git annex get",
}
# DuckDB writes its magic after a checksum.
_DUCKDB = b"DUCK"
_DUCKDB_AT = 8
_PAGE = re.compile(rb"\s*<(?:!DOCTYPE html|html|\?xml)", re.IGNORECASE)
_TAR_MAGIC_AT = 257
"""POSIX.1-1988, ustar header block: the magic follows name, mode, owner, size, time, checksum, type and link name."""

# RFC 8878, section 3.1.2, and the LZ4 frame format: frames that a decoder skips. pzstd begins each frame with one.
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_MOST_SKIPPED = 1024

# What zstd says of a window beyond 128 MiB, which its decoder refuses unless it is told otherwise.
_TOO_MUCH_MEMORY = "requires too much memory"
_BLOCK_BYTES = 1 << 20
_SMALLER = 16
"""By how much smaller the pieces get in which a damaged file is read again: five times from 1 MiB to a byte."""


def compression_of(raw: io.BufferedReader) -> str | None:
    """The compression (a key of `_MAGICS`) that a file begins with, after any skippable frames, or None."""
    for _ in range(_MOST_SKIPPED):
        start = raw.read(8)
        if len(start) < 8 or int.from_bytes(start[:4], "little") not in _SKIPPABLE:
            break
        raw.seek(struct.unpack_from("<I", start, 4)[0], io.SEEK_CUR)
    return next((name for name, magic in _MAGICS.items() if start.startswith(magic)), None)


def archive_hint(head: bytes) -> str | None:
    """Says what a file is and how to unpack it, if another program has to do that; else None.

    Args:
        head: first bytes of the content, decompressed once if the file is compressed.
    """
    if head[_TAR_MAGIC_AT:].startswith(b"ustar"):
        return "a tar archive: unpack it first"
    if head[_DUCKDB_AT : _DUCKDB_AT + len(_DUCKDB)] == _DUCKDB:
        return "a DuckDB database: export its table with COPY name TO 'name.parquet'"
    if _PAGE.match(head):
        return "an HTML or XML page, perhaps an error message saved in place of the file"
    compressed_again = next(
        (name for name, magic in _MAGICS.items() if head.startswith(magic) and name != "lzma"), None
    )
    if compressed_again:
        return f"compressed twice: decompress it once first; inside is {compressed_again}"
    return next((hint for magic, hint in _ARCHIVES.items() if head.startswith(magic)), None)


def decompressed(path: Path, name: str, compression: str, size: int) -> Iterator[bytes]:
    """The content of a file in blocks of at most about `size` bytes.

    Raises DamagedInput at damage, and NotFlowRecords if the file needs too much memory; both give its `name`.
    """
    blocks = _arrow_blocks if compression in ("zstd", "lz4") else _member_blocks
    return blocks(path, name, compression, size)


def _arrow_blocks(path: Path, name: str, compression: str, size: int, done: int = 0) -> Iterator[bytes]:
    """Decompresses zstd and lz4 files from the byte `done` of the content on.

    A read that meets damage gives nothing, so the bytes before it are read again in smaller pieces.
    """
    produced = 0
    try:
        with pa.CompressedInputStream(pa.OSFile(str(path)), compression) as stream:
            # Not `read`, which leaks its memory if it fails (pyarrow 26.0).
            while passed := stream.read_buffer(min(_BLOCK_BYTES, done - produced)).size:
                produced += passed
            while block := stream.read_buffer(size).to_pybytes():
                produced += len(block)
                yield block
    except (OSError, pa.ArrowException) as error:
        if _TOO_MUCH_MEMORY in str(error):
            raise NotFlowRecords(name, "compressed with zstd --long=28 or more: decompress it first") from error
        if size == 1:
            raise DamagedInput(name, produced, f"broken {compression} stream ({error})") from error
        yield from _arrow_blocks(path, name, compression, max(size // _SMALLER, 1), max(done, produced))


def _member_blocks(path: Path, name: str, compression: str, size: int) -> Iterator[bytes]:
    """Decompresses gzip, bzip2, xz and lzma files; these may have several members in a row, and zeros at the end."""
    make = _DECOMPRESSORS[compression]
    member, produced, pending = make(), 0, b""
    with open(path, "rb") as raw:
        while True:
            needs_input = getattr(member, "needs_input", True)
            if not pending and needs_input:
                pending = raw.read(size)
            if not pending and needs_input:
                raise DamagedInput(name, produced, f"the {compression} stream ends early")
            try:
                block = member.decompress(pending, size)
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise DamagedInput(name, produced, f"broken {compression} stream ({error})") from error
            pending = b""
            if block:
                produced += len(block)
                yield block
            if member.eof:
                pending = _next_member(raw, member.unused_data, size)
                if not pending:
                    return
                member = make()


def _next_member(raw: io.BufferedReader, rest: bytes, size: int) -> bytes:
    """The bytes from the next member on. Skips zeros, with which tapes and some programs pad files."""
    rest = rest.lstrip(b"\0")
    while not rest:
        block = raw.read(size)
        if not block:
            return b""
        rest = block.lstrip(b"\0")
    return rest


class _GzipMember:
    """A gzip member with the interface of `bz2.BZ2Decompressor`."""

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
    "lzma": lzma.LZMADecompressor,
}
