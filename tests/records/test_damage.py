"""Damage within files: NULs after a crash, cut and padded compressed files, bytes and values that do not fit."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import FlowRecordError, TelescopeError
from telescope_transformer.records import read_records
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.in_memory import read_table

HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port,label\n"
ROW = "1469123456,192.0.2.1,198.51.100.7,6,40000,23,x\n"
RECORD = {"timestamp": 1469123456, "src_ip": "192.0.2.1", "dst_ip": "198.51.100.7", "protocol": 6, "dst_port": 23}
OBJECT = json.dumps(RECORD) + "\n"
LOGS = {
    "csv": (HEADER, ROW),
    "json": ("", OBJECT),
    "tshark": (
        "frame.time_epoch\tip.src\tip.dst\tip.proto\ttcp.srcport\ttcp.dstport\n",
        "1469123456.0\t192.0.2.1\t198.51.100.7\t6\t40000\t23\n",
    ),
    "firewall": (
        "",
        "2026-01-02T03:04:05+00:00 fw kernel: DROP IN= SRC=192.0.2.1 DST=198.51.100.7 PROTO=TCP SPT=4 DPT=23 SYN\n",
    ),
}


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def compressed(kind: str, content: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, kind) as stream:
        stream.write(content.encode())
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("kind", LOGS)
@pytest.mark.parametrize("after", [2, 0])
def test_nuls_that_a_crash_left_in_a_log_cost_no_row(tmp_path: Path, kind: str, after: int) -> None:
    header, row = LOGS[kind]
    content = (header + row * 2).encode() + bytes(4096) + (row * after).encode()
    assert read_records(written(tmp_path / "log", content)).counts == (2 + after, 2 + after, 0, 0)


def test_a_nul_in_a_small_table_costs_its_row_at_most(tmp_path: Path) -> None:
    assert read_records(written(tmp_path / "a.csv", HEADER + ROW + ROW.replace("x", "x\0"))).counts.kept == 2
    assert read_records(written(tmp_path / "b.csv", HEADER + ROW + ROW.replace("192", "\x00192"))).counts == (
        2,
        1,
        1,
        0,
    )


@pytest.mark.parametrize("kind", ["csv", "tshark"])
def test_tables_in_utf16_are_recognised(tmp_path: Path, kind: str) -> None:
    """As the shell of Windows writes the output of a program into a file."""
    records = read_records(written(tmp_path / "a", "".join(LOGS[kind]).encode("utf-16")))
    assert (records.counts.kept, records.sources[0].format) == (1, kind)


def test_a_file_that_needs_a_larger_window_is_not_damaged(tmp_path: Path) -> None:
    content = (HEADER + ROW).encode()
    # RFC 8878, section 3.1.1: magic number, descriptor, a window of 2 GiB, and the content as one raw block.
    frame = bytes.fromhex("28b52ffd00a8") + ((len(content) << 3) | 1).to_bytes(3, "little") + content
    with pytest.raises(FlowRecordError, match="--long=28 or more: decompress it first"):
        read_records(written(tmp_path / "a.zst", frame))


def test_damage_is_told_of_the_input_and_not_of_its_copy(tmp_path: Path) -> None:
    copy = written(tmp_path / "copy", gzip.compress((HEADER + ROW * 99).encode())[:-12])
    (damage,) = read_records([InputFile(copy, name="/dev/stdin", from_pipe=True)]).damage
    assert str(damage).startswith("/dev/stdin: damaged")


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_all_before_the_damage_of_a_compressed_file_is_read(tmp_path: Path, kind: str) -> None:
    rows = [f"1469123456,192.0.2.1,198.51.100.7,6,40000,{(port * 40503) % 65536},\n" for port in range(20_000)]
    whole = compressed(kind, HEADER + "".join(rows))
    padded = read_records(written(tmp_path / "a.csv", whole + bytes(64)))
    assert padded.counts.kept == len(rows)
    with pytest.raises(TelescopeError, match=f"broken {kind} stream"):
        padded.raise_if_damaged()
    cut = read_records(written(tmp_path / "b.csv", whole[: -len(whole) // 4]))
    assert cut.counts.kept > len(rows) // 2
    assert cut.damage


@pytest.mark.parametrize("unit", ["s", "us"])
def test_a_time_beyond_every_calendar_costs_its_row(tmp_path: Path, unit: str) -> None:
    times = pa.array([-(2**62), 2**62, 1469123456 * (1 if unit == "s" else 10**6)], pa.timestamp(unit))
    table = pa.table({name: [value] * 3 for name, value in RECORD.items()} | {"timestamp": times})
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    records = read_records(tmp_path / "a")
    assert (records.counts, records.damage) == ((3, 1, 2, 0), [])


def test_binary_columns_may_mix_both_kinds_of_addresses(tmp_path: Path) -> None:
    """As MySQL's INET6_ATON makes them. Other binary columns stay as they are."""
    packed = [b"\xc0\x00\x02\x01", bytes.fromhex("20010db8" + "0" * 23 + "1"), None]
    table = pa.table(
        {name: [value] * 3 for name, value in RECORD.items()} | {"src_ip": packed, "label": [b"\xff" * 4] * 3}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    records = read_records(tmp_path / "a.parquet")
    assert records.table["src_ip"].to_pylist() == ["192.0.2.1", "2001:db8::1"]
    assert records.counts == (3, 2, 1, 0)


@pytest.mark.parametrize("odd", [b"\xe4", b"\\x22", b"\\\\x22", b"\t"])
@pytest.mark.parametrize("array", [False, True])
def test_json_with_odd_bytes_in_other_values_is_read(tmp_path: Path, odd: bytes, array: bool) -> None:
    """A byte that is not UTF-8, the escape of NGINX, and a tab, which JSON forbids."""
    text = OBJECT.encode().strip()[:-1] + b', "user": "' + odd + b'"}'
    if array and odd != b"\t":
        text = b"[\n" + text.replace(b", ", b",\n  ") + b"\n]\n"
    assert read_records(written(tmp_path / "a.json", text)).counts == (1, 1, 0, 0)


def test_a_long_line_of_another_file_does_not_stop_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telescope_transformer.records.text_blocks.LONGEST_LINE", 1 << 20)
    written(tmp_path / "a.csv", HEADER + ROW)
    written(tmp_path / "map.json", '{"type": "FeatureCollection", "features": "' + "x" * (4 << 20) + '"}')
    records = read_records(tmp_path)
    assert (records.counts.kept, records.damage) == (1, [])
    assert "map.json: a line is longer than 1 MiB" in records.summary()


def test_the_note_on_other_files_is_short(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", HEADER + ROW)
    for name in ("README", "notes", "run.sh"):
        written(tmp_path / name, "nothing\n")
    note = next(note for note in read_records(tmp_path).notes if note.startswith("passed over"))
    assert len(note) < 250


def test_a_clock_that_has_lost_its_zero_is_read(tmp_path: Path) -> None:
    text = "date,time,src_ip,dst_ip,protocol,src_port,dst_port\n20160721,95056,192.0.2.1,198.51.100.7,6,40000,23\n"
    assert read_records(written(tmp_path / "a.csv", text)).table["timestamp"].to_pylist() == [1469094656_000000]
    rest = text.partition("95056")[2].rstrip()
    text += f"20160721,175056{rest}\n20160721,5056{rest}\n20160721,0{rest}\n"
    times = read_records(written(tmp_path / "b.csv", text)).table["timestamp"].to_pylist()
    after = [time // 1_000_000 - 1469059200 for time in times]
    assert after == [9 * 3600 + 3056, 17 * 3600 + 3056, 3056, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"inputs": None},
        {"inputs": 5},
        {"inputs": [b"a"]},
        {"inputs": [None]},
        {"telescope": 5},
        {"telescope": [None]},
        {"format": 5},
        {"inactivity_seconds": -1},
        {"inactivity_seconds": float("nan")},
        {"inactivity_seconds": "x"},
    ],
)
def test_arguments_of_another_kind_are_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    written(tmp_path / "a.csv", HEADER + ROW)
    with pytest.raises(TelescopeError):
        read_records(**({"inputs": [tmp_path / "a.csv"]} | arguments))


def test_labels_hold_no_control_characters(tmp_path: Path) -> None:
    """They reach reports and exports, which people show in terminals."""
    records = read_records(written(tmp_path / "a.csv", HEADER + ROW + ROW.replace("x", "\x1b[2J\0=x")))
    assert records.table["label"].to_pylist() == ["x", "\\x1b[2J\\x00=x"]


def test_half_a_character_in_memory_costs_its_row() -> None:
    records = read_table([RECORD, RECORD | {"src_ip": "\ud800"}, RECORD | {"label": "\ud800"}])
    assert records.counts.kept == 2
    assert records.rejects["row"].to_pylist() == [2]


def test_a_key_that_is_no_text_is_named() -> None:
    with pytest.raises(TelescopeError, match="name 1 "):
        read_table([{1: 2}])


def test_a_data_frame_may_mix_numbers_and_text() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([RECORD, RECORD | {"protocol": "udp"}])
    assert read_table(frame).table["protocol"].to_pylist() == [6, 17]


def test_sixteen_bit_floats_give_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    table = pa.table({name: [value] for name, value in RECORD.items()} | {"dst_port": pa.array([23], pa.float16())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_records(tmp_path / "a.parquet").counts.kept == 1
    assert not recwarn.list


def test_a_compressed_copy_beside_its_file_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    header = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port\n"
    rows = [f"146912345{number},192.0.2.1,198.51.100.7,6,1,2\n" for number in range(3)]
    for name, kept in (("same", rows[:1]), ("grown", rows[:2]), ("other", rows[2:])):
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress((header + rows[0]).encode()))
        (tmp_path / f"{name}.csv").write_text(header + "".join(kept))
    assert read_records(tmp_path).counts.kept == 1 + 2 + 2
    assert "same.csv.gz is left out" in caplog.text
