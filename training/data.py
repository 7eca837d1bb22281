"""Batches of pairs for one process: the same sequence whatever the number of workers, from any step on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BatchEncoding

from telescope_transformer.model import FlowTokenizer
from training.sampling import PairSampler
from training.store import RecordStore


class PairBatches(Dataset[BatchEncoding]):
    """Item `step` is this process's share of the step's pairs.

    A batch holds `input_ids` (2n, T, fields), `inter_arrival` (2n, T), `attention_mask` (2n, T): the first window of
    each of n pairs, then the second of each; and `sources` (n,), the numbers of the pairs' sources in the store.

    Args:
        rank, processes: the pairs of a step are divided evenly among the processes, without repeats.
    """

    def __init__(
        self, store: RecordStore, sampler: PairSampler, tokenizer: FlowTokenizer, rank: int = 0, processes: int = 1
    ):
        self.store, self.sampler, self.tokenizer = store, sampler, tokenizer
        share = sampler.batch_pairs // processes
        self.own = slice(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> BatchEncoding:
        pairs = self.sampler.pairs(step)
        starts = pairs.starts[:, self.own]
        lengths = np.repeat(pairs.lengths, starts.shape[1])
        batch = self.tokenizer.collate(self.store.encoded, starts.ravel(), lengths)
        batch["sources"] = torch.from_numpy(pairs.sources[self.own])
        return batch


def batches(dataset: PairBatches, steps: range, workers: int = 0) -> Iterator[Any]:
    """The batches of `steps`, in order, prepared by `workers` processes (0: by this one)."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        # Its own generator: the loader would otherwise draw from the one that dropout continues from.
        generator=torch.Generator(),
    )
    return iter(loader)


def chunks_of(batch: BatchEncoding, rows: int) -> list[dict[str, torch.Tensor]]:
    """The model's inputs in chunks of at most `rows` windows; all of them in one where `rows` is 0."""
    inputs = {name: batch[name] for name in ("input_ids", "inter_arrival", "attention_mask")}
    total = len(inputs["input_ids"])
    size = rows or total
    return [{name: values[at : at + size] for name, values in inputs.items()} for at in range(0, total, size)]
