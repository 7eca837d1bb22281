"""Embedding: batches of similar length, equal embeddings in every batch, and files."""

import copy
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telescope_transformer.arrays import with_column
from telescope_transformer.embedding import BF16_IN_SOFTWARE, _side_by_side, embed_windows, length_batches, one_thread
from telescope_transformer.embedding_files import embed_files
from telescope_transformer.errors import CheckpointError, InputError
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model_files import checkpoint_digest, load_model, load_network
from telescope_transformer.windows import cut_windows

TOKENIZER = FlowTokenizer()


@pytest.fixture(scope="module")
def model() -> TelescopeForContrastiveLearning:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return TelescopeForContrastiveLearning(TelescopeConfig(hidden_size=16, num_hidden_layers=1, projection_size=8))


@pytest.fixture(scope="module")
def windows() -> pa.Table:
    random = np.random.default_rng(0)
    counts = random.integers(1, 300, 40)
    total = int(counts.sum())
    return cut_windows(
        pa.table(
            {
                "timestamp": np.sort(random.integers(0, 10**12, total)),
                "src_ip": [f"192.0.2.{source}" for source, count in enumerate(counts) for _ in range(count)],
                "dst_ip": random.integers(0, 2**32, total, dtype=np.uint32),
                "protocol": np.full(total, 6, dtype=np.uint8),
                "src_port": random.integers(0, 65_536, total).astype(np.uint16),
                "dst_port": random.integers(0, 65_536, total).astype(np.uint16),
            }
        )
    )


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 128), max_size=300), batch_records=st.integers(128, 4096))
def test_batches_hold_each_window_once_and_little_padding(lengths: list[int], batch_records: int) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    batches = list(length_batches(sizes, batch_records))
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(len(sizes)))
    computed = sum(len(rows) * sizes[rows].max() for rows in batches)
    assert computed * 0.9 <= sizes.sum()
    assert all(len(rows) * sizes[rows].max() <= batch_records for rows in batches)


def test_an_embedding_does_not_depend_on_its_batch(model: TelescopeForContrastiveLearning, windows: pa.Table) -> None:
    together = embed_windows(model, TOKENIZER, windows, progress=False)
    assert together.shape == (windows.num_rows, 8)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    alone = [embed_windows(model, TOKENIZER, windows.slice(row, 1), progress=False) for row in (0, 5, 17)]
    np.testing.assert_allclose(np.concatenate(alone), together[[0, 5, 17]], atol=1e-6)
    assert model.training, "the model is left in the mode that it was in"


def test_batches_side_by_side_give_the_embeddings_of_batch_after_batch(
    model: TelescopeForContrastiveLearning, windows: pa.Table
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = embed_windows(model, TOKENIZER, windows, batch_records=128, device="cpu", progress=False)
        with one_thread():
            expected = embed_windows(model, TOKENIZER, windows, batch_records=128, device="cpu", progress=False)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(together, expected)


def test_after_an_error_batches_that_have_not_begun_are_dropped() -> None:
    begun: list[int] = []

    def fail(rows: np.ndarray) -> np.ndarray:
        begun.append(int(rows[0]))
        if rows[0] == 0:
            raise RuntimeError("no memory")
        time.sleep(0.01)
        return rows

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="no memory"):
            list(_side_by_side(fail, [np.array([row]) for row in range(1_000)], torch.device("cpu")))
    finally:
        torch.set_num_threads(before)
    assert len(begun) < 500


@pytest.mark.parametrize(("capability", "native"), [("avx2", False), ("avx512_bf16", True), ("bf16", True)])
def test_bfloat16_is_used_where_the_processor_has_it(
    model: TelescopeForContrastiveLearning,
    windows: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    native: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True}, raising=False)
    exact = embed_windows(model, TOKENIZER, windows, device="cpu", progress=False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        half = embed_windows(model, TOKENIZER, windows, device="cpu", dtype=torch.bfloat16, progress=False)
    assert [str(each.message) for each in told] == ([] if native else [BF16_IN_SOFTWARE])
    assert np.array_equal(half, exact) != native
    np.testing.assert_allclose(half, exact, atol=3e-2)


def test_a_file_of_windows_becomes_a_file_of_embeddings(
    model: TelescopeForContrastiveLearning, windows: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(windows.append_column("label", pa.array(["x"] * windows.num_rows)), tmp_path / "windows.parquet")
    output = tmp_path / "embeddings.parquet"
    count = embed_files(model, TOKENIZER, tmp_path / "windows.parquet", output)
    table = pq.read_table(output)
    assert count == table.num_rows == windows.num_rows
    assert table.column_names == ["source", "start", "end", "n_records", "label", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 8)
    values = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
    np.testing.assert_allclose(values, embed_windows(model, TOKENIZER, windows, progress=False), atol=1e-6)


def test_a_file_without_windows_is_named(model: TelescopeForContrastiveLearning, tmp_path: Path) -> None:
    pq.write_table(pa.table({"source": ["192.0.2.1"]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet")
    for name in ("other.parquet", "text.parquet", "nowhere.parquet"):
        with pytest.raises(InputError, match=name):
            embed_files(model, TOKENIZER, tmp_path / name, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("name", ["n_records", "timestamp", "source"])
def test_a_file_with_a_gap_is_named(
    name: str, windows: pa.Table, model: TelescopeForContrastiveLearning, tmp_path: Path
) -> None:
    gaps = pa.nulls(len(windows), windows[name].type)
    pq.write_table(with_column(windows, name, gaps), tmp_path / "windows.parquet")
    with pytest.raises(InputError, match=rf"windows.parquet: damaged: a window has no {name}"):
        embed_files(model, TOKENIZER, tmp_path / "windows.parquet", tmp_path / "out.parquet")


def test_a_pipe_in_place_of_a_file_of_windows_is_not_waited_for(
    model: TelescopeForContrastiveLearning, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "windows.parquet")
    with pytest.raises(InputError, match="not a regular file"):
        embed_files(model, TOKENIZER, tmp_path / "windows.parquet", tmp_path / "out.parquet")


def test_windows_that_do_not_fit_are_refused(windows: pa.Table) -> None:
    short = TelescopeConfig(hidden_size=16, num_hidden_layers=1, max_position_embeddings=100)
    with pytest.raises(InputError, match="a window has 128 records, and the model takes 100"):
        embed_windows(TelescopeForContrastiveLearning(short), TOKENIZER, windows, progress=False)
    backward = pa.array([list(reversed(times)) for times in windows["timestamp"].to_pylist()])
    place = windows.column_names.index("timestamp")
    with pytest.raises(InputError, match="must be in time order"):
        embed_windows(
            TelescopeForContrastiveLearning(TelescopeConfig(hidden_size=16)),
            TOKENIZER,
            windows.set_column(place, "timestamp", backward),
            progress=False,
        )


def test_a_model_and_a_tokenizer_that_do_not_match_are_refused(
    model: TelescopeForContrastiveLearning, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"is not a checkpoint: it has no config\.json"):
        load_model(tmp_path)
    model.save_pretrained(tmp_path)
    FlowTokenizer(["dst_port"]).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="the tokenizer has the fields"):
        load_model(tmp_path)


def test_windows_are_embedded_without_the_vocabulary_of_a_tokenizer(
    model: TelescopeForContrastiveLearning, windows: pa.Table, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    found = embed_windows(*load_network(tmp_path), windows, progress=False)
    np.testing.assert_array_equal(found, embed_windows(model, TOKENIZER, windows, progress=False))


def test_the_digest_of_a_checkpoint_is_that_of_its_configuration_and_weights(
    tmp_path: Path, model: TelescopeForContrastiveLearning
) -> None:
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "same")
    (tmp_path / "same" / "README.md").write_text("a card")
    other = TelescopeConfig.from_pretrained(tmp_path / "one")
    other.is_causal = False
    model.save_pretrained(tmp_path / "other")
    other.save_pretrained(tmp_path / "other")
    digests = [checkpoint_digest(tmp_path / name) for name in ("one", "same", "other")]
    assert digests[0] == digests[1] != digests[2]
    changed = copy.deepcopy(model)
    changed.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    before = checkpoint_digest(tmp_path / "shards")
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    changed.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    assert checkpoint_digest(tmp_path / "shards") != before


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, model: TelescopeForContrastiveLearning) -> None:
    broken = TelescopeForContrastiveLearning(model.config)
    with torch.no_grad():
        next(broken.parameters()).view(-1)[3] = float("nan")
    broken.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="not finite numbers"):
        load_model(tmp_path)


def test_a_checkpoint_in_half_precision_is_computed_in_float32(
    tmp_path: Path, model: TelescopeForContrastiveLearning
) -> None:
    copy.deepcopy(model).half().save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    assert load_model(tmp_path)[0].dtype == torch.float32
