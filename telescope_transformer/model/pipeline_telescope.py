"""`pipeline("flow-embedding", model=..., trust_remote_code=True)` computes embeddings of flow records."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import Pipeline

from .flow_sequences import as_sequences, is_sequence, is_single

TASK = "flow-embedding"


class FlowEmbeddingPipeline(Pipeline):
    """Embed windows of flow records as vectors of unit length.

    The input is one sequence (a list of records, a dictionary of columns, an Arrow table or a data frame, in time
    order), or an iterable of sequences. Sequences that are too long for the model raise an error unless
    `truncation=True`.

    Example:
        >>> embed = pipeline("flow-embedding", model="user/telescope-base", trust_remote_code=True)
        >>> record = {"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 443, "protocol": 6}
        >>> embed([record]).shape
        (128,)
    """

    # The pipeline does not work without a tokenizer.
    _load_tokenizer = True  # type: ignore[assignment]

    def _sanitize_parameters(self, truncation: bool | None = None, **kwargs: Any) -> tuple[dict[str, Any], ...]:
        if kwargs:
            raise TypeError(f"flow-embedding takes truncation and batch_size, not {sorted(kwargs)}")
        return ({} if truncation is None else {"truncation": truncation}), {}, {}

    def __call__(  # type: ignore[override]
        self, records: Any, *args: Any, batch_size: int | None = None, **kwargs: Any
    ) -> np.ndarray:
        """Embed one sequence or several.

        Args:
            records: a sequence, or an iterable of N sequences; a generator is read to its end.
            batch_size: sequences to embed at once; 32 by default.
            truncation: whether to truncate long sequences instead of raising an error.

        Returns:
            float32 (d,) for one sequence, (N, d) for N sequences, also for N = 0; rows have unit length.

        Raises:
            TypeError: if `records` has another type.
            ValueError: if a sequence has no records, its records are not in time order, or `batch_size` is not a
                positive number.
        """
        if isinstance(records, str):
            raise TypeError(f"flow-embedding takes flow records, not text: {records[:40]!r}")
        records = as_sequences(records)
        single = is_sequence(records)
        sequences = [records] if single else records
        if any(_length(sequence) == 0 for sequence in sequences):
            raise ValueError("every sequence needs at least one flow record")
        if not sequences:
            return np.empty((0, self._width()), dtype=np.float32)
        size = (self._batch_size or 32) if batch_size is None else batch_size
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, not {size!r}")
        # Sequences of similar length are batched together, so that there is little padding.
        order = np.argsort([_length(sequence) for sequence in sequences], kind="stable")
        batches = [[sequences[row] for row in order[start : start + size]] for start in range(0, len(order), size)]
        found = np.concatenate(super().__call__(batches, *args, batch_size=1, **kwargs))
        embeddings = np.empty_like(found)
        embeddings[order] = found
        return embeddings[0] if single else embeddings

    def _width(self) -> int:
        """Number of dimensions of an embedding, which is a pooled vector if the model has no projection head."""
        config = self.model.config
        return int(config.projection_size if hasattr(self.model, "head") else config.pooled_size)

    def preprocess(self, sequences: list[Any], truncation: bool = False) -> dict[str, Any]:  # type: ignore[override]
        tokenizer: Any = self.tokenizer
        return dict(tokenizer(sequences, padding=True, truncation=truncation, return_tensors="pt"))

    def _forward(self, inputs: dict[str, Any], **parameters: Any) -> torch.Tensor:  # type: ignore[override]
        # The configuration may ask for tuples.
        outputs = self.model(**inputs, return_dict=True)
        # A model with a projection head returns embeddings, an encoder without one returns pooled vectors.
        projected = outputs.get("embeddings")
        # Computed in float32, because the squared norm of a vector could overflow float16.
        return F.normalize((outputs.pooler_output if projected is None else projected).float(), dim=-1)

    def postprocess(self, embeddings: torch.Tensor) -> np.ndarray:  # type: ignore[override]
        return embeddings.numpy()


def _length(sequence: Any) -> int:
    if hasattr(sequence, "num_rows"):
        return int(sequence.num_rows)
    if isinstance(sequence, dict):
        return next((len(values) for values in sequence.values() if not is_single(values)), 0)
    return len(sequence)
