"""Batches of pairs for one process. The sequence does not depend on the number of workers or the first step."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BatchEncoding

from telescope_transformer.errors import TrainingError
from telescope_transformer.learning.sampling import PairSampler
from telescope_transformer.learning.store import RecordStore
from telescope_transformer.model import FIELD_SIZES, FlowTokenizer
from telescope_transformer.model.flow_fields import column_of

# Standard deviation of the logarithm of a random factor on inter-arrival times: most are between 1/3 and 3 (our
# choice).
RATE_DEVIATION = 1.0


class PairBatches(Dataset[BatchEncoding]):
    """Pairs of windows of one dataset. Item `step` is this process's share of the pairs of that step.

    A batch holds `input_ids` (2n, T, fields) and `inter_arrival` (2n, T): the first window of each of n pairs, then
    the second of each. If the second windows are shorter than the first, they are padded, and the batch also has an
    `attention_mask` (2n, T). `sources` (n,) are the numbers of the pairs' sources in the store, and `networks` (n,)
    the numbers of their networks.

    Args:
        store: encoded records of all sources.
        sampler: draws the pairs of a step.
        tokenizer: tokenizer of the model that is trained.
        rank, processes: the pairs of a step are divided evenly among the processes, without duplicates.

    Raises:
        TrainingError: if `field_dropout` names a field that no token can have.
    """

    def __init__(
        self,
        store: RecordStore,
        sampler: PairSampler,
        tokenizer: FlowTokenizer,
        rank: int = 0,
        processes: int = 1,
    ):
        self.store, self.sampler, self.tokenizer = store, sampler, tokenizer
        self.arguments = sampler.arguments
        dropped = [(columns_of(name, tokenizer), rate) for name, rate in self.arguments.field_dropout.items()]
        # A recipe may name fields that the tokens of this model do not have.
        self.dropped = [(columns, rate) for columns, rate in dropped if columns]
        share = self.arguments.batch_pairs // processes
        self.own = slice(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> BatchEncoding:
        pairs = self.sampler.pairs(step)
        starts = pairs.starts[:, self.own].ravel()
        batch = self.tokenizer.collate(self.store.encoded, starts, np.repeat(pairs.lengths, len(starts) // 2))
        self._drop_fields(step, batch)
        self._change_rates(step, batch)
        sources = pairs.sources[self.own]
        batch["sources"] = torch.from_numpy(sources)
        batch["networks"] = torch.from_numpy(self.store.networks[sources])
        return batch

    def addresses(self, step: int, numbers: np.ndarray) -> list[str]:
        """Addresses of the sources of a step's batch."""
        return [self.store.sources[int(number)].as_py() for number in numbers]

    def _drop_fields(self, step: int, batch: BatchEncoding) -> None:
        """Hide a field in some windows, as if their records did not have it."""
        random = np.random.default_rng([self.arguments.seed, step, 1])
        for columns, rate in self.dropped:
            hidden = random.random((2, self.arguments.batch_pairs))[:, self.own].ravel() < rate
            for column in columns:
                batch["input_ids"][torch.from_numpy(hidden), :, column] = self.tokenizer.unk_token_id

    def _change_rates(self, step: int, batch: BatchEncoding) -> None:
        """In some steps, scale the inter-arrival times of each window by a random factor.

        Hosts of one actor send at different rates, so the model must not rely on rates alone.
        """
        random = np.random.default_rng([self.arguments.seed, step, 3])
        factors = np.exp(RATE_DEVIATION * random.standard_normal((2, self.arguments.batch_pairs)))
        if random.random() >= self.arguments.jitter_steps:
            return
        batch["inter_arrival"] *= torch.from_numpy(factors[:, self.own].reshape(-1, 1).astype(np.float32))


class MixedBatches(Dataset[BatchEncoding]):
    """Batches from several datasets. Each step uses one dataset, so that its negatives are hard.

    Args:
        parts: batches of each dataset.
        weights: (parts,) relative frequency of each dataset; uniform if empty.
        seed: seed of the choice of datasets.

    Raises:
        TrainingError: if there is not one positive weight per dataset.
    """

    def __init__(self, parts: Sequence[PairBatches], weights: Sequence[float] = (), seed: int = 0):
        shares = np.array(weights or [1.0] * len(parts), dtype=float)
        if len(shares) != len(parts) or not (shares > 0).all():
            raise TrainingError(f"mix needs a positive number for each of {len(parts)} datasets, not {list(weights)}")
        self.parts, self.shares, self.seed = parts, shares / shares.sum(), seed

    def __getitem__(self, step: int) -> BatchEncoding:
        return self._part(step)[step]

    def addresses(self, step: int, numbers: np.ndarray) -> list[str]:
        """Addresses of the sources of a step's batch."""
        return self._part(step).addresses(step, numbers)

    def _part(self, step: int) -> PairBatches:
        return self.parts[np.random.default_rng([self.seed, step, 2]).choice(len(self.parts), p=self.shares)]


def columns_of(field: str, tokenizer: FlowTokenizer) -> list[int]:
    """Columns of a field in the tokens: all octets for `dst_ip`, none if the tokens do not have the field.

    Raises:
        TrainingError: if there is no such field.
    """
    if field not in (known := {*FIELD_SIZES, "dst_ip"}):
        raise TrainingError(f"field_dropout: there is no field {field!r}; fields are {', '.join(sorted(known))}")
    return [index for index, name in enumerate(tokenizer.fields) if field in (name, column_of(name))]


def batches(dataset: Dataset[BatchEncoding], steps: range, workers: int = 0) -> Iterator[Any]:
    """The batches of `steps`, in order, prepared by `workers` processes; 0 prepares them in this process."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        # A separate generator, because otherwise the loader would advance the one that dropout uses.
        generator=torch.Generator(),
    )
    return iter(loader)


def chunks_of(batch: BatchEncoding, rows: int) -> list[dict[str, torch.Tensor]]:
    """The model's inputs in chunks of at most `rows` windows; one chunk if `rows` is 0."""
    inputs = {name: batch[name] for name in ("input_ids", "inter_arrival", "attention_mask") if name in batch}
    total = len(inputs["input_ids"])
    size = rows or total
    return [{name: values[at : at + size] for name, values in inputs.items()} for at in range(0, total, size)]
