"""Delimited text: mappings, time and address forms, rejects with their rows, compression and damage."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records import files, parse_mapping, read_records
from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE

CSV_HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"


def write(path: Path, *rows: str, header: str = CSV_HEADER) -> Path:
    path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_values_of_every_field_are_stored_in_one_form(tmp_path: Path) -> None:
    header = "ts,src,dst,proto,sport,dport,ttl,flags,ip_id,seq,packets,bytes,label\n"
    row = "2024-01-01T00:00:00.25+01:00,2001:DB8::0:1,3325256711,TCP,0x35,80.0,64,.A..S.,54321,7,1,40,acme"
    records = read_records([write(tmp_path / "a.csv", row, header=header)])
    assert records.table.to_pylist() == [
        {
            "timestamp": 1_704_063_600_250_000,
            "src_ip": "2001:db8::1",
            "dst_ip": "198.51.100.7",
            "protocol": 6,
            "src_port": 53,
            "dst_port": 80,
            "ttl": 64,
            "tcp_flags": 0x12,
            "ip_id": 54321,
            "tcp_seq": 7,
            "packets": 1,
            "bytes": 40,
            "label": "acme",
        }
    ]


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ("noon,192.0.2.1,198.51.100.1,tcp,1,2", "timestamp", "not a time"),
        (",192.0.2.1,198.51.100.1,tcp,1,2", "timestamp", "missing"),
        ("1,,198.51.100.1,tcp,1,2", "src_ip", "missing"),
        ("1,sensor-a,198.51.100.1,tcp,1,2", "src_ip", "not an address"),
        ("1,192.0.2.1,198.51.100.256,tcp,1,2", "dst_ip", "neither an address nor a sensor name"),
        ("1,192.0.2.1,198.51.100.1,tpc,1,2", "protocol", "not a protocol number or name"),
        ("1,192.0.2.1,198.51.100.1,256,1,2", "protocol", "not a protocol number or name"),
        ("1,192.0.2.1,198.51.100.1,tcp,-1,2", "src_port", "not a port"),
        ("1,192.0.2.1,198.51.100.1,tcp,1,65536", "dst_port", "not a port"),
        ("1,192.0.2.1,198.51.100.1,tcp,1,", "dst_port", "missing"),
        ("1,192.0.2.1,198.51.100.1,tcp,1", "row", "5 columns where 6 are expected"),
    ],
)
def test_a_bad_row_is_rejected_with_file_row_field_and_value(
    tmp_path: Path, row: str, field: str, reason: str
) -> None:
    good = "1,192.0.2.1,198.51.100.1,icmp,,"
    path = write(tmp_path / "a.csv", good, row, good)
    records = read_records([path])
    assert records.counts == (3, 2, 1, 0)
    (reject,) = records.rejects.to_pylist()
    assert (reject["file"], reject["row"], reject["field"], reject["reason"]) == (str(path), 2, field, reason)


def test_rows_keep_their_numbers_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", 4096)
    bad = {3: "x", 4: "1,2", 500: "1,2,3", 501: "bad,192.0.2.1,192.0.2.1,tcp,1,2", 999: "1,192.0.2.1,-,tcp,1,2"}
    rows = [bad.get(number, "1,192.0.2.1,198.51.100.1,tcp,1,2") for number in range(1, 1001)]
    records = read_records([write(tmp_path / "a.csv", *rows)])
    assert sorted(records.rejects.column("row").to_pylist()) == sorted(bad)
    assert records.counts == (1000, 995, 5, 0)


def test_sensor_names_become_stable_reserved_addresses(tmp_path: Path) -> None:
    rows = ["1,192.0.2.1,alpha,tcp,1,2", "1,192.0.2.1,beta,tcp,1,2", "1,192.0.2.1,alpha,tcp,1,2"]
    records = read_records([write(tmp_path / "a.csv", *rows)])
    again = read_records([write(tmp_path / "b.csv", *reversed(rows))])
    assert records.sensors == again.sensors
    assert records.table.column("dst_ip").to_pylist() == [records.sensors[name] for name in ("alpha", "beta", "alpha")]
    assert all(int(address.split(".")[0]) >= 240 for address in records.sensors.values())


def test_a_mapping_names_columns_and_can_leave_one_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "5;9;192.0.2.1;6;80;x", header="when;label;from;proto;dport;host\n")
    records = read_records([path], columns=parse_mapping("timestamp=when,src_ip=from,dst_ip="))
    assert records.table.column("dst_ip").to_pylist() == ["240.0.0.0"]
    assert "label" not in records.table.schema.names
    assert "no destination column" in records.summary()


def test_icmp_type_and_code_come_from_their_own_columns(tmp_path: Path) -> None:
    header = "ts,src,dst,proto,sport,dport,icmp_type,icmp_code\n"
    path = write(tmp_path / "a.csv", "1,192.0.2.1,192.0.2.2,icmp,,,3,1", header=header)
    (record,) = read_records([path]).table.to_pylist()
    assert (record["src_port"], record["dst_port"]) == (3, 1)


def test_an_icmp_type_that_the_file_does_not_give_stays_unknown(tmp_path: Path) -> None:
    header, row = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port", "1700000000,192.0.2.1,198.51.100.1"
    path = tmp_path / "flows.csv"
    path.write_text(f"{header}\n{row},icmp,,\n{row},icmp,0,0\n{row},gre,,\n{row},tcp,1,2\n")
    assert read_records([path]).table["src_port"].to_pylist() == [UNKNOWN_ICMP_TYPE, 0, 0, 1]
    path.write_text(f"timestamp,src_ip,dst_ip,protocol,dst_port\n{row},icmp,\n{row},tcp,22\n")
    assert read_records([path]).table["src_port"].to_pylist() == [UNKNOWN_ICMP_TYPE, 0]


@pytest.mark.parametrize("text", ["timestamp", "when=ts", "src_ip=a,src_ip=b", ",", " "])
def test_a_malformed_mapping_is_refused(text: str) -> None:
    with pytest.raises(FlowRecordError):
        parse_mapping(text)


def test_a_missing_column_is_named_and_the_columns_of_the_file_are_listed(csv_file: Path) -> None:
    with pytest.raises(FlowRecordError, match=r"flows\.csv: no column 'nope' .* columns are timestamp, src_ip"):
        read_records([csv_file], columns={"src_ip": "nope"})


def zstd_compress(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd_compress])
def test_compressed_text_reads_like_plain(tmp_path: Path, csv_file: Path, compress: Callable[[bytes], bytes]) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(compress(csv_file.read_bytes()))
    assert read_records([packed]).table == read_records([csv_file]).table


def test_of_a_cut_gzip_file_the_complete_lines_are_read(tmp_path: Path, csv_text: str) -> None:
    packed = gzip.compress(csv_text.encode())
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(packed[: len(packed) // 2])
    records = read_records([cut])
    assert 0 < records.counts.kept < 300
    assert records.counts.rejected == 0
    with pytest.raises(InputError, match=r"cut\.csv\.gz: damaged at byte \d+: the gzip stream ends early"):
        records.raise_if_damaged()


def test_members_of_a_concatenated_gzip_are_all_read(tmp_path: Path, csv_text: str) -> None:
    head, tail = csv_text[:5000].encode(), csv_text[5000:].encode()
    path = tmp_path / "two.csv.gz"
    path.write_bytes(gzip.compress(head) + gzip.compress(tail))
    assert read_records([path]).counts.kept == 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (CSV_HEADER.encode(), "no records in the input"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "not in a format that can be read"),
        (b"not found\n", "not in a format that can be read"),
        (b"\x1f\x8b\x08\x00", "the gzip stream ends early"),
        (b"a,b\n1,2\n", "no column for timestamp"),
        (b"Jul 21 17:50:56 h x: from 192.0.2.1, port 23\n", "if this is a line of a log"),
    ],
)
def test_a_file_without_records_is_an_error_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"odd\.csv.*{message}"):
        read_records([path])


def test_bytes_that_are_no_utf8_cost_only_their_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(CSV_HEADER.encode() + b"1,\xff\xfe,x,tcp,1,2\n1,192.0.2.1,192.0.2.2,tcp,1,2\n")
    records = read_records([path])
    assert records.counts == (2, 1, 1, 0)
    assert records.rejects.column("value").to_pylist() == [r"\xff\xfe"]


def test_a_stray_quote_does_not_join_rows(tmp_path: Path) -> None:
    row = "1,192.0.2.1,198.51.100.1,tcp,1,2"
    rows = [row] * 3000
    rows[2500] = '1,192.0.2.1,"198.51.100.1,tcp,1,2'
    records = read_records([write(tmp_path / "a.csv", *rows)])
    assert records.counts == (3000, 2999, 1, 0)
    quoted = read_records([write(tmp_path / "b.csv", '"1","192.0.2.1","sensor, east",tcp,1,2', row)])
    assert list(quoted.sensors) == ["sensor, east"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FlowRecordError, match="2 columns are called 'src_ip'"):
        read_records([write(tmp_path / "a.csv", "1,2,3", header="timestamp,src_ip,src_ip\n")])


@pytest.mark.parametrize(
    "start", ["timestamp,src_ip,protocol,dst_port\n", '{"event_type": "flow", "timestamp": 1}\n{"a": "']
)
def test_a_line_of_unlimited_length_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    monkeypatch.setattr("telescope_transformer.records.text_blocks.LONGEST_LINE", 1 << 20)
    path = tmp_path / "long.csv"
    path.write_text(start + "x" * (4 << 20))
    with pytest.raises(InputError, match=r"long\.csv: (damaged: )?a line is longer than 1 MiB"):
        read_records([path]).raise_if_damaged()


def test_json_nested_too_deep_costs_only_its_row(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"event_type": ' + "[" * 100_000)
    assert read_records([path]).counts == (1, 0, 1, 0)


@pytest.mark.shared
def test_the_honeypot_data_are_read_completely(shared: Path) -> None:
    mapping = "timestamp=datetime,src_ip=src,dst_ip=host,protocol=proto,src_port=spt,dst_port=dpt"
    records = read_records([shared / "data/aws-honeypot-2013/marx.csv.gz"], columns=parse_mapping(mapping))
    assert records.counts == (451_581, 451_581, 0, 0)
    assert len(records.sensors) == 9


@pytest.mark.parametrize("delimiter", [",", "\t", ";", " "])
def test_columns_without_names_have_numbers(tmp_path: Path, delimiter: str) -> None:
    row = "x,2016-07-21T17:50:56Z,192.0.2.1,198.51.100.7,tcp,40000,23\n".replace(",", delimiter)
    (tmp_path / "flows").write_text("# no names\n\n" + row + row.replace("192.0.2.1", "none"))
    with pytest.raises(
        InputError,
        match="columns, as in .*--columns timestamp=1,src_ip=2"
        if delimiter == " "
        else "the first line, x, .*names no columns; give their numbers, as in --columns timestamp=1,src_ip=2",
    ):
        read_records(tmp_path / "flows")
    columns = dict(zip(("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port"), "234567", strict=True))
    found = read_records(tmp_path / "flows", columns=columns, format="csv")
    assert found.table.to_pylist() == [
        {
            "timestamp": 1_469_123_456_000_000,
            "src_ip": "192.0.2.1",
            "dst_ip": "198.51.100.7",
            "protocol": 6,
            "src_port": 40_000,
            "dst_port": 23,
        }
    ]
    assert found.rejects["row"].to_pylist() == [2]
    with pytest.raises(InputError, match="no column '8' for the field dst_port; columns are 1, 2, 3, 4, 5, 6, 7"):
        read_records(tmp_path / "flows", columns=columns | {"dst_port": "8"}, format="csv")


def test_columns_have_numbers_below_a_title_too(tmp_path: Path) -> None:
    title = "Date first seen              Src IP Addr      Dst IP Addr Src Pt Dst Pt Proto\n"
    (tmp_path / "flows").write_text(f"{title}2016-07-21 17:50:56.123,  192.0.2.1,  198.51.100.7, 40000,   23,TCP  \n")
    columns = dict(zip(("timestamp", "src_ip", "dst_ip", "src_port", "dst_port", "protocol"), "123456", strict=True))
    found = read_records(tmp_path / "flows", columns=columns, format="csv")
    assert found.counts == (1, 1, 0, 1)
    assert found.table["dst_port"].to_pylist() == [23]


def test_values_that_are_numbers_of_columns_are_not_names(tmp_path: Path) -> None:
    rows = "".join(
        f"1469123456,192.0.2.1,198.51.100.7,tcp,40000,23,{rest}\n" for rest in ("0,0,0,0,0,0", "1,2,3,4,5,6")
    )
    (tmp_path / "flows").write_text(rows)
    columns = dict(zip(("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port"), "123456", strict=True))
    assert read_records(tmp_path / "flows", columns=columns, format="csv").counts == (2, 2, 0, 0)
    with pytest.raises(InputError, match="gives 1 for timestamp; give the name or number as text"):
        read_records(tmp_path / "flows", columns={"timestamp": 1})  # type: ignore[dict-item]
