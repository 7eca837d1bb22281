"""Read a prepared dataset as a whole, in blocks of windows, or with `datasets`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.errors import DatasetError, reason
from telescope_transformer.extras import require
from telescope_transformer.fields import WINDOW_FIELDS
from telescope_transformer.preparation.manifest import MANIFEST, Manifest, read_manifest
from telescope_transformer.preparation.settings import SPLITS, WHOLE
from telescope_transformer.preparation.writer import (
    SOURCE_HEAD,
    ShardFile,
    merged_sources,
    source_schema,
    window_schema,
)
from telescope_transformer.records.time_kernels import LAST
from telescope_transformer.windows import Windows
from telescope_transformer.words import counted

if TYPE_CHECKING:
    import datasets

DESTINATIONS = "destinations.parquet"


def load_split(directory: str | Path, split: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Load the windows of a split, or of all splits, as a table in the form of `windows.cut_windows`.

    Args:
        directory: folder of a prepared dataset.
        split: name of the split; None loads all windows.
        columns: names of the columns; None loads all.

    Raises:
        DatasetError: if `directory` is not a complete prepared dataset, or there is no such split or column.
    """
    manifest = read_manifest(directory)
    files = files_of(manifest, split)
    schema = _schema(directory, manifest, columns)
    tables = [_read_file(Path(directory), file, schema) for file in files]
    return pa.concat_tables([schema.empty_table(), *tables])


def load_datasets(directory: str | Path) -> "datasets.DatasetDict":
    """Load all splits that have windows as a `datasets.DatasetDict`; a dataset without splits has one entry.

    Raises:
        MissingExtraError: if the library `datasets` is not installed.
        DatasetError: if `directory` is not a complete prepared dataset.
    """
    library = require("datasets")
    manifest = read_manifest(directory)
    paths = {
        split: [str(Path(directory) / file.path) for file in manifest.files_of(split)]
        for split in manifest.settings.folders
    }
    found = {split: files for split, files in paths.items() if files}
    loaded: datasets.DatasetDict = library.load_dataset("parquet", data_files=found)
    return loaded


def files_of(manifest: Manifest, split: str | None = None) -> list[ShardFile]:
    """The files of a split, or of all windows. If the dataset has no splits, this is the order of `windows.cut`.

    Raises:
        DatasetError: if there is no such split.
    """
    if split is None:
        return manifest.files_of()
    if split not in (*SPLITS, WHOLE):
        raise DatasetError(f"there is no split {split!r}; splits are {', '.join(SPLITS)}")
    if split not in manifest.settings.folders:
        has = "is not split: prepare it with --splits" if split in SPLITS else f"has the splits {', '.join(SPLITS)}"
        raise DatasetError(f"there is no split {split!r}: the dataset {has}")
    return manifest.files_of(split)


def read_blocks(directory: str | Path, size: int, *, file: int | None = None) -> Iterator[Windows]:
    """Yield all windows in order, `size` at a time; the blocks do not depend on the number of shards.

    Args:
        directory: folder of a prepared dataset.
        size: windows per block; the last block may be smaller.
        file: number of a single file to read, in the order of the windows; None reads all.

    Raises:
        DatasetError: as for `load_split`.
    """
    manifest = read_manifest(directory)
    schema = window_schema(manifest.fields, manifest.annotations)
    pending: list[pa.Table] = []
    waiting = 0
    files = manifest.files_of()
    for one in files if file is None else files[file : file + 1]:
        for batch in _batches(Path(directory), one, schema, size):
            pending.append(batch)
            waiting += batch.num_rows
            while waiting >= size:
                table = pa.concat_tables(pending)
                yield Windows.from_table(table.slice(0, size))
                pending, waiting = [table.slice(size)], waiting - size
    if waiting:
        yield Windows.from_table(pa.concat_tables(pending))


def read_shard(directory: str | Path, file: ShardFile, columns: Sequence[str]) -> pa.Table:
    """Read those columns of a file of windows that its dataset has.

    Raises:
        DatasetError: if this is not a prepared dataset, or the file is damaged.
    """
    manifest = read_manifest(directory)
    schema = window_schema(manifest.fields, manifest.annotations)
    present = pa.schema([schema.field(name) for name in schema.names if name in columns])
    return _read_file(Path(directory), file, present)


def read_heads(directory: str | Path) -> pa.Table:
    """Read a row per window without its records: `source`, `start`, `end`, `n_records`, and annotations."""
    manifest = read_manifest(directory)
    schema = window_schema((), manifest.annotations)
    return pa.concat_tables(
        [schema.empty_table(), *(_read_file(Path(directory), file, schema) for file in manifest.files_of())]
    )


def read_sources(directory: str | Path) -> pa.Table:
    """Read a row per source (`cutting.Piece.sources`), including sources without a window, in the order of windows.

    Raises:
        DatasetError: if this is not a prepared dataset, or a file is damaged.
    """
    manifest = read_manifest(directory)
    schema = source_schema(manifest.annotations)
    tables = [schema.empty_table()]
    for name in manifest.source_files:
        path = Path(directory) / name
        try:
            found = _as_written(pq.read_table(path), schema)
            _check_sources(found)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{path} is damaged: {reason(error)}") from error
        tables.append(found)
    table = pa.concat_tables(tables)
    counts = manifest.counts()
    records = pc.sum(table["n_records"]).as_py() or 0
    if len(table) != counts["sources"] or records != counts["records_in_windows"] + counts["records_left_out"]:
        raise DatasetError(
            f"{directory} is damaged: {', '.join(manifest.source_files)} do not have the sources and records that "
            f"{MANIFEST} says"
        )
    return merged_sources(table) if len(manifest.ingests) > 1 else table


def read_destinations(directory: str | Path) -> dict[int, str]:
    """Texts of IPv6 destinations, by the 32 bits that windows store."""
    path = Path(directory) / DESTINATIONS
    if not path.is_file():
        return {}
    try:
        table = pq.read_table(path, columns=["fold", "text"])
        return dict(zip(table["fold"].to_pylist(), table["text"].to_pylist(), strict=True))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DatasetError(f"{path} is damaged: {reason(error)}") from error


def check_windows(table: pa.Table) -> None:
    """Check that a preparation can have written these windows, or these columns of them.

    Raises:
        ValueError: if not; the message says what is wrong.
    """
    for name in ("source", "start", "end", "n_records", "timestamp"):
        if name in table.column_names and table[name].null_count:
            raise ValueError(f"a window has no {name}")
    if {"start", "end"} <= set(table.column_names):
        _check_times(table["start"], table["end"])
    if "n_records" not in table.column_names:
        return
    if pc.any(pc.less(table["n_records"], 1)).as_py():
        raise ValueError("a window has no records")
    if "timestamp" in table.column_names and pc.list_flatten(table["timestamp"]).null_count:
        raise ValueError("a record has no timestamp")
    for name in (name for name in WINDOW_FIELDS if name in table.column_names):
        if not pc.all(pc.equal(pc.list_value_length(table[name]), table["n_records"])).as_py():
            raise ValueError(f"a window does not have as many values of {name} as n_records")


def _schema(directory: str | Path, manifest: Manifest, columns: Sequence[str] | None) -> pa.Schema:
    schema = window_schema(manifest.fields, manifest.annotations)
    if columns is None:
        return schema
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise DatasetError(f"{directory} has no column {missing[0]!r}; columns are {', '.join(schema.names)}")
    return pa.schema([schema.field(name) for name in columns])


def _read_file(directory: Path, file: ShardFile, schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *_batches(directory, file, schema, file.windows or 1)])


def _as_written(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema. Raises a ValueError if one has another type than a preparation writes."""
    for name, kind in zip(schema.names, schema.types, strict=True):
        found = table.schema.field(name).type
        if found != kind:
            raise ValueError(f"column {name} is of type {found}, not {kind}")
    return table.select(schema.names).replace_schema_metadata(None).cast(schema)


def _check_sources(table: pa.Table) -> None:
    """Raise a ValueError if these sources are none that a preparation writes."""
    for name in SOURCE_HEAD:
        if table[name].null_count:
            raise ValueError(f"a source has no {name}")
    lengths = pc.list_value_length(table["services"])
    if pc.any(pc.equal(lengths, 0)).as_py() or pc.list_flatten(table["services"]).null_count:
        raise ValueError("a source has no services")
    if pc.any(pc.less(table["n_records"], 1)).as_py():
        raise ValueError("a source has no records")
    _check_times(table["first_seen"], table["last_seen"])


def _check_times(first: pa.ChunkedArray, last: pa.ChunkedArray) -> None:
    """Raise a ValueError if times are out of order, or no flow record can have them."""
    if len(first) and not (
        pc.min(first).as_py() >= 0 and pc.max(last).as_py() <= LAST and pc.all(pc.less_equal(first, last)).as_py()
    ):
        raise ValueError("times are out of order, before 1970 or after 9999")


def _batches(directory: Path, file: ShardFile, schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    path, found, records = directory / file.path, 0, 0
    try:
        with pq.ParquetFile(path) as opened:
            for batch in opened.iter_batches(size, columns=schema.names):
                found += batch.num_rows
                table = _as_written(pa.Table.from_batches([batch]), schema)
                check_windows(table)
                if "n_records" in schema.names:
                    records += pc.sum(table["n_records"]).as_py() or 0
                yield table
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{path} is damaged: {reason(error)}") from error
    if found != file.windows:
        raise DatasetError(f"{path} has {counted(found, 'window')}, the manifest says {file.windows}")
    if "n_records" in schema.names and records != file.records:
        raise DatasetError(f"{path} has {counted(records, 'record')} in windows, the manifest says {file.records}")
