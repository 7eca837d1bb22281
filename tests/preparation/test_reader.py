"""Reading a prepared dataset: blocks that do not depend on the shards, heads, IPv6 destinations, and errors."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from telescope_transformer.codes import service_codes
from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation import (
    load_datasets,
    load_split,
    read_blocks,
    read_destinations,
    read_heads,
    read_manifest,
    read_sources,
)
from telescope_transformer.records.addresses import fold_address
from telescope_transformer.windows import concat_windows

from .conftest import SETTINGS, WINDOW, prepare_files, write_records

WHOLE = replace(SETTINGS, windows=replace(WINDOW, splits=False))


@pytest.fixture(scope="module")
def whole(recording, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "dataset"
    prepare_files(output, recording, settings=WHOLE)
    return output


@pytest.mark.parametrize("size", [7, 50, 10_000])
def test_blocks_are_of_one_size_and_hold_all_windows_in_order(whole, size):
    blocks = list(read_blocks(whole, size))
    assert {len(block) for block in blocks[:-1]} <= {size}
    assert concat_windows(blocks).to_table().equals(load_split(whole))


def test_heads_are_the_windows_without_their_records(whole):
    heads = read_heads(whole)
    assert heads.column_names == ["source", "start", "end", "n_records", "label", "tool"]
    assert heads.equals(load_split(whole).select(heads.column_names))


def test_every_source_is_there_with_all_its_records(whole, records):
    table = read_sources(whole)
    expected = records.group_by("src_ip").aggregate(
        [("timestamp", "count"), ("timestamp", "min"), ("timestamp", "max")]
    )
    found = table.select(["source", "n_records", "first_seen", "last_seen"]).sort_by("source")
    assert found.to_pydict() == expected.sort_by("src_ip").rename_columns(found.column_names).to_pydict()
    codes = service_codes(records).tolist()
    counts = {name: Counter() for name in table["source"].to_pylist()}
    for name, code in zip(records["src_ip"].to_pylist(), codes, strict=True):
        counts[name][code] += 1
    asked = [sorted(found, key=lambda code: (-found[code], code)) for found in counts.values()]
    assert table["services"].to_pylist() == asked
    assert table["source"].to_pylist()[:3] == list(dict.fromkeys(load_split(whole)["source"].to_pylist()))[:3]


def test_traffic_by_day_is_of_all_records(whole, records):
    days = read_manifest(whole).days
    day = records["timestamp"].to_numpy() // 86_400_000_000
    sources = records["src_ip"].to_numpy()
    assert days == [[d, int((day == d).sum()), len(set(sources[day == d]))] for d in np.unique(day).tolist()]


def test_a_dataset_prepared_without_splits_has_none(whole):
    with pytest.raises(DatasetError, match="prepare it with --splits"):
        load_split(whole, "train")
    assert set(load_datasets(whole)) == {"windows"}


def test_a_column_or_split_that_is_absent_is_named(dataset):
    with pytest.raises(DatasetError, match="no column 'payload'"):
        load_split(dataset, "train", ["payload"])
    with pytest.raises(DatasetError, match="no split 'dev'"):
        load_split(dataset, "dev")


def test_a_damaged_shard_is_named(whole, recording, tmp_path):
    prepare_files(tmp_path / "dataset", recording, settings=WHOLE)
    shard = next((tmp_path / "dataset" / "windows").iterdir())
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"shard-.*damaged"):
        list(read_blocks(tmp_path / "dataset", 10))


def test_destinations_of_ipv6_keep_their_text(records, tmp_path):
    text = ["2001:db8::1", "2001:db8:7::2"]
    some = records.slice(0, 2000)
    mixed = [text[i % 2] if i % 5 else "198.51.100.1" for i in range(2000)]
    path = write_records(tmp_path / "v6.parquet", some.set_column(2, "dst_ip", pa.array(mixed)))
    prepare_files(tmp_path / "dataset", path, settings=WHOLE)
    folds = fold_address(pa.array(text)).tolist()
    assert read_destinations(tmp_path / "dataset") == dict(zip(folds, text, strict=True))
    assert read_destinations(tmp_path) == {}
