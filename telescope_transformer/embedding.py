"""Compute embeddings of windows, in batches of similar length so that there is little padding."""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from telescope_transformer.errors import CheckpointError, InputError
from telescope_transformer.files import file_digest, replacing, write_text
from telescope_transformer.hub import SHIPPED_CHECKPOINT, checkpoint_folder, load_pretrained, weight_files
from telescope_transformer.model import FlowTokenizer, TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.preparation import read_manifest
from telescope_transformer.preparation.reader import files_of
from telescope_transformer.progress import progress_bar

# oneDNN keeps the code that it compiles for each shape of a tensor, by default for the last 1,024 shapes. These small
# blocks lie between the freed tensors of earlier batches, whose memory can then not be used again: an analysis takes
# 60 MB more. Four are enough for one batch, and compiling takes little time.
COMPILED_SHAPES = 4
# Records per batch, including padding. They fit into the caches of a core.
BATCH_RECORDS = 4_096
# Largest number of batches that a processor computes at a time. Each takes some 40 MB.
MOST_AT_A_TIME = 8
# The shortest window of a batch has at least this share of the longest one's records, which limits padding.
SHORTEST_SHARE = 0.9
# Windows that are encoded at a time, to limit the memory of the encoded records.
CHUNK_WINDOWS = 65_536
BF16_IN_SOFTWARE = "this processor has no instructions for bfloat16 and is faster in float32, which is used instead"
FP16_IN_SOFTWARE = "processors are faster in float32 than in float16; float32 is used instead"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
# Names of the instructions in `torch.cpu.get_capabilities`, on x86 and on ARM.
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
# Facts about the adaptation that produced a checkpoint, stored in its folder (`learning.adapt`).
ADAPTATION_FILE = "adaptation.json"
KEPT_COLUMNS = ("source", "start", "end", "n_records", "label", "tool")


def load_model(
    model: str | Path | None = SHIPPED_CHECKPOINT,
) -> tuple[TelescopeForContrastiveLearning, FlowTokenizer]:
    """Load a model and its tokenizer, in evaluation mode and in float32, whatever precision it was saved in.

    Args:
        model: as for `hub.checkpoint_folder`.

    Raises:
        CheckpointError: if it is missing, damaged or of another architecture, if model and tokenizer do not match, or
            if a weight is not a finite number.
        HubError: if a Hub id cannot be downloaded.
    """
    folder = checkpoint_folder(model)
    loaded, _ = load_network(folder)
    tokenizer = load_pretrained(FlowTokenizer, folder)
    if tokenizer.fields != loaded.config.fields:
        raise CheckpointError(
            f"{folder}: the tokenizer has the fields {tokenizer.fields}, but the model reads {loaded.config.fields}"
        )
    return loaded, tokenizer


def load_network(
    model: str | Path | None = SHIPPED_CHECKPOINT,
) -> tuple[TelescopeForContrastiveLearning, WindowEncoder]:
    """Load a model as `load_model` does, and what encodes windows for it, without the vocabulary of its tokenizer.

    Args:
        model: as for `hub.checkpoint_folder`.

    Raises:
        CheckpointError: if it is missing, damaged or of another architecture, or if a weight is not a finite number.
        HubError: if a Hub id cannot be downloaded.
    """
    # oneDNN reads this when it is first used.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(COMPILED_SHAPES))
    folder = checkpoint_folder(model)
    with without_bars():
        loaded = load_pretrained(TelescopeForContrastiveLearning, folder, dtype=torch.float32)
    odd = [name for name, weights in loaded.state_dict().items() if not torch.isfinite(weights).all()]
    if odd:
        raise CheckpointError(f"{folder}: the weights {odd[0]} hold values that are not finite numbers")
    return loaded.eval(), WindowEncoder(loaded.config.fields)


def save_checkpoint(
    folder: str | Path,
    model: TelescopeForContrastiveLearning,
    tokenizer: FlowTokenizer | Path,
    beside: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> None:
    """Write what `load_model` reads.

    Args:
        folder: created if it does not exist.
        model: the model, whose weights and configuration are written.
        tokenizer: its tokenizer, or the folder of a checkpoint with the same tokenizer, which is copied.
        beside: further files by name, such as calibration.json, with their content; None removes a file that an
            earlier checkpoint left.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with without_bars():
            model.save_pretrained(folder)
        if not isinstance(tokenizer, Path):
            tokenizer.save_pretrained(folder)
        elif not folder.samefile(tokenizer):
            for name in TOKENIZER_FILES:
                shutil.copyfile(tokenizer / name, folder / name)
        for name, values in (beside or {}).items():
            if values is None:
                (folder / name).unlink(missing_ok=True)
            else:
                write_text(folder / name, json.dumps(values, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write {folder}: {error}") from error


@contextmanager
def without_bars() -> Iterator[None]:
    """Hide the progress bars of transformers, since a small model loads in an instant."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def checkpoint_digest(model: str | Path | None) -> str:
    """Digest of the files of a checkpoint that embeddings depend on: configuration and weights.

    Raises:
        CheckpointError, HubError: if there is no such checkpoint.
    """
    folder = checkpoint_folder(model)
    return " ".join(file_digest(path) for path in [folder / "config.json", *weight_files(folder)])


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; a processor without them computes it in software."""
    if device.type != "cpu":
        return True
    # PyTorch before 2.11 cannot report this.
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name) for name in BF16_INSTRUCTIONS)


def device_of(device: str | torch.device | None = None) -> torch.device:
    """The device to compute on; None is the first GPU, or else the CPU.

    Raises:
        InputError: if PyTorch does not know the device, or this machine does not have it.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        # Only the first sentence, because PyTorch goes on with a list of its backends.
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise InputError(f"device {str(device)!r} is not available: {reason}") from error
    if found.type == "meta":
        raise InputError("device 'meta' holds no numbers: nothing can be computed on it")
    return found


def _computes_half(device: torch.device, dtype: torch.dtype) -> bool:
    return computes_bf16(device) if dtype == torch.bfloat16 else device.type != "cpu"


def embed_windows(
    model: TelescopeForContrastiveLearning,
    encoder: WindowEncoder,
    windows: pa.Table,
    *,
    batch_records: int = BATCH_RECORDS,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> np.ndarray:
    """Embed a table of windows.

    Args:
        model: the model.
        encoder: encodes windows for it: a `WindowEncoder` of its fields, or its tokenizer.
        windows: a row per window, as `windows.cut_windows` returns it.
        batch_records: records per batch, including padding.
        device: device that the model runs on; None is the first GPU, or else the CPU.
        dtype: float32, or float16 or bfloat16 to compute under autocast: faster, with differences of about 2e-3. If
            the device has no fast instructions for it, float32 is used with a warning.
        progress: whether to show a bar on stderr; None shows it if stderr is a terminal.

    Returns:
        float32 (windows, embedding size), each row of unit length, in the order of `windows`.

    Raises:
        InputError: if a window is longer than the model accepts, its records are not in time order, `dtype` is not one
            of these, or the device is not available.
    """
    embeddings = np.empty((windows.num_rows, model.config.projection_size), dtype=np.float32)
    with progress_bar(total=windows.num_rows, unit="window", description="embedding", show=progress) as bar:
        for begin in range(0, windows.num_rows, CHUNK_WINDOWS):
            try:
                encoded = encoder.encode_windows(windows.slice(begin, CHUNK_WINDOWS))
            except ValueError as error:
                raise InputError(f"windows {begin} and later: {error}") from error
            found = embed_encoded(
                model, encoder, encoded, batch_records=batch_records, device=device, dtype=dtype, bar=bar
            )
            embeddings[begin : begin + len(found)] = found
    return embeddings


def embed_encoded(
    model: TelescopeForContrastiveLearning,
    encoder: WindowEncoder,
    encoded: Mapping[str, np.ndarray],
    *,
    batch_records: int = BATCH_RECORDS,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    bar: Any = None,
) -> np.ndarray:
    """Embed windows that an encoder has encoded.

    Args:
        model: its training mode is restored; it stays on `device`.
        encoder: pads the batches.
        encoded: flat arrays and `offsets`, as `WindowEncoder.encode_windows` returns them.
        batch_records: as for `embed_windows`.
        device: as for `embed_windows`.
        dtype: as for `embed_windows`.
        bar: a progress bar to advance by each batch.

    Returns:
        float32 (windows, embedding size).

    Raises:
        InputError: if a window is longer than the model accepts, `dtype` is not supported, or the device is not
            available.
    """
    lengths = np.diff(encoded["offsets"])
    _check_lengths(model, lengths)
    device = device_of(device)
    half = _half_precision(device, dtype)
    was_training = model.training
    model.to(device).eval()  # type: ignore[arg-type]
    embeddings = np.empty((len(lengths), model.config.projection_size), dtype=np.float32)

    def embed(rows: np.ndarray) -> np.ndarray:
        batch = encoder.collate(encoded, encoded["offsets"][rows], lengths[rows]).to(device)
        with torch.inference_mode(), torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None):
            output = model(**batch, return_dict=True).embeddings
        vectors: np.ndarray = output.float().cpu().numpy()
        return vectors

    for rows, vectors in _side_by_side(embed, list(length_batches(lengths, batch_records)), device):
        embeddings[rows] = vectors
        if bar is not None:
            bar.update(len(rows))
    model.train(was_training)
    return embeddings


def _check_lengths(model: TelescopeForContrastiveLearning, lengths: np.ndarray) -> None:
    longest, limit = int(lengths.max(initial=0)), model.config.max_position_embeddings
    if model.config.num_hidden_layers > 0 and longest > limit:
        raise InputError(
            f"a window has {longest} records, and the model takes {limit}: prepare the windows with --window {limit} "
            "or less"
        )


def _half_precision(device: torch.device, dtype: torch.dtype) -> torch.dtype | None:
    """The half precision to compute in, if one is requested and fast on the device."""
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise InputError(f"dtype must be float32, float16 or bfloat16, not {dtype}")
    if dtype == torch.float32:
        return None
    if not _computes_half(device, dtype):
        warnings.warn(BF16_IN_SOFTWARE if dtype == torch.bfloat16 else FP16_IN_SOFTWARE, stacklevel=4)
        return None
    return dtype


def _side_by_side(
    work: Callable[[np.ndarray], np.ndarray], batches: Sequence[np.ndarray], device: torch.device
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each batch and its result. A processor works on several batches at a time, with one thread each.

    Threads that share the operations of one batch wait for each other thousands of times. This is slower than separate
    batches, and takes four times as long as a single thread if other programs use the processor.
    """
    workers = min(torch.get_num_threads(), MOST_AT_A_TIME) if device.type == "cpu" else 1
    if workers == 1:
        yield from zip(batches, map(work, batches), strict=True)
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from zip(batches, pool.map(work, batches), strict=True)
    finally:
        # After an error or Ctrl-C, batches that have not begun are dropped.
        pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, one batch after the other, because the order of additions changes the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def length_batches(lengths: np.ndarray, batch_records: int = BATCH_RECORDS) -> Iterator[np.ndarray]:
    """Split windows into batches of similar length, longest first; less than a tenth of each batch is padding.

    Args:
        lengths: (n,) records of each window.
        batch_records: limit of the number of rows times the longest length; a longer window is a batch by itself.

    Yields:
        Rows (batch,) of `lengths`; each row occurs once.
    """
    order = np.argsort(-lengths, kind="stable")
    descending = -lengths[order]
    begin = 0
    while begin < len(order):
        longest = int(-descending[begin])
        fitting = begin + max(1, batch_records // max(1, longest))
        alike = int(np.searchsorted(descending, -SHORTEST_SHARE * longest, side="right"))
        end = min(fitting, max(alike, begin + 1), len(order))
        yield order[begin:end]
        begin = end


def embedding_column(embeddings: np.ndarray) -> pa.FixedSizeListArray:
    """Embeddings (n_windows, dimensions) as an Arrow column `fixed_size_list<float>[dimensions]`."""
    flat = pa.array(np.ascontiguousarray(embeddings, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])


def embeddings_table(windows: pa.Table, embeddings: np.ndarray) -> pa.Table:
    """The identifying columns of the windows with their embeddings."""
    kept = windows.select([name for name in KEPT_COLUMNS if name in windows.column_names])
    return kept.append_column("embedding", embedding_column(embeddings))


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
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    missing = {"source", "start", "end", "n_records", "timestamp"} - set(file.schema_arrow.names)
    if missing:
        raise InputError(f"{path} is not a file of windows: it has no column {sorted(missing)[0]!r}")
    return file


def _read_windows(path: Path, encoder: WindowEncoder) -> Iterator[pa.Table]:
    """Read the needed columns of a file of windows in blocks."""
    file = _open_windows(path)
    spelt = {"dst_ip" if name.startswith("dst_octet_") else name for name in encoder.fields}
    wanted = {*KEPT_COLUMNS, "timestamp", *spelt}
    columns = [name for name in file.schema_arrow.names if name in wanted]
    try:
        for batch in file.iter_batches(CHUNK_WINDOWS, columns=columns):
            yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: damaged: {error}") from error
