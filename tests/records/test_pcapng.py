"""pcapng: byte orders, resolutions, several interfaces and sections, skipped blocks, damage."""

import struct
from pathlib import Path
from typing import Any

import pytest
from crafted import SECOND, block, enhanced_packet, ethernet, interface, ipv4, section, tcp

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records

SYN = ethernet(ipv4(tcp()))
MICROS = SECOND * 1_000_000


def read(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "capture"
    path.write_bytes(content)
    return read_records([path], per_packet=True)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "offset", "ticks"),
    [
        (None, None, MICROS + 250_000),
        (6, None, MICROS + 250_000),
        (9, None, MICROS * 1000 + 250_000_999),
        (3, None, SECOND * 1000 + 250),
        (0x80 | 20, None, (SECOND << 20) + (1 << 18)),
        (0x80 | 50, SECOND, 1 << 48),
        (6, SECOND - 1, 1_250_000),
    ],
)
def test_times_of_every_resolution_are_read(
    tmp_path: Path, order: str, resolution: int | None, offset: int | None, ticks: int
) -> None:
    parts = [section(order), interface(1, order, resolution, offset), enhanced_packet(SYN, ticks, order)]
    records = read(tmp_path, b"".join(parts))
    assert records.table.column("timestamp").to_pylist() == [MICROS + 250_000]
    assert records.table.column("dst_port").to_pylist() == [80]


def test_each_interface_and_section_has_its_own_settings(tmp_path: Path) -> None:
    parts = [
        section(),
        interface(1),
        block(5, bytes(16)),
        interface(101, resolution=3),
        enhanced_packet(SYN, MICROS),
        enhanced_packet(ipv4(tcp(dst_port=81)), SECOND * 1000, number=1),
        section(">"),
        block(0x80000001, b"custom", ">"),
        interface(101, ">"),
        enhanced_packet(ipv4(tcp(dst_port=82)), MICROS, ">"),
    ]
    records = read(tmp_path, b"".join(parts))
    assert records.table.column("dst_port").to_pylist() == [80, 81, 82]
    assert set(records.table.column("timestamp").to_pylist()) == {MICROS}


def test_obsolete_packet_blocks_are_read_and_simple_ones_rejected(tmp_path: Path) -> None:
    old = struct.pack("<HHIIII", 0, 0, MICROS >> 32, MICROS & 0xFFFFFFFF, len(SYN), len(SYN)) + SYN
    simple = struct.pack("<I", len(SYN)) + SYN
    parts = [section(), interface(), block(2, old), block(3, simple), enhanced_packet(SYN, MICROS, number=4)]
    records = read(tmp_path, b"".join(parts))
    assert records.counts == (3, 1, 2, 0)
    assert records.rejects.column("reason").to_pylist() == [
        "time missing or out of range",
        "its interface is not described",
    ]


def test_packets_of_an_unsupported_link_type_are_skipped_with_a_note(tmp_path: Path) -> None:
    parts = [section(), interface(195), interface(1), enhanced_packet(b"zigbee", MICROS)]
    records = read(tmp_path, b"".join([*parts, enhanced_packet(SYN, MICROS, number=1)]))
    assert records.counts == (1, 1, 0, 1)
    assert "195 (LINKTYPE_IEEE802_15_4_WITHFCS) cannot be read" in records.summary()


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_of_a_cut_capture_all_packets_before_the_cut_are_read(tmp_path: Path, cut: int) -> None:
    whole = section() + interface() + enhanced_packet(SYN, MICROS)
    records = read(tmp_path, whole + enhanced_packet(SYN, MICROS)[:-cut])
    assert records.counts.kept == 1
    assert records.damage[0].offset == len(whole)


@pytest.mark.parametrize(
    "broken",
    [
        struct.pack("<II", 6, 8) + bytes(20),
        struct.pack("<II", 6, 0xFFFFFFFC) + bytes(20),
        struct.pack("<II", 6, 33) + bytes(40),
        block(6, struct.pack("<IIIII", 0, 0, 0, 1 << 20, 0)),
        block(6, b"")[:-4] + struct.pack("<I", 99),
        b"\n\r\r\n" + bytes(24),
    ],
)
def test_reading_ends_at_an_impossible_block_length(tmp_path: Path, broken: bytes) -> None:
    whole = section() + interface() + enhanced_packet(SYN, MICROS)
    records = read(tmp_path, whole + broken)
    assert records.counts.kept == 1
    with pytest.raises(InputError, match=f"damaged at byte {len(whole)}: a block's lengths"):
        records.raise_if_damaged()
