"""ORC files, stripe by stripe."""

from collections.abc import Iterator

from pyarrow import orc
from pyarrow.dataset import OrcFileFormat
from pyarrow.fs import LocalFileSystem

from telescope_transformer.records.columnar import (
    READ_ERRORS,
    ROWS_PER_BATCH,
    read_batches,
    resolve_schema,
    stored_columns,
)
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.validation import Chunk
from telescope_transformer.words import counted


def sniff(head: bytes) -> bool:
    """Whether the head belongs to an ORC file."""
    return head.startswith(b"ORC")


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of an ORC file; raises DamagedInput if it is cut off or a stripe is broken."""
    try:
        found = orc.ORCFile(file.plain_path)
        schema, expected = found.schema, found.nrows
    except READ_ERRORS as error:
        raise DamagedInput(file.name, None, f"not a whole ORC file: {escaped(error)}") from error
    resolved = resolve_schema(file, schema, context)
    # `ORCFile` reads whole stripes, and a few kilobytes can encode a stripe of a billion equal rows.
    fragment = OrcFileFormat().make_fragment(str(file.plain_path), filesystem=LocalFileSystem())
    batches = fragment.to_batches(
        columns=stored_columns(resolved, schema), batch_size=ROWS_PER_BATCH, batch_readahead=1, use_threads=False
    )
    read_rows = 0
    for chunk in read_batches(file, batches, schema, resolved, context):
        read_rows += chunk.batch.num_rows + chunk.rejects.num_rows
        yield chunk
    if read_rows != expected:
        raise DamagedInput(file.name, None, f"{counted(read_rows, 'row')} where the footer says {expected:,}")


FORMAT = Format("orc", sniff, read)
