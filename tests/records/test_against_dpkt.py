"""Captures compared field by field with dpkt, an independent reader: generated packets and every real capture."""

import io
import ipaddress
import struct
from pathlib import Path
from typing import Any

import crafted
import dpkt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telescope_transformer.records import read_records

FIELDS = ("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port", "ttl", "bytes")
FIELDS += ("ip_id", "tcp_seq", "tcp_flags")


def find_ip(link_type: int, frame: bytes) -> Any:
    """The IP packet of a frame according to dpkt; None if there is none."""
    if link_type in (12, 14, 101, 228, 229):
        return (dpkt.ip.IP if frame[0] >> 4 == 4 else dpkt.ip6.IP6)(frame)
    packet = dpkt.sll.SLL(frame).data if link_type == 113 else dpkt.ethernet.Ethernet(frame).data
    return packet if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) else None


def text_address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def expected_record(micros: int, packet: Any) -> dict[str, Any]:
    """The fields of a flow record from dpkt's objects."""
    four = isinstance(packet, dpkt.ip.IP)
    payload = packet.data
    record = {
        "timestamp": micros,
        "src_ip": text_address(packet.src),
        "dst_ip": text_address(packet.dst),
        "protocol": packet.p,
        "src_port": 0,
        "dst_port": 0,
        "ttl": packet.ttl if four else packet.hlim,
        "bytes": packet.len if four else packet.plen + 40,
        "ip_id": packet.id if four else None,
        "tcp_seq": None,
        "tcp_flags": None,
    }
    if isinstance(payload, dpkt.tcp.TCP | dpkt.udp.UDP):
        record |= {"src_port": payload.sport, "dst_port": payload.dport}
    if isinstance(payload, dpkt.tcp.TCP):
        record |= {"tcp_seq": payload.seq, "tcp_flags": payload.flags & 0xFF}
    if isinstance(payload, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
        record |= {"src_port": payload.type, "dst_port": payload.code}
    return record


def by_dpkt(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """The records of a capture and the number of its packets that are not IP, according to dpkt."""
    reader = dpkt.pcap.Reader(io.BytesIO(content))
    records, others = [], 0
    for time, frame in reader:
        packet = find_ip(reader.datalink(), frame)
        if packet is None:
            others += 1
        else:
            records.append(expected_record(round(time * 1_000_000), packet))
    return records, others


CAPTURES = (
    "SYNTHETIC_scapy_rawip_uqo",
    "arkime_gre-sample",
    "arkime_twovlan",
    "masscan_tcp_0_1000",
    "masscan_udp_0_1000",
    "nmap_80_vanilla",
    "slips_icmp_portscan",
    "slips_test7_malicious",
    "slips_test8_malicious",
)


@pytest.mark.shared
@pytest.mark.parametrize("name", CAPTURES)
def test_real_captures_agree_with_dpkt(shared: Path, name: str) -> None:
    path = shared / "fixtures/pcap" / f"{name}.pcap"
    expected, others = by_dpkt(path.read_bytes())
    records = read_records([path], per_packet=True)
    assert records.counts == (len(expected), len(expected), 0, others)
    assert records.table.select(FIELDS).to_pylist() == [{name: one[name] for name in FIELDS} for one in expected]


ports = st.integers(0, 65_535)
addresses_4 = st.ip_addresses(v=4).map(str)
addresses_6 = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None).map(str)
transports = st.one_of(
    st.tuples(st.just(6), st.builds(crafted.tcp, ports, ports, st.integers(0, 2**32 - 1), st.integers(0, 255))),
    st.tuples(st.just(17), st.builds(crafted.udp, ports, ports, st.binary(max_size=20))),
    st.tuples(st.just(1), st.builds(crafted.icmp, st.integers(0, 40), st.integers(0, 15))),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    protocol, payload = draw(transports)
    if draw(st.booleans()):
        options = bytes(4 * draw(st.integers(0, 10)))
        ip_id = draw(ports)
        packet = crafted.ipv4(
            payload, protocol, draw(addresses_4), draw(addresses_4), ip_id=ip_id, options=b"\x01" * len(options)
        )
    else:
        following = 58 if protocol == 1 else protocol
        packet = crafted.ipv6(payload, following, draw(addresses_6), draw(addresses_6))
    return crafted.ethernet(packet, *draw(st.lists(st.sampled_from([0x8100, 0x88A8]), max_size=2)))


@settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    packets=st.lists(st.tuples(frames(), st.integers(0, 10**9)), min_size=1, max_size=10),
    order=st.sampled_from("<>"),
)
def test_generated_packets_agree_with_dpkt(tmp_path: Path, packets: list[tuple[bytes, int]], order: str) -> None:
    content = crafted.pcap([frame for frame, _ in packets], [time / 1e6 for _, time in packets], order=order)
    path = tmp_path / "capture"
    path.write_bytes(content)
    records = read_records([path], per_packet=True)
    expected, _ = by_dpkt(content)
    assert records.table.select(FIELDS).to_pylist() == expected


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_packet_of_a_capture_with_damaged_bytes_is_counted(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes are changed, every packet is kept, refused or skipped, and nothing else happens."""
    packets = [data.draw(frames()) for _ in range(3)]
    content = bytearray(crafted.pcap(packets))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(24, len(content) - 1))] = data.draw(st.integers(0, 255))
    whole = struct.pack("<IIII", crafted.SECOND, 0, 54, 54) + crafted.ethernet(crafted.ipv4(crafted.tcp()))
    path = tmp_path / "capture"
    path.write_bytes(crafted.pcap([]) + whole + bytes(content[24:]))
    records = read_records([path], per_packet=True)
    counts = records.counts
    assert counts.read == counts.kept + counts.rejected == records.table.num_rows + records.rejects.num_rows
    assert counts.read >= 1
    assert records.damage or counts.read + counts.skipped == 4


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_packet_of_a_capture_with_damaged_blocks_is_counted(tmp_path: Path, data: st.DataObject) -> None:
    """The same for pcapng, whose first packet is whole."""
    micros = crafted.SECOND * 1_000_000
    blocks = [crafted.enhanced_packet(data.draw(frames()), micros) for _ in range(3)]
    content = bytearray(b"".join([crafted.interface(), *blocks]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    whole = crafted.enhanced_packet(crafted.ethernet(crafted.ipv4(crafted.tcp())), micros)
    path = tmp_path / "capture"
    path.write_bytes(crafted.section() + crafted.interface() + whole + bytes(content))
    records = read_records([path], per_packet=True)
    counts = records.counts
    assert counts.read == counts.kept + counts.rejected == records.table.num_rows + records.rejects.num_rows
    assert counts.read >= 1
