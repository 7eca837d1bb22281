"""The pipeline "flow-embedding" in a process with the package installed: its inputs and outputs."""

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import pipeline

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.embedding import embed_windows
from telescope_transformer.model import FlowEmbeddingPipeline

LENGTHS = (3, 1, 7, 3)


@pytest.fixture(scope="module")
def embed(tmp_path_factory: pytest.TempPathFactory) -> FlowEmbeddingPipeline:
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_size": 8}
    config = TelescopeConfig(field_embedding_sizes={"dst_port": 2}, intermediate_size=16, **small)
    folder = tmp_path_factory.mktemp("checkpoint")
    TelescopeForContrastiveLearning(config).save_pretrained(folder)
    FlowTokenizer(model_max_length=8).save_pretrained(folder)
    return pipeline("flow-embedding", model=str(folder), device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def sequences() -> list[list[dict]]:
    generator = np.random.default_rng(0)
    return [
        [
            {"timestamp": 1_000 * row, "dst_ip": f"198.51.100.{port % 256}", "dst_port": int(port), "protocol": 6}
            for row, port in enumerate(generator.integers(0, 65_536, length))
        ]
        for length in LENGTHS
    ]


def test_embeddings_are_those_of_embed_windows(embed: FlowEmbeddingPipeline, sequences: list[list[dict]]) -> None:
    lists = {name: [[record[name] for record in records] for records in sequences] for name in sequences[0][0]}
    windows = pa.table(lists)
    octets = [[int(ip.rpartition(".")[2]) + 0xC6336400 for ip in addresses] for addresses in lists["dst_ip"]]
    windows = windows.set_column(1, "dst_ip", pa.array(octets, pa.list_(pa.uint32())))
    expected = embed_windows(embed.model, embed.tokenizer, windows, device="cpu", progress=False)
    np.testing.assert_allclose(embed(sequences), expected, atol=1e-6)


def test_batches_order_and_forms_change_no_embedding(
    embed: FlowEmbeddingPipeline, sequences: list[list[dict]]
) -> None:
    together = embed(sequences)
    assert together.shape == (4, 8)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for records, embedding in zip(sequences, together, strict=True):
        table = pa.Table.from_pylist(records)
        for form in (records, table, table.to_pydict()):
            np.testing.assert_allclose(embed(form), embedding, atol=1e-6)
    np.testing.assert_allclose(embed(sequences, batch_size=4), together, atol=1e-6)
    np.testing.assert_array_equal(embed(sequence for sequence in sequences), together)
    assert embed([]).shape == (0, 8)
    # Rows of a prepared dataset also have the source of their window.
    rows = [{"source": f"192.0.2.{n}", **pa.Table.from_pylist(each).to_pydict()} for n, each in enumerate(sequences)]
    np.testing.assert_allclose(embed(rows), together, atol=1e-6)
    np.testing.assert_allclose(embed(datasets.Dataset.from_list(rows)), together, atol=1e-6)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([[]], "at least one flow record"),
        ([{"timestamp": 5, "dst_ip": "192.0.2.1"}, {"timestamp": 4, "dst_ip": "192.0.2.1"}], "in time order"),
        ([{"dst_ip": "192.0.2.1"}], "neither a timestamp nor"),
    ],
)
def test_records_that_cannot_be_embedded_are_reported(embed: FlowEmbeddingPipeline, records: list, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        embed(records)


def test_text_is_refused(embed: FlowEmbeddingPipeline) -> None:
    with pytest.raises(TypeError, match="flow-embedding takes flow records, not text: 'abc'"):
        embed("abc")


def test_unknown_options_are_refused_and_long_sequences_cut_on_request(
    embed: FlowEmbeddingPipeline, sequences: list[list[dict]]
) -> None:
    with pytest.raises(TypeError, match=r"takes truncation and batch_size, not \['top_k'\]"):
        embed(sequences, top_k=3)
    for size in (0, -1, 2.5, "all"):
        with pytest.raises(ValueError, match=f"batch_size must be a whole number of at least 1, not {size!r}"):
            embed(sequences, batch_size=size)
    long = [dict(sequences[2][0], timestamp=row) for row in range(12)]
    np.testing.assert_allclose(embed(long, truncation=True), embed(long[:8]), atol=1e-6)


def test_a_pipeline_without_a_model_says_how_to_get_one() -> None:
    with pytest.raises(ValueError, match=r"needs a `model`, .* is telescope_transformer\.load\(\)"):
        pipeline("flow-embedding")
