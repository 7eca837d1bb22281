"""Batches as other telescopes could have recorded them: with fields that the dataset lacks, and with other services.

A dataset without destinations and source ports, or with few services, says nothing of them, and the weights for them
stay as they began. Random ones, new in every batch (domain randomisation, Tobin et al. 2017), teach what holds on any
telescope: that windows with the same values, and windows that move among them alike, are likely of one source.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BatchEncoding

from telescope_transformer.model import FlowTokenizer
from training.data import columns_of
from training.sampling import PairOptions
from training.store import RecordStore

INVENTED = ("dst_ip", "src_port", "dst_port")
# A dataset with no more distinct ports than this does not have the ports that were probed.
FEW_SERVICES = 16
# Ports that may stand for a service in a batch, the first ones often; and most of them that one source uses.
STAND_INS, OWN_PORTS = 64, 8
POPULAR_SOURCE_PORTS = 16


def lacking(stores: Sequence[RecordStore], tokenizer: FlowTokenizer) -> set[str]:
    """Names of `INVENTED` that the records of no store tell: all have one value, or one of a few ports."""
    return {name for name in INVENTED if all(_lacks(store, tokenizer, name) for store in stores)}


def _lacks(store: RecordStore, tokenizer: FlowTokenizer, name: str) -> bool:
    columns = columns_of(name, tokenizer)
    values = store.encoded["input_ids"][:, columns]
    if name == "dst_port":
        return 0 < len(np.unique(values[values != tokenizer.unk_token_id])) <= FEW_SERVICES
    return bool(columns) and bool((values == values[0]).all())


class Invention:
    """Gives the batches of some steps the fields that records lack.

    Args:
        names: of `INVENTED`, the fields that are made up.
        share: of the steps; in the others records stay as they are.
    """

    def __init__(
        self, store: RecordStore, tokenizer: FlowTokenizer, options: PairOptions, names: set[str], share: float
    ):
        self.options, self.names, self.share = options, names, share
        self.offsets = list(tokenizer.field_offsets.values())
        self.columns = {name: columns_of(name, tokenizer) for name in names}
        ports = np.unique(store.encoded["input_ids"][:, self.columns.get("dst_port", [])])
        self.services = ports[ports != tokenizer.unk_token_id]

    def __call__(self, step: int, batch: BatchEncoding, own: slice) -> None:
        """Change the batch of the pairs `own` of a step, in place."""
        random = np.random.default_rng([self.options.seed, step, 3])
        if random.random() >= self.share:
            return
        shape = (2, self.options.batch_pairs, batch["input_ids"].shape[1])
        if "dst_ip" in self.names:
            addresses = destinations(random, shape)[:, own]
            for column, shift in zip(self.columns["dst_ip"], (24, 16, 8, 0), strict=True):
                self._put(batch, column, addresses >> shift & 255)
        if "src_port" in self.names:
            self._put(batch, self.columns["src_port"][0], source_ports(random, shape)[:, own])
        if "dst_port" in self.names:
            self._replace_services(random, shape, batch, own)

    def _put(self, batch: BatchEncoding, column: int, values: NDArray) -> None:
        ids = batch["input_ids"][..., column]
        shown = torch.from_numpy(values.reshape(ids.shape) + self.offsets[column])
        batch["input_ids"][..., column] = torch.where(batch["attention_mask"].bool(), shown, ids)

    def _replace_services(
        self, random: np.random.Generator, shape: tuple[int, int, int], batch: BatchEncoding, own: slice
    ) -> None:
        (column,) = self.columns["dst_port"]
        offset = self.offsets[column]
        ports, chosen = stand_ins(random, shape, self.services - offset)
        ids = batch["input_ids"][..., column].numpy().reshape(2, -1, shape[2])
        known = np.isin(ids, self.services)
        service = np.where(known, np.searchsorted(self.services, ids), 0)
        pair = np.arange(shape[1])[own][:, None]
        self._put(batch, column, np.where(known, ports[pair, service, chosen[:, own]], ids - offset))


def destinations(random: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Addresses (2, pairs, T) in a telescope of 2 to 128 sensors, near one another or anywhere.

    Each pair's source keeps to one sensor or to some, or probes all at random or in order.
    """
    _, pairs, length = shape
    sensors = int(2 ** random.uniform(1, 7))
    base, span = (0, 2**32) if random.random() < 0.5 else (random.integers(2**32 - 2**16), 2**16)
    telescope = base + np.sort(random.integers(span, size=sensors))
    habit = random.choice(4, size=pairs, p=[0.25, 0.35, 0.2, 0.2])
    some = random.integers(2, sensors + 1, size=pairs)
    count = np.choose(habit, [np.ones_like(some), some, np.full_like(some, sensors), np.full_like(some, sensors)])
    # The largest of log weight plus Gumbel noise are a draw without replacement: some sensors see most sources.
    weights = -np.log(np.arange(1, sensors + 1))
    order = np.argsort(-(weights + random.gumbel(size=(pairs, sensors))), axis=1)
    drawn = order[np.arange(pairs)[:, None], (random.random(shape) * count[:, None]).astype(np.int64)]
    stride = random.integers(1, 4, size=pairs)[:, None]
    swept = (random.integers(sensors, size=(*shape[:2], 1)) + stride * np.arange(length)) % sensors
    return telescope[np.where(habit[:, None] == 3, swept, drawn)]


def source_ports(random: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Source ports (2, pairs, T): each pair's source has one that others have too, or random, rising or few ones."""
    _, pairs, length = shape
    habit = random.choice(4, size=pairs, p=[0.25, 0.45, 0.25, 0.05])[:, None]
    low = random.choice([1_024, 32_768, 49_152], size=(pairs, 1))
    high = random.choice([61_000, 65_536], size=(pairs, 1))
    popular = np.exp(random.uniform(3, np.log(65_536), size=POPULAR_SOURCE_PORTS)).astype(np.int64)
    fixed = popular[zipf(random, (pairs, 1), POPULAR_SOURCE_PORTS)]
    start = random.integers(low, high, size=(*shape[:2], 1))
    step = random.choice([1, 1, 2, 16], size=(pairs, 1))
    rising = 1_024 + (start - 1_024 + step * np.arange(length)) % (65_536 - 1_024)
    own = random.integers(1_024, 65_536, size=(pairs, 4))
    few = own[np.arange(pairs)[:, None], random.integers(4, size=shape)]
    return np.choose(np.broadcast_to(habit, shape), [fixed, random.integers(low, high, size=shape), rising, few])


def stand_ins(
    random: np.random.Generator, shape: tuple[int, int, int], services: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ports that each pair's source probes for each service, (pairs, services, OWN_PORTS), and which, (2, pairs, T).

    Most sources have one port for a service. Ports are shared by many sources, that of the service itself by most.
    """
    _, pairs, _ = shape
    lists = np.exp(random.uniform(0, np.log(65_536), size=(len(services), STAND_INS))).astype(np.int64)
    lists[:, 0] = services
    popular = zipf(random, (pairs, len(services), OWN_PORTS), STAND_INS)
    ports = lists[np.arange(len(services))[:, None], popular]
    count = np.minimum(random.geometric(0.6, size=(pairs, 1)), OWN_PORTS)
    return ports, (random.random(shape) * count).astype(np.int64)


def zipf(random: np.random.Generator, size: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """Numbers below `count`, the k-th of them with a probability in proportion to 1 / k."""
    weights = 1 / np.arange(1, count + 1)
    return random.choice(count, size=size, p=weights / weights.sum())
