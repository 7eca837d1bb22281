"""A prepared dataset: windows compared with a plain cut, splits, counts, features and appends."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import DatasetError, InputError
from telescope_transformer.labels import add_tools
from telescope_transformer.preparation import (
    SPLITS,
    EngineSettings,
    PreparationSettings,
    WindowSettings,
    load_datasets,
    load_split,
    prepare,
    read_manifest,
)
from telescope_transformer.record_order import source_keys
from telescope_transformer.records import scan_records
from telescope_transformer.splits import split_of_source
from telescope_transformer.windows import Windows, cut

from .conftest import SETTINGS, WINDOW, prepare_files, write_records

SPLIT_NAMES = {"test": "unseen_sources", "validation": "validation", "train": "train"}


def expected_splits(records: pa.Table, settings: WindowSettings) -> dict[str, Windows]:
    """The splits as documented: hash of the source, then the first 80 % in time of a training source."""
    parts: dict[str, list[pa.Table]] = {split: [] for split in SPLITS}
    records = add_tools(records)
    for source in pc.unique(records["src_ip"]).to_pylist():
        own = records.filter(pc.equal(records["src_ip"], source))
        own = own.take(pc.sort_indices(own["timestamp"]))
        split, head = split_of_source(source, settings.seed), -(-own.num_rows * 8 // 10)
        if split == "train" and own.num_rows - head >= settings.min_records:
            parts["train"].append(own.slice(0, head))
            parts["unseen_sequences"].append(own.slice(head))
        else:
            parts[SPLIT_NAMES[split]].append(own)
    return {
        split: cut(pa.concat_tables(tables), window=settings.window, min_records=settings.min_records)
        for split, tables in parts.items()
    }


def sorted_windows(windows: pa.Table) -> list[dict]:
    return windows.sort_by([("source", "ascending"), ("start", "ascending")]).to_pylist()


def test_windows_equal_those_of_a_plain_cut(records, dataset):
    for split, expected in expected_splits(records, WINDOW).items():
        windows = expected.to_table()
        found = load_split(dataset, split)
        assert found.num_rows > 0
        assert sorted_windows(found) == sorted_windows(windows.select(found.schema.names))
        assert found.schema.equals(windows.schema)


def test_inputs_with_different_columns_are_one_dataset(records, tmp_path):
    half = records.num_rows // 2
    bare = write_records(tmp_path / "bare.parquet", records.slice(0, half).drop_columns(["ttl", "label"]))
    full = write_records(tmp_path / "full.parquet", records.slice(half))
    prepare_files(tmp_path / "dataset", bare, full)
    ttl = [value for row in load_split(tmp_path / "dataset", "train")["ttl"].to_pylist() for value in row]
    assert None in ttl
    assert any(ttl)


def test_the_counts_add_up(records, dataset):
    counts = read_manifest(dataset).counts()
    assert counts["read"] == counts["kept"] + counts["rejected"] == records.num_rows
    assert counts["kept"] == counts["records_in_windows"] + counts["records_left_out"]
    lost = [windows.left_out for windows in expected_splits(records, WINDOW).values()]
    assert counts["records_left_out"] == sum(part.records for part in lost)
    assert counts["windows_left_out"] == sum(part.windows for part in lost)
    assert counts["sources"] == pc.count_distinct(records["src_ip"]).as_py()


def test_shards_hold_whole_sources_in_order(dataset):
    manifest = read_manifest(dataset)
    assert {file.shard for file in manifest.files} == set(range(4))
    shard_of = {}
    for file in manifest.files:
        windows = pq.read_table(dataset / file.path)
        keys = source_keys(windows["source"].combine_chunks()).tolist()
        assert {key >> 61 for key in keys} == {file.shard}
        rows = list(zip(keys, windows["source"].to_pylist(), windows["start"].to_pylist(), strict=True))
        assert rows == sorted(rows)
        for _, source, _ in rows:
            assert shard_of.setdefault(source, file.shard) == file.shard


def test_datasets_loads_it_with_declared_features(dataset):
    import datasets

    loaded = load_datasets(dataset)
    assert set(loaded) == set(SPLITS)
    train = loaded["train"]
    assert train.features["dst_ip"] == datasets.List(datasets.Value("uint32"))
    assert train.features["label"] == datasets.Value("string")
    assert train.num_rows == load_split(dataset, "train").num_rows


def test_a_stock_client_loads_all_splits_of_the_folder(dataset, tmp_path):
    import datasets

    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))
    counts = read_manifest(dataset).split_counts()
    assert {name: split.num_rows for name, split in loaded.items()} == {
        name: split["windows"] for name, split in counts.items()
    }


def test_number_of_shards_does_not_change_the_windows(recording, dataset, tmp_path):
    prepare_files(tmp_path / "one", recording, settings=replace(SETTINGS, shards=1))
    for split in SPLITS:
        assert sorted_windows(load_split(tmp_path / "one", split)) == sorted_windows(load_split(dataset, split))


def test_appending_a_day_adds_files_and_moves_no_source(records, tmp_path):
    middle = int(np.median(records["timestamp"].to_numpy()))
    early = pc.less(records["timestamp"], middle)
    first = write_records(tmp_path / "first.parquet", records.filter(early))
    second = write_records(tmp_path / "second.parquet", records.filter(pc.invert(early)))
    output = tmp_path / "dataset"
    prepare_files(output, first)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("shard-*.parquet")}
    manifest = prepare_files(output, second, append=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(manifest.ingests) == 2
    assert manifest.counts()["read"] == records.num_rows
    for split in ("validation", "unseen_sources"):
        whole = {row["source"] for row in expected_splits(records, WINDOW)[split].table.to_pylist()}
        assert {row["source"] for row in load_split(output, split).to_pylist()} <= whole
    with pytest.raises(DatasetError, match=r"second\.parquet: the dataset already has these records"):
        prepare_files(output, second, append=True)
    assert read_manifest(output) == manifest


def test_an_append_must_agree_with_the_dataset(recording, dataset, records, tmp_path):
    other = replace(SETTINGS, windows=replace(WINDOW, window=16))
    with pytest.raises(DatasetError, match="window=16"):
        prepare_files(dataset, recording, settings=other, append=True)
    with pytest.raises(DatasetError, match="asks for 8"):
        prepare_files(dataset, recording, settings=replace(SETTINGS, shards=8), append=True)


def test_appended_records_get_the_columns_of_the_dataset(records, tmp_path):
    bare = write_records(tmp_path / "bare.parquet", records.drop_columns(["ttl", "label"]))
    full = write_records(tmp_path / "full.parquet", records.slice(0, 2000))
    prepare_files(tmp_path / "dataset", bare)
    prepare_files(tmp_path / "dataset", full, append=True)
    assert "ttl" not in load_split(tmp_path / "dataset", "train").schema.names


def test_an_existing_dataset_is_kept_without_append_or_overwrite(recording, records, tmp_path):
    output = tmp_path / "dataset"
    prepare_files(output, recording)
    with pytest.raises(DatasetError, match=r"append to it \(--append\) or replace it \(--overwrite\)"):
        prepare_files(output, recording)
    part = write_records(tmp_path / "part.parquet", records.slice(0, 1500))
    prepare_files(output, part, overwrite=True)
    assert read_manifest(output).counts()["read"] == 1500
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="is not a prepared dataset"):
        prepare_files(tmp_path / "other", recording, overwrite=True)


def test_scanner_lists_label_the_windows_and_never_move_them(recording, dataset, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "lower.txt").write_text("10.0.0.0/9\n")
    prepare_files(tmp_path / "dataset", recording, settings=replace(SETTINGS, labels=tmp_path / "lists"))
    before, labelled = load_split(dataset, "train"), load_split(tmp_path / "dataset", "train")
    assert before.drop_columns(["label"]).equals(labelled.drop_columns(["label"]))
    for old, new in zip(before.to_pylist(), labelled.to_pylist(), strict=True):
        in_list = new["source"].startswith("10.") and int(new["source"].split(".")[1]) < 128
        assert new["label"] == ("lower" if in_list else old["label"])


def test_rejected_rows_are_written_beside_the_dataset(tmp_path):
    rows = ["timestamp,src_ip,dst_ip,protocol,src_port,dst_port"]
    rows += [f"{1_700_000_000 + i},192.0.2.{1 + i % 3},198.51.100.7,tcp,{1024 + i},23" for i in range(60)]
    rows.insert(5, "1700000000,not-an-address,198.51.100.7,tcp,1,2")
    (tmp_path / "flows.csv").write_text("\n".join(rows) + "\n")
    manifest = prepare_files(tmp_path / "dataset", tmp_path / "flows.csv")
    assert (manifest.counts()["read"], manifest.counts()["rejected"]) == (61, 1)
    rejects = pq.read_table(tmp_path / "dataset" / manifest.ingests[0].rejects).to_pylist()
    assert (rejects[0]["field"], rejects[0]["value"]) == ("src_ip", "not-an-address")


def test_too_few_records_are_an_error_and_leave_nothing(records, tmp_path):
    tiny = write_records(tmp_path / "tiny.parquet", records.slice(0, 3))
    with pytest.raises(InputError, match="nothing to prepare"):
        prepare_files(tmp_path / "dataset", tiny)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.parquet"]


def test_a_missing_input_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"absent\.parquet"):
        prepare(scan_records([tmp_path / "absent.parquet"]), tmp_path / "dataset", SETTINGS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text("{"), "damaged"),
        (
            lambda path: path.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 9')),
            "version 9",
        ),
        (lambda path: path.unlink(), "no manifest.json"),
        (lambda path: next((path.parent / "train").iterdir()).unlink(), "missing"),
    ],
)
def test_a_damaged_dataset_is_refused(recording, tmp_path, damage, message):
    prepare_files(tmp_path / "dataset", recording)
    damage(tmp_path / "dataset" / "manifest.json")
    with pytest.raises(DatasetError, match=message):
        load_split(tmp_path / "dataset", "train")


@pytest.mark.parametrize(
    "wrong", [lambda: PreparationSettings(shards=3), lambda: EngineSettings("polars"), lambda: WindowSettings(4, 8)]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(DatasetError):
        wrong()
