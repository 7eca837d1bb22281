"""Records in memory, in the forms that other libraries provide."""

from ipaddress import ip_address

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from telescope_transformer.records.in_memory import read_table

RECORD = {
    "timestamp": 0,
    "src_ip": "192.0.2.1",
    "dst_ip": "198.51.100.1",
    "protocol": "tcp",
    "src_port": 1,
    "dst_port": 23,
}


@pytest.mark.parametrize("field", ["timestamp", "dst_port", "src_ip"])
def test_integers_beyond_64_bits_are_rejected_like_other_values_that_are_too_large(field: str) -> None:
    found = read_table([RECORD, {**RECORD, field: 10**30}])
    assert found.counts.kept == 1
    assert found.rejects.to_pylist()[0]["field"] == field
    assert found.rejects.to_pylist()[0]["value"] == str(10**30)


def test_a_dataset_of_the_hub_library_is_read() -> None:
    datasets = pytest.importorskip("datasets")
    records = datasets.Dataset.from_list([RECORD, {**RECORD, "dst_port": 80}, {**RECORD, "dst_port": 443}])
    assert read_table(records).counts.kept == 3
    assert read_table(records.select([2])).table["dst_port"].to_pylist() == [443]


def test_missing_values_of_pandas_are_missing_in_dictionaries() -> None:
    day = pd.Timestamp("2026-01-01", tz="UTC")
    frame = pd.DataFrame([{**RECORD, "timestamp": day}, {**RECORD, "timestamp": pd.NaT}, {**RECORD, "timestamp": day}])
    frame.loc[2, "dst_port"] = np.nan
    found = read_table(frame.to_dict("records"))
    assert found.counts == read_table(frame).counts
    assert [(row["row"], row["reason"]) for row in found.rejects.to_pylist()] == [(2, "missing"), (3, "missing")]


def test_packed_addresses_are_read_as_from_a_file() -> None:
    packed = [ip_address(address).packed for address in ("192.0.2.1", "2001:db8::1")]
    table = pa.table({"time": [0, 1], "src": pa.array(packed, pa.binary()), "proto": [6, 6], "dport": [23, 23]})
    assert read_table(table).table["src_ip"].to_pylist() == ["192.0.2.1", "2001:db8::1"]


def test_categories_of_polars_are_read() -> None:
    table = pa.Table.from_pylist([RECORD] * 3)
    categories = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 0], pa.uint32()), pa.array(["tcp", "udp"], pa.string_view())
    )
    place = table.column_names.index("protocol")
    assert read_table(table.set_column(place, "protocol", categories)).table["protocol"].to_pylist() == [6, 17, 6]
