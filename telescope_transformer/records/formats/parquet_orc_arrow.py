"""Parquet, ORC and Arrow IPC files, alone or in folders that are hive partitions (`day=2024-01-01/part-0.parquet`)."""

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc
from pyarrow.dataset import OrcFileFormat

from telescope_transformer.records.columnar import ROWS_PER_BATCH, Stored, columnar_format
from telescope_transformer.records.formats import aws_vpc, google_vpc

# Their exports have the same columns as their text, but some rows of them are not flow records.
_TABLES = (aws_vpc.TABLE, google_vpc.TABLE)
_ARROW_MAGIC, _CONTINUATION = b"ARROW1\0\0", b"\xff\xff\xff\xff"


def _open_parquet(source: pa.NativeFile) -> Stored:
    file = pq.ParquetFile(source)
    return Stored(
        file.schema_arrow,
        lambda columns: file.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns),
        file.metadata.num_rows,
    )


def _open_orc(source: pa.NativeFile) -> Stored:
    file = orc.ORCFile(source)
    # `ORCFile` reads whole stripes, and a few kilobytes can encode a stripe of a billion equal rows.
    fragment = OrcFileFormat().make_fragment(source)
    return Stored(
        file.schema,
        lambda columns: fragment.to_batches(
            columns=columns, batch_size=ROWS_PER_BATCH, batch_readahead=1, use_threads=False
        ),
        file.nrows,
    )


def _is_arrow(head: bytes) -> bool:
    """Whether the head belongs to an IPC file, also called Feather, or to a stream."""
    # A stream begins with the length of its schema message, a small flatbuffer; the length is a multiple of 8.
    length = int.from_bytes(head[4:8], "little")
    is_stream = head.startswith(_CONTINUATION) and 0 < length < 1 << 24 and length % 8 == 0
    return head.startswith(_ARROW_MAGIC) or is_stream


def _open_arrow(source: pa.NativeFile) -> Stored:
    is_file = source.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC
    source.seek(0)
    if not is_file:
        stream = pa.ipc.open_stream(source)
        return Stored(stream.schema, lambda columns: iter(stream), None)
    file = pa.ipc.open_file(source)
    return Stored(
        file.schema, lambda columns: (file.get_batch(index) for index in range(file.num_record_batches)), None
    )


PARQUET = columnar_format("Parquet", lambda head: head.startswith(b"PAR1"), _open_parquet, _TABLES)
ORC = columnar_format("ORC", lambda head: head.startswith(b"ORC"), _open_orc, _TABLES)
ARROW = columnar_format("Arrow", _is_arrow, _open_arrow, _TABLES)
