"""Training data: the store, the pairs of a step, and batches that do not depend on the number of workers."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_dataset import make_records

from telescope_transformer.errors import DatasetError, TrainingError
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.learning.data import PairBatches, batches, chunks_of
from telescope_transformer.learning.sampling import PairSampler
from telescope_transformer.learning.store import RecordStore, build_store, open_store, store_of_windows
from telescope_transformer.model import FlowTokenizer

TOKENIZER = FlowTokenizer()


@pytest.fixture(scope="module")
def store(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordStore:
    cache = tmp_path_factory.mktemp("cache")
    build_store(dataset, "train", TOKENIZER, cache)
    return open_store(cache)


def test_the_store_holds_the_records_of_each_source_in_time_order(store: RecordStore) -> None:
    records = make_records()
    for row, source in enumerate(store.sources.to_pylist()):
        own = records.filter(pc.equal(records["src_ip"], source))
        begin, end = store.offsets[row : row + 2]
        # A source's last window may have been too short to be kept.
        expected = TOKENIZER(own.slice(0, end - begin))
        assert own.num_rows - (end - begin) < 8
        np.testing.assert_array_equal(store.encoded["input_ids"][begin:end], expected["input_ids"])
        np.testing.assert_allclose(store.encoded["inter_arrival"][begin:end], expected["inter_arrival"], rtol=1e-6)


def test_a_table_of_windows_gives_the_store_of_its_dataset(dataset: Path, store: RecordStore) -> None:
    shards = [pq.read_table(path) for path in sorted(dataset.glob("train/*.parquet"))]
    held = store_of_windows(pa.concat_tables(shards), TOKENIZER)
    assert held.sources.to_pylist() == store.sources.to_pylist()
    np.testing.assert_array_equal(held.offsets, store.offsets)
    for name, values in held.encoded.items():
        np.testing.assert_array_equal(values, store.encoded[name])


def test_a_store_is_built_once_and_again_for_other_fields(dataset: Path, tmp_path: Path) -> None:
    build_store(dataset, "train", TOKENIZER, tmp_path)
    written = (tmp_path / "input_ids.npy").stat().st_mtime_ns
    build_store(dataset, "train", TOKENIZER, tmp_path)
    assert (tmp_path / "input_ids.npy").stat().st_mtime_ns == written
    build_store(dataset, "train", FlowTokenizer(["dst_port"]), tmp_path)
    assert open_store(tmp_path).encoded["input_ids"].shape[1] == 1


@pytest.mark.parametrize("name", ["input_ids.npy", "inter_arrival.npy", "sources.parquet", "store.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"half"])
def test_a_damaged_store_is_named_and_made_again(
    dataset: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    build_store(dataset, "train", TOKENIZER, tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if content is None:
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
    if name != "store.json":
        with pytest.raises(DatasetError, match=f"{name} is damaged: .*; delete {tmp_path}, which is then made again"):
            open_store(tmp_path)
    build_store(dataset, "train", TOKENIZER, tmp_path)
    assert (tmp_path / name).read_bytes() == whole


def test_a_missing_part_is_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        build_store(tmp_path / "nowhere", "train", TOKENIZER, tmp_path / "cache")
    with pytest.raises(DatasetError, match="no windows of split 'validation'"):
        build_store(dataset, "validation", TOKENIZER, tmp_path / "cache")


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(16, 300), min_size=4, max_size=30),
    alpha=st.floats(0, 1),
    lengths=st.sampled_from(["uniform", "log_uniform"]),
    step=st.integers(0, 10**6),
)
def test_pairs_are_disjoint_stretches_of_distinct_sources(
    counts: list[int], alpha: float, lengths: str, step: int
) -> None:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    sampler = PairSampler(offsets, TrainingArguments(batch_pairs=4, alpha=alpha, lengths=lengths))
    pairs = sampler.pairs(step)
    assert len(set(pairs.sources.tolist())) == 4
    assert pairs.lengths[0] == pairs.lengths[1]
    assert 8 <= pairs.lengths[0] <= 128
    ends = pairs.starts + pairs.lengths[0]
    assert (pairs.starts >= offsets[pairs.sources]).all()
    assert (ends <= offsets[pairs.sources + 1]).all()
    assert ((ends[0] <= pairs.starts[1]) | (ends[1] <= pairs.starts[0])).all()


def test_a_length_does_not_tell_its_source() -> None:
    """All windows of a step have the same length, so no negative differs from its anchor in length."""
    counts = np.array([20, 40, 80, 160, 320] * 10)
    sampler = PairSampler(np.concatenate([[0], np.cumsum(counts)]), TrainingArguments(batch_pairs=8, max_records=64))
    assert len({sampler.pairs(step).lengths for step in range(200)}) > 30


def test_second_windows_are_cut_down_in_the_given_share_of_steps() -> None:
    counts = np.array([40, 80, 160, 320])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    options = TrainingArguments(batch_pairs=4, min_records=4, max_records=16)
    whole, some, every = (PairSampler(offsets, replace(options, cut_steps=share)) for share in (0.0, 0.3, 1.0))
    shorter = 0
    for step in range(300):
        before, after = whole.pairs(step), every.pairs(step)
        # Nothing else about the step changes, and the shorter window lies within the longer one.
        np.testing.assert_array_equal(before.sources, after.sources)
        np.testing.assert_array_equal(before.starts[0], after.starts[0])
        assert 2 <= after.lengths[1] < after.lengths[0] == before.lengths[0]
        assert (after.starts[1] >= before.starts[1]).all()
        assert (after.starts[1] + after.lengths[1] <= before.starts[1] + before.lengths[1]).all()
        shorter += some.pairs(step).lengths[1] < some.pairs(step).lengths[0]
    assert 60 < shorter < 120


def test_shorter_second_windows_are_padded_and_masked(store: RecordStore) -> None:
    options = TrainingArguments(batch_pairs=8, max_records=20, cut_steps=1.0)
    data = PairBatches(store, PairSampler(store.offsets, options), TOKENIZER)
    batch, (long, short) = data[3], data.sampler.pairs(3).lengths
    assert batch["attention_mask"].sum(dim=1).tolist() == [long] * 8 + [short] * 8
    (chunk,) = chunks_of(batch, 0)
    assert torch.equal(chunk["attention_mask"], batch["attention_mask"])


def test_sources_are_drawn_by_their_records() -> None:
    counts = np.array([100] * 50 + [1600] * 50)
    sampler = PairSampler(
        np.concatenate([[0], np.cumsum(counts)]), TrainingArguments(batch_pairs=2, max_records=8, alpha=0.5)
    )
    drawn = np.concatenate([sampler.pairs(step).sources for step in range(1500)])
    # (1600 / 100) ** 0.5 = 4 times as often
    assert 3.4 < (drawn >= 50).sum() / (drawn < 50).sum() < 4.6


def test_too_few_sources_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"has 3 of 4: set batch_pairs \(--batch-pairs\) to 3"):
        PairSampler(np.array([0, 20, 40, 60, 70]), TrainingArguments(batch_pairs=4))


def make_batches(store: RecordStore, rank: int = 0, processes: int = 1) -> PairBatches:
    sampler = PairSampler(store.offsets, TrainingArguments(batch_pairs=8, max_records=20))
    return PairBatches(store, sampler, TOKENIZER, rank, processes)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_batch(store: RecordStore, workers: int) -> None:
    data = make_batches(store)
    expected = [data[step] for step in range(3, 9)]
    for batch, plain in zip(batches(data, range(3, 9), workers), expected, strict=True):
        assert all(torch.equal(batch[name], plain[name]) for name in plain)


def test_processes_share_the_pairs_of_a_step_without_repeats(store: RecordStore) -> None:
    whole = make_batches(store)[5]
    parts = [make_batches(store, rank, 2)[5] for rank in range(2)]
    assert torch.equal(torch.cat([part["sources"] for part in parts]), whole["sources"])
    for name in ("input_ids", "inter_arrival"):
        views = [part[name].chunk(2) for part in parts]
        together = torch.cat([torch.cat([view[side] for view in views]) for side in range(2)])
        assert torch.equal(together, whole[name])


def test_a_batch_draws_no_random_numbers_of_torch(store: RecordStore) -> None:
    """Otherwise a continued run would have other dropout than an uninterrupted one."""
    before = torch.get_rng_state()
    next(batches(make_batches(store), range(2), workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_chunks_cover_the_batch(store: RecordStore) -> None:
    batch = make_batches(store)[0]
    assert len(chunks_of(batch, 0)) == 1
    parts = chunks_of(batch, 6)
    assert [len(part["input_ids"]) for part in parts] == [6, 6, 4]
    assert torch.equal(torch.cat([part["input_ids"] for part in parts]), batch["input_ids"])


def test_a_damaged_shard_is_named(dataset: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    shard = copy / "train" / "shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"shard-00001.parquet is damaged"):
        build_store(copy, "train", TOKENIZER, tmp_path / "cache")
