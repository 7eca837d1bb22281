"""Compute embeddings of windows, in batches of similar length so that there is little padding."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from telescope_transformer.errors import InputError

# The redundant names say that these may also be imported from here.
from telescope_transformer.hub import SHIPPED_CHECKPOINT as SHIPPED_CHECKPOINT
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_files import load_model as load_model
from telescope_transformer.progress import progress_bar

# Records per batch, including padding. They fit into the caches of a core: twice as many are as fast and take 30 MB
# more, half as many are 7 % slower.
BATCH_RECORDS = 2_048
# Largest number of batches that a processor computes at a time. Each takes some 20 MB.
MOST_AT_A_TIME = 8
# The shortest window of a batch has at least this share of the longest one's records, which limits padding.
SHORTEST_SHARE = 0.9
# Windows that are encoded at a time, to limit the memory of the encoded records.
CHUNK_WINDOWS = 65_536
BF16_IN_SOFTWARE = "this processor has no instructions for bfloat16 and is faster in float32, which is used instead"
FP16_IN_SOFTWARE = "processors are faster in float32 than in float16; float32 is used instead"
# Names of the instructions in `torch.cpu.get_capabilities`, on x86 and on ARM.
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
# Columns that identify a window in a table of embeddings.
KEPT_COLUMNS = ("source", "start", "end", "n_records", "label", "tool")


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
    is_bf16 = dtype == torch.bfloat16
    if computes_bf16(device) if is_bf16 else device.type != "cpu":
        return dtype
    warnings.warn(BF16_IN_SOFTWARE if is_bf16 else FP16_IN_SOFTWARE, stacklevel=4)
    return None


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
