"""Batches of pairs for one process: the same sequence whatever the number of workers, from any step on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BatchEncoding

from telescope_transformer.errors import TrainingError
from telescope_transformer.model import FlowTokenizer
from training.sampling import PairSampler
from training.store import RecordStore
from training.thinning import shown_places, thinned


class PairBatches(Dataset[BatchEncoding]):
    """Item `step` is this process's share of the step's pairs.

    A batch holds `input_ids` (2n, T, fields), `inter_arrival` (2n, T), `attention_mask` (2n, T): the first window of
    each of n pairs, then the second of each; `sources` (n,), the numbers of the pairs' sources in the store; and
    `groups` (n,), the numbers of their networks, where siblings are no negatives of each other.

    Args:
        rank, processes: the pairs of a step are divided evenly among the processes, without repeats.
        field_dropout: probability that a window is shown without a field: names of fields, or `dst_ip` for all octets.
        groups: (S,) number of each source's network, whose windows are no negatives of each other; None: they are.
        invent: changes a step's batch of the pairs in a slice, in place, before fields are hidden.
    """

    def __init__(
        self,
        store: RecordStore,
        sampler: PairSampler,
        tokenizer: FlowTokenizer,
        rank: int = 0,
        processes: int = 1,
        *,
        field_dropout: Mapping[str, float] | None = None,
        groups: np.ndarray | None = None,
        invent: Callable[[int, BatchEncoding, slice], None] | None = None,
    ):
        self.store, self.sampler, self.tokenizer, self.groups = store, sampler, tokenizer, groups
        self.invent = invent
        self.dropped = {name: rate for name, rate in (field_dropout or {}).items() if columns_of(name, tokenizer)}
        share = sampler.options.batch_pairs // processes
        self.own = slice(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> BatchEncoding:
        pairs = self.sampler.pairs(step)
        starts = pairs.starts[:, self.own]
        lengths = np.repeat(pairs.lengths, starts.shape[1])
        encoded, firsts = self.store.encoded, starts.ravel()
        if (pairs.spans > pairs.lengths[:, None]).any():
            places = shown_places(np.random.default_rng([self.sampler.options.seed, step, 5]), pairs)
            encoded, firsts = thinned(encoded, firsts, [rows[self.own] for rows in places])
        batch = self.tokenizer.collate(encoded, firsts, lengths)
        if self.invent is not None:
            self.invent(step, batch, self.own)
        self._drop_fields(step, batch)
        batch["sources"] = torch.from_numpy(pairs.sources[self.own])
        if self.groups is not None:
            batch["groups"] = torch.from_numpy(self.groups[pairs.sources[self.own]])
        return batch

    def addresses(self, step: int, numbers: np.ndarray) -> list[str]:
        """Addresses of the sources of a step's batch."""
        return [self.store.sources[int(number)].as_py() for number in numbers]

    def _drop_fields(self, step: int, batch: BatchEncoding) -> None:
        """Show some windows as if their records did not carry a field."""
        random = np.random.default_rng([self.sampler.options.seed, step, 1])
        real = batch["attention_mask"].bool()
        for name, rate in self.dropped.items():
            hidden = random.random((2, self.sampler.options.batch_pairs))[:, self.own].ravel() < rate
            hidden_records = torch.from_numpy(hidden).unsqueeze(1) & real  # (2n, T)
            for column in columns_of(name, self.tokenizer):
                batch["input_ids"][..., column][hidden_records] = self.tokenizer.unk_token_id


class MixedBatches(Dataset[BatchEncoding]):
    """Batches from several datasets in turn: each step's are of one of them, so that its negatives are hard.

    Args:
        parts: batches of each dataset.
        weights: (parts,) how often each comes, in proportion; all alike where empty.
        seed: of the draw of the dataset.

    Raises:
        TrainingError: where the weights are not one positive number a dataset.
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
    """Columns of a field in the tokens; all octets for `dst_ip`, none where records are not spelt with it."""
    stem = "dst_octet_" if field == "dst_ip" else field
    return [index for index, name in enumerate(tokenizer.fields) if name.startswith(stem)]


def networks_of(sources: pa.Array) -> np.ndarray:
    """A number for each source (S,) that those of one network share: the /24 of an IPv4 address, the /48 of IPv6.

    A source that is no address is a network of its own.
    """
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(_network(text), len(numbers)) for text in sources.to_pylist()], dtype=np.int64)


def _network(source: str) -> object:
    try:
        address = ip_address(source)
    except ValueError:
        return source
    return address.version, int(address) >> (8 if address.version == 4 else 80)


def batches(dataset: Dataset[BatchEncoding], steps: range, workers: int = 0) -> Iterator[Any]:
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
