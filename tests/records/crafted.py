"""Packets and captures made byte by byte, for the tests of the capture readers."""

import ipaddress
import struct
from collections.abc import Sequence

SECOND = 1_700_000_000


def tcp(src_port: int = 40_000, dst_port: int = 80, seq: int = 1, flags: int = 0x02) -> bytes:
    return struct.pack("!HHIIBBHHH", src_port, dst_port, seq, 0, 0x50, flags, 1024, 0, 0)


def udp(src_port: int = 40_000, dst_port: int = 53, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def icmp(kind: int = 8, code: int = 0) -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, 0, 0)


def ipv4(
    payload: bytes,
    protocol: int = 6,
    src: str = "192.0.2.1",
    dst: str = "198.51.100.1",
    *,
    ip_id: int = 7,
    fragment: int = 0,
    options: bytes = b"",
) -> bytes:
    first = 0x40 | (5 + len(options) // 4)
    total = 20 + len(options) + len(payload)
    header = struct.pack("!BBHHHBBH", first, 0, total, ip_id, fragment, 64, protocol, 0)
    return header + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + options + payload


def ipv6(payload: bytes, following: int = 6, src: str = "2001:db8::1", dst: str = "2001:db8::2") -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(payload), following, 64)
    return header + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + payload


def extension(following: int, length: int = 8) -> bytes:
    """An IPv6 extension header of `length` bytes (a multiple of 8)."""
    return bytes([following, length // 8 - 1]) + bytes(length - 2)


def fragment_header(following: int, offset: int) -> bytes:
    """An IPv6 fragment header; the offset is in units of 8 bytes."""
    return struct.pack("!BBHI", following, 0, offset << 3, 1)


def ethernet(payload: bytes, *tags: int) -> bytes:
    """A frame around an IP packet, with one VLAN tag for each EtherType in `tags`."""
    kind = 0x86DD if payload[:1] and payload[0] >> 4 == 6 else 0x0800
    return bytes(12) + b"".join(struct.pack("!HH", tag, 5) for tag in tags) + struct.pack("!H", kind) + payload


def linux_cooked(payload: bytes) -> bytes:
    return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x0800) + payload


def linux_cooked_2(payload: bytes) -> bytes:
    return struct.pack("!HHIHBB8s", 0x0800, 0, 1, 1, 0, 6, bytes(8)) + payload


def pcap(
    packets: Sequence[bytes],
    times: Sequence[float] | None = None,
    *,
    link_type: int = 1,
    order: str = "<",
    nanoseconds: bool = False,
) -> bytes:
    """A capture; `times` in seconds after SECOND, by default one packet per second."""
    magic, scale = (0xA1B23C4D, 10**9) if nanoseconds else (0xA1B2C3D4, 10**6)
    content = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262_144, link_type)
    for index, packet in enumerate(packets):
        at = float(index) if times is None else times[index]
        whole = int(at // 1)
        header = (SECOND + whole, round((at - whole) * scale), len(packet), len(packet))
        content += struct.pack(f"{order}IIII", *header) + packet
    return content


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A pcapng block around its body."""
    body += bytes(-len(body) % 4)
    return struct.pack(f"{order}II", kind, len(body) + 12) + body + struct.pack(f"{order}I", len(body) + 12)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = 1, order: str = "<", resolution: int | None = None, offset: int | None = None) -> bytes:
    options = b""
    if resolution is not None:
        options += struct.pack(f"{order}HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(f"{order}HHq", 14, 8, offset)
    return block(1, struct.pack(f"{order}HHI", link_type, 0, 0) + options, order)


def enhanced_packet(packet: bytes, ticks: int, order: str = "<", number: int = 0) -> bytes:
    head = struct.pack(f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
    return block(6, head + packet, order)
