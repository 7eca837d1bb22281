"""Random access to windows against Arrow's own view of them, the index of sources, and streaming by shard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation import WindowReader, load, stream_shards


@pytest.fixture(scope="module")
def windows(dataset):
    return load(dataset, "train")


@pytest.fixture(scope="module")
def reader(windows):
    return WindowReader(windows)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_read_gives_the_records_of_each_window(reader, windows, data):
    indices = data.draw(st.lists(st.integers(0, len(reader) - 1), max_size=6))
    length = data.draw(st.none() | st.integers(1, 40))
    shifts = data.draw(st.lists(st.integers(0, 20), min_size=len(indices), max_size=len(indices)))
    batch = reader.read(np.array(indices, dtype=np.int64), length=length, shifts=np.array(shifts, dtype=np.int64))
    rows = windows.to_pylist()
    for position, (index, shift) in enumerate(zip(indices, shifts, strict=True)):
        for name in ("timestamp", "dst_ip", "dst_port", "tcp_seq"):
            expected = rows[index][name][shift:][:length]
            expected = [-1 if value is None else value for value in expected]
            size = int(batch["n_records"][position])
            assert batch[name][position, :size].tolist() == expected
            assert not batch[name][position, size:].any()


def test_sources_index_every_window_once_in_time_order(reader, windows):
    index = reader.sources
    assert sorted(index.windows.tolist()) == list(range(len(reader)))
    assert index.names.to_pylist() == sorted(index.names.to_pylist())
    starts, sources = windows["start"].to_numpy(), windows["source"].to_pylist()
    for i, name in enumerate(index.names.to_pylist()):
        own = index.windows[index.offsets[i] : index.offsets[i + 1]]
        assert {sources[window] for window in own} == {name}
        assert (np.diff(starts[own]) >= 0).all()
        assert index.n_records[i] == reader.n_records[own].sum()


def test_probabilities_follow_the_power_of_the_records(reader):
    index = reader.sources
    chances = index.probabilities(0.5)
    assert chances.sum() == pytest.approx(1.0)
    assert not chances[index.n_windows < 2].any()
    first, second = np.flatnonzero(index.n_windows >= 2)[:2]
    assert chances[first] / chances[second] == pytest.approx((index.n_records[first] / index.n_records[second]) ** 0.5)
    with pytest.raises(DatasetError, match="10000 windows"):
        index.probabilities(min_windows=10_000)


def test_streaming_reads_every_window_once_and_whole_sources(dataset, windows):
    seen = []
    for worker in range(3):
        for shard in stream_shards(dataset, "train", seed=1, worker=worker, workers=3, fields=["dst_port"]):
            assert set(shard.fields) == {"dst_port"}
            seen.append(shard)
    assert sum(len(shard) for shard in seen) == windows.num_rows
    names = [name for shard in seen for name in shard.sources.names.to_pylist()]
    assert len(names) == len(set(names))


def test_streaming_order_depends_on_seed_and_epoch_alone(dataset):
    def order(**options):
        return [len(shard) for shard in stream_shards(dataset, "train", fields=[], **options)]

    assert order(seed=1, epoch=2) == order(seed=1, epoch=2)
    assert len({tuple(order(seed=1, epoch=epoch)) for epoch in range(8)}) > 1


def test_a_column_or_split_that_is_absent_is_named(dataset):
    with pytest.raises(DatasetError, match="no column 'payload'"):
        WindowReader.open(dataset, "train", ["payload"])
    with pytest.raises(DatasetError, match="no split 'dev'"):
        load(dataset, "dev")
