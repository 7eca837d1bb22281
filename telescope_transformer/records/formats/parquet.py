"""Parquet files, alone or in folders that are hive partitions (`day=2024-01-01/part-0.parquet`)."""

from collections.abc import Iterator

import pyarrow.parquet as pq

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
from telescope_transformer.records.formats import aws_vpc
from telescope_transformer.records.rejects import escaped
from telescope_transformer.records.validation import Chunk
from telescope_transformer.words import counted


def sniff(head: bytes) -> bool:
    """Whether the head belongs to a Parquet file."""
    return head.startswith(b"PAR1")


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a Parquet file; partition values count as columns.

    Raises DamagedInput if the file is cut off, if a page is broken, with its row, or
    if the number of rows differs from that in the footer.
    """
    try:
        parquet = pq.ParquetFile(file.plain_path)
        schema, expected = parquet.schema_arrow, parquet.metadata.num_rows
    except READ_ERRORS as error:
        raise DamagedInput(file.name, None, f"not a whole Parquet file: {escaped(error)}") from error
    with parquet:
        if aws_vpc.is_flow_log(schema.names) and not context.columns:
            batches = parquet.iter_batches(batch_size=ROWS_PER_BATCH)
            chunks = aws_vpc.columnar_chunks(file, batches, schema.names, context)
        else:
            resolved = resolve_schema(file, schema, context)
            batches = parquet.iter_batches(batch_size=ROWS_PER_BATCH, columns=stored_columns(resolved, schema))
            chunks = read_batches(file, batches, schema, resolved, context)
        read_rows = 0
        for chunk in chunks:
            read_rows += chunk.batch.num_rows + chunk.rejects.num_rows + chunk.skipped
            yield chunk
        if read_rows != expected:
            raise DamagedInput(file.name, None, f"{counted(read_rows, 'row')} where the footer says {expected:,}")


FORMAT = Format("parquet", sniff, read)
