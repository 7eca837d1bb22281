"""Windows that show some records of longer stretches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from telescope_transformer.errors import TrainingError
from telescope_transformer.model import FlowTokenizer
from training.arguments import TrainingArguments
from training.data import PairBatches
from training.sampling import MOST_THINNED, PairOptions, Pairs, PairSampler
from training.store import RecordStore, build_store, open_store
from training.thinning import shown_places, thinned

TOKENIZER = FlowTokenizer()
COUNTS = np.array([40, 16, 200, 30, 60, 17, 90, 25])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])


@pytest.fixture(scope="module")
def store(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordStore:
    cache = tmp_path_factory.mktemp("cache")
    build_store(dataset, "train", TOKENIZER, cache)
    return open_store(cache)


def make_batches(store: RecordStore, thinning: float, rank: int = 0, processes: int = 1) -> PairBatches:
    sampler = PairSampler(store.offsets, PairOptions(batch_pairs=8, max_records=12, thinning=thinning))
    return PairBatches(store, sampler, TOKENIZER, rank, processes)


@pytest.mark.parametrize("siblings", [None, np.array([0, 0, 0, 1, 2, 2, 3, 3])])
@pytest.mark.parametrize("same_length", [True, False])
def test_thinned_stretches_are_longer_and_still_disjoint(siblings: np.ndarray | None, same_length: bool) -> None:
    options = PairOptions(batch_pairs=4, max_records=12, same_length=same_length, sibling_pairs=0.5, thinning=1.0)
    sampler = PairSampler(OFFSETS, options, siblings)
    ratios = []
    for step in range(200):
        pairs = sampler.pairs(step)
        assert (pairs.spans >= pairs.lengths[:, None]).all()
        ratios.append((pairs.spans / pairs.lengths[:, None]).max())
        ends = pairs.starts + pairs.spans
        owners = np.searchsorted(OFFSETS, pairs.starts, side="right") - 1
        np.testing.assert_array_equal(owners, np.searchsorted(OFFSETS, ends - 1, side="right") - 1)
        own = owners[0] == owners[1]
        apart = (ends[0] <= pairs.starts[1]) | (ends[1] <= pairs.starts[0])
        assert apart[own].all()
    assert 2 < max(ratios) <= MOST_THINNED


def test_the_share_of_thinned_steps_is_as_asked() -> None:
    sampler = PairSampler(OFFSETS, PairOptions(batch_pairs=4, max_records=12, thinning=0.3))
    thinned_steps = [(pairs.spans > pairs.lengths[:, None]).any() for pairs in map(sampler.pairs, range(1000))]
    # A ratio near 1 adds no whole record.
    assert 0.2 < np.mean(thinned_steps) < 0.33


def test_gaps_add_up_over_the_records_that_are_missed() -> None:
    encoded = {"input_ids": np.arange(20)[:, None], "inter_arrival": np.arange(20, dtype=np.float32)}
    windows, firsts = thinned(encoded, np.array([2, 10]), [np.array([[1, 2, 5]]), np.array([[0, 3]])])
    assert windows["input_ids"].ravel().tolist() == [3, 4, 7, 10, 13]
    assert windows["inter_arrival"].tolist() == [0, 4, 5 + 6 + 7, 0, 11 + 12 + 13]
    assert firsts.tolist() == [0, 3]


def test_the_last_stretch_of_a_store_is_read_to_its_end() -> None:
    encoded = {"input_ids": np.arange(12)[:, None], "inter_arrival": np.ones(12, np.float32)}
    windows, _ = thinned(encoded, np.array([0, 6]), [np.array([[0, 9]]), np.array([[2, 5]])])
    assert windows["inter_arrival"].tolist() == [0, 9, 0, 3]


def test_places_are_distinct_and_within_their_stretches() -> None:
    spans = np.array([[8, 12, 24], [9, 9, 20]])
    pairs = Pairs(np.arange(3), np.zeros((2, 3), int), np.array([8, 6]), spans)
    for length, span, places in zip((8, 6), spans, shown_places(np.random.default_rng(0), pairs), strict=True):
        assert places.shape == (3, length)
        assert (np.diff(places, axis=1) > 0).all()
        assert (places[:, -1] < span).all()


def test_no_thinning_changes_no_batch(store: RecordStore) -> None:
    """Nor does a thinned step change which sources are drawn."""
    plain, some = make_batches(store, 0.0), make_batches(store, 0.5)
    same = [torch.equal(plain[step]["inter_arrival"], some[step]["inter_arrival"]) for step in range(20)]
    assert 4 < sum(same) < 18
    assert all(torch.equal(plain[step]["sources"], some[step]["sources"]) for step in range(20))


def test_processes_share_thinned_pairs(store: RecordStore) -> None:
    whole = make_batches(store, 1.0)[5]
    parts = [make_batches(store, 1.0, rank, 2)[5] for rank in range(2)]
    for name in ("input_ids", "inter_arrival"):
        views = [part[name].chunk(2) for part in parts]
        together = torch.cat([torch.cat([view[side] for view in views]) for side in range(2)])
        assert torch.equal(together, whole[name])


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"thinning must be between 0 and 1, not 1\.5"):
        TrainingArguments(thinning=1.5)
