"""Write windows to the shards of a prepared dataset."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.codes import code_lists
from telescope_transformer.fields import ANNOTATIONS, WINDOW_FIELDS
from telescope_transformer.preparation.cutting import Cutter, Piece
from telescope_transformer.preparation.settings import WindowSettings
from telescope_transformer.preparation.staging import Staged
from telescope_transformer.windows import Windows

# Windows per row group. A reader of blocks holds at least one group in memory, up to 39 MB (128 records of 37 bytes).
_WINDOWS_PER_ROW_GROUP = 8192
# Prefix of the tables of all sources, including those without a window.
SOURCES = "sources"
# Columns of these tables that have a value for every source.
SOURCE_HEAD = {
    "source": pa.string(),
    **dict.fromkeys(("n_records", "first_seen", "last_seen"), pa.int64()),
    "services": pa.list_(pa.int32()),
}
# Columns with few distinct values, which get a dictionary. Times are stored as differences. For other columns a
# dictionary saves nothing.
_DICTIONARY_COLUMNS = [
    *(f"{name}.list.element" for name in ("dst_port", "protocol", "ttl", "tcp_flags")),
    *ANNOTATIONS,
]
_ENCODINGS = {"timestamp.list.element": "DELTA_BINARY_PACKED"}


@dataclass(frozen=True)
class ShardFile:
    """A file of a prepared dataset.

    `path` is relative to the dataset, `generation` is the number of the ingest that wrote the file, and `split` is its
    folder: one of `settings.SPLITS`, or `settings.WHOLE`.
    """

    path: str
    split: str
    shard: int
    windows: int
    records: int
    sources: int
    generation: int = 0


@dataclass(frozen=True)
class Tally:
    """Counts of a cut: all sources, windows and sources that were too short, and traffic by day.

    `days` are [day since 1970, records, sources], ascending; `source_files` are the paths of tables of sources.
    """

    sources: int = 0
    windows_left_out: int = 0
    sources_left_out: int = 0
    days: list[list[int]] = field(default_factory=list)
    source_files: list[str] = field(default_factory=list)

    def plus(self, other: "Tally") -> "Tally":
        return Tally(
            self.sources + other.sources,
            self.windows_left_out + other.windows_left_out,
            self.sources_left_out + other.sources_left_out,
            add_days(self.days, other.days),
            self.source_files + other.source_files,
        )


def add_days(some: list[list[int]], more: list[list[int]]) -> list[list[int]]:
    """Merge two lists of days and add their counts."""
    found = {day: [records, sources] for day, records, sources in some}
    for day, records, sources in more:
        known = found.setdefault(day, [0, 0])
        known[0] += records
        known[1] += sources
    return [[day, *found[day]] for day in sorted(found)]


def window_schema(fields: Iterable[str], annotations: Iterable[str]) -> pa.Schema:
    """Schema of windows with these record fields and annotations."""
    head = [("source", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("n_records", pa.int32())]
    lists = [(name, pa.list_(kind)) for name, kind in WINDOW_FIELDS.items() if name in set(fields)]
    return pa.schema([*head, *lists, *((name, pa.string()) for name in ANNOTATIONS if name in set(annotations))])


def source_schema(annotations: Iterable[str]) -> pa.Schema:
    """Schema of the tables of sources (`cutting.Piece.sources`)."""
    texts = [(name, pa.string()) for name in ANNOTATIONS if name in set(annotations)]
    return pa.schema([*SOURCE_HEAD.items(), *texts])


def write_shard(
    directory: Path,
    shard: int,
    generation: int,
    batches: Iterable[pa.Table],
    staged: Staged,
    settings: WindowSettings,
) -> tuple[list[ShardFile], Tally]:
    """Cut and write a shard, one file for each folder that has windows.

    Args:
        directory: folder of the dataset.
        shard: number of the shard.
        generation: 0 for the first preparation, one more for each append.
        batches: sorted records of the shard.
        staged: the staged records that they come from.
        settings: settings of the windows.
    """
    cutter = Cutter(settings, staged.fields, {name: staged.names.get(name) for name in staged.annotations})
    schema = window_schema(staged.fields, staged.annotations)
    name = f"shard-{shard:05d}.parquet" if not generation else f"shard-{shard:05d}-{generation:05d}.parquet"
    open_files: dict[str, _OpenFile] = {}
    tally = Tally()
    described: list[Piece] = []
    try:
        for piece in cutter.pieces(batches):
            left_out = piece.left_out
            tally = tally.plus(Tally(piece.n_sources, left_out.windows, left_out.sources, piece.days.tolist()))
            described.append(piece)
            for folder, windows in piece.folders.items():
                if folder not in open_files:
                    open_files[folder] = _OpenFile(directory / folder / name, schema)
                open_files[folder].write(windows)
    finally:
        for file in open_files.values():
            file.close()
    if described:
        # Not in a folder, because each folder of a dataset is a split.
        path = directory / f"{SOURCES}-{name}"
        pq.write_table(joined_sources(described), path, compression="zstd")
        tally = replace(tally, source_files=[path.name])
    files = [
        ShardFile(f"{folder}/{name}", folder, shard, file.windows, file.records, file.sources, generation)
        for folder, file in open_files.items()
    ]
    return files, tally


def joined_sources(pieces: list[Piece]) -> pa.Table:
    """Merge the sources of a shard's pieces to one row each; text comes from the piece with most records."""
    whole = pa.concat_tables([piece.sources for piece in pieces])
    if not any(piece.continues for piece in pieces):
        return whole
    return merged_sources(whole)


def merged_sources(table: pa.Table) -> pa.Table:
    """Merge rows of the same source: counts are added, services joined; other columns come from the largest row."""
    others = [name for name in table.column_names if name not in SOURCE_HEAD]
    ordered = table.take(pc.sort_indices(table, [("n_records", "descending")]))
    merged = ordered.group_by("source", use_threads=False).aggregate(
        [("n_records", "sum"), ("first_seen", "min"), ("last_seen", "max"), *((name, "first") for name in others)]
    )
    merged = merged.rename_columns(["source", "n_records", "first_seen", "last_seen", *others])
    return merged.append_column("services", _joined_services(ordered, merged["source"])).select(table.column_names)


def _joined_services(rows: pa.Table, sources: pa.ChunkedArray) -> pa.ListArray:
    """Distinct services of each source, in the order of its rows."""
    lists = rows["services"].combine_chunks()
    owner = pc.index_in(rows["source"], sources.combine_chunks()).to_numpy().astype(np.int64)
    keys = owner[pc.list_parent_indices(lists).to_numpy()] << 32 | pc.list_flatten(lists).to_numpy().astype(np.int64)
    distinct, first = np.unique(keys, return_index=True)
    return code_lists(distinct[np.lexsort((first, distinct >> 32))], len(sources))


@dataclass
class _OpenFile:
    path: Path
    schema: pa.Schema
    windows: int = 0
    records: int = 0
    sources: int = 0
    last_source: str | None = None
    writer: pq.ParquetWriter = field(init=False)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.writer = pq.ParquetWriter(
            self.path,
            self.schema,
            compression="zstd",
            use_dictionary=_DICTIONARY_COLUMNS,
            column_encoding=_ENCODINGS,
        )

    def write(self, windows: Windows) -> None:
        table = windows.to_table().select(self.schema.names)
        self.writer.write_table(table, row_group_size=_WINDOWS_PER_ROW_GROUP)
        sources = windows.table["source"]
        self.windows += len(windows)
        self.records += int(windows.offsets[-1])
        # A very large source may continue in the next piece.
        self.sources += len(sources.unique()) - int(sources[0].as_py() == self.last_source)
        self.last_source = sources[-1].as_py()

    def close(self) -> None:
        self.writer.close()
