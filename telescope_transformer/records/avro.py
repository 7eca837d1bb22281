"""Reads Avro container files block by block, and checks every size in a file before it allocates memory for it."""

import bz2
import io
import json
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.extras import require
from telescope_transformer.records.damage import DamagedInput, NotFlowRecords
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.rejects import escaped
from telescope_transformer.words import counted

_MAGIC, _SYNC_BYTES = b"Obj\x01", 16
_MOST_METADATA = 1 << 20
"""Largest accepted header entry, such as the schema, in bytes. The schema of FlowTuple files has 2 KB."""

_LARGEST_BLOCK = 64 << 20
"""Largest accepted block in bytes, compressed or not. Writers begin a new block after 16 KB to a few MB."""

_NUMBERS = {"int", "long", "float", "double", "boolean"}
_PLAIN = _NUMBERS | {"string", "bytes"}
_READ_ERRORS = (ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, UnicodeError, struct.error)


def _read_long(stream: BinaryIO) -> int:
    """Reads a zigzag variable-length number (Avro 1.11, "Binary Encoding"); raises EOFError or ValueError."""
    value, shift = 0, 0
    while True:
        byte = stream.read(1)
        if not byte:
            raise EOFError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _read_bytes(stream: BinaryIO, largest: int) -> bytes:
    size = _read_long(stream)
    if not 0 <= size <= largest:
        raise ValueError(f"a length of {counted(size, 'byte')}")
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the file ends within a block")
    return data


def _read_header(stream: BinaryIO) -> tuple[dict[str, bytes], bytes]:
    """Reads the metadata and the marker that ends each block."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not begin like an Avro file")
    metadata: dict[str, bytes] = {}
    while count := _read_long(stream):
        if count < 0:
            _read_long(stream)
        if abs(count) + len(metadata) > 1000:
            raise ValueError(counted(abs(count), "metadata entry", "metadata entries"))
        for _ in range(abs(count)):
            key = _read_bytes(stream, _MOST_METADATA).decode("utf-8")
            metadata[key] = _read_bytes(stream, _MOST_METADATA)
    return metadata, stream.read(_SYNC_BYTES)


def _is_plain(kind: Any) -> bool:
    """Whether each value of a type takes at least one byte, so that the size of a block bounds every count in it."""
    if isinstance(kind, dict):
        inner = kind.get("type")
        if inner == "array":
            return _is_plain(kind.get("items")) and not isinstance(kind.get("items"), list)
        return "logicalType" not in kind and isinstance(inner, str) and inner in _PLAIN
    if isinstance(kind, list):
        return bool(kind) and all(part == "null" or _is_plain(part) for part in kind)
    return isinstance(kind, str) and kind in _PLAIN


def _unpacked(data: bytes, codec: str) -> bytes:
    """Decompresses a block; raises ValueError if the content is larger than _LARGEST_BLOCK."""
    if codec == "null":
        return data
    if codec == "deflate":
        return _bounded(zlib.decompressobj(-15), data)
    if codec == "bzip2":
        return _bounded(bz2.BZ2Decompressor(), data)
    if codec == "xz":
        return _bounded(lzma.LZMADecompressor(), data)
    if codec == "snappy":
        return _snappy(data)
    if codec == "zstandard":
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            # Not `read`, which leaks its memory if it fails (pyarrow 26.0).
            content: bytes = stream.read_buffer(_LARGEST_BLOCK + 1).to_pybytes()
        if len(content) > _LARGEST_BLOCK:
            raise ValueError(f"a block of more than {_LARGEST_BLOCK >> 20} MiB")
        return content
    raise ValueError(f"unknown codec {codec!r}")


def _bounded(decompressor: Any, data: bytes) -> bytes:
    content: bytes = decompressor.decompress(data, _LARGEST_BLOCK + 1)
    if len(content) > _LARGEST_BLOCK:
        raise ValueError(f"a block of more than {_LARGEST_BLOCK >> 20} MiB")
    return content


def _snappy(data: bytes) -> bytes:
    """Decompresses a snappy block, which begins with the content's size (variable-length) and ends with a checksum."""
    size, shift = 0, 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > _LARGEST_BLOCK:
        raise ValueError(f"a block of {counted(size, 'byte')}")
    content: bytes = pa.Codec("snappy").decompress(data[:-4], size, asbytes=True)
    return content


class AvroFile:
    """The records of an Avro file.

    Raises DamagedInput if the file has no readable header, and NotFlowRecords if its schema is not one record of plain
    fields.
    """

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._fastavro = require("fastavro")
        # Stays open while the records are read; `records` closes it.
        self._stream = open(file.plain_path, "rb")  # noqa: SIM115
        try:
            metadata, self._sync = _read_header(self._stream)
            self._codec = metadata.get("avro.codec", b"null").decode("utf-8")
            schema = json.loads(metadata["avro.schema"])
            self.fields = self._checked(schema)
            self._schema = self._fastavro.parse_schema(schema)
        except (*_READ_ERRORS, self._fastavro.schema.SchemaParseException, RecursionError) as error:
            self._stream.close()
            raise DamagedInput(file.name, None, f"not a readable Avro file: {escaped(error)}") from error
        except InputError:
            self._stream.close()
            raise

    def _checked(self, schema: Any) -> dict[str, Any]:
        """The fields of a schema by name."""
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise NotFlowRecords(self._file.name, "Avro, but its schema does not describe records")
        fields = {str(field["name"]): field["type"] for field in schema["fields"]}
        odd = [name for name, kind in fields.items() if not _is_plain(kind)]
        if odd:
            raise NotFlowRecords(
                self._file.name,
                f"Avro, but not FlowTuple version 3 or 4: the field {escaped(odd[0])} has the "
                f"type {escaped(fields[odd[0]])[:100]}",
            )
        return fields

    def records(self) -> Iterator[list[dict[str, Any]]]:
        """The records of each block; raises DamagedInput where a block cannot be read."""
        with self._stream as stream:
            while True:
                position = stream.tell()
                if not stream.read(1):
                    return
                stream.seek(position)
                try:
                    records = self._block(stream)
                except (*_READ_ERRORS, OSError, pa.ArrowException, zlib.error, lzma.LZMAError) as error:
                    reason = f"broken Avro block ({escaped(error)})"
                    raise DamagedInput(self._file.name, position, reason) from error
                yield records

    def _block(self, stream: BinaryIO) -> list[dict[str, Any]]:
        count, packed = _read_long(stream), _read_bytes(stream, _LARGEST_BLOCK)
        content = _unpacked(packed, self._codec)
        # The check of the schema ensures that each record takes at least one byte.
        if not 0 <= count <= len(content):
            raise ValueError(f"{counted(count, 'record')} in {counted(len(content), 'byte')}")
        if stream.read(_SYNC_BYTES) != self._sync:
            raise ValueError("a block does not end with the file's sync marker")
        inner = io.BytesIO(content)
        return [self._fastavro.schemaless_reader(inner, self._schema, None) for _ in range(count)]
