"""Reading a prepared dataset: as an Arrow table, as `datasets`, and window by window at training speed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit

from telescope_transformer.errors import DatasetError
from telescope_transformer.fields import WINDOW_FIELDS
from telescope_transformer.preparation.expressions import SPLITS
from telescope_transformer.preparation.manifest import Manifest, read_manifest
from telescope_transformer.preparation.writer import ShardFile, window_schema

if TYPE_CHECKING:
    import datasets


def load(directory: str | Path, split: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The windows of a split, in the form of `windows.cut_windows`; all columns or those named.

    Raises:
        DatasetError: if `directory` is no complete prepared dataset, or there is no such split or column.
    """
    manifest = read_manifest(directory)
    return _read_files(Path(directory), manifest, _files_of(manifest, split), columns)


def load_datasets(directory: str | Path) -> "datasets.DatasetDict":
    """All splits that have windows, as a `datasets.DatasetDict` with declared features."""
    import datasets

    manifest = read_manifest(directory)
    files = {split: [str(Path(directory) / file.path) for file in manifest.files_of(split)] for split in SPLITS}
    return datasets.load_dataset("parquet", data_files={split: paths for split, paths in files.items() if paths})


@dataclass(frozen=True)
class SourceIndex:
    """Which windows belong to which source.

    `names` are the S sources, sorted; the windows of source i are `windows[offsets[i]:offsets[i + 1]]`, in time order;
    `n_records` (S,) counts the records in them.
    """

    names: pa.Array
    offsets: np.ndarray
    windows: np.ndarray
    n_records: np.ndarray

    @property
    def n_windows(self) -> np.ndarray:
        return np.diff(self.offsets)

    def probabilities(self, exponent: float = 0.5, min_windows: int = 2) -> np.ndarray:
        """Probability (S,) of drawing each source: proportional to records^exponent, 0 with fewer than `min_windows`.

        Raises:
            DatasetError: if no source has so many windows.
        """
        weights = np.where(self.n_windows >= min_windows, self.n_records.astype(np.float64) ** exponent, 0.0)
        if not weights.any():
            raise DatasetError(f"no source has {min_windows} windows")
        return weights / weights.sum()


class WindowReader:
    """Random access to windows: record fields lie flat in memory, and Arrow's offsets say where a window begins.

    Args:
        windows: a table of windows (`windows.cut_windows` or `load`).

    Attributes:
        fields: name to flat column (total records,); an optional field with nulls is int64 with -1 for null.
        offsets: (n_windows + 1,) int64.
        sources: the windows of each source.
    """

    def __init__(self, windows: pa.Table):
        names = windows.schema.names
        self.fields = {name: _flat_field(windows[name]) for name in WINDOW_FIELDS if name in names}
        sizes = windows["n_records"].to_numpy().astype(np.int64)
        self.offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes)))
        self.sources = _index_sources(windows["source"], windows["start"].to_numpy(), sizes)

    @classmethod
    def open(cls, directory: str | Path, split: str, fields: Sequence[str] | None = None) -> "WindowReader":
        """A reader of a whole split, of all record fields or those named; raises as `load` does."""
        return cls(load(directory, split, _reader_columns(fields)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_records(self) -> np.ndarray:
        """Number of records of each window (n_windows,)."""
        return np.diff(self.offsets)

    def read(
        self, indices: np.ndarray, *, length: int | None = None, shifts: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Windows as padded arrays.

        Args:
            indices: (B,) which windows, in any order and repeatedly.
            length: at most so many records of each; all if absent.
            shifts: (B,) the first record of each; 0 if absent. `length` and `shifts` make crops.

        Returns:
            Each field as (B, T), 0 beyond the window's end, and `n_records` (B,) int64; T is the largest of them.
        """
        indices = np.asarray(indices, dtype=np.int64)
        begins, ends = self.offsets[indices], self.offsets[indices + 1]
        if shifts is not None:
            begins = np.minimum(begins + shifts, ends)
        sizes = ends - begins if length is None else np.minimum(ends - begins, length)
        width = int(sizes.max(initial=0))
        batch = {}
        for name, values in self.fields.items():
            batch[name] = np.zeros((len(indices), width), dtype=values.dtype)
            _gather(values, begins, sizes, batch[name])
        batch["n_records"] = sizes
        return batch


def stream_shards(
    directory: str | Path,
    split: str,
    *,
    seed: int = 0,
    epoch: int = 0,
    worker: int = 0,
    workers: int = 1,
    fields: Sequence[str] | None = None,
) -> Iterator[WindowReader]:
    """Readers of one shard each, for datasets larger than memory; every window of a source is in its shard.

    The order depends on `seed` and `epoch` alone; worker w of n gets every n-th shard of it from the w-th.  To resume,
    skip as many readers as were used.

    Raises:
        DatasetError: as `load` does.
    """
    manifest = read_manifest(directory)
    by_shard: dict[int, list[ShardFile]] = {}
    for file in _files_of(manifest, split):
        by_shard.setdefault(file.shard, []).append(file)
    order = np.random.default_rng([seed, epoch]).permutation(np.array(sorted(by_shard), dtype=np.int64))
    for shard in order[worker::workers].tolist():
        yield WindowReader(_read_files(Path(directory), manifest, by_shard[shard], _reader_columns(fields)))


def _files_of(manifest: Manifest, split: str) -> list[ShardFile]:
    if split not in SPLITS:
        raise DatasetError(f"there is no split {split!r}; splits are {', '.join(SPLITS)}")
    return manifest.files_of(split)


def _read_files(
    directory: Path, manifest: Manifest, files: Sequence[ShardFile], columns: Sequence[str] | None
) -> pa.Table:
    schema = window_schema(manifest.fields, manifest.annotations)
    if columns is not None:
        missing = [name for name in columns if name not in schema.names]
        if missing:
            raise DatasetError(f"{directory} has no column {missing[0]!r}; columns are {', '.join(schema.names)}")
        schema = pa.schema([schema.field(name) for name in columns])
    tables = []
    for file in files:
        try:
            table = pq.read_table(directory / file.path, columns=schema.names, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"{directory / file.path} is damaged: {error}") from error
        if table.num_rows != file.windows:
            raise DatasetError(
                f"{directory / file.path} has {table.num_rows} windows, the manifest says {file.windows}"
            )
        tables.append(table.replace_schema_metadata(None))
    return pa.concat_tables([schema.empty_table(), *tables])


def _reader_columns(fields: Sequence[str] | None) -> list[str] | None:
    return None if fields is None else ["source", "start", "n_records", *fields]


def _flat_field(column: pa.ChunkedArray) -> np.ndarray:
    flat = pa.chunked_array([pc.list_flatten(chunk) for chunk in column.chunks], column.type.value_type)
    if flat.null_count:
        flat = flat.cast(pa.int64()).fill_null(-1)
    return flat.to_numpy()


def _index_sources(sources: pa.ChunkedArray, starts: np.ndarray, sizes: np.ndarray) -> SourceIndex:
    encoded = sources.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[encoded.indices.to_numpy()]
    counts = np.bincount(codes, minlength=len(order))
    return SourceIndex(
        names=encoded.dictionary.take(pa.array(order)),
        offsets=np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts))),
        windows=np.lexsort((starts, codes)),
        n_records=np.bincount(codes, weights=sizes, minlength=len(order)).astype(np.int64),
    )


@njit(cache=True, nogil=True)
def _gather(values: np.ndarray, begins: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(begins)):
        for j in range(sizes[i]):
            out[i, j] = values[begins[i] + j]
