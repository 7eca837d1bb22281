"""A compiled walk over the headers of one packet: link layer, IPv4 or IPv6, then ports, flags and ICMP type.

Tunnels stay opaque: a GRE or IP-in-IP packet is a record of its outer addresses, with the tunnel's protocol number and
ports 0. A fragment after the first has no ports either, and so ports 0, as NetFlow exporters write it.

Positions are addresses in memory, each compared with the end of the packet before it is read.
"""

from typing import Any

import numpy as np
from numba import njit

from telescope_transformer.records.address_kernels import IPV4, IPV6
from telescope_transformer.records.memory import big16, big32, big64, byte_at, little32

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
"""A packet, or a flow record that began with it: times in microseconds, `last` that of its last packet."""

Record = Any
"""One element of a PACKET array, whose fields numba takes as attributes."""

# What the walk says about a packet.
RECORD, NOT_IP, CUT_LINK, CUT_IP, BAD_IP, CUT_TRANSPORT, BAD_TIME, UNKNOWN_LINK, NO_INTERFACE = range(9)
REASONS = {
    CUT_LINK: "shorter than its link header",
    CUT_IP: "shorter than its IP header",
    BAD_IP: "IP version or lengths contradict each other",
    CUT_TRANSPORT: "ends before the ports or the ICMP type",
    BAD_TIME: "time out of range, or none",
    NO_INTERFACE: "of an interface that is not described",
}

# Link types of the registry of the tcpdump group, and the values that some systems write for raw IP.
_NULL, _ETHERNET, _RAW_BSD, _RAW_OPENBSD, _RAW, _LOOP = 0, 1, 12, 14, 101, 108
_LINUX_SLL, _IPV4_ONLY, _IPV6_ONLY, _LINUX_SLL2 = 113, 228, 229, 276
LINK_TYPES = frozenset(
    {_NULL, _ETHERNET, _RAW_BSD, _RAW_OPENBSD, _RAW, _LOOP, _LINUX_SLL, _IPV4_ONLY, _IPV6_ONLY, _LINUX_SLL2}
)
_DEEPEST_TAGS = 8
_DEEPEST_EXTENSIONS = 16
_LAST_MICROSECOND = 253_402_300_799_999_999


@njit(cache=True, nogil=True)
def number32(at: int, big_endian: bool) -> int:
    """The 32-bit number at an address, in the byte order of its file."""
    return big32(at) if big_endian else little32(at)


@njit(cache=True, nogil=True)
def _after_ethertype(at: int, stop: int) -> int:
    """Where IP begins behind the EtherType at `at` and any VLAN tags or PPPoE header; -1 cut off, -2 not IP."""
    for _ in range(_DEEPEST_TAGS):
        if at + 2 > stop:
            return -1
        ethertype = big16(at)
        at += 2
        if ethertype == 0x0800 or ethertype == 0x86DD:
            return at
        if ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100 or ethertype == 0x9200:
            at += 2
        elif ethertype == 0x8864:
            if at + 8 > stop:
                return -1
            inner = big16(at + 6)
            return at + 8 if inner == 0x0021 or inner == 0x0057 else -2
        else:
            return -2
    return -2


@njit(cache=True, nogil=True)
def _find_ip(start: int, stop: int, link_type: int) -> int:
    """Where the IP header of a packet begins; -1 if it is cut off before, -2 if it is not IP, -3 for unknown links."""
    if link_type == _ETHERNET:
        return _after_ethertype(start + 12, stop)
    if link_type == _LINUX_SLL:
        return _after_ethertype(start + 14, stop)
    if link_type == _LINUX_SLL2:
        if start + 20 > stop:
            return -1
        ethertype = big16(start)
        if ethertype == 0x8100 or ethertype == 0x88A8:
            return _after_ethertype(start + 22, stop)
        return start + 20 if ethertype == 0x0800 or ethertype == 0x86DD else -2
    if link_type in (_NULL, _LOOP):
        if start + 4 > stop:
            return -1
        family = max(little32(start), big32(start)) >> 24
        # Address families: 2 is IPv4 everywhere; 10, 24, 28 and 30 are IPv6 on Linux, NetBSD, FreeBSD and Darwin.
        known = family == 2 or family == 10 or family == 24 or family == 28 or family == 30
        return start + 4 if known else -2
    if link_type in (_RAW, _RAW_BSD, _RAW_OPENBSD, _IPV4_ONLY, _IPV6_ONLY):
        return start
    return -3


@njit(cache=True, nogil=True)
def _read_transport(at: int, stop: int, packet: Record) -> int:
    """Ports of TCP, UDP, DCCP, SCTP and UDP-Lite, sequence number and flags of TCP, type and code of ICMP."""
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
    """RFC 8200, sections 3 and 4: the extension headers are passed over up to the first that is none."""
    if at + 40 > stop:
        return CUT_IP
    payload = big16(at + 4)
    total = 40 + payload if payload else stop - at
    packet.bytes = np.uint64(total)
    packet.ttl = np.uint8(byte_at(at + 7))
    packet.src_high, packet.src_low = big64(at + 8), big64(at + 16)
    packet.dst_high, packet.dst_low = big64(at + 24), big64(at + 32)
    packet.kind = np.uint8(IPV6)
    following = byte_at(at + 6)
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
def read_packet(start: int, stop: int, link_type: int, micros: int, packets: np.ndarray, index: int) -> int:
    """Reads the packet between two addresses into `packets[index]` (PACKET) and says what it is, RECORD if valid."""
    at = _find_ip(start, stop, link_type)
    if at < 0:
        if at == -3:
            return UNKNOWN_LINK
        return CUT_LINK if at == -1 else NOT_IP
    if at >= stop:
        return CUT_IP
    if micros < 0 or micros > _LAST_MICROSECOND:
        return BAD_TIME
    packet = packets[index]
    _clear(packet)
    packet.timestamp = micros
    packet.last = micros
    version = byte_at(at) >> 4
    if version == 4:
        return _read_ipv4(at, stop, packet)
    if version == 6:
        return _read_ipv6(at, stop, packet)
    return BAD_IP
