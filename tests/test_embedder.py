"""`telescope_transformer.load()`: every form of flow records gives the same embeddings as `analyze`."""

import datetime
import io
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import telescope_transformer
from telescope_transformer.embedder import Embedder
from telescope_transformer.embedding import embed_windows
from telescope_transformer.errors import (
    CheckpointError,
    DatasetError,
    FlowRecordError,
    HubError,
    InputError,
    TrainingError,
)
from telescope_transformer.model import FlowEmbeddingPipeline
from telescope_transformer.simulation import simulate
from telescope_transformer.windows import cut_windows

START = 1_767_225_600_000_000
RECORD = {"time": 1_767_225_600, "src": "192.0.2.1", "proto": "tcp", "dport": 23}
BARE = ("timestamp", "dst_ip", "dst_port", "protocol", "src_port")


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.set_num_threads(1)
    return telescope_transformer.load(device="cpu")


@pytest.fixture(scope="module")
def records() -> list[dict]:
    random = np.random.default_rng(0)
    return [
        {
            "timestamp": START + int(time) * 1_000_000,
            "src_ip": f"192.0.2.{source}",
            "dst_ip": f"198.51.100.{random.integers(256)}",
            "protocol": 6,
            "src_port": int(random.integers(1024, 65536)),
            "dst_port": 22 + source,
        }
        for source, count in enumerate((9, 3, 1))
        for time in np.sort(random.integers(0, 10_000, count))
    ]


@pytest.fixture(scope="module")
def expected(model: Embedder, records: list[dict]) -> np.ndarray:
    table = pa.Table.from_pylist(records)
    kinds = {"protocol": pa.uint8(), "src_port": pa.uint16(), "dst_port": pa.uint16()}
    table = table.cast(
        pa.schema([(name, kinds.get(name, table.schema.field(name).type)) for name in table.column_names])
    )
    return embed_windows(model.model, model.tokenizer, cut_windows(table, min_records=1), device="cpu")


def test_every_form_of_records_gives_the_same_embeddings(
    model: Embedder, records: list[dict], expected: np.ndarray, tmp_path: Path
) -> None:
    table = pa.Table.from_pylist(records)
    frame = table.to_pandas()
    frame.to_csv(tmp_path / "flows.csv", index=False)
    pq.write_table(table, tmp_path / "flows.parquet")
    moments = [datetime.datetime.fromtimestamp(r["timestamp"] / 1e6, datetime.UTC) for r in records]
    named = frame.rename(columns={"src_ip": "saddr", "dst_ip": "daddr", "dst_port": "dport", "src_port": "sport"})
    forms = {
        "records": records,
        "columns": table.to_pydict(),
        "arrow": table,
        "pandas": frame,
        "common names": named.assign(proto="tcp").drop(columns="protocol"),
        "datetimes": [record | {"timestamp": at} for record, at in zip(records, moments, strict=True)],
        "numpy datetimes": frame.assign(timestamp=pd.to_datetime(frame["timestamp"], unit="us", utc=True)),
        "mixed protocols": [record | {"protocol": ("tcp", 6)[i % 2]} for i, record in enumerate(records)],
        "path": tmp_path / "flows.csv",
        "paths": [str(tmp_path / "flows.parquet")],
        "generator": (record for record in records),
        "windows": model.windows(records),
        "streamed dataset": datasets.Dataset.from_list(records).to_iterable_dataset(),
        "dataset of windows": datasets.Dataset(model.windows(records)),
        "stream": table.to_reader(),
        "tensors": {
            name: values.to_pylist() if pa.types.is_string(values.type) else torch.tensor(values.to_numpy())
            for name, values in zip(table.column_names, table.columns, strict=True)
        },
    }
    for name, form in forms.items():
        np.testing.assert_allclose(model.encode(form), expected, atol=1e-6, err_msg=name)


def test_a_table_names_the_source_of_each_window(model: Embedder, records: list[dict], expected: np.ndarray) -> None:
    table = model.encode_table(records, window=4)
    assert table.column_names[:4] == ["source", "start", "end", "n_records"]
    assert sorted(zip(table["source"].to_pylist(), table["n_records"].to_pylist(), strict=True)) == [
        ("192.0.2.0", 1),
        ("192.0.2.0", 4),
        ("192.0.2.0", 4),
        ("192.0.2.1", 3),
        ("192.0.2.2", 1),
    ]
    assert expected.shape == (3, model.dimensions)
    # The table has the embeddings of `encode`, each with its source.
    whole = model.encode_table(iter(records))
    np.testing.assert_allclose(np.array(whole["embedding"].to_pylist()), model.encode(records), atol=1e-6)


def test_records_without_a_source_are_windows(model: Embedder, records: list[dict], expected: np.ndarray) -> None:
    bare = [{name: record[name] for name in BARE} for record in records]
    sequences = [bare[:9], bare[9:12], bare[12:]]
    # The windows of `expected` are in another order.
    order = [int(source[-1]) for source in model.windows(records)["source"].to_pylist()]
    expected = expected[np.argsort(order)]
    np.testing.assert_allclose(model.encode(sequences), expected, atol=1e-6)
    np.testing.assert_allclose(model.encode(each for each in sequences), expected, atol=1e-6)
    np.testing.assert_allclose(model.encode([pd.DataFrame(each) for each in sequences]), expected, atol=1e-6)
    np.testing.assert_allclose(model.encode(bare[:9]), expected[:1], atol=1e-6)
    np.testing.assert_allclose(model.encode(pd.DataFrame(bare[:9])), expected[:1], atol=1e-6)
    for nothing in ([], {}, iter([]), pd.DataFrame(), pa.table({}), pa.Table.from_pylist(bare).slice(0, 0)):
        assert model.encode(nothing).shape == (0, model.dimensions)
    with pytest.raises(FlowRecordError, match="window 1 has no records"):
        model.encode([bare[:2], []])


def test_sequences_have_the_names_and_times_of_an_analysis(model: Embedder, records: list[dict]) -> None:
    bare = [{name: record[name] for name in BARE} for record in records[:9]]
    expected = model.encode(bare)
    named = [
        {
            "ts": r["timestamp"] / 1e6,
            "daddr": r["dst_ip"],
            "dport": r["dst_port"],
            "sport": r["src_port"],
            "proto": "TCP",
        }
        for r in bare
    ]
    gaps = [0.0, *(np.diff([r["timestamp"] for r in bare]) / 1e6).tolist()]
    forms = {
        "common names": named,
        "seconds": [r | {"timestamp": r["timestamp"] // 1_000_000} for r in bare],
        "milliseconds": pd.DataFrame(bare).assign(timestamp=lambda frame: frame["timestamp"] // 1_000),
        "text": [r | {"timestamp": str(np.datetime64(r["timestamp"], "us"))} for r in bare],
        "microseconds since any start": [r | {"timestamp": r["timestamp"] - bare[0]["timestamp"]} for r in bare],
        "times between records": [
            {name: r[name] for name in BARE[1:]} | {"inter_arrival": gap} for r, gap in zip(bare, gaps, strict=True)
        ],
    }
    for name, form in forms.items():
        np.testing.assert_allclose(model.encode(form), expected, atol=1e-6, err_msg=name)
    mapping = {"timestamp": "a", "dst_ip": "b", "dst_port": "c", "src_port": "d", "protocol": "e"}
    letters = pd.DataFrame(bare).rename(columns=mapping)
    np.testing.assert_allclose(model.encode(letters, columns=mapping), expected, atol=1e-6)


def test_a_wrong_value_or_name_of_a_sequence_is_told(model: Embedder, records: list[dict]) -> None:
    bare = [{name: record[name] for name in BARE} for record in records[:2]]
    for time in ("soon", None):
        with pytest.raises(FlowRecordError, match=f"window 0, record 1: the timestamp {time!r} is not a time"):
            model.encode([bare[0], bare[1] | {"timestamp": time}])
    with pytest.raises(FlowRecordError, match="a column 'dst_adress' and none for dst_ip"):
        model.encode(pd.DataFrame(bare).rename(columns={"dst_ip": "dst_adress"}))
    with pytest.raises(FlowRecordError, match="several sequences without sources"):
        model.encode_table([bare, bare])


def test_notes_of_the_reader_are_warnings(model: Embedder, records: list[dict]) -> None:
    """Microseconds since the start of a capture would be taken for seconds since 1970."""
    with pytest.warns(UserWarning, match="times lie before 1990"):
        model.encode([record | {"timestamp": record["timestamp"] - START} for record in records])


def test_batches_and_precision(model: Embedder, records: list[dict], expected: np.ndarray) -> None:
    np.testing.assert_allclose(model.encode(records, batch_size=1), expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(model.encode(records), axis=1), 1, atol=1e-6)
    with pytest.warns(UserWarning, match="float32 is used instead"):
        model.encode(records, dtype="float16")
    for wrong in ("float8", "int64", torch.float64):
        with pytest.raises(InputError, match="dtype must be float32, float16 or bfloat16"):
            model.encode(records, dtype=wrong)
    with pytest.raises(InputError, match="batch_size must be a whole number of at least 1, not 0"):
        model.encode(records, batch_size=0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dst_prot": "dst_port"}, "a column 'dst_prot' and none for dst_port|no column for dst_port"),
        ({"src_prot": "src_port"}, "a column 'src_prot' and none for src_port"),
        ({"scr_ip": "src_ip"}, "a column 'scr_ip' and none for src_ip"),
        ({"tiemstamp": "timestamp"}, "a column 'tiemstamp' and none for timestamp"),
        ({"protcol": "protocol"}, "a column 'protcol' and none for protocol"),
    ],
)
def test_a_misspelt_field_is_named(model: Embedder, records: list[dict], change: dict[str, str], told: str) -> None:
    ((wrong, right),) = change.items()
    with pytest.raises(FlowRecordError, match=told):
        model.encode([{wrong if name == right else name: value for name, value in r.items()} for r in records])


def test_invalid_records_are_reported(model: Embedder, records: list[dict], expected: np.ndarray) -> None:
    bad = records[0] | {"dst_port": 70_000}
    with pytest.warns(UserWarning, match="left out 1 of 14 records that are not valid; the first: row 14, dst_port"):
        np.testing.assert_allclose(model.encode([*records, bad]), expected, atol=1e-6)
    with pytest.raises(FlowRecordError, match="none of 1 records is valid"):
        model.encode([bad])
    for nonsense in (5, [5], object()):
        with pytest.raises(FlowRecordError, match="must be a list of dictionaries"):
            model.encode(nonsense)


def test_similarity_and_probability(model: Embedder, expected: np.ndarray) -> None:
    cosine = model.similarity(expected, expected)
    np.testing.assert_allclose(cosine, expected @ expected.T, atol=1e-6)
    assert model.similarity(expected[0], expected).shape == (3,)
    assert model.similarity(expected[0], expected[1]).shape == ()
    probability = model.probability(expected, expected)
    assert probability.shape == (3, 3)
    np.testing.assert_allclose(probability, model.calibration.probability(cosine))
    order = np.argsort(cosine, axis=None)
    assert (np.diff(probability.ravel()[order]) >= 0).all()
    with pytest.raises(InputError, match="cannot be compared"):
        model.similarity(expected, expected[:, :-1])
    with pytest.raises(InputError, match="must be finite numbers"):
        model.probability(expected * np.nan, expected)
    for wrong in ("embeddings", [[1.0], [1.0, 2.0]]):
        with pytest.raises(InputError, match="must be arrays of numbers"):
            model.similarity(wrong, expected)
    bare = Embedder(model.model, model.tokenizer, name="user/bare")
    with pytest.raises(CheckpointError, match=r"user/bare has no calibration\.json"):
        bare.probability(expected, expected)


@pytest.mark.parametrize(
    ("records", "options", "told"),
    [
        (RECORD, {}, "put a single record into a list"),
        ([RECORD, [RECORD]], {}, "put a single record into a list"),
        ([[1, 2]], {}, "a record must be a dictionary from field to value, not int"),
        ([RECORD], {"columns": "time"}, "a column mapping must be a dictionary"),
        ([RECORD], {"columns": ["time"]}, "a column mapping must be a dictionary"),
        ({"train": pa.table({"time": [0]})}, {}, "'train' is a table: give one table or a list"),
        ({"train": pd.DataFrame({"time": [0]})}, {}, "'train' is a table: give one table or a list"),
        (io.StringIO("time,src\n"), {}, "the records are an open file: give its path"),
        (pd.DataFrame([[1, 2], [3, 4]]), {}, "no column for timestamp, nor inter_arrival; columns are 0, 1"),
        ([RECORD], {"device": "meta"}, "device 'meta' holds no numbers"),
        ([RECORD], {"batch_size": 1.5}, "batch_size must be a whole number of at least 1, not 1.5"),
    ],
)
def test_a_wrong_argument_is_named(model: Embedder, records: object, options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        model.encode(records, **options)


@pytest.mark.parametrize("window", ["8", 1.5, True])
def test_a_window_is_a_whole_number(model: Embedder, window: object) -> None:
    with pytest.raises(DatasetError, match="window must be a whole number of records"):
        model.encode([RECORD], window=window)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_a_model_are_compared(model: Embedder, expected: np.ndarray, dtype: torch.dtype) -> None:
    tensor = torch.tensor(expected, dtype=dtype, requires_grad=True)
    np.testing.assert_allclose(model.similarity(tensor, tensor[0]), expected @ expected[0], atol=1e-2)
    assert model.probability(tensor[0], tensor[1]).shape == ()


def test_a_column_of_embeddings_is_compared(model: Embedder, records: list[dict], expected: np.ndarray) -> None:
    table = model.encode_table(records)
    for column in (table["embedding"], table.to_pandas()["embedding"]):
        np.testing.assert_allclose(model.similarity(column, expected), expected @ expected.T, atol=1e-6)


def test_a_model_that_gives_tuples_is_used_like_any_other(
    model: Embedder, records: list[dict], expected: np.ndarray
) -> None:
    bare = [[{name: record[name] for name in BARE}] for record in records]
    wanted = model.encode(bare)
    embed = FlowEmbeddingPipeline(model=model.model, tokenizer=model.tokenizer, device="cpu")
    model.model.config.return_dict = False
    try:
        np.testing.assert_allclose(model.encode(records), expected, atol=1e-6)
        np.testing.assert_allclose(embed(bare), wanted, atol=1e-6)
    finally:
        model.model.config.return_dict = True


def test_a_device_that_is_absent_is_named(model: Embedder, records: list[dict]) -> None:
    for absent in ("gpu", "cuda:99", torch.cuda.device_count()):
        with pytest.raises(InputError, match=f"device '{absent}' is not available"):
            telescope_transformer.load(device=absent)
        with pytest.raises(InputError, match=f"device '{absent}' is not available"):
            model.encode(records, device=absent)


def test_a_wrong_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name, told in {
        str(tmp_path / "nowhere"): "no such folder",
        "nowhere": "no such folder",
        "./no/where": "no such folder",
        str(tmp_path / "file"): "is a file",
        str(tmp_path): r"is not a checkpoint: it has no config\.json",
    }.items():
        with pytest.raises(CheckpointError, match=told):
            telescope_transformer.load(name)
    with pytest.raises(CheckpointError, match="the shipped checkpoint has no revision 'v2'"):
        telescope_transformer.load(revision="v2")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="user/nowhere is not a folder here, and as a Hub id: "):
        telescope_transformer.load("user/nowhere")


def test_a_model_learns_the_telescope_that_it_embeds(model: Embedder, tmp_path: Path) -> None:
    flows = simulate(sources=300, records_per_source=20, seed=2)
    before = model.encode(flows)
    adapted = model.adapt(flows, steps=5, show_progress=False)
    assert adapted.adaptation is not None
    assert adapted.adaptation["steps"] == 5
    assert adapted.adaptation["base"] == "the shipped checkpoint"
    assert set(adapted.adaptation["after"]) == set(adapted.adaptation["before"])
    after = adapted.encode(flows)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_array_equal(model.encode(flows), before)
    again = model.adapt(flows, steps=5, show_progress=False).encode(flows)
    np.testing.assert_array_equal(again, after)
    adapted.save(tmp_path / "adapted")
    loaded = telescope_transformer.load(tmp_path / "adapted", device="cpu")
    np.testing.assert_array_equal(loaded.encode(flows), after)
    assert loaded.calibration is not None
    assert adapted.calibration is not None
    assert loaded.calibration.to_dict() == adapted.calibration.to_dict()


@pytest.mark.parametrize("steps", [5, 0])
def test_probabilities_are_those_of_the_telescope(model: Embedder, steps: int) -> None:
    """They are fitted to it even if only 15 of its sources are held out, or none because it is only centred."""
    flows = simulate(sources=150, records_per_source=30, seed=3)
    adapted = model.adapt(flows, steps=steps, show_progress=False)
    assert adapted.calibration is not None
    assert model.calibration is not None
    assert adapted.calibration.to_dict() != model.calibration.to_dict()
    assert adapted.calibration.unseen == (steps == 0)


def test_with_too_few_sources_there_is_no_calibration_of_other_weights(model: Embedder, tmp_path: Path) -> None:
    flows = simulate(sources=14, records_per_source=30, seed=3)
    centred = model.adapt(flows)
    assert centred.adaptation is not None
    assert centred.adaptation["centred"]
    model.save(tmp_path)
    centred.save(tmp_path)
    loaded = telescope_transformer.load(tmp_path)
    with pytest.raises(CheckpointError, match=r"has no calibration\.json"):
        loaded.probability(*loaded.encode(flows)[:2])


def test_few_sources_only_centre_the_model(model: Embedder, records: list[dict]) -> None:
    adapted = model.adapt(records)
    assert adapted.adaptation is not None
    assert not adapted.adaptation["adapted"]
    assert "40 are needed" in adapted.adaptation["reason"]
    assert adapted.calibration == model.calibration, "its weights are unchanged"


def test_a_folder_that_cannot_be_written_is_an_error(model: Embedder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        model.save(tmp_path / "file" / "model")
    with pytest.raises(TrainingError, match="steps must be a whole number that is not negative"):
        model.adapt([], steps=-1)
