"""Arrow IPC: files (also called Feather) and streams."""

from collections.abc import Iterator

import pyarrow as pa

from telescope_transformer.records.columnar import READ_ERRORS, read_batches, resolve_schema
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.validation import Chunk

_FILE_MAGIC, _CONTINUATION = b"ARROW1\0\0", b"\xff\xff\xff\xff"


def sniff(head: bytes) -> bool:
    """Whether the head belongs to an IPC file or a stream. A stream begins with the length of its schema message."""
    if head.startswith(_FILE_MAGIC):
        return True
    # The schema message is a small flatbuffer; its length is a multiple of 8.
    length = int.from_bytes(head[4:8], "little")
    return head.startswith(_CONTINUATION) and 0 < length < 1 << 24 and length % 8 == 0


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of an IPC file or stream; raises DamagedInput if it is cut off or a batch is broken."""
    try:
        stream = pa.OSFile(str(file.plain_path))
        if file.head.startswith(_FILE_MAGIC):
            reader = pa.ipc.open_file(stream)
            batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(stream)
            batches = iter(reader)
        schema = reader.schema
    except READ_ERRORS as error:
        raise DamagedInput(file.name, None, f"not a whole Arrow file: {escaped(error)}") from error
    with stream:
        yield from read_batches(file, batches, schema, resolve_schema(file, schema, context), context)


FORMAT = Format("arrow", sniff, read)
