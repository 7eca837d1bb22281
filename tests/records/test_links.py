"""Link layers, tags and labels before IP: each frame is built according to its specification."""

import struct
from pathlib import Path
from typing import Any

import crafted
import pytest
from crafted import ethernet, ipv4, ipv6, tcp, udp

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records

IP = ipv4(tcp())
MACS = bytes(12)
LABEL, LAST_LABEL = struct.pack(">I", 16 << 12 | 64), struct.pack(">I", 17 << 12 | 1 << 8 | 64)
SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
DATA_FRAME = b"\x08\x01" + bytes(22)


def read(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "capture"
    path.write_bytes(content)
    return read_records(path, per_packet=True)


def nsh(following: int) -> bytes:
    """RFC 8300, MD type 2 without metadata: two words."""
    return bytes([0x0F, 0xC2, 2, following]) + bytes(4)


def nflog(order: str, packet: bytes) -> bytes:
    prefix = struct.pack(f"{order}HH", 6, 10) + b"a\0" + bytes(2)
    return b"\x02\0\0\x05" + prefix + struct.pack(f"{order}HH", 4 + len(packet), 9) + packet


FRAMES = {
    "mpls": (MACS + b"\x88\x47" + LABEL + LAST_LABEL + IP, 1),
    "mpls pseudowire": (MACS + b"\x88\x47" + LAST_LABEL + bytes(4) + ethernet(IP), 1),
    "mpls in a vlan": (MACS + b"\x81\0\0\x05\x88\x48" + LAST_LABEL + IP, 1),
    "llc and snap": (MACS + struct.pack(">H", len(IP) + 8) + SNAP + IP, 1),
    "llc ip": (MACS + struct.pack(">H", len(IP) + 3) + b"\x06\x06\x03" + IP, 1),
    "provider backbone": (MACS + b"\x88\xe7" + bytes(4) + ethernet(IP), 1),
    "vn-tag": (MACS + b"\x89\x26" + bytes(4) + b"\x08\0" + IP, 1),
    "e-tag": (MACS + b"\x89\x3f" + bytes(6) + b"\x08\0" + IP, 1),
    "nsh": (MACS + b"\x89\x4f" + nsh(1) + IP, 1),
    "nsh ethernet": (MACS + b"\x89\x4f" + nsh(3) + ethernet(IP), 1),
    "pppoe": (MACS + b"\x88\x64\x11\0\0\x01\0\x2a\0\x21" + IP, 1),
    "sll2 vlan": (struct.pack(">HHIHBB8s", 0x8100, 0, 1, 1, 0, 6, bytes(8)) + b"\0\x05\x08\0" + IP, 276),
    "sll mpls": (bytes(14) + b"\x88\x47" + LAST_LABEL + IP, 113),
    "ppp": (b"\xff\x03\0\x21" + IP, 9),
    "ppp compressed": (b"\x21" + IP, 9),
    "cisco hdlc": (b"\x0f\0\x08\0" + IP, 104),
    "ppp over ethernet": (b"\x11\0\0\x01\0\x2a\0\x21" + IP, 51),
    "pppd": (b"\0\x03\0\x21" + IP, 166),
    "ppp with direction": (b"\x01\xff\x03\0\x21" + IP, 204),
    "pflog": (bytes([61, 2]) + bytes(62) + IP, 117),
    "nflog": (nflog("<", IP), 239),
    "nflog big-endian": (nflog(">", IP), 239),
    "wifi": (DATA_FRAME + SNAP + IP, 105),
    "wifi qos": (b"\x88\x01" + bytes(24) + SNAP + IP, 105),
    "radiotap": (b"\0\0\x08\0" + bytes(4) + DATA_FRAME + SNAP + IP, 127),
    "prism": (struct.pack("<II", 68, 144) + bytes(136) + DATA_FRAME + SNAP + IP, 119),
    "ppi": (struct.pack("<BBHI", 0, 0, 8, 105) + bytes(0) + DATA_FRAME + SNAP + IP, 192),
    "erf": (bytes(8) + b"\x02" + bytes(7) + bytes(2) + ethernet(IP), 197),
    "erf extended": (bytes(8) + b"\x82" + bytes(7) + bytes(8) + bytes(2) + ethernet(IP), 197),
    "enc": (struct.pack("<I", 2) + bytes(8) + IP, 109),
    "atm": (SNAP + IP, 11),
    "pktap": (struct.pack("<III", 108, 1, 1) + bytes(96) + ethernet(IP), 258),
    "pktap raw": (struct.pack("<III", 108, 1, 12) + bytes(96) + IP, 149),
    "firewire": (bytes(16) + b"\x08\0" + IP, 138),
    "infiniband": (bytes(40) + b"\x08\0\0\0" + IP, 242),
    "netanalyzer": (bytes(4) + ethernet(IP) + bytes(4), 240),
}


@pytest.mark.parametrize("name", FRAMES)
def test_ip_packets_are_found_behind_other_headers(tmp_path: Path, name: str) -> None:
    frame, link_type = FRAMES[name]
    (row,) = read(tmp_path, crafted.pcap([frame], link_type=link_type)).table.to_pylist()
    assert (row["src_ip"], row["dst_ip"], row["src_port"], row["dst_port"]) == (
        "192.0.2.1",
        "198.51.100.1",
        40_000,
        80,
    )


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_cut_before_the_end_of_its_headers_gives_no_record(tmp_path: Path, name: str) -> None:
    frame, link_type = FRAMES[name]
    packets = [frame[:length] for length in range(len(frame) - len(IP) + 20)]
    records = read(tmp_path, crafted.pcap(packets, link_type=link_type))
    assert records.counts.kept == 0
    assert records.counts.rejected + records.counts.skipped == len(packets)


def test_packets_that_are_not_ip_are_counted_by_their_ethertypes(tmp_path: Path) -> None:
    arp, lldp, tree = (
        MACS + b"\x08\x06" + bytes(28),
        MACS + b"\x88\xcc" + bytes(8),
        MACS + b"\0\x26\x42\x42\x03" + bytes(8),
    )
    records = read(tmp_path, crafted.pcap([ethernet(IP), arp, arp, lldp, tree]))
    assert records.counts == (1, 1, 0, 4)
    told = records.summary()
    assert "skipped 4 packets that are not IP: 2 of EtherType 0x0806 (ARP), 1 of " in told
    assert "1 of EtherType 0x88cc (LLDP)" in told
    assert "1 of IEEE 802.2" in told


def test_padding_of_a_short_frame_is_no_payload(tmp_path: Path) -> None:
    empty = bytearray(ipv6(b"", following=59))
    empty[4:6] = b"\0\0"
    (row,) = read(tmp_path, crafted.pcap([ethernet(bytes(empty)) + bytes(6)])).table.to_pylist()
    assert (row["protocol"], row["bytes"]) == (59, 40)


def test_modified_pcap_has_longer_packet_headers(tmp_path: Path) -> None:
    frame = ethernet(IP)
    for order in "<>":
        content = struct.pack(f"{order}IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65_535, 1)
        content += (struct.pack(f"{order}IIII", 1, 2, len(frame), len(frame)) + bytes(8) + frame) * 3
        assert read(tmp_path, content).counts == (3, 3, 0, 0)


def test_an_unknown_link_type_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"189 \(LINKTYPE_USB_LINUX\) cannot be read; capture with `tcpdump -y EN10MB`"
    ):
        read(tmp_path, crafted.pcap([b""], link_type=189))


FRAME = ethernet(IP)
VXLAN = struct.pack(">BBHI", 8, 0, 0, 5 << 8)
COPIES = {
    "vxlan": (17, udp(50_000, 4789, VXLAN + FRAME)),
    "geneve": (17, udp(50_000, 6081, struct.pack(">BBHII", 1, 0, 0x6558, 0, 0) + FRAME)),
    "geneve of a load balancer": (17, udp(50_000, 6081, struct.pack(">BBHI", 0, 0, 0x0800, 0) + IP)),
    "tzsp": (17, udp(37_008, 37_008, b"\1\0\0\1\0\x0a\1\xff\1" + FRAME)),
    "gre": (47, struct.pack(">HHI", 0x2000, 0x0800, 9) + IP),
    "erspan i": (47, struct.pack(">HH", 0, 0x88BE) + FRAME),
    "erspan ii": (47, struct.pack(">HHIII", 0x1000, 0x88BE, 1, 1 << 28, 0) + FRAME),
    "erspan iii": (47, struct.pack(">HHIIIIII", 0x1000, 0x22EB, 1, 2 << 28, 0, 1, 0, 0) + FRAME),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_between_private_addresses_are_opened_and_those_from_elsewhere_are_probes(
    tmp_path: Path, name: str
) -> None:
    protocol, payload = COPIES[name]
    frames = [ethernet(ipv4(payload, protocol, src, "172.31.0.9")) for src in ("100.64.0.1", "192.0.2.77")]
    rows = read(tmp_path, crafted.pcap(frames)).table.to_pylist()
    found = [(row["src_ip"], row["protocol"], row["tcp_flags"], row["bytes"]) for row in rows]
    assert found == [("192.0.2.1", 6, 2, 40), ("192.0.2.77", protocol, None, len(frames[1]) - 14)]


@pytest.mark.parametrize("payload", [b"", b"\0" * 8, b"\x08", VXLAN])
def test_a_probe_between_private_addresses_that_holds_no_packet_is_a_record(tmp_path: Path, payload: bytes) -> None:
    frames = [ethernet(ipv4(udp(50_000, port, payload), 17, "10.0.0.1", "10.0.0.2")) for port in (4789, 6081, 37_008)]
    frames.append(ethernet(ipv4(b"\0\0\0\0" + payload, 47, "10.0.0.1", "10.0.0.2")))
    assert read(tmp_path, crafted.pcap(frames)).counts.kept == len(frames)


@pytest.mark.parametrize(
    ("header", "link_type"),
    [
        (struct.pack(">HHH8sH", 4, 1, 6, bytes(8), 0x0800), 113),
        (struct.pack(">HHIHBB8s", 0x0800, 0, 1, 1, 4, 6, bytes(8)), 276),
        (bytes([61, 2]) + bytes(58) + b"\2" + bytes(3), 117),
    ],
)
def test_packets_that_the_capturing_machine_sent_are_skipped(tmp_path: Path, header: bytes, link_type: int) -> None:
    records = read(tmp_path, crafted.pcap([header + IP], link_type=link_type))
    assert (records.counts.read, records.counts.skipped) == (0, 1)
    assert "1 packet that the capturing machine sent itself" in records.summary()
