"""Parquet files and data lakes: column types, hive partitions, folders and globs, damaged files."""

import re
from datetime import UTC, date, datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records import read_records, scan_records

MICROS = 1_700_000_000_000_000


def flows(rows: int = 3, **columns: pa.Array) -> pa.Table:
    standard = {
        "timestamp": pa.array([MICROS + row for row in range(rows)]),
        "src_ip": pa.array(["192.0.2.1"] * rows),
        "dst_ip": pa.array(["198.51.100.1"] * rows),
        "protocol": pa.array([6] * rows, pa.uint8()),
        "src_port": pa.array([1] * rows, pa.uint16()),
        "dst_port": pa.array([2] * rows, pa.uint16()),
    }
    return pa.table({**standard, **columns})


@pytest.mark.parametrize(
    "times",
    [
        pa.array([datetime.fromtimestamp(1_700_000_000, UTC)], pa.timestamp("ns", "UTC")),
        pa.array([datetime(2023, 11, 14, 22, 13, 20)], pa.timestamp("ms")),
        pa.array([1_700_000_000]),
        pa.array([1_700_000_000_000]),
        pa.array([1_700_000_000.0]),
        pa.array(["2023-11-14 22:13:20"]).dictionary_encode(),
    ],
    ids=str,
)
def test_times_of_every_type_become_microseconds(tmp_path: Path, times: pa.Array) -> None:
    pq.write_table(flows(1, timestamp=times), tmp_path / "a.parquet")
    assert read_records([tmp_path / "a.parquet"]).table.column("timestamp").to_pylist() == [MICROS]


@pytest.mark.parametrize(
    "days",
    [pa.array([date(2023, 11, 14)]), pa.array([datetime(2023, 11, 14)], pa.timestamp("ns")), pa.array(["2023-11-14"])],
    ids=lambda days: str(days.type),
)
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_the_time_of_day_may_be_a_column_of_its_own(tmp_path: Path, days: pa.Array, unit: str) -> None:
    kind = pa.time32(unit) if unit == "ms" else pa.time64(unit)
    table = flows(1).drop_columns(["timestamp"]).append_column("date", days)
    pq.write_table(table.append_column("time", pa.array([time(22, 13, 20)], kind)), tmp_path / "a.parquet")
    assert read_records([tmp_path / "a.parquet"]).table.column("timestamp").to_pylist() == [MICROS]
    pq.write_table(
        table.drop_columns(["date"]).append_column("time", pa.array([time(1)], kind)), tmp_path / "a.parquet"
    )
    with pytest.raises(FlowRecordError, match=f"'time' for the field timestamp has the type {re.escape(str(kind))}"):
        read_records([tmp_path / "a.parquet"])


def test_only_records_of_tcp_have_flags_and_sequence_numbers(tmp_path: Path) -> None:
    columns = {"protocol": pa.array([6, 17, 1]), "tcp_flags": pa.array([2, 0, 300]), "tcp_seq": pa.array([7, 0, 0])}
    pq.write_table(flows(3, **columns), tmp_path / "a.parquet")
    records = read_records([tmp_path / "a.parquet"])
    assert records.table.column("tcp_flags").to_pylist() == [2, None, None]
    assert records.table.column("tcp_seq").to_pylist() == [7, None, None]
    assert "left out" not in records.summary()


def test_addresses_as_integers_and_dictionaries_are_read(tmp_path: Path) -> None:
    columns = {
        "src_ip": pa.array([0xC0000201, None, -1, 0xC0000202]),
        "dst_ip": pa.array(["198.51.100.1"] * 3 + ["sensor-a"]).dictionary_encode(),
    }
    pq.write_table(flows(4, **columns), tmp_path / "a.parquet")
    records = read_records([tmp_path / "a.parquet"])
    assert records.table.column("src_ip").to_pylist() == ["192.0.2.1", "192.0.2.2"]
    assert records.table.column("dst_ip").to_pylist() == ["198.51.100.1", records.sensors["sensor-a"]]
    assert records.rejects.column("row").to_pylist() == [2, 3]


def test_optional_nulls_stay_null_and_bad_ones_are_left_out_and_counted(tmp_path: Path) -> None:
    columns = {"ttl": pa.array([64, None, 300]), "packets": pa.array([1.0, float("nan"), 2.0])}
    pq.write_table(flows(3, **columns), tmp_path / "a.parquet")
    records = read_records([tmp_path / "a.parquet"])
    assert records.table.column("ttl").to_pylist() == [64, None, None]
    assert records.table.column("packets").to_pylist() == [1, None, 2]
    assert records.rejects.num_rows == 0
    assert "left empty, because not readable: 1 value of ttl (first: '300'" in records.summary()


def test_a_lake_is_read_completely_and_its_partitions_are_columns(tmp_path: Path) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        folder = tmp_path / "lake" / f"day={day}" / "label=acme"
        folder.mkdir(parents=True)
        pq.write_table(flows(2), folder / "part.parquet")
    (tmp_path / "lake" / "_SUCCESS").write_text("")
    records = read_records([tmp_path / "lake"])
    assert records.table.column("label").to_pylist() == ["acme"] * 4
    daily = read_records([tmp_path / "lake"], columns={"timestamp": "day"})
    assert daily.table.column("timestamp").to_pylist()[::2] == [1_704_067_200_000_000, 1_704_153_600_000_000]


def test_globs_and_files_of_other_columns_join_in_one_table(tmp_path: Path) -> None:
    pq.write_table(flows(1), tmp_path / "a.parquet")
    pq.write_table(flows(1, ttl=pa.array([9])), tmp_path / "b.parquet")
    records = read_records([str(tmp_path / "*.parquet")])
    assert records.table.column("ttl").to_pylist() == [None, 9]
    assert [source.counts.kept for source in records.sources] == [1, 1]


def test_records_that_were_written_are_read_back_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("timestamp,src_ip,protocol,dst_port,tool\n22.5,192.0.2.1,tcp,80,zmap\n")
    records = read_records([tmp_path / "a.csv"]).table
    pq.write_table(records, tmp_path / "b.parquet")
    # In the year 1970, the number of microseconds is so small that it would suggest another unit.
    assert records.column("timestamp").to_pylist() == [22_500_000]
    assert read_records([tmp_path / "b.parquet"]).table.to_pylist() == records.to_pylist()


def test_a_file_that_several_inputs_name_is_read_once(tmp_path: Path) -> None:
    pq.write_table(flows(2), tmp_path / "a.parquet")
    pq.write_table(flows(3), tmp_path / "b.parquet")
    records = read_records([tmp_path / "b.parquet", tmp_path, str(tmp_path / "*.parquet")])
    assert [Path(source.file).name for source in records.sources] == ["b.parquet", "a.parquet"]


def test_a_scan_gives_batches_and_its_account_at_the_end(tmp_path: Path) -> None:
    pq.write_table(flows(600_000), tmp_path / "a.parquet")
    scan = scan_records([tmp_path / "a.parquet"])
    sizes = [batch.num_rows for batch in scan]
    assert len(sizes) > 1
    assert sum(sizes) == scan.counts.kept == 600_000


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_a_cut_file_is_refused_by_its_name(tmp_path: Path, keep: float) -> None:
    pq.write_table(flows(1000), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InputError, match=r"a\.parquet: damaged: not a whole Parquet file"):
        read_records([tmp_path / "a.parquet"])


@pytest.mark.parametrize("start", [b"PAR1", b"ORC", b"ARROW1\0\0"])
def test_a_cut_file_does_not_stop_the_others_and_is_reported(tmp_path: Path, start: bytes) -> None:
    pq.write_table(flows(2), tmp_path / "good.parquet")
    (tmp_path / "bad").write_bytes(start + b" and nothing more")
    records = read_records([tmp_path])
    assert records.counts.kept == 2
    with pytest.raises(InputError, match="bad: damaged: not a "):
        records.raise_if_damaged()


@pytest.mark.parametrize("prefix", ["198.51.100.0/24", "198.51.100.1"])
def test_only_what_is_sent_to_the_telescope_counts(tmp_path: Path, prefix: str) -> None:
    targets = pa.array(["198.51.100.1", "203.0.113.1", "2001:db8::1"])
    pq.write_table(flows(3, dst_ip=targets), tmp_path / "a.parquet")
    records = read_records([tmp_path / "a.parquet"], telescope=[prefix])
    assert records.counts == (1, 1, 0, 2)
    six = read_records([tmp_path / "a.parquet"], telescope=["2001:db8::/32"])
    assert six.table.column("dst_ip").to_pylist() == ["2001:db8::1"]
    assert "count as well" in read_records([tmp_path / "a.parquet"]).summary()


def test_an_absent_input_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing-here"):
        read_records([tmp_path / "nothing-here"])
