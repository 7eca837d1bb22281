"""Pairs of siblings, ignored negatives, hidden fields, and batches from several datasets."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional as F

from telescope_transformer.errors import TrainingError
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.learning.data import MixedBatches, PairBatches, columns_of
from telescope_transformer.learning.held_out import keep_out
from telescope_transformer.learning.sampling import PairSampler
from telescope_transformer.learning.store import RecordStore, build_store, networks_of, open_store
from telescope_transformer.model import FlowTokenizer
from telescope_transformer.model import nt_xent_loss as nt_xent

TOKENIZER = FlowTokenizer()
COUNTS = np.array([40, 16, 200, 30, 60, 17, 90, 5])
SIBLINGS = np.array([0, 0, 0, 1, 2, 2, 3, 3])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])


@pytest.fixture(scope="module")
def store(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordStore:
    cache = tmp_path_factory.mktemp("cache")
    build_store(dataset, "train", TOKENIZER, cache)
    return open_store(cache)


def make_batches(store: RecordStore, rank: int = 0, processes: int = 1, **options: Any) -> PairBatches:
    arguments = TrainingArguments(batch_pairs=16, max_records=16, **options)
    return PairBatches(store, PairSampler(store.offsets, arguments), TOKENIZER, rank, processes)


def test_sibling_pairs_are_of_another_source_of_the_network() -> None:
    sampler = PairSampler(OFFSETS, TrainingArguments(batch_pairs=4, max_records=16, sibling_pairs=1.0), SIBLINGS)
    met = set()
    for step in range(200):
        pairs = sampler.pairs(step)
        ends = pairs.starts + pairs.lengths[0] - 1
        owners = np.searchsorted(OFFSETS, pairs.starts, side="right") - 1
        # A stretch of records never crosses into another source.
        np.testing.assert_array_equal(owners, np.searchsorted(OFFSETS, ends, side="right") - 1)
        np.testing.assert_array_equal(owners[0], pairs.sources)
        np.testing.assert_array_equal(SIBLINGS[owners[0]], SIBLINGS[owners[1]])
        met |= set(zip(*owners.tolist(), strict=True))
    assert {(0, 2), (2, 1), (4, 5)} <= met
    # A source without a sibling that has enough records is paired with itself.
    assert {(3, 3), (6, 6)} <= met
    assert (6, 7) not in met


def test_without_sibling_pairs_the_draws_are_unchanged() -> None:
    plain, told = (PairSampler(OFFSETS, TrainingArguments(batch_pairs=4), siblings) for siblings in (None, SIBLINGS))
    np.testing.assert_array_equal(plain.pairs(3).starts, told.pairs(3).starts)


def test_the_denominator_leaves_out_the_windows_of_the_group() -> None:
    first, second = (F.normalize(torch.randn(4, 6, dtype=torch.float64), dim=-1) for _ in range(2))
    groups = torch.tensor([7, 8, 7, 9])
    rows, of = torch.cat([first, second]), torch.cat([groups, groups]).tolist()
    total = 0.0
    for anchor in range(8):
        partner = (anchor + 4) % 8
        used = [row for row in range(8) if row == partner or of[row] != of[anchor]]
        logits = {row: float(rows[anchor] @ rows[row]) / 0.1 for row in used}
        total -= logits[partner] - math.log(sum(math.exp(value) for value in logits.values()))
    assert float(nt_xent(first, second, 0.1, groups)) == pytest.approx(total / 8)
    torch.testing.assert_close(nt_xent(first, second, 0.1, torch.arange(4)), nt_xent(first, second, 0.1))


def test_hidden_fields_are_unknown_in_whole_windows(store: RecordStore) -> None:
    plain = make_batches(store)[3]
    hidden = make_batches(store, field_dropout={"dst_ip": 0.5, "ttl": 1.0})[3]
    octets = columns_of("dst_ip", TOKENIZER)
    assert octets == [0, 1, 2, 3]
    unknown = (hidden["input_ids"][..., octets] == TOKENIZER.unk_token_id).all(dim=-1)
    whole = unknown.all(dim=1)
    assert 0 < whole.sum() < len(whole)
    torch.testing.assert_close(hidden["input_ids"][~whole], plain["input_ids"][~whole])
    torch.testing.assert_close(hidden["input_ids"][..., 4:], plain["input_ids"][..., 4:])


def test_a_field_to_hide_that_does_not_exist_is_refused(store: RecordStore) -> None:
    with pytest.raises(TrainingError, match=r"no field 'dstport'; fields are dst_ip, .*dst_port"):
        make_batches(store, field_dropout={"dstport": 0.5})


def test_jitter_changes_the_rate_of_whole_windows(store: RecordStore) -> None:
    plain = make_batches(store)[3]["inter_arrival"]
    jittered = make_batches(store, jitter_steps=1.0)[3]["inter_arrival"]
    factors = jittered.sum(dim=1) / plain.sum(dim=1)
    torch.testing.assert_close(jittered, plain * factors.unsqueeze(1))
    assert 0.6 < factors.log().std() < 1.4
    halves = [make_batches(store, rank, 2, jitter_steps=1.0)[3]["inter_arrival"] for rank in (0, 1)]
    first, second = (half.chunk(2) for half in halves)
    torch.testing.assert_close(torch.cat([first[0], second[0], first[1], second[1]]), jittered)


def test_jitter_changes_a_share_of_the_steps(store: RecordStore) -> None:
    plain, some = (make_batches(store, jitter_steps=share) for share in (0.0, 0.25))
    changed = [not torch.equal(plain[step]["inter_arrival"], some[step]["inter_arrival"]) for step in range(80)]
    assert 10 <= sum(changed) <= 30


def test_each_mixed_batch_is_of_one_dataset(store: RecordStore) -> None:
    parts = [
        PairBatches(store, PairSampler(store.offsets, TrainingArguments(batch_pairs=4, seed=seed)), TOKENIZER)
        for seed in (0, 1)
    ]
    mixed = MixedBatches(parts, [3.0, 1.0])
    origin = [int(torch.equal(mixed[step]["input_ids"], parts[1][step]["input_ids"])) for step in range(40)]
    assert 2 <= sum(origin) <= 20
    assert mixed.addresses(0, np.array([0])) == [store.sources[0].as_py()]
    with pytest.raises(TrainingError, match="mix needs a positive number for each of 2 datasets"):
        MixedBatches(parts, [1.0])


def test_networks() -> None:
    sources = pa.array(["192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1", "2001:db8:0:9::", "sensor"])
    assert networks_of(sources).tolist() == [0, 0, 1, 2, 2, 3]
    assert networks_of(sources[:0]).tolist() == []


def test_a_network_with_much_of_the_telescope_makes_no_siblings() -> None:
    """Addresses that were anonymised into one network: without this, training would have no negatives."""
    anonymised = [f"10.0.0.{host}" for host in range(40)]
    others = [f"192.0.{network // 2}.{network}" for network in range(60)]
    networks = networks_of(pa.array([*others[:30], *anonymised, *others[30:]]))
    assert len(set(networks[30:70].tolist())) == 40
    assert not set(networks[30:70]) & {*networks[:30], *networks[70:]}
    assert len(set(networks.tolist())) == 70
    kept = keep_out(pa.array(anonymised), 0.1, seed=0)
    assert kept.sum() == 4
    # A network of one scanner is not large, although it has more than a quarter of few sources.
    assert networks_of(pa.array([*anonymised[:20], *others[:20]])).max() == 10
