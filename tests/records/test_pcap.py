"""pcap: link layers, both IP versions, the flow rule, time forms, refused packets and damaged files."""

import gzip
import struct
from pathlib import Path
from typing import Any

import crafted
import pytest
from crafted import SECOND, ethernet, extension, fragment_header, icmp, ipv4, ipv6, tcp, udp

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records

SYN = ethernet(ipv4(tcp()))


def read(tmp_path: Path, content: bytes, **options: Any) -> Any:
    path = tmp_path / "capture"
    path.write_bytes(content)
    return read_records([path], **options)


@pytest.mark.parametrize(
    ("packet", "link_type"),
    [
        (SYN, 1),
        (ethernet(ipv4(tcp()), 0x8100), 1),
        (ethernet(ipv4(tcp()), 0x88A8, 0x8100), 1),
        (bytes(12) + b"\x88\x64" + b"\x11\0\0\x01\0\x2a\0\x21" + ipv4(tcp()), 1),
        (ipv4(tcp()), 101),
        (ipv4(tcp()), 12),
        (ipv4(tcp()), 228),
        (crafted.linux_cooked(ipv4(tcp())), 113),
        (crafted.linux_cooked_2(ipv4(tcp())), 276),
        (struct.pack("<I", 2) + ipv4(tcp()), 0),
        (struct.pack(">I", 2) + ipv4(tcp()), 108),
        (ethernet(ipv4(tcp(), options=bytes(40))), 1),
    ],
)
def test_a_syn_is_found_behind_every_link_layer(tmp_path: Path, packet: bytes, link_type: int) -> None:
    (record,) = read(tmp_path, crafted.pcap([packet], link_type=link_type)).table.to_pylist()
    size = record.pop("bytes")
    assert size in (40, 80)
    assert record == {
        "timestamp": SECOND * 1_000_000,
        "src_ip": "192.0.2.1",
        "dst_ip": "198.51.100.1",
        "protocol": 6,
        "src_port": 40_000,
        "dst_port": 80,
        "ttl": 64,
        "tcp_flags": 2,
        "ip_id": 7,
        "tcp_seq": 1,
        "packets": 1,
    }


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ipv4(udp(1, 2), 17), (17, 1, 2)),
        (ipv4(icmp(3, 1), 1), (1, 3, 1)),
        (ipv4(udp(1, 2), 132), (132, 1, 2)),
        (ipv4(b"\x20\0\x08\0" + ipv4(tcp()), 47), (47, 0, 0)),
        (ipv4(ipv4(tcp()), 4), (4, 0, 0)),
        (ipv4(tcp(1, 2), fragment=0x2000), (6, 1, 2)),
        (ipv4(tcp(1, 2), fragment=0x2001), (6, 0, 0)),
        (ipv6(tcp(1, 2)), (6, 1, 2)),
        (ipv6(icmp(128, 0), 58), (58, 128, 0)),
        (ipv6(extension(60) + extension(43, 24) + extension(17, 16) + udp(1, 2), 0), (17, 1, 2)),
        (ipv6(b"\x06\x04" + bytes(22) + tcp(1, 2), 51), (6, 1, 2)),
        (ipv6(fragment_header(17, 0) + udp(1, 2), 44), (17, 1, 2)),
        (ipv6(fragment_header(17, 185) + udp(1, 2), 44), (17, 0, 0)),
        (ipv6(b"", 59), (59, 0, 0)),
    ],
)
def test_protocol_and_ports_are_read_from_the_headers(
    tmp_path: Path, packet: bytes, expected: tuple[int, int, int]
) -> None:
    (record,) = read(tmp_path, crafted.pcap([ethernet(packet)])).table.to_pylist()
    assert (record["protocol"], record["src_port"], record["dst_port"]) == expected
    assert (record["tcp_seq"] is None) == (expected[0] != 6 or expected[1] == 0)
    assert (record["ip_id"] is None) == (packet[0] >> 4 == 6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_every_byte_order_and_resolution_gives_the_same_times(tmp_path: Path, order: str, nanoseconds: bool) -> None:
    content = crafted.pcap([SYN, SYN], [0.25, 0.5], order=order, nanoseconds=nanoseconds)
    records = read(tmp_path, content, per_packet=True)
    assert records.table.column("timestamp").to_pylist() == [SECOND * 1_000_000 + part for part in (250_000, 500_000)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_captures_that_were_joined_are_read_as_one(tmp_path: Path, order: str) -> None:
    capture = crafted.pcap([SYN], order=order, nanoseconds=True)
    records = read(tmp_path, capture * 3, per_packet=True)
    assert (records.counts.kept, records.damage) == (3, [])
    other = read(tmp_path, capture + crafted.pcap([SYN], order=order, nanoseconds=True, link_type=101))
    assert other.counts.kept == 1
    assert "another link type" in other.damage[0].reason
    assert read(tmp_path, capture + capture[:22]).damage[0].offset == len(capture)


def test_a_flow_record_is_its_first_packet_and_ends_by_silence(tmp_path: Path) -> None:
    packets = [
        ethernet(ipv4(tcp(seq=1), ip_id=1)),
        ethernet(ipv4(tcp(seq=2, flags=0x10), ip_id=2)),
        ethernet(ipv4(tcp(dst_port=81))),
        ethernet(ipv4(tcp(seq=3), ip_id=3)),
        ethernet(ipv4(tcp(seq=4), ip_id=4)),
    ]
    content = crafted.pcap(packets, [0, 30, 31, 90, 150.000001])
    records = read(tmp_path, content).table.select(["tcp_seq", "tcp_flags", "packets", "bytes"]).to_pylist()
    assert [tuple(record.values()) for record in records] == [(1, 2, 3, 120), (1, 2, 1, 40), (4, 2, 1, 40)]
    assert len(read(tmp_path, content, inactivity_seconds=10).table) == 5
    assert len(read(tmp_path, content, per_packet=True).table) == 5


def test_each_direction_is_a_record_and_a_telescope_prefix_keeps_one(tmp_path: Path) -> None:
    reply = ethernet(ipv4(tcp(80, 40_000, flags=0x12), src="198.51.100.1", dst="192.0.2.1"))
    content = crafted.pcap([SYN, reply])
    assert read(tmp_path, content).counts.kept == 2
    records = read(tmp_path, content, telescope=["198.51.100.0/24"])
    assert records.counts == (1, 1, 0, 1)
    assert "only records sent to 198.51.100.0/24" in records.summary()


def test_packets_that_are_not_ip_are_skipped_and_contradictory_ones_rejected(tmp_path: Path) -> None:
    packets = {
        bytes(12) + b"\x08\x06" + bytes(28): None,
        bytes(10): "link header",
        SYN[:30]: "IP header",
        ethernet(b"\x42" + ipv4(tcp())[1:]): "lengths",
        ethernet(b"\x75" + ipv4(tcp())[1:]): "IP version",
        ethernet(ipv4(b"\0\1")): "before the ports",
        SYN[:36]: "before the ports",
        # Padding of a short frame is not part of the packet.
        ethernet(ipv4(b"")) + bytes(20): "before the ports",
        ethernet(ipv6(extension(60, 8) + extension(60, 8), 0)): "before the ports",
    }
    records = read(tmp_path, crafted.pcap([*packets, SYN]))
    reasons = [reason for reason in packets.values() if reason]
    assert records.counts == (1 + len(reasons), 1, len(reasons), 1)
    for row, reason in zip(records.rejects.to_pylist(), reasons, strict=True):
        assert reason in row["reason"]
    assert records.rejects.column("row").to_pylist()[0] == 24 + 16 + 42


def test_of_a_packet_cut_by_the_snapshot_length_the_present_fields_are_read(tmp_path: Path) -> None:
    (record,) = read(tmp_path, crafted.pcap([SYN[: 14 + 20 + 8]])).table.to_pylist()
    assert (record["dst_port"], record["tcp_seq"], record["bytes"]) == (80, None, 40)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_of_a_cut_capture_all_packets_before_the_cut_are_read(tmp_path: Path, pack: Any) -> None:
    content = crafted.pcap([ethernet(ipv4(tcp(dst_port=port))) for port in range(100)])
    records = read(tmp_path, pack(content[:-5]), per_packet=True)
    assert records.table.column("dst_port").to_pylist() == list(range(99))
    with pytest.raises(InputError, match=f"damaged at byte {len(content) - 70}: cut off within a packet"):
        records.raise_if_damaged()


def test_of_a_cut_gzip_capture_what_could_be_unpacked_is_read(tmp_path: Path) -> None:
    packed = gzip.compress(crafted.pcap([ethernet(ipv4(tcp(dst_port=port, seq=port * 7919))) for port in range(5000)]))
    records = read(tmp_path, packed[: len(packed) // 2])
    assert 1000 < records.counts.kept < 5000
    assert "gzip stream ends early" in records.summary()


@pytest.mark.parametrize("length", [262_145, 0x7FFFFFFF, 0xFFFFFFFF])
def test_reading_ends_at_an_impossible_packet_length(tmp_path: Path, length: int) -> None:
    good = crafted.pcap([SYN] * 3)
    records = read(tmp_path, good + struct.pack("<IIII", SECOND, 0, length, length) + bytes(1000))
    assert records.counts.read == 1
    assert records.table.column("packets").to_pylist() == [3]
    assert records.damage[0].offset == len(good)


def test_a_packet_with_a_fraction_of_more_than_a_second_is_rejected(tmp_path: Path) -> None:
    good = crafted.pcap([SYN])
    odd = struct.pack("<IIII", SECOND, 1_000_000, len(SYN), len(SYN)) + SYN
    assert read(tmp_path, good + odd).counts == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (crafted.pcap([]), "no records"),
        (crafted.pcap([SYN])[:10], "cut off within the file header"),
        (crafted.pcap([SYN], link_type=195), r"link type 195 \(LINKTYPE_IEEE802_15_4_WITHFCS\) cannot be read"),
        (crafted.pcap([SYN])[:50], "cut off within a packet"),
    ],
)
def test_a_capture_without_records_is_an_error_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"capture.*{message}"):
        read(tmp_path, content)


def test_flows_keep_their_order_when_the_table_of_flows_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telescope_transformer.records.flows._FIRST_LIMIT", 64)
    monkeypatch.setattr("telescope_transformer.records.flows._RESERVED", 128)
    packets = [ethernet(ipv4(tcp(dst_port=port % 1000))) for port in range(3000)]
    dense = read(tmp_path, crafted.pcap(packets, [index * 0.001 for index in range(3000)]))
    assert dense.table.column("dst_port").to_pylist() == list(range(1000))
    assert set(dense.table.column("packets").to_pylist()) == {3}
    sparse = read(tmp_path, crafted.pcap(packets, [index * 0.1 for index in range(3000)]))
    assert sparse.counts.kept == 3000
    assert sparse.table.column("dst_port").to_pylist() == [port % 1000 for port in range(3000)]
