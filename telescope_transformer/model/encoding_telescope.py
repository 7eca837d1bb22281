"""Encoding of tables of windows for the model, without a vocabulary.

The ids of a field are a contiguous range, so a column of numbers becomes ids by adding the first id of its field. The
vocabulary of a tokenizer has 130,000 words, which take 40 MB and half a second to load; embedding needs none of them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import BatchEncoding

from .configuration_telescope import PAD_TOKEN_ID, UNK_TOKEN_ID, field_offsets
from .flow_fields import MISSING, column_numbers, column_of, column_values, flatten_windows
from .flow_times import seconds_between

if TYPE_CHECKING:
    import pyarrow as pa


class WindowEncoder:
    """Encodes tables of windows, and pads batches of them.

    Args:
        fields: the fields of a token, as in the configuration of the model.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.field_offsets = field_offsets(tuple(fields))

    @property
    def fields(self) -> list[str]:
        """The fields of a token, in order."""
        return list(self.field_offsets)

    @property
    def columns(self) -> list[str]:
        """The columns of a table of windows that are read."""
        return ["timestamp", *dict.fromkeys(map(column_of, self.fields))]

    def encode_columns(self, table: "pa.Table") -> np.ndarray:
        """Ids (n, fields) int32 of n records in columns: each value plus the first id of its field."""
        ids = np.full((table.num_rows, len(self.fields)), UNK_TOKEN_ID, dtype=np.int32)
        numbers: dict[str, pa.ChunkedArray] = {}
        for index, (name, offset) in enumerate(self.field_offsets.items()):
            column = column_of(name)
            if column not in table.column_names:
                continue
            if column not in numbers:
                numbers[column] = column_numbers(table[column], name)
            values = column_values(numbers[column], name)
            if values.dtype.kind == "u":
                np.add(values, offset, out=ids[:, index], dtype=np.int32, casting="unsafe")
            else:
                ids[:, index] = np.where(values == MISSING, UNK_TOKEN_ID, values + offset)
        return ids

    def encode_windows(self, windows: "pa.Table") -> dict[str, np.ndarray]:
        """Encode a table of windows (a row per window, a list column per field) without a Python object per record.

        Returns:
            `input_ids` int32 (total records, fields), `inter_arrival` float32 (total records,), 0 for the first
            record of each window, and `offsets` int64 (windows + 1,).
        """
        offsets, flat = flatten_windows(windows)
        times = flat["timestamp"].to_numpy()
        return {
            "input_ids": self.encode_columns(flat),
            "inter_arrival": seconds_between(times, offsets),
            "offsets": offsets,
        }

    def collate(self, encoded: Mapping[str, np.ndarray], starts: np.ndarray, lengths: np.ndarray) -> BatchEncoding:
        """Padded tensors of runs of records.

        Args:
            encoded: the result of `encode_windows`.
            starts: (B,) first record of each run.
            lengths: (B,) number of records of each run, at least one.

        Returns:
            `input_ids` (B, T, fields) and `inter_arrival` (B, T). Also `attention_mask` (B, T), but only if the
            lengths differ, because the model is faster without a mask.
        """
        place = np.arange(int(np.max(lengths, initial=0)))
        real = place < np.asarray(lengths)[:, None]  # (B, T)
        rows = np.where(real, np.asarray(starts)[:, None] + place, 0)
        ids = np.where(real[..., None], encoded["input_ids"][rows], PAD_TOKEN_ID)
        # The first record of a run has no inter-arrival time, wherever the run was cut.
        seconds = np.where(real & (place > 0), encoded["inter_arrival"][rows], 0)
        batch = {
            "input_ids": torch.from_numpy(ids.astype(np.int64)),
            "inter_arrival": torch.from_numpy(seconds.astype(np.float32)),
        }
        if not real.all():
            batch["attention_mask"] = torch.from_numpy(real.astype(np.int64))
        return BatchEncoding(batch)
