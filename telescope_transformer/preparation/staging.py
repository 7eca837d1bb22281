"""Stage flow records for an engine: write a stream of batches to Parquet, in buckets by the hash of the source.

The layout is `bucket=<n>/records.parquet`. All files have the same columns; a column that no input has is null. Labels
are encoded as numbers, so that engines do not move text with each record. The highest bits of
`record_order.source_keys` choose the bucket, so reading the buckets in turn gives the order of windows.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.fields import ANNOTATIONS, TIE_ORDER, WINDOW_FIELDS
from telescope_transformer.preparation.settings import MOST_SHARDS, shards_for
from telescope_transformer.record_order import KEY_BITS, source_keys
from telescope_transformer.windows import record_field

# Records that are held in memory before they are written. Sorting them takes `settings.MEMORY_OF_ONE_FLUSH`.
FLUSH_RECORDS = 2**21
# Our choice, to bound memory: number of IPv6 destinations whose text is kept. Others keep only their folded bits.
MOST_DESTINATIONS = 2**20
# Engines without unsigned 64-bit integers would read these as decimals.
STAGED_FIELDS = {name: pa.int64() if kind == pa.uint64() else kind for name, kind in WINDOW_FIELDS.items()}
STAGED_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("key", pa.int64()),
        *STAGED_FIELDS.items(),
        *((name, pa.int32()) for name in ANNOTATIONS),
    ]
)
ORDER = ("key", "source", "timestamp", *TIE_ORDER)
"""Columns that an engine sorts by, null first."""


@dataclass
class Staged:
    """Staged records.

    `directory` holds the buckets, `buckets` is their largest possible number, and `shards` the number of shards that
    they form. `fields` and `annotations` are the columns that some input has. `names` are the texts of each
    annotation's numbers; an annotation without names is staged as text. `destinations` are the texts of folded IPv6
    destinations. `table` holds the records if they were few enough to stay in memory; then there are no files.
    """

    directory: Path
    buckets: int
    shards: int
    records: int
    fields: list[str]
    annotations: list[str]
    names: dict[str, list[str]]
    destinations: dict[int, str] = field(default_factory=dict)
    table: pa.Table | None = None

    def files(self, shard: int) -> list[Path]:
        """The files of a shard; empty if it has no source."""
        each = self.buckets // self.shards
        folders = [bucket_folder(self.directory, bucket) for bucket in range(shard * each, (shard + 1) * each)]
        return [path for folder in folders for path in sorted(folder.glob("*.parquet"))]


def bucket_folder(directory: Path, bucket: int) -> Path:
    return directory / f"bucket={bucket}"


def stage(
    batches: Iterable[pa.RecordBatch],
    directory: Path,
    *,
    shards: int | None = None,
    annotate: Callable[[pa.Table], pa.Table] | None = None,
    in_memory: bool = False,
) -> Staged:
    """Write flow records to buckets under `directory`, in bounded memory.

    Args:
        batches: flow records (`fields.FLOW_SCHEMA` without absent optional columns).
        directory: folder of the buckets; created.
        shards: number of shards; None chooses it by the number of records.
        annotate: applied to each part of the records, to add or replace `label` and `tool`.
        in_memory: keep records in memory if they are few enough for one flush.
    """
    stager = _Stager(directory, shards, annotate, in_memory)
    pending: list[pa.Table] = []
    waiting = 0
    # Write one part while the next is read.
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


def staged_columns(table: pa.Table) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Source, key and record fields of flow records as they are staged; fields that the table lacks are null."""
    sources = table["src_ip"].cast(pa.string())
    keys = [pa.array(source_keys(chunk)) for chunk in sources.chunks]
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"source": sources, "key": pa.chunked_array(keys, pa.int64())}
    for name, kind in STAGED_FIELDS.items():
        present = name in table.column_names
        columns[name] = record_field(table, name).cast(kind) if present else pa.nulls(table.num_rows, kind)
    return columns


@dataclass
class _Stager:
    directory: Path
    shards: int | None
    annotate: Callable[[pa.Table], pa.Table] | None
    in_memory: bool
    buckets: int = 0
    records: int = 0
    present: set[str] = field(default_factory=set)
    codes: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in ANNOTATIONS})
    destinations: dict[int, str] = field(default_factory=dict)
    writers: dict[int, pq.ParquetWriter] = field(default_factory=dict)
    table: pa.Table | None = None

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
        staged = self._columns(table)
        self.records += table.num_rows
        if not self.buckets:
            # All records have arrived, so the number of shards is known and each bucket is a shard.
            self.buckets = self.shards or (shards_for(table.num_rows) if last else MOST_SHARDS)
            if last and self.in_memory:
                self.table = staged
                return
        buckets = bucket_of(staged["key"].to_numpy(), self.buckets)
        staged = staged.take(pa.array(np.argsort(buckets, kind="stable")))
        ends = np.cumsum(np.bincount(buckets, minlength=self.buckets))
        for bucket, end in enumerate(ends.tolist()):
            begin = int(ends[bucket - 1]) if bucket else 0
            if end > begin:
                self._writer(bucket).write_table(staged.slice(begin, end - begin))

    def _columns(self, table: pa.Table) -> pa.Table:
        self.present.update(table.schema.names)
        columns = staged_columns(table)
        for name in ANNOTATIONS:
            columns[name] = self._encode(name, table)
        add_destinations(self.destinations, table["dst_ip"], columns["dst_ip"])
        return pa.table(columns, schema=STAGED_SCHEMA)

    def _encode(self, name: str, table: pa.Table) -> pa.Array:
        """Number an annotation's texts in the order in which they first occur."""
        if name not in table.schema.names:
            return pa.nulls(table.num_rows, pa.int32())
        encoded = table[name].combine_chunks().dictionary_encode()
        known = self.codes[name]
        codes = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
        return pa.array(codes, pa.int32()).take(encoded.indices)

    def _writer(self, bucket: int) -> pq.ParquetWriter:
        if bucket not in self.writers:
            folder = bucket_folder(self.directory, bucket)
            folder.mkdir()
            self.writers[bucket] = pq.ParquetWriter(
                folder / "records.parquet",
                STAGED_SCHEMA,
                compression="lz4",
                use_dictionary=["source"],
                write_statistics=False,
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
            destinations=self.destinations,
            table=self.table,
        )


def add_destinations(known: dict[int, str], addresses: pa.ChunkedArray, folds: pa.Array | pa.ChunkedArray) -> None:
    """Record the text of IPv6 destinations by fold; if two share a fold, the first in text order is kept."""
    if pa.types.is_integer(addresses.type) or len(known) >= MOST_DESTINATIONS:
        return
    is_v6 = pc.match_substring(addresses, ":")
    if not pc.any(is_v6).as_py():
        return
    pairs = pa.table({"fold": folds, "text": addresses}).filter(is_v6).group_by("fold").aggregate([("text", "min")])
    for fold, text in zip(pairs["fold"].to_pylist(), pairs["text_min"].to_pylist(), strict=True):
        if fold in known or len(known) < MOST_DESTINATIONS:
            known[fold] = min(text, known.get(fold, text))


def bucket_of(keys: np.ndarray, buckets: int) -> np.ndarray:
    """The bucket of each source key (n,) int64: its highest bits. `buckets` is a power of two."""
    return keys >> (KEY_BITS - (buckets.bit_length() - 1))
