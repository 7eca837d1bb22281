"""Hostile inputs that try to waste time or memory, or to crash the process."""

import io
import json
import os
import stat
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import crafted
import fastavro
import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.records import children, read_records, scan_records
from telescope_transformer.records.formats import nfdump

FIELDS = ("time", "src_ip", "dst_ip", "src_port", "dst_port", "protocol", "ttl", "tcp_flags", "ip_len", "packet_cnt")
SCHEMA = {"type": "record", "name": "flowtuple", "fields": [{"name": name, "type": "long"} for name in FIELDS]}


def number(value: int) -> bytes:
    """A number in Avro's zigzag variable-length coding."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def avro(schema: Any, count: int, data: bytes, codec: bytes = b"null") -> bytes:
    text = json.dumps(schema).encode()
    entries = number(2) + number(11) + b"avro.schema" + number(len(text)) + text
    entries += number(10) + b"avro.codec" + number(len(codec)) + codec + b"\0"
    return b"Obj\x01" + entries + bytes(16) + number(count) + number(len(data)) + data + bytes(16)


def with_type(kind: Any) -> dict[str, Any]:
    return SCHEMA | {"fields": [{"name": name, "type": kind} for name in FIELDS]}


@pytest.mark.parametrize(
    "content",
    [
        avro(with_type("null"), 1 << 40, b""),
        avro(SCHEMA, 1 << 40, b"1"),
        avro(SCHEMA, -5, b""),
        avro(with_type({"type": "array", "items": "null"}), 1, number(1 << 40)),
        avro(SCHEMA, 1, zlib.compress(bytes(1 << 27), 9)[2:-4], b"deflate"),
        avro(with_type("string"), 1, number(1 << 40)),
    ],
    ids=["null fields", "count", "negative count", "null items", "deflate", "string"],
)
def test_avro_bombs_are_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(InputError, match="bomb: "):
        read_records(path).raise_if_damaged()
    assert time.process_time() - started < 2


def test_avro_files_are_read_as_fastavro_reads_them(tmp_path: Path) -> None:
    out = io.BytesIO()
    rows = [dict.fromkeys(FIELDS, 1) | {"time": 1_700_000_000 + row, "src_ip": 1 << 28} for row in range(500)]
    fastavro.writer(out, SCHEMA, rows, codec="deflate", sync_interval=100)
    (tmp_path / "a").write_bytes(out.getvalue())
    times = read_records(tmp_path / "a").table.column("timestamp").to_pylist()
    assert times == [row["time"] * 1_000_000 for row in rows]


def test_time_grows_linearly_with_the_interfaces_of_a_pcapng(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        (tmp_path / "a").write_bytes(crafted.section() + crafted.interface() * count)
        started = time.process_time()
        with pytest.raises(InputError):
            read_records(tmp_path / "a")
        return time.process_time() - started

    seconds(10)
    assert seconds(40_000) < 16 * max(seconds(10_000), 0.1)


def test_a_capture_that_shrinks_while_it_is_read_is_reported_as_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telescope_transformer.records.capture.WINDOW_BYTES", 1 << 16)
    monkeypatch.setattr("telescope_transformer.records.files.BLOCK_BYTES", 1 << 16)
    path = tmp_path / "capture"
    packet = crafted.ethernet(crafted.ipv4(crafted.tcp()))
    record = struct.pack("<IIII", crafted.SECOND, 0, len(packet), len(packet)) + packet
    path.write_bytes(crafted.pcap([]) + record * 20_000)
    scan = scan_records(path, per_packet=True)
    batches = iter(scan)
    kept = next(batches).num_rows
    os.truncate(path, 4096)
    kept += sum(batch.num_rows for batch in batches)
    assert kept < 20_000
    assert "damaged at byte" in scan.summary()


def fake_nfdump(folder: Path, script: str) -> None:
    program = folder / "nfdump"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("while true; do echo damaged record >&2; done", "kept printing errors"),
        ("sleep 60", "no output for"),
        ("echo 'the file is broken' >&2; exit 3", "nfdump says: the file is broken"),
        ("exit 3", "nfdump says: exit status 3"),
    ],
)
def test_a_program_that_loops_hangs_or_fails_is_stopped_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    fake_nfdump(tmp_path, script)
    monkeypatch.setattr(children, "LONGEST_SILENCE", 1.0)
    monkeypatch.setattr(nfdump.shutil, "which", lambda name: str(tmp_path / "nfdump"))
    (tmp_path / "flows").write_bytes(b"\x0c\xa5\x01\x00" + bytes(300))
    with pytest.raises(InputError, match=told):
        read_records(tmp_path / "flows").raise_if_damaged()


def test_many_malformed_rows_are_counted_and_their_list_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telescope_transformer.records.reading.REJECTS_LISTED", 1000)
    path = tmp_path / "a.csv"
    path.write_text("timestamp,src_ip,protocol,dst_port\n" + "x\n" * 400_000)
    started = time.process_time()
    records = read_records(path)
    assert (records.counts.rejected, records.rejects.num_rows) == (400_000, 1000)
    assert time.process_time() - started < 10
