"""Embed files of windows piece by piece, for `telescope embed --output`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from telescope_transformer.embedding import CHUNK_WINDOWS, KEPT_COLUMNS, embed_windows, embeddings_table
from telescope_transformer.errors import InputError, reason
from telescope_transformer.files import check_regular, replacing
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.preparation import read_manifest
from telescope_transformer.preparation.reader import check_windows, files_of
from telescope_transformer.preparation.writer import window_schema
from telescope_transformer.progress import progress_bar


def embed_files(
    model: TelescopeForContrastiveLearning,
    encoder: WindowEncoder,
    source: str | Path,
    output: str | Path,
    *,
    splits: Sequence[str] = (),
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> int:
    """Embed a prepared dataset or a Parquet file of windows, piece by piece. The output appears when it is complete.

    Args:
        source: directory of a prepared dataset, or a Parquet file with a row per window.
        output: Parquet file of `embeddings_table`.
        splits: splits of a dataset, in this order; all of them by default.
        device, dtype: as for `embed_windows`.

    Returns:
        Number of windows.

    Raises:
        InputError: if a file is missing, damaged or has no windows.
        DatasetError: if the directory is not a prepared dataset.
    """
    paths = _window_files(Path(source), splits)
    total: int = sum(_open_windows(path).metadata.num_rows for path in paths)
    if total == 0:
        raise InputError(f"{source} has no windows")
    with replacing(output) as partial, ExitStack() as open_files:
        bar = open_files.enter_context(progress_bar(total=total, unit="window", description="embedding"))
        writer: pq.ParquetWriter | None = None
        for path in paths:
            for windows in _read_windows(path, encoder):
                values = embed_windows(model, encoder, windows, device=device, dtype=dtype, progress=False)
                table = embeddings_table(windows, values)
                if writer is None:
                    writer = open_files.enter_context(pq.ParquetWriter(partial, table.schema, compression="zstd"))
                writer.write_table(table)
                bar.update(len(values))
    return total


def _window_files(source: Path, splits: Sequence[str]) -> list[Path]:
    if not source.is_dir():
        return [source]
    manifest = read_manifest(source)
    return [source / file.path for split in splits or (None,) for file in files_of(manifest, split)]


def _open_windows(path: Path) -> pq.ParquetFile:
    try:
        check_regular(path)
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    missing = {"source", "start", "end", "n_records", "timestamp"} - set(file.schema_arrow.names)
    if missing:
        raise InputError(f"{path} is not a file of windows: it has no column {sorted(missing)[0]!r}")
    return file


def _read_windows(path: Path, encoder: WindowEncoder) -> Iterator[pa.Table]:
    """Read the needed columns of a file of windows in blocks."""
    file = _open_windows(path)
    wanted = {*KEPT_COLUMNS, *encoder.columns}
    present = [name for name in file.schema_arrow.names if name in wanted]
    every = window_schema(present, present)
    schema = pa.schema([every.field(name) for name in every.names if name in present])
    try:
        for batch in file.iter_batches(CHUNK_WINDOWS, columns=schema.names):
            table = pa.Table.from_batches([batch]).select(schema.names).replace_schema_metadata(None).cast(schema)
            check_windows(table)
            yield table
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: damaged: {reason(error)}") from error
