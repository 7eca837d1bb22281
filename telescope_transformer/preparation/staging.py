"""Flow records on their way to an engine: a stream of batches, written to Parquet in buckets by hash of the source.

The layout is `bucket=<n>/records.parquet`, which both engines read as a partitioned table.  Every file has the same
columns; those that no input has are null throughout.  Labels become numbers here, so that an engine never moves text
with each record.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from telescope_transformer.fields import ANNOTATIONS, WINDOW_FIELDS
from telescope_transformer.preparation.settings import MOST_SHARDS, shards_for
from telescope_transformer.records.addresses import fold_address

# So many records are held in memory before they are written.
FLUSH_RECORDS = 2**21
# Engines without 64-bit unsigned integers read them as decimals.
STAGED_FIELDS = {name: pa.int64() if kind == pa.uint64() else kind for name, kind in WINDOW_FIELDS.items()}
STAGED_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),
        *STAGED_FIELDS.items(),
        *((name, pa.int32()) for name in ANNOTATIONS),
    ]
)


@dataclass
class Staged:
    """Staged records.

    `directory` holds the buckets; `buckets` is how many there could be and `shards` how many shards they make up;
    `fields` and `annotations` are the columns that some input has; `names` are the texts of the annotations' numbers.
    """

    directory: Path
    buckets: int
    shards: int
    records: int
    fields: list[str]
    annotations: list[str]
    names: dict[str, list[str]]

    def files(self, shard: int) -> list[Path]:
        """The files of a shard; none if no source fell into it."""
        paths = [bucket_path(self.directory, bucket) for bucket in range(shard, self.buckets, self.shards)]
        return [path for path in paths if path.exists()]


def bucket_path(directory: Path, bucket: int) -> Path:
    return directory / f"bucket={bucket}" / "records.parquet"


def stage(
    batches: Iterable[pa.RecordBatch],
    directory: Path,
    *,
    shards: int | None = None,
    annotate: Callable[[pa.Table], pa.Table] | None = None,
) -> Staged:
    """Writes flow records to buckets under `directory`, in memory that does not grow with their number.

    Args:
        batches: flow records (`records.schema.FLOW_SCHEMA` less absent optional columns).
        directory: of the buckets; created.
        shards: number of shards; by the number of records if absent.
        annotate: applied to each part of the records, to add or replace `label` and `tool`.
    """
    stager = _Stager(directory, shards, annotate)
    pending: list[pa.Table] = []
    waiting = 0
    # One part is written while the next is read.
    with stager, ThreadPoolExecutor(max_workers=1) as pool:
        writing: Future[None] | None = None
        for batch in batches:
            pending.append(pa.Table.from_batches([batch]))
            waiting += batch.num_rows
            if waiting >= FLUSH_RECORDS:
                _wait(writing)
                writing = pool.submit(stager.write, pending, last=False)
                pending, waiting = [], 0
        _wait(writing)
        stager.write(pending, last=True)
    return stager.staged()


def _wait(writing: Future[None] | None) -> None:
    if writing is not None:
        writing.result()


@dataclass
class _Stager:
    directory: Path
    shards: int | None
    annotate: Callable[[pa.Table], pa.Table] | None
    buckets: int = 0
    records: int = 0
    present: set[str] = field(default_factory=set)
    codes: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in ANNOTATIONS})
    writers: dict[int, pq.ParquetWriter] = field(default_factory=dict)

    def __enter__(self) -> "_Stager":
        self.directory.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self.writers.values():
            writer.close()

    def write(self, parts: list[pa.Table], *, last: bool) -> None:
        if not parts:
            return
        table = pa.concat_tables(parts, promote_options="default")
        if self.annotate is not None:
            table = self.annotate(table)
        if not self.buckets:
            # All records at hand: the number of shards is known, and no finer buckets are needed.
            self.buckets = self.shards or (shards_for(table.num_rows) if last else MOST_SHARDS)
        staged = self._columns(table)
        buckets = bucket_of(staged["source"].combine_chunks(), self.buckets)
        staged = staged.take(pa.array(np.argsort(buckets, kind="stable")))
        ends = np.cumsum(np.bincount(buckets, minlength=self.buckets))
        for bucket, end in enumerate(ends.tolist()):
            begin = int(ends[bucket - 1]) if bucket else 0
            if end > begin:
                self._writer(bucket).write_table(staged.slice(begin, end - begin))
        self.records += table.num_rows

    def _columns(self, table: pa.Table) -> pa.Table:
        self.present.update(table.schema.names)
        rows = self.records + np.arange(table.num_rows)
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            "source": table["src_ip"].cast(pa.string()),
            "row": pa.array(rows),
        }
        for name, kind in STAGED_FIELDS.items():
            if name == "dst_ip":
                columns[name] = pa.array(fold_address(table[name]), kind)
            elif name in table.schema.names:
                columns[name] = table[name].cast(kind)
            else:
                columns[name] = pa.nulls(table.num_rows, kind)
        for name in ANNOTATIONS:
            columns[name] = self._encode(name, table)
        return pa.table(columns, schema=STAGED_SCHEMA)

    def _encode(self, name: str, table: pa.Table) -> pa.Array:
        """Numbers of an annotation's texts, in the order in which they first occur."""
        if name not in table.schema.names:
            return pa.nulls(table.num_rows, pa.int32())
        encoded = table[name].combine_chunks().dictionary_encode()
        known = self.codes[name]
        codes = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
        return pa.array(codes, pa.int32()).take(encoded.indices)

    def _writer(self, bucket: int) -> pq.ParquetWriter:
        if bucket not in self.writers:
            path = bucket_path(self.directory, bucket)
            path.parent.mkdir()
            self.writers[bucket] = pq.ParquetWriter(
                path, STAGED_SCHEMA, compression="lz4", use_dictionary=["source"], write_statistics=False
            )
        return self.writers[bucket]

    def staged(self) -> Staged:
        shards = self.shards or shards_for(self.records)
        return Staged(
            directory=self.directory,
            buckets=self.buckets,
            shards=shards,
            records=self.records,
            fields=[name for name in STAGED_FIELDS if name in self.present],
            annotations=[name for name in ANNOTATIONS if name in self.present],
            names={name: list(codes) for name, codes in self.codes.items()},
        )


def bucket_of(sources: pa.StringArray, buckets: int) -> np.ndarray:
    """The bucket of each source (n,) uint16: FNV-1a of its text, mixed, modulo a power of two."""
    offsets = np.frombuffer(sources.buffers()[1], dtype=np.int32)[sources.offset : sources.offset + len(sources) + 1]
    data = sources.buffers()[2]
    text = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    out = np.empty(len(sources), dtype=np.uint16)
    _hash_texts(offsets, text, np.uint64(buckets), out)
    return out


@njit(cache=True, nogil=True)
def _hash_texts(offsets: np.ndarray, text: np.ndarray, buckets: np.uint64, out: np.ndarray) -> None:
    for i in range(len(out)):
        value = np.uint64(14695981039346656037)
        for j in range(offsets[i], offsets[i + 1]):
            value = (value ^ np.uint64(text[j])) * np.uint64(1099511628211)
        value ^= value >> np.uint64(32)
        value *= np.uint64(0x9E3779B97F4A7C15)
        out[i] = (value >> np.uint64(40)) % buckets
