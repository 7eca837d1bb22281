"""From an engine's rows to the shards of a prepared dataset."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.fields import ANNOTATIONS, WINDOW_FIELDS
from telescope_transformer.preparation.expressions import SPLITS
from telescope_transformer.preparation.staging import Staged
from telescope_transformer.windows import assemble_windows, majority_codes

if TYPE_CHECKING:
    import datasets

# A row group is what a streaming reader holds at least.
_WINDOWS_PER_ROW_GROUP = 8192
# Columns of few distinct values; times are differences, and a dictionary of the others only costs time and space.
_DICTIONARY_COLUMNS = [
    *(f"{name}.list.element" for name in ("dst_port", "protocol", "ttl", "tcp_flags")),
    *ANNOTATIONS,
]
_ENCODINGS = {"timestamp.list.element": "DELTA_BINARY_PACKED"}


@dataclass(frozen=True)
class ShardFile:
    """A file of a prepared dataset: `path` is relative to it, `generation` is the ingest that wrote the file."""

    path: str
    split: str
    shard: int
    windows: int
    records: int
    sources: int
    generation: int = 0


def window_schema(fields: Iterable[str], annotations: Iterable[str]) -> pa.Schema:
    """The schema of windows with these record fields and annotations."""
    head = [("source", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("n_records", pa.int32())]
    lists = [(name, pa.list_(kind)) for name, kind in WINDOW_FIELDS.items() if name in set(fields)]
    return pa.schema([*head, *lists, *((name, pa.string()) for name in ANNOTATIONS if name in set(annotations))])


def window_features(fields: Iterable[str], annotations: Iterable[str]) -> "datasets.Features":
    """The same schema as the `Features` of a `datasets.Dataset`."""
    import datasets

    return datasets.Features.from_arrow_schema(window_schema(fields, annotations))


@cache
def declared_schema(fields: tuple[str, ...], annotations: tuple[str, ...]) -> pa.Schema:
    """The schema with the `Features` declared in its metadata, where `datasets` looks for them."""
    return window_features(fields, annotations).arrow_schema


def write_shard(directory: Path, shard: int, generation: int, windows: pa.Table, staged: Staged) -> list[ShardFile]:
    """Writes the windows of a shard, a file for each split that has any, sorted by source and start.

    Args:
        directory: of the dataset.
        shard: its number.
        generation: 0 for the first preparation, then one more for each append.
        windows: rows of `expressions.windows_of`, in any order.
        staged: what they were computed from.
    """
    name = f"shard-{shard:05d}.parquet" if not generation else f"shard-{shard:05d}-{generation:05d}.parquet"
    files = []
    for split in SPLITS:
        part = finished_windows(windows, split, staged)
        if not part.num_rows:
            continue
        path = directory / split / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(
            part,
            path,
            compression="zstd",
            row_group_size=_WINDOWS_PER_ROW_GROUP,
            use_dictionary=_DICTIONARY_COLUMNS,
            column_encoding=_ENCODINGS,
        )
        records = int(pc.sum(part["n_records"]).as_py())
        sources = pc.count_distinct(part["source"]).as_py()
        files.append(ShardFile(f"{split}/{name}", split, shard, part.num_rows, records, sources, generation))
    return files


def finished_windows(windows: pa.Table, split: str, staged: Staged) -> pa.Table:
    """The windows of a split in the form that `windows.cut_windows` gives them."""
    schema = declared_schema(tuple(staged.fields), tuple(staged.annotations))
    part = windows.filter(pc.equal(windows["split"], split)) if windows.num_columns else windows
    if not part.num_rows:
        return schema.empty_table()
    order = pc.sort_indices(part.select(["source", "number"]), [("source", "ascending"), ("number", "ascending")])
    part = part.take(order)
    offsets = np.concatenate(([0], np.cumsum(part["n_records"].to_numpy()))).astype(np.int32)
    fields = {name: _flat(part[name]).cast(WINDOW_FIELDS[name]) for name in staged.fields}
    annotations = {}
    for name in staged.annotations:
        # Numbers by first occurrence would make a tie depend on the input's order; texts decide it.
        rank, texts = _ranked(staged.names[name])
        codes = _flat(part[name]).fill_null(-1).to_numpy(zero_copy_only=False)
        annotations[name] = texts.take(majority_codes(rank[codes], offsets))
    source = part["source"].combine_chunks().cast(pa.string())
    table = assemble_windows(source, offsets, fields, annotations)
    return table.replace_schema_metadata(None).cast(schema)


def _ranked(names: list[str]) -> tuple[np.ndarray, pa.Array]:
    """The rank of each name among the sorted ones, with -1 at the end for "none", and the sorted names.

    `datasets` and the other stages order text as Arrow does, by its bytes.
    """
    texts = pa.array(names, pa.string())
    order = pc.sort_indices(texts).to_numpy()
    rank = np.full(len(order) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank, texts.take(pa.array(order))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pc.list_flatten(column.combine_chunks())
