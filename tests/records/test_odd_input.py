"""Odd inputs that people have are read as they are, one test per oddity; ambiguous ones never pass silently."""

import gzip
import json
import lzma
import os
import subprocess
import sys
import tracemalloc
import zlib
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records import read_records, scan_records
from telescope_transformer.records.columnar import ROWS_PER_BATCH
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import find_inputs
from telescope_transformer.records.protocols import flags_number, protocol_number
from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE

HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"
GOOD = "1469123456.5,192.0.2.1,198.51.100.7,6,40000,23\n"
MICROS = 1_469_123_456_500_000


def read(tmp_path: Path, content: str | bytes, name: str = "flows.csv", **options: Any) -> Any:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_records(path, **options)


# Inputs that must not be misread silently


@pytest.mark.parametrize("null", ["NULL", "None", "nan", r"\N", "N/A", "-", "(null)", "NaT", "<NA>", '"NULL"'])
def test_missing_values_are_missing_in_every_field(tmp_path: Path, null: str) -> None:
    header = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port,ttl,label\n"
    values = ["1469123456", "192.0.2.1", "198.51.100.7", "6", "1", "2", "64", "x"]
    rows = [",".join([*values[:index], null, *values[index + 1 :]]) for index in range(len(values))]
    records = read(tmp_path, header + "\n".join(rows) + "\n")
    assert records.rejects.column("field").to_pylist() == header.split(",")[:6]
    assert set(records.rejects.column("reason").to_pylist()) == {"missing"}
    assert records.table.select(["ttl", "label"]).to_pylist() == [
        {"ttl": None, "label": "x"},
        {"ttl": 64, "label": None},
    ]
    assert not records.sensors


@pytest.mark.parametrize("text", ["10.0.0.1x", "198.51.100.o", "1.2.3", "0xC00002", "1.2.3.4.5", "2001:db8::zz"])
def test_a_misspelt_destination_is_not_taken_for_a_sensor(tmp_path: Path, text: str) -> None:
    records = read(tmp_path, HEADER + f"1469123456,192.0.2.1,{text},6,1,2\n")
    assert (records.counts.rejected, records.sensors) == (1, {})


@pytest.mark.parametrize("name", ["hp-1", "pot.example.org", "1.2.3.4.static.example.org", "eu_west"])
def test_names_of_sensors_are_accepted_as_destinations(tmp_path: Path, name: str) -> None:
    records = read(tmp_path, HEADER + f"1469123456,192.0.2.1,{name},6,1,2\n")
    assert list(records.sensors) == [name]
    assert f"sensor names get pseudo-addresses: {name}" in records.summary()


def test_a_name_in_a_rejected_row_is_no_sensor(tmp_path: Path) -> None:
    rows = [
        "datetime,ip,ip,string,int,int\n",
        "1469123456,192.0.2.1,hp-1,6,1,99999\n",
        "1469123456,192.0.2.1,hp-2,6,1,2\n",
    ]
    records = read(tmp_path, HEADER + "".join(rows))
    assert list(records.sensors) == ["hp-2"]
    assert records.rejects.column("field").to_pylist() == ["timestamp", "dst_port"]


def test_an_object_of_json_is_no_header(tmp_path: Path) -> None:
    flow = {"timestamp": 1469123456, "src_ip": "192.0.2.1", "dst_ip": "198.51.100.7", "protocol": 6, "dst_port": 23}
    with pytest.raises(InputError, match="no column for timestamp"):
        read(tmp_path, f"key\t{json.dumps(flow)}\n" * 2)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (("0", "2048"), (8, 0)),
        (("", "2048"), (8, 0)),
        (("0", "771"), (3, 3)),
        (("0", "3.3"), (3, 3)),
        (("0", "8.0"), (8, 0)),
        (("8.0", "0.0"), (8, 0)),
        (("2048", "0"), (8, 0)),
        (("3", "771"), (3, 3)),
        (("3", "13"), (3, 13)),
        (("", ""), (UNKNOWN_ICMP_TYPE, 0)),
        (("8", "2049"), (8, 1)),
        (("0", "65535"), (255, 255)),
    ],
)
def test_icmp_type_and_code_are_read_from_every_form_of_exporters(
    tmp_path: Path, ports: tuple[str, str], expected: tuple[int, int]
) -> None:
    (row,) = read(
        tmp_path, HEADER + f"1469123456,192.0.2.1,198.51.100.7,icmp,{ports[0]},{ports[1]}\n"
    ).table.to_pylist()
    assert (row["src_port"], row["dst_port"]) == expected


@pytest.mark.parametrize(("ports", "field"), [(("3", "2048"), "dst_port"), (("300", "1"), "src_port")])
def test_an_icmp_type_or_code_above_255_is_rejected(tmp_path: Path, ports: tuple[str, str], field: str) -> None:
    records = read(tmp_path, HEADER + f"1469123456,192.0.2.1,198.51.100.7,1,{ports[0]},{ports[1]}\n")
    (reject,) = records.rejects.to_pylist()
    assert reject["field"] == field
    assert "not an ICMP" in reject["reason"]


@pytest.mark.parametrize(
    ("number", "micros"),
    [
        ("20160721175056", 1_469_123_456_000_000),
        ("20160721175056.25", 1_469_123_456_250_000),
        ("20160721175056250", 1_469_123_456_250_000),
        ("201607211750", 1_469_123_400_000_000),
        ("20160721", 1_469_059_200_000_000),
        ("42572.743703703", 1_469_123_456_000_000),
        ("131135970562500000", 1_469_123_456_250_000),
        ("13113597056250000", 1_469_123_456_250_000),
        ("636047202562500000", 1_469_123_456_250_000),
    ],
)
@pytest.mark.parametrize("typed", [False, True])
def test_times_as_compact_dates_or_spreadsheet_numbers_are_read_with_a_note(
    tmp_path: Path, number: str, micros: int, typed: bool
) -> None:
    if typed:
        column = pa.array([float(number) if "." in number else int(number)])
        table = {"timestamp": column, "src_ip": ["192.0.2.1"], "protocol": [6], "dst_port": [23]}
        pq.write_table(pa.table(table), tmp_path / "a.parquet")
        records = read_records(tmp_path / "a.parquet")
    else:
        records = read(tmp_path, HEADER + f"{number},192.0.2.1,198.51.100.7,6,1,2\n")
    (found,) = records.table.column("timestamp").to_pylist()
    assert abs(found - micros) < 1_000 or (typed and abs(found - micros) < 1_000_000)
    assert "times written as numbers are read as" in records.summary()


def test_one_odd_number_does_not_change_how_a_column_is_read(tmp_path: Path) -> None:
    rows = [f"{1469123456 + i},192.0.2.1,198.51.100.7,6,1,2\n" for i in range(99)]
    records = read(tmp_path, HEADER + "".join(rows) + "20160721175056,192.0.2.1,198.51.100.7,6,1,2\n")
    assert records.table.column("timestamp")[0].as_py() == 1_469_123_456_000_000
    assert "in the future" in records.summary()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["21/07/2016 17:50:56", "01/07/2016 00:00:00"], [1_469_123_456, 1_467_331_200]),
        (["07/21/2016 5:50:56 PM", "07/01/2016 12:00:00 AM"], [1_469_123_456, 1_467_331_200]),
        (["21.07.2016 17:50:56"], [1_469_123_456]),
        (["21/Jul/2016:17:50:56 +0000"], [1_469_123_456]),
        (["Thu, 21 Jul 2016 17:50:56 GMT"], [1_469_123_456]),
        (["Jul 21, 2016 @ 17:50:56.000"], [1_469_123_456]),
        (["Thu Jul 21 17:50:56 2016"], [1_469_123_456]),
        (["2016-07-21 17:50:56 UTC"], [1_469_123_456]),
    ],
)
def test_dates_are_read_in_other_orders(tmp_path: Path, texts: list[str], expected: list[int]) -> None:
    rows = "".join(f'"{text}";192.0.2.1;198.51.100.7;6;1;2\n' for text in texts)
    records = read(tmp_path, HEADER.replace(",", ";") + rows)
    assert [time // 1_000_000 for time in records.table.column("timestamp").to_pylist()] == expected


def test_a_day_that_may_be_a_month_is_rejected(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + "01/02/2016 00:00:00,192.0.2.1,198.51.100.7,6,1,2\n").counts.rejected == 1


def test_date_and_time_may_stand_in_two_columns(tmp_path: Path) -> None:
    rows = "2016-07-21,17:50:56.5,192.0.2.1,198.51.100.7,6,1,2\n"
    records = read(tmp_path, "date,time,src,dst,proto,sport,dport\n" + rows)
    assert records.table.column("timestamp").to_pylist() == [MICROS]
    mapped = read(tmp_path, "d,t,src,dst,proto,sport,dport\n" + rows, columns={"date": "d", "timestamp": "t"})
    assert mapped.table.column("timestamp").to_pylist() == [MICROS]


def zeek(fields: str, *rows: str, path: str = "conn") -> str:
    types = "\t".join("string" for _ in fields.split())
    header = [r"#separator \x09", "#unset_field\t-", f"#path\t{path}", "#fields\t" + "\t".join(fields.split())]
    return "\n".join([*header, f"#types\t{types}", *("\t".join(row.split()) for row in rows), "#close\tx"]) + "\n"


def test_each_fields_line_of_a_zeek_log_holds_for_the_rows_behind_it(tmp_path: Path) -> None:
    one = zeek("ts id.orig_h id.orig_p id.resp_h id.resp_p proto", "1469123456.5 192.0.2.1 40000 198.51.100.7 23 tcp")
    swapped = zeek(
        "ts id.resp_h id.resp_p id.orig_h id.orig_p proto", "1469123456.5 198.51.100.7 23 192.0.2.1 40000 tcp"
    )
    other = zeek("ts id.orig_h query", "1469123456.5 192.0.2.1 example.org", path="dns")
    records = read(tmp_path, one + swapped + other + one, "conn.log")
    assert records.counts == (3, 3, 0, 1)
    assert len({tuple(row.values()) for row in records.table.to_pylist()}) == 1


@pytest.mark.parametrize("extra", [{"query": "x"}, {"note": "Scan"}, {"_path": "dns", "orig_pkts": 1}])
def test_a_row_of_another_zeek_log_is_no_connection(tmp_path: Path, extra: dict[str, Any]) -> None:
    row = {"ts": 1469123456.5, "id.orig_h": "192.0.2.1", "id.orig_p": 1, "id.resp_h": "198.51.100.7", "id.resp_p": 2}
    connection = row | {"proto": "tcp", "conn_state": "S0", "_path": "conn"}
    content = "".join(json.dumps(record) + "\n" for record in (row | {"proto": "udp"} | extra, connection))
    assert read(tmp_path, content, "all.json").counts == (1, 1, 0, 1)


@pytest.mark.parametrize("given", ["lake", "lake/*/*", "lake/sensor=hp%31"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_hive_partitions_are_columns_for_folders_globs_and_sub_folders(tmp_path: Path, given: str, kind: str) -> None:
    for sensor in ("hp%31", "hp2"):
        folder = tmp_path / "lake" / f"sensor={sensor}"
        folder.mkdir(parents=True)
        row = {"timestamp": 1469123456, "src_ip": "192.0.2.1", "protocol": 6, "src_port": 1, "dst_port": 2}
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist([row]), folder / "a")
        elif kind == "csv":
            (folder / "a").write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
        else:
            (folder / "a").write_text(json.dumps(row) + "\n")
    records = read_records(str(tmp_path / given))
    assert set(records.sensors) == ({"hp1"} if "=" in given else {"hp1", "hp2"})


def test_a_string_is_one_input_and_one_prefix_and_not_its_letters(tmp_path: Path) -> None:
    (tmp_path / "aa").write_text(HEADER + GOOD)
    assert read_records(str(tmp_path / "aa"), telescope="198.51.100.0/24").counts == (1, 1, 0, 0)


def test_a_network_is_one_prefix_and_not_its_addresses(tmp_path: Path) -> None:
    (tmp_path / "aa").write_text(HEADER + GOOD)
    # Its addresses would take years to list.
    assert read_records(tmp_path / "aa", telescope=ip_network("2001:db8::/32")).counts == (0, 0, 0, 1)


# Folders as people have them


def test_files_of_a_folder_without_flow_records_are_skipped_and_counted(tmp_path: Path) -> None:
    row = "1469123456.5 192.0.2.1 40000 198.51.100.7 23 tcp"
    (tmp_path / "conn.log").write_text(zeek("ts id.orig_h id.orig_p id.resp_h id.resp_p proto", row))
    (tmp_path / "dns.log").write_text(zeek("ts id.orig_h query", "1 192.0.2.1 x", path="dns"))
    (tmp_path / "README").write_text("Notes, and more notes.\nNothing to read here.\n")
    (tmp_path / "empty.pcap").write_bytes(b"")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "nfcapd.current.1").write_bytes(b"\x0c\xa5\x01\0")
    records = read_records(tmp_path)
    assert records.counts.kept == 1
    assert not records.damage
    assert [Path(source.file).name for source in records.sources] == ["conn.log"]
    assert "passed over 4 files without flow records" in records.summary()
    with pytest.raises(InputError, match="of 'dns', not of connections"):
        read_records(tmp_path / "dns.log")


def test_results_of_an_earlier_analysis_are_no_input(tmp_path: Path) -> None:
    for name in ("a.csv", "out/windows.parquet", "out/model/a.csv", "work/rejects.parquet", "work/windows/b.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(HEADER + GOOD)
    for name in ("out/clusters.json", "work/manifest.json"):
        (tmp_path / name).write_text("{}")
    assert [file.path.name for file in find_inputs(tmp_path)] == ["a.csv"]
    # The input is the folder itself, not a folder that contains it.
    assert len(find_inputs(tmp_path / "out")) == 3


def test_a_damaged_file_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + GOOD)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((HEADER + GOOD).encode())[:-12])
    assert read_records(tmp_path).damage[0].path.endswith("b.csv.gz")


def test_when_all_is_rejected_the_summary_says_why(tmp_path: Path) -> None:
    records = read(tmp_path, HEADER + "noon,192.0.2.1,198.51.100.7,6,1,2\n" * 3 + "x\n17:50:56,192.0.2.1,a,6,1,2\n")
    summary = records.summary()
    assert "3 rejected: timestamp, not a time (first: " in summary
    assert "row 1, value 'noon')" in summary
    assert "1 rejected: row, 1 column where 6 are expected" in summary
    assert "a time of day without a date" in summary


def compressed(program: str, data: bytes) -> bytes:
    if program == "lz4":
        return pa.Codec("lz4").compress(data, asbytes=True)
    frame = pa.Codec("zstd").compress(data, asbytes=True)
    return b"\x50\x2a\x4d\x18\x04\0\0\0\0\0\0\0" + frame if program == "pzstd" else frame


@pytest.mark.parametrize("program", ["lz4", "pzstd"])
def test_lz4_and_pzstd_files_are_read(tmp_path: Path, program: str) -> None:
    half = len(HEADER) + 3
    content = (HEADER + GOOD * 3).encode()
    parts = compressed(program, content[:half]) + compressed(program, content[half:])
    assert read(tmp_path, parts).counts.kept == 3


@pytest.mark.parametrize("program", ["lz4", "zstd"])
def test_a_damaged_compressed_file_keeps_no_memory(tmp_path: Path, program: str) -> None:
    path = tmp_path / "flows.csv"
    path.write_bytes(compressed(program, (HEADER + GOOD * 3).encode())[:-5])
    tracemalloc.start()
    try:
        for _ in range(5):
            with pytest.raises(DamagedInput, match=f"broken {program} stream"):
                find_inputs(path)[0].head  # noqa: B018
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 500_000


def test_zeros_behind_a_gzip_file_are_ignored(tmp_path: Path) -> None:
    assert not read(tmp_path, gzip.compress((HEADER + GOOD).encode()) + bytes(5_000)).damage


def test_an_archive_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a zip archive: unpack it first"):
        read(tmp_path, b"PK\x03\x04" + bytes(100))


def test_lzma_files_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, lzma.compress((HEADER + GOOD).encode(), lzma.FORMAT_ALONE)).counts.kept == 1


def test_a_bare_zlib_stream_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a bare zlib stream: decompress it first"):
        read(tmp_path, zlib.compress((HEADER + GOOD).encode()))


def columnar() -> pa.Table:
    row = {"timestamp": 1469123456.5, "src_ip": "192.0.2.1", "dst_ip": "198.51.100.7", "protocol": 6, "src_port": 1}
    return pa.Table.from_pylist([row | {"dst_port": 23}] * 3)


@pytest.mark.parametrize("kind", ["parquet", "orc", "arrow", "arrow stream"])
@pytest.mark.parametrize("packed", [False, True])
def test_columnar_formats_are_read_plain_and_compressed(tmp_path: Path, kind: str, packed: bool) -> None:
    path = tmp_path / "a"
    if kind == "parquet":
        pq.write_table(columnar(), path)
    elif kind == "orc":
        pyarrow.orc.write_table(columnar(), path)
    elif kind == "arrow":
        pyarrow.feather.write_feather(columnar(), path)
    else:
        with pa.ipc.new_stream(str(path), columnar().schema) as writer:
            writer.write_table(columnar())
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_records(path).table.column("dst_port").to_pylist() == [23] * 3


@pytest.mark.parametrize("kind", ["orc", "arrow"])
def test_many_equal_rows_come_in_batches_of_bounded_size(tmp_path: Path, kind: str) -> None:
    rows, path = ROWS_PER_BATCH + 10, tmp_path / "a"
    table = columnar().slice(0, 1).take(pa.array([0] * rows)).combine_chunks()
    if kind == "orc":
        pyarrow.orc.write_table(table, path, compression="zstd")
        assert pyarrow.orc.ORCFile(path).nstripes == 1
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    sizes = [batch.num_rows for batch in scan_records(path)]
    assert max(sizes) <= ROWS_PER_BATCH
    assert sum(sizes) == rows


@pytest.mark.parametrize("argument", ["-", "/dev/stdin"])
def test_standard_input_is_read(argument: str) -> None:
    program = f"from telescope_transformer.records import read_records; print(read_records({argument!r}).counts.kept)"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=HEADER + GOOD,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.stdout == "1\n"


def test_urls_are_read_through_fsspec(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://bucket/flows.csv", "w") as file:
        file.write(HEADER + GOOD)
    records = read_records("memory://bucket/*.csv")
    assert (records.counts.kept, records.sources[0].format) == (1, "csv")
    with pytest.raises(InputError, match="nowhere"):
        read_records("memory://bucket/nowhere.csv")


@pytest.mark.parametrize(
    "content",
    [
        "# flows of 2016\n\n" + HEADER + GOOD,
        "sep=;\n" + (HEADER + GOOD).replace(",", ";"),
        "Flows of a telescope\n" + HEADER + GOOD,
        "#" + HEADER + GOOD,
        "\ufeff" + HEADER + GOOD,
        (HEADER + GOOD).encode("utf-16"),
        (HEADER + GOOD).encode("utf-16-be").join([b"\xfe\xff", b""]),
        (HEADER + GOOD).replace(",", "  \t"),
        (HEADER + GOOD).replace(",", " | "),
        (HEADER + GOOD).replace("\n", "\r"),
        (HEADER + GOOD).replace("\n", "|\n").replace(",", "|"),
        HEADER + '"1469123456.5","192.0.2.1","198.51.100.7","6","40000","23"\n',
        'timestamp,src_ip,dst_ip,protocol,src_port,dst_port,"two\nlines"\n' + GOOD.replace("\n", ',"a\nb"\n'),
        HEADER + GOOD.replace("6,40000,23", "6.0,40000.0,23.0"),
        HEADER + GOOD.replace("192.0.2.1", "[192.0.2.1]").replace("198.51.100.7", "198.51.100.7/32"),
    ],
)
def test_delimited_text_of_every_kind_is_read(tmp_path: Path, content: str | bytes) -> None:
    records = read(tmp_path, content)
    (row,) = records.table.to_pylist()
    assert list(row.values()) == [MICROS, "192.0.2.1", "198.51.100.7", 6, 40_000, 23]
    assert records.counts.rejected == 0


def test_quotes_may_come_late_and_reach_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telescope_transformer.records.files.BLOCK_BYTES", 4096)
    header = HEADER.replace("\n", ",label\n")
    rows = [GOOD.replace("\n", ',"a, b"\n' if i % 7 else ',"c\nd"\n') for i in range(500)]
    records = read(tmp_path, header + GOOD.replace("\n", ",x\n") * 500 + "".join(rows))
    assert records.counts == (1000, 1000, 0, 0)
    assert records.table.column("label").to_pylist()[500:502] == ["c\\nd", "a, b"]


def test_protocols_and_flags_are_read_by_every_name() -> None:
    names = {"GGP": 3, "ETHIP": 97, "IPv6-ICMP": 58, "ospf": 89, "6.0": 6, "0x11": 17, "UDPLite": 136, "AX.25": 93}
    assert {name: protocol_number(name) for name in names} == names
    assert [protocol_number(name) for name in ("256", "tpc", "6.5", "-1", "0x100")] == [None] * 5
    flags = {"S": 2, ".AP.S.": 26, "SYN,ACK": 18, "syn|ack": 18, "0x12": 18, "2.0": 2, "[S.]": 18, "SYN ACK": 18}
    assert {text: flags_number(text) for text in flags} == flags
    assert flags_number("what") is None


# No input crashes the reader


@pytest.mark.parametrize("number", [10**30, 2**63, -1, 1.5])
def test_a_number_out_of_range_costs_only_its_row(tmp_path: Path, number: float) -> None:
    row = {"timestamp": 1469123456, "src_ip": "192.0.2.1", "protocol": 6, "src_port": 1, "dst_port": 2}
    content = "".join(json.dumps(record) + "\n" for record in (row, row | {"dst_port": number}, row))
    records = read(tmp_path, content, "a.json")
    assert (records.counts.kept, records.rejects.column("row").to_pylist()) == (2, [2])


@pytest.mark.parametrize(
    "content", [b'{"label": "\\ud800", "protocol": "\\ud800"', b"{" * 50_000, b"\xff\xfe{}", b"[[[[1]]]]"]
)
def test_json_that_is_no_valid_text_costs_only_its_row(tmp_path: Path, content: bytes) -> None:
    row = b'{"timestamp": 1469123456, "src_ip": "192.0.2.1", "protocol": 6, "src_port": 1, "dst_port": 2}\n'
    records = read(tmp_path, row + content + b"\n" + row, "a.json")
    assert (records.counts.kept, records.counts.rejected) == (2, 1)


def test_bytes_that_are_no_utf8_cost_only_their_row(tmp_path: Path) -> None:
    header = HEADER.replace("\n", ",caf\xe9\n").encode("latin-1")
    good = GOOD.replace("\n", ",\xe9\n").encode("latin-1")
    bad = GOOD.replace(",6,", ",\xd0,").replace("\n", ",x,y\n").encode("latin-1")
    records = read(tmp_path, header + good + bad + good.replace(b",6,", b",t\xd0,") + good)
    assert records.counts == (4, 2, 2, 0)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("src_ip", pa.array([True])),
        ("dst_port", pa.array([5], pa.timestamp("us"))),
        ("dst_ip", pa.array([1.5])),
        ("timestamp", pa.array([5], pa.duration("us"))),
        ("protocol", pa.array([[6]])),
        ("src_port", pa.array([5], pa.duration("s"))),
    ],
)
def test_a_column_of_an_impossible_type_is_refused_by_its_name(tmp_path: Path, column: str, values: pa.Array) -> None:
    table = columnar().slice(0, 1)
    table = table.set_column(table.column_names.index(column), column, values)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(FlowRecordError, match=f"column '{column}' for the field {column}"):
        read_records(tmp_path / "a.parquet")


def test_decimals_views_and_packed_addresses_are_read(tmp_path: Path) -> None:
    table = columnar().slice(0, 1)
    changes = {
        "dst_port": pa.array([Decimal(23)], pa.decimal128(12, 3)),
        "protocol": pa.array([Decimal(6)], pa.decimal128(3, 0)),
        "src_ip": pa.array([bytes.fromhex("20010db8" + "0" * 23 + "1")], pa.binary(16)),
        "dst_ip": pa.array([bytes([198, 51, 100, 7])], pa.binary()),
    }
    for name, values in changes.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read_records(tmp_path / "a.parquet").table.to_pylist()
    assert (row["src_ip"], row["dst_ip"], row["protocol"], row["dst_port"]) == ("2001:db8::1", "198.51.100.7", 6, 23)


def test_control_characters_of_inputs_are_escaped_in_messages(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "\x1b]0;owned\x07,a\n1,2\n")
    assert str(caught.value).isprintable()
    name = os.fsdecode(b"caf\xe9\x1b[2J.csv")
    records = read(tmp_path, HEADER + "1,192.0.2.1,!!,6,1,2\n", name)
    assert records.rejects.column("file")[0].as_py().endswith(r"caf\xe9\x1b[2J.csv")
    assert records.summary().replace("\n", "").isprintable()
