"""A compiled walk over the headers of one packet: link layer, IPv4 or IPv6, then ports, flags and ICMP type.

If both addresses of a VXLAN, GENEVE, TZSP, GRE or ERSPAN packet are private, it is a copy that a switch or a cloud
made for the sensor, and the packet inside counts. Other tunnels are not opened, for they may be probes: the record of
a GRE or IP-in-IP packet has the outer addresses, the tunnel's protocol number and ports 0. A fragment after the first
one also gets ports 0, as NetFlow exporters do it.

Positions are memory addresses; each is compared with the end of the packet before it is read.
"""

from typing import Any

import numpy as np
from numba import njit

from telescope_transformer.records.address_kernels import IPV4, IPV6
from telescope_transformer.records.links import CUT, UNKNOWN, by_ethertype, copied_frame, find_ip
from telescope_transformer.records.memory import big16, big32, big64, byte_at, little32
from telescope_transformer.records.time_kernels import LAST

PACKET = np.dtype(
    [
        ("timestamp", np.int64),
        ("last", np.int64),
        ("bytes", np.uint64),
        ("src_high", np.uint64),
        ("src_low", np.uint64),
        ("dst_high", np.uint64),
        ("dst_low", np.uint64),
        ("tcp_seq", np.uint32),
        ("packets", np.uint32),
        ("src_port", np.uint16),
        ("dst_port", np.uint16),
        ("ip_id", np.uint16),
        ("ttl", np.uint8),
        ("protocol", np.uint8),
        ("tcp_flags", np.uint8),
        ("kind", np.uint8),
        ("has_tcp", np.uint8),
    ],
    align=True,
)
"""A packet, or the flow record that begins with it. Times are in microseconds; `last` is that of the last packet."""

Record = Any
"""One element of a PACKET array; numba accesses its fields as attributes."""

# The results of the walk over a packet.
RECORD, NOT_IP, CUT_LINK, CUT_IP, BAD_IP, CUT_TRANSPORT, BAD_TIME, UNKNOWN_LINK, NO_INTERFACE = range(9)
REASONS = {
    CUT_LINK: "shorter than its link header",
    CUT_IP: "shorter than its IP header",
    BAD_IP: "IP version or lengths contradict each other",
    CUT_TRANSPORT: "ends before the ports or the ICMP type",
    BAD_TIME: "time missing or out of range",
    NO_INTERFACE: "its interface is not described",
}

# Our choice, so that a hostile packet ends soon: RFC 8200 has each extension header once, and one twice.
_DEEPEST_EXTENSIONS = 16


@njit(cache=True, nogil=True)
def number32(at: int, big_endian: bool) -> int:
    """The 32-bit number at an address, in the byte order of its file."""
    number: int = big32(at) if big_endian else little32(at)
    return number


@njit(cache=True, nogil=True)
def _read_transport(at: int, stop: int, packet: Record) -> int:
    """Reads ports of TCP, UDP, DCCP, SCTP and UDP-Lite, sequence number and flags of TCP, type and code of ICMP."""
    protocol = packet.protocol
    if protocol == 6 or protocol == 17 or protocol == 33 or protocol == 132 or protocol == 136:
        if at + 4 > stop:
            return CUT_TRANSPORT
        packet.src_port = np.uint16(big16(at))
        packet.dst_port = np.uint16(big16(at + 2))
        if protocol == 6 and at + 14 <= stop:
            packet.tcp_seq = np.uint32(big32(at + 4))
            packet.tcp_flags = np.uint8(byte_at(at + 13))
            packet.has_tcp = np.uint8(1)
    elif protocol == 1 or protocol == 58:
        if at + 2 > stop:
            return CUT_TRANSPORT
        packet.src_port = np.uint16(byte_at(at))
        packet.dst_port = np.uint16(byte_at(at + 1))
    return RECORD


@njit(cache=True, nogil=True)
def _read_ipv4(at: int, stop: int, packet: Record) -> int:
    """RFC 791, section 3.1. A total length of 0 means that segmentation was left to the network card."""
    if at + 20 > stop:
        return CUT_IP
    header = (byte_at(at) & 15) * 4
    total = big16(at + 2)
    if total == 0:
        total = stop - at
    if header < 20 or total < header:
        return BAD_IP
    packet.bytes = np.uint64(total)
    packet.ip_id = np.uint16(big16(at + 4))
    packet.ttl = np.uint8(byte_at(at + 8))
    packet.protocol = np.uint8(byte_at(at + 9))
    packet.src_low = np.uint64(big32(at + 12))
    packet.dst_low = np.uint64(big32(at + 16))
    packet.kind = np.uint8(IPV4)
    if big16(at + 6) & 0x1FFF:
        return RECORD
    return _read_transport(at + header, min(stop, at + total), packet)


@njit(cache=True, nogil=True)
def _read_ipv6(at: int, stop: int, packet: Record) -> int:
    """RFC 8200, sections 3 and 4: skips the extension headers."""
    if at + 40 > stop:
        return CUT_IP
    payload, following = big16(at + 4), byte_at(at + 6)
    total = 40 + payload
    # A length of 0 with a hop-by-hop header means a jumbogram (RFC 2675). If many bytes follow, it is a segment that
    # the network card was to cut; otherwise only the padding of a short frame follows.
    if payload == 0 and following != 59 and (following == 0 or stop - at - 40 >= 20):
        total = stop - at
    packet.bytes = np.uint64(total)
    packet.ttl = np.uint8(byte_at(at + 7))
    packet.src_high, packet.src_low = big64(at + 8), big64(at + 16)
    packet.dst_high, packet.dst_low = big64(at + 24), big64(at + 32)
    packet.kind = np.uint8(IPV6)
    end = min(stop, at + total)
    at += 40
    for _ in range(_DEEPEST_EXTENSIONS):
        packet.protocol = np.uint8(following)
        extends = following == 0 or following == 43 or following == 60 or following == 135
        if not extends and following != 44 and following != 51:
            return _read_transport(at, end, packet)
        if at + 8 > end:
            return CUT_TRANSPORT
        if following == 44 and big16(at + 2) & 0xFFF8:
            packet.protocol = np.uint8(byte_at(at))
            return RECORD
        length = 8
        if extends:
            length = 8 + 8 * byte_at(at + 1)
        elif following == 51:
            length = 8 + 4 * byte_at(at + 1)
        following = byte_at(at)
        at += length
    return BAD_IP


@njit(cache=True, nogil=True)
def _clear(packet: Record) -> None:
    packet.src_high = np.uint64(0)
    packet.dst_high = np.uint64(0)
    packet.tcp_seq = np.uint32(0)
    packet.packets = np.uint32(1)
    packet.src_port = np.uint16(0)
    packet.dst_port = np.uint16(0)
    packet.ip_id = np.uint16(0)
    packet.tcp_flags = np.uint8(0)
    packet.has_tcp = np.uint8(0)


@njit(cache=True, nogil=True)
def _is_private(address: int) -> bool:
    """Whether an IPv4 address is private (RFC 1918) or shared by a provider (RFC 6598)."""
    return address >> 24 == 10 or address >> 20 == 0xAC1 or address >> 16 == 0xC0A8 or address >> 22 == 0x191


@njit(cache=True, nogil=True)
def _read_ip(at: int, stop: int, packet: Record) -> int:
    version = byte_at(at) >> 4
    if version == 4:
        return _read_ipv4(at, stop, packet)
    if version == 6:
        return _read_ipv6(at, stop, packet)
    return BAD_IP


@njit(cache=True, nogil=True)
def _read_copy(at: int, stop: int, packet: Record) -> int:
    """Reads the packet that an IPv4 packet at `at`, which `packet` holds, is a copy of; RECORD if it is no copy."""
    if not (_is_private(int(packet.src_low)) and _is_private(int(packet.dst_low))) or big16(at + 6) & 0x1FFF:
        return RECORD
    stop = min(stop, at + int(packet.bytes))
    inner, ethertype = copied_frame(at + (byte_at(at) & 15) * 4, stop, int(packet.protocol), int(packet.dst_port))
    if inner < 0:
        return RECORD
    inner, ethertype = by_ethertype(ethertype, inner, stop)
    if inner == CUT or inner >= stop:
        return RECORD
    if inner < 0:
        packet.ip_id = np.uint16(ethertype)
        return NOT_IP
    _clear(packet)
    return _read_ip(inner, stop, packet)


@njit(cache=True, nogil=True)
def read_packet(start: int, stop: int, link_type: int, micros: int, packets: np.ndarray, index: int) -> int:
    """Reads the packet between two addresses into `packets[index]` (PACKET) and returns its status, RECORD if valid.

    If a packet is not IP, `ip_id` holds its EtherType, 0 if it has none.
    """
    at, ethertype = find_ip(start, stop, link_type)
    if at < 0:
        if at == UNKNOWN:
            return UNKNOWN_LINK
        packets[index].ip_id = np.uint16(ethertype)
        return CUT_LINK if at == CUT else NOT_IP
    if at >= stop:
        return CUT_IP
    if micros < 0 or micros > LAST:
        return BAD_TIME
    packet = packets[index]
    _clear(packet)
    packet.timestamp = micros
    packet.last = micros
    found = _read_ip(at, stop, packet)
    if found == RECORD and packet.kind == IPV4 and (packet.protocol == 17 or packet.protocol == 47):
        return _read_copy(at, stop, packet)
    return found
