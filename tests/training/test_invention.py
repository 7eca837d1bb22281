"""Fields that a dataset lacks, invented: what is put where, and what stays as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from telescope_transformer.errors import TrainingError
from telescope_transformer.model import FlowTokenizer
from training.arguments import TrainingArguments
from training.data import PairBatches
from training.invention import Invention, destinations, lacking, source_ports, stand_ins
from training.sampling import PairOptions, PairSampler
from training.store import RecordStore, build_store, open_store

TOKENIZER = FlowTokenizer(["dst_octet_1", "dst_octet_2", "dst_octet_3", "dst_octet_4", "dst_port", "src_port"])
OPTIONS = PairOptions(batch_pairs=8, max_records=20)
SHAPE = (2, 60, 8)
OCTETS, DST_PORT, SRC_PORT = [0, 1, 2, 3], 4, 5


@pytest.fixture(scope="module")
def store(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordStore:
    """Its records have destinations, many ports, and one source port."""
    cache = tmp_path_factory.mktemp("cache")
    build_store(dataset, "train", TOKENIZER, cache)
    return open_store(cache)


@pytest.fixture(scope="module")
def bare(store: RecordStore) -> RecordStore:
    """The same with one destination, and ports 22 or 23."""
    ids = np.array(store.encoded["input_ids"])
    offset = TOKENIZER.field_offsets["dst_port"]
    ids[:, OCTETS] = ids[0, OCTETS]
    ids[:, DST_PORT] = offset + 22 + ids[:, DST_PORT] % 2
    return replace(store, encoded={**store.encoded, "input_ids": ids})


def batches_of(store: RecordStore, share: float, rank: int = 0, processes: int = 1) -> PairBatches:
    sampler = PairSampler(store.offsets, OPTIONS)
    invent = Invention(store, TOKENIZER, OPTIONS, lacking([store], TOKENIZER), share) if share else None
    return PairBatches(store, sampler, TOKENIZER, rank, processes, invent=invent)


def test_what_a_store_has_is_left_alone(store: RecordStore) -> None:
    plain, invented = batches_of(store, 0)[3], batches_of(store, 1)[3]
    others = [column for column in range(6) if column != SRC_PORT]
    assert torch.equal(invented["input_ids"][..., others], plain["input_ids"][..., others])
    assert len(plain["input_ids"][..., SRC_PORT].unique()) <= 2
    assert len(invented["input_ids"][..., SRC_PORT].unique()) > 20


def test_what_a_store_lacks_is_invented_as_values_of_its_field(bare: RecordStore) -> None:
    plain, invented = batches_of(bare, 0)[3], batches_of(bare, 1)[3]
    real = plain["attention_mask"].bool()
    assert torch.equal(invented["input_ids"][~real], plain["input_ids"][~real])
    for column, offset in enumerate(TOKENIZER.field_offsets.values()):
        values = invented["input_ids"][..., column][real] - offset
        assert values.min() >= 0
        assert values.max() < (256 if column in OCTETS else 65_536)
        assert len(values.unique()) > 1
    assert torch.equal(invented["inter_arrival"], plain["inter_arrival"])


def test_a_share_of_the_steps_is_invented(bare: RecordStore) -> None:
    plain, some = batches_of(bare, 0), batches_of(bare, 0.5)
    changed = [not torch.equal(plain[step]["input_ids"], some[step]["input_ids"]) for step in range(40)]
    assert 10 < sum(changed) < 30


def test_processes_invent_the_same_telescope(bare: RecordStore) -> None:
    whole = batches_of(bare, 1)[5]["input_ids"]
    views = [batches_of(bare, 1, rank, 2)[5]["input_ids"].chunk(2) for rank in range(2)]
    assert torch.equal(torch.cat([torch.cat([view[side] for view in views]) for side in range(2)]), whole)


def test_a_source_keeps_its_habits_in_both_windows() -> None:
    random = np.random.default_rng(0)
    for values in (destinations(random, SHAPE), source_ports(random, SHAPE)):
        assert values.shape == SHAPE
        single = [len(np.unique(values[:, pair])) == 1 for pair in range(SHAPE[1])]
        assert 0.1 < np.mean(single) < 0.6
        # Windows of one source have more values in common than those of two.
        own = [np.isin(values[0, pair], values[1, pair]).mean() for pair in range(SHAPE[1])]
        other = [np.isin(values[0, pair], values[1, pair - 1]).mean() for pair in range(SHAPE[1])]
        assert np.mean(own) > np.mean(other) + 0.1


def test_services_keep_their_port_most_often() -> None:
    ports, chosen = stand_ins(np.random.default_rng(0), SHAPE, np.array([80, 443]))
    assert ports.shape == (60, 2, 8)
    assert chosen.shape == SHAPE
    assert chosen.max() < 8
    assert [np.bincount(ports[:, service].ravel()).argmax() for service in range(2)] == [80, 443]


def test_what_one_dataset_has_is_not_invented_for_another(store: RecordStore, bare: RecordStore) -> None:
    assert lacking([bare], TOKENIZER) == {"dst_ip", "src_port", "dst_port"}
    assert lacking([bare, store], TOKENIZER) == lacking([store], TOKENIZER) == {"src_port"}
    # What records are not spelt with is not lacking.
    octets = replace(bare, encoded={"input_ids": bare.encoded["input_ids"][:, OCTETS]})
    assert lacking([octets], FlowTokenizer(TOKENIZER.fields[:4])) == {"dst_ip"}


def test_a_share_is_between_0_and_1() -> None:
    with pytest.raises(TrainingError, match="invention must be between 0 and 1, not 2"):
        TrainingArguments(invention=2.0)
