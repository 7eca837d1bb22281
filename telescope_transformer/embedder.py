"""Embed flow records in one call, adapt to a telescope, and compute how likely two windows are of one source."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from telescope_transformer.arrays import offsets_of, unit_rows
from telescope_transformer.calibration import FILE_NAME as CALIBRATION
from telescope_transformer.calibration import Calibration
from telescope_transformer.embedding import BATCH_RECORDS, device_of, embed_encoded, embed_windows, embeddings_table
from telescope_transformer.errors import CheckpointError, FlowRecordError, InputError
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.model import FlowTokenizer, TelescopeForContrastiveLearning
from telescope_transformer.model_files import ADAPTATION_FILE, load_model, save_checkpoint
from telescope_transformer.sequences import collected, sequences_of, windows_of
from telescope_transformer.windows import WINDOW

Vectors = npt.NDArray[np.float32]


def load(
    model: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> "Embedder":
    """Load a model to embed flow records with.

    Args:
        model: a checkpoint's folder or Hub id; None or "shipped" is the checkpoint in this package.
        device: device to compute on; None is the first GPU, or else the CPU.
        revision: branch, tag or commit of a Hub id.
        token: access token for a private repository; None uses HF_TOKEN or the stored token.

    Raises:
        CheckpointError: if it is missing, damaged or of another architecture.
        HubError: if a Hub id cannot be downloaded.
        InputError: if the device is not available.

    Example:
        >>> model = load()
        >>> embeddings = model.encode("flows.csv.gz")
        >>> model.probability(embeddings[0], embeddings[1])
    """
    folder = checkpoint_folder(model, revision=revision, token=token)
    network, tokenizer = load_model(folder)
    name = "the shipped checkpoint" if model is None else str(model)
    return Embedder(network, tokenizer, Calibration.load(folder), name=name, device=device)


class Embedder:
    """A model with its tokenizer and calibration, made by `telescope_transformer.load`.

    Attributes:
        model: the network, in evaluation mode.
        tokenizer: encodes flow records for it.
        calibration: maps cosine similarities to probabilities; None if the checkpoint has none.
        name: the checkpoint as it was given to `load`.
        adaptation: result of `adapt`: `adapted`, `reason` if not adapted, and `before` and `after` with AUROCs on
            held-out sources; None if `adapt` did not make this model.
    """

    def __init__(
        self,
        model: TelescopeForContrastiveLearning,
        tokenizer: FlowTokenizer,
        calibration: Calibration | None = None,
        *,
        name: str = "the model",
        device: str | torch.device | None = None,
        adaptation: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.calibration = calibration
        self.name = name
        self.adaptation = adaptation
        self._device = None if device is None else device_of(device)

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.model.config.projection_size)

    def encode(
        self,
        records: Any,
        *,
        columns: Mapping[str, str] | None = None,
        window: int = WINDOW,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str = torch.float32,
        show_progress: bool | None = None,
        normalize: bool = True,
    ) -> Vectors:
        """Embed flow records, one row for each window.

        Records with a source address are grouped by source, sorted by time and cut into windows, as in `telescope
        analyze`. Windows of a source are in time order; `encode_table` also says which window is which. Records
        without a source are one window. Several lists or tables of records are one window each, in the given order.

        Args:
            records: a path, glob or list of paths, as for `telescope analyze`, or the folder of a prepared dataset; a
                data frame, an Arrow table, a list of dictionaries or a dictionary of columns; an iterable of such
                windows; or a table of windows.
            columns: field to column name; None finds columns by their common names.
            window: most records in a window.
            batch_size: windows to embed at once; None limits the records of a batch instead.
            device: device to compute on; None is the device given to `load`.
            dtype: float32, float16 or bfloat16 to compute in; the result is float32.
            show_progress: whether to show a bar on stderr; None shows it on a terminal.
            normalize: scale rows to exact unit length; the network already does so up to rounding.

        Returns:
            float32 (windows, dimensions).

        Raises:
            FlowRecordError: if a field is missing or misspelt, or no record is valid.
            InputError: if a file cannot be read, or a window does not fit the model.

        Example:
            >>> load().encode([{"time": 1767225600, "src": "192.0.2.1", "proto": "tcp", "dport": 23}]).shape
            (1, 128)
        """
        records = collected(records)
        computing: dict[str, Any] = {"device": self._device if device is None else device, "dtype": _dtype(dtype)}
        sequences = sequences_of(records, columns)
        if sequences is None:
            windows = windows_of(records, columns=columns, window=window)
            size = _batch_records(batch_size, windows["n_records"].to_numpy())
            found = embed_windows(
                self.model, self.tokenizer, windows, batch_records=size, progress=show_progress, **computing
            )
        else:
            encoded = self._encoded(sequences)
            size = _batch_records(batch_size, np.diff(encoded["offsets"]))
            found = embed_encoded(self.model, self.tokenizer, encoded, batch_records=size, **computing)
        return unit_rows(found) if normalize else found

    def encode_table(self, records: Any, **options: Any) -> pa.Table:
        """Embed flow records with sources; returns a table with the window of each embedding.

        Args:
            records: as for `encode`.
            options: as for `encode`.

        Returns:
            A row for each window: `source`, `start` and `end` (microseconds since 1970, UTC), `n_records` and
            `embedding`.
        """
        cutting = {name: options.pop(name) for name in ("columns", "window") if name in options}
        windows = self.windows(records, **cutting)
        return embeddings_table(windows, self.encode(windows, **options))

    def windows(self, records: Any, *, columns: Mapping[str, str] | None = None, window: int = WINDOW) -> pa.Table:
        """Cut flow records with sources into the windows that `encode` embeds.

        Args:
            records: as for `encode`.
            columns: as for `encode`.
            window: as for `encode`.

        Returns:
            A row per window, as `telescope_transformer.windows.cut_windows` returns it.
        """
        return windows_of(collected(records), columns=columns, window=window)

    def adapt(
        self,
        records: Any,
        *,
        columns: Mapping[str, str] | None = None,
        window: int = WINDOW,
        steps: int | None = None,
        seed: int = 0,
        show_progress: bool = True,
    ) -> "Embedder":
        """Adapt the model to the telescope that the records are from, without labels, as `telescope analyze` does.

        A tenth of the sources is held out, or about 40 if that is more. The new model has the adapted weights unless
        they recognise these sources worse than the centred model does, by more than the 95 % interval. Its
        probabilities are fitted to the records. With fewer than about 80 sources of eight records or more, it is only
        centred on the records.

        Args:
            records: as for `encode`, with sources.
            columns: as for `encode`.
            window: as for `encode`.
            steps: training steps; None uses the recipe's 200, which take half a minute on two cores; 0 only centres
                the model.
            seed: seed of the batches and of the choice of held-out sources.
            show_progress: whether to show a bar on a terminal.

        Returns:
            A new embedder; this one is unchanged.

        Raises:
            FlowRecordError: if a field is missing or misspelt, or no record is valid.
            TrainingError: if `steps` is negative.

        Example:
            >>> model = load().adapt("flows.csv.gz")
            >>> model.save("adapted")
        """
        # Imported here because embedding does not need the libraries for training.
        from telescope_transformer.learning.adapt import AdaptSettings, adapt

        settings = AdaptSettings(
            steps=steps, seed=seed, device_cpu=self._device is not None and self._device.type == "cpu"
        )
        windows = self.windows(records, columns=columns, window=window)
        with tempfile.TemporaryDirectory(prefix="telescope-base-") as base:
            save_checkpoint(base, self.model, self.tokenizer)
            found = adapt(windows, base, settings, progress=show_progress)
        return Embedder(
            found.model,
            self.tokenizer,
            # The calibration of other weights would give wrong probabilities.
            found.calibration if found.changed else self.calibration,
            name=f"{self.name}, adapted" if found.changed else self.name,
            device=self._device,
            adaptation=found.facts | {"base": self.name},
        )

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint that `load`, `from_pretrained` and `telescope analyze --model` take.

        Raises:
            CheckpointError: if the folder cannot be written.
        """
        calibration = None if self.calibration is None else self.calibration.to_dict()
        beside = {CALIBRATION: calibration, ADAPTATION_FILE: self.adaptation}
        save_checkpoint(folder, self.model, self.tokenizer, beside)

    def similarity(self, a: npt.ArrayLike | torch.Tensor, b: npt.ArrayLike | torch.Tensor) -> np.ndarray:
        """Cosine similarity of every embedding in `a` with every embedding in `b`.

        Args:
            a: (n, dimensions), or one embedding (dimensions,).
            b: (m, dimensions), or one embedding (dimensions,).

        Returns:
            float32 (n, m), without the axes of single embeddings.

        Raises:
            InputError: if they are not vectors of numbers, or their dimensions differ.
        """
        left, right = _vectors(a), _vectors(b)
        if left.ndim not in (1, 2) or right.ndim not in (1, 2) or left.shape[-1] != right.shape[-1]:
            raise InputError(f"embeddings of shapes {left.shape} and {right.shape} cannot be compared")
        cosine = unit_rows(np.atleast_2d(left)) @ unit_rows(np.atleast_2d(right)).T
        similarities: np.ndarray = np.clip(cosine, -1, 1).reshape(left.shape[:-1] + right.shape[:-1])
        return similarities

    def probability(self, a: npt.ArrayLike | torch.Tensor, b: npt.ArrayLike | torch.Tensor) -> np.ndarray:
        """Probability that two windows are of one source, if half of all pairs are, by the checkpoint's calibration.

        The calibration was fitted on the telescope that the checkpoint was trained on. `telescope calibrate` and
        `telescope analyze` fit a calibration to other records.

        Args:
            a: as for `similarity`.
            b: as for `similarity`.

        Returns:
            float64 (n, m), without the axes of single embeddings.

        Raises:
            CheckpointError: if the checkpoint has no calibration.
        """
        if self.calibration is None:
            raise CheckpointError(f"{self.name} has no calibration.json: fit one with `telescope calibrate`")
        return self.calibration.probability(self.similarity(a, b))

    def _encoded(self, sequences: Sequence[pa.Table]) -> dict[str, np.ndarray]:
        """Flat arrays of several windows and their `offsets`."""
        try:
            each = [self.tokenizer(sequence) for sequence in sequences]
        except (ValueError, TypeError) as error:
            raise FlowRecordError(str(error)) from error
        sizes = [len(encoding["input_ids"]) for encoding in each]
        none = {
            "input_ids": np.zeros((0, len(self.tokenizer.fields)), dtype=np.int64),
            "inter_arrival": np.zeros(0, dtype=np.float32),
        }
        flat = {name: np.concatenate([empty, *(encoding[name] for encoding in each)]) for name, empty in none.items()}
        return flat | {"offsets": offsets_of(np.array(sizes))}


def _vectors(values: npt.ArrayLike | torch.Tensor) -> Vectors:
    """Embeddings as float32; tensors may be in half precision, on a GPU, or have gradients."""
    if isinstance(values, torch.Tensor):
        values = values.detach().float().cpu().numpy()
    try:
        vectors = np.asarray(values)
        if vectors.dtype == object:
            # A column of vectors, as `encode_table` returns it.
            vectors = np.array([np.asarray(vector, dtype=np.float32) for vector in vectors])
        vectors = vectors.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"embeddings must be arrays of numbers: {error}") from error
    if vectors.ndim and not np.isfinite(vectors).all():
        raise InputError("embeddings must be finite numbers, and some are NaN or infinite")
    return vectors


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise InputError(f"dtype must be float32, float16 or bfloat16, not {dtype!r}")
    return found


def _batch_records(batch_size: int | None, lengths: np.ndarray) -> int:
    """Records of a batch of at most `batch_size` windows."""
    if batch_size is None:
        return BATCH_RECORDS
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise InputError(f"batch_size must be a whole number of at least 1, not {batch_size!r}")
    return batch_size * max(1, int(lengths.max(initial=1)))
