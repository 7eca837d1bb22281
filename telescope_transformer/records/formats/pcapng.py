"""pcapng captures with several sections, byte orders, interfaces and time resolutions (draft-ietf-opsawg-pcapng).

Packets in enhanced and obsolete packet blocks are read. Packets in simple packet blocks have no time and are refused.
"""

import struct
from collections.abc import Iterator

import numpy as np
from numba import njit

from telescope_transformer.errors import InputError
from telescope_transformer.records.capture import (
    AT_BLOCK,
    CORRUPT,
    FULL,
    LONGEST_PACKET,
    NEEDS_BYTES,
    PacketBuffers,
    Walk,
    Window,
    Windows,
    read_capture,
)
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.links import LINK_TYPES, unsupported
from telescope_transformer.records.memory import big16, little16
from telescope_transformer.records.packets import (
    BAD_TIME,
    NO_INTERFACE,
    NOT_IP,
    RECORD,
    UNKNOWN_LINK,
    number32,
    read_packet,
)
from telescope_transformer.records.validation import Chunk

# Types of blocks (draft-ietf-opsawg-pcapng).
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
# Our choices, so that a damaged or hostile file cannot claim unlimited memory: bytes of a block, and interfaces of a
# section.
_LONGEST_BLOCK = 16 << 20
_MOST_INTERFACES = 65_536
# At most this many options of an interface are read; the draft defines 18.
_MOST_OPTIONS = 1024
_RESOLUTION_OPTION, _OFFSET_OPTION = 9, 14
# A fraction of 43 bits times a million still fits 64 bits.
_FINEST_SHIFT = 43


def sniff(head: bytes) -> bool:
    """Whether the head belongs to a pcapng file."""
    return head.startswith(b"\n\r\r\n") and head[8:12] in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")


@njit(cache=True, nogil=True)
def _microseconds(ticks: np.uint64, interface: np.ndarray) -> int:
    """Convert a time in units of an interface (a row of `Section.interfaces`) to microseconds; -1 if out of range."""
    multiplier: int = interface[1]
    divisor, shift = interface[2], interface[3]
    offset: int = interface[4]
    if divisor == 0:
        return -1
    if shift > 0:
        if shift > _FINEST_SHIFT:
            ticks >>= np.uint64(shift - _FINEST_SHIFT)
            shift = _FINEST_SHIFT
        whole = ticks >> np.uint64(shift)
        if whole > np.uint64(1 << 42):
            return -1
        part = ticks - (whole << np.uint64(shift))
        return (int(whole) + offset) * 1_000_000 + int((part * np.uint64(1_000_000)) >> np.uint64(shift))
    ticks //= np.uint64(divisor)
    if ticks > np.uint64(1 << 62) // np.uint64(multiplier):
        return -1
    return int(ticks) * multiplier + offset * 1_000_000


@njit(cache=True, nogil=True)
def _read_block(
    at: int, kind: int, big_endian: bool, interfaces: np.ndarray, packets: np.ndarray, records: int
) -> int:
    """Reads the packet of the block at address `at` into `packets[records]`; returns RECORD or why it is not one."""
    if kind == _SIMPLE_PACKET:
        return BAD_TIME
    interface = number32(at + 8, big_endian)
    if kind == _OLD_PACKET:
        interface = big16(at + 8) if big_endian else little16(at + 8)
    if interface >= len(interfaces):
        return NO_INTERFACE
    ticks = (np.uint64(number32(at + 12, big_endian)) << np.uint64(32)) | np.uint64(number32(at + 16, big_endian))
    captured = number32(at + 20, big_endian)
    micros = _microseconds(ticks, interfaces[interface])
    return read_packet(at + 28, at + 28 + captured, interfaces[interface, 0], micros, packets, records)


@njit(cache=True, nogil=True)
def _next_block(base: int, size: int, at: int, big_endian: bool) -> tuple[int, int, int]:
    """Kind, length and status of the block at offset `at`.

    The status is FULL if the block is whole and plausible: its two lengths agree, and the captured bytes of a packet
    block fit in it. For section and interface blocks it is AT_BLOCK.
    """
    if at + 12 > size:
        return 0, 0, NEEDS_BYTES
    kind = number32(base + at, big_endian)
    if kind == _SECTION:
        return kind, 0, AT_BLOCK
    length = number32(base + at + 4, big_endian)
    if length < 12 or length % 4 or length > _LONGEST_BLOCK:
        return kind, length, CORRUPT
    if at + length > size:
        return kind, length, NEEDS_BYTES
    if number32(base + at + length - 4, big_endian) != length:
        return kind, length, CORRUPT
    if kind in (_PACKET, _OLD_PACKET) and (
        length < 32 or number32(base + at + 20, big_endian) > min(length - 32, LONGEST_PACKET)
    ):
        return kind, length, CORRUPT
    return kind, length, AT_BLOCK if kind == _INTERFACE else FULL


@njit(cache=True, nogil=True)
def _walk(
    base: int,
    size: int,
    at: int,
    big_endian: bool,
    interfaces: np.ndarray,
    packets: np.ndarray,
    refused: np.ndarray,
    not_ip: np.ndarray,
) -> tuple[int, int, int, int, int]:
    """Reads packet blocks, starting at offset `at` of the bytes at `base`; stops at section and interface blocks.

    Returns the fields of `Walk`.
    """
    records, skipped, odd = 0, 0, 0
    while records + odd < len(packets):
        kind, length, status = _next_block(base, size, at, big_endian)
        if status != FULL:
            return records, skipped, odd, at, status
        if kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
            found = _read_block(base + at, kind, big_endian, interfaces, packets, records)
            if found == RECORD:
                records += 1
            elif found in (NOT_IP, UNKNOWN_LINK):
                if found == NOT_IP:
                    not_ip[packets[records].ip_id] += 1
                skipped += 1
            else:
                refused[odd].at = at
                refused[odd].why = found
                odd += 1
        at += length
    return records, skipped, odd, at, FULL


class Section:
    """Byte order and interfaces of the section that is being read.

    Columns of `interfaces` (n, 5): the link type; the multiplier, divisor and binary shift that convert a time to
    microseconds; and the offset to add, in seconds. A divisor of 0 marks a resolution that cannot be read.
    """

    def __init__(self) -> None:
        self.big_endian = False
        self.unsupported: set[int] = set()
        # The array doubles when it is full, so that the time is linear in the number of interfaces.
        self._rows = np.empty((8, 5), dtype=np.int64)
        self._count = 0

    @property
    def interfaces(self) -> np.ndarray:
        """The interfaces so far (n, 5)."""
        return self._rows[: self._count]

    def begin(self, block: bytes) -> int:
        """Takes the byte order from a section header block; returns its length, or 0 if it is not plausible."""
        order = ">" if block[8:12] == b"\x1a\x2b\x3c\x4d" else "<"
        (length,) = struct.unpack_from(f"{order}I", block, 4)
        if block[8:12] not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a") or not 28 <= length <= _LONGEST_BLOCK:
            return 0
        self.big_endian = order == ">"
        self._count = 0
        return length if length % 4 == 0 else 0

    def add_interface(self, block: bytes) -> bool:
        """Adds an interface description block; False if it is too short or there are too many interfaces."""
        if len(block) < 20 or self._count >= _MOST_INTERFACES:
            return False
        order = ">" if self.big_endian else "<"
        (link_type,) = struct.unpack_from(f"{order}H", block, 8)
        multiplier, divisor, shift, offset = 1, 1, 0, 0
        for code, value in _options(block[16:-4], order):
            if code == _RESOLUTION_OPTION and value:
                multiplier, divisor, shift = _resolution(value[0])
            elif code == _OFFSET_OPTION and len(value) == 8:
                (offset,) = struct.unpack(f"{order}q", value)
                offset = offset if abs(offset) < 1 << 40 else 0
        if link_type not in LINK_TYPES:
            self.unsupported.add(link_type)
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = (link_type, multiplier, divisor, shift, offset)
        self._count += 1
        return True


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option in `data`, up to the first that does not fit."""
    at = 0
    for _ in range(_MOST_OPTIONS):
        if at + 4 > len(data):
            return
        code, length = struct.unpack_from(f"{order}HH", data, at)
        if code == 0 or at + 4 + length > len(data):
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4


def _resolution(value: int) -> tuple[int, int, int]:
    """Multiplier, divisor and shift of an `if_tsresol` option: a power of ten, or of two if the top bit is set."""
    power = value & 0x7F
    if value & 0x80:
        return (1, 1, power) if 0 < power < 64 else (1_000_000, 1 if power == 0 else 0, 0)
    if power <= 6:
        return 10 ** (6 - power), 1, 0
    return 1, 10 ** (power - 6) if power <= 24 else 0, 0


def _take_block(section: Section, window: Window, at: int) -> tuple[int, int]:
    """Lets `section` read the section or interface block at `at`; returns where it ends and the state of the walk."""
    head = window.data[at : at + 12].tobytes()
    if head.startswith(b"\n\r\r\n"):
        length = section.begin(head)
        if length and at + length > len(window.data):
            return at, NEEDS_BYTES
        return (at + length, FULL) if length else (at, CORRUPT)
    (length,) = struct.unpack_from(">I" if section.big_endian else "<I", head, 4)
    taken = section.add_interface(window.data[at : at + length].tobytes())
    return (at + length, FULL) if taken else (at, CORRUPT)


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a capture, or its packets; see `read_capture`."""
    if not sniff(file.head):
        raise InputError(f"{file.name}: not a pcapng file")
    windows, section = Windows(file), Section()

    def walk(window: Window, at: int, buffers: PacketBuffers) -> Walk:
        address, size = window.data.ctypes.data, len(window.data)
        arrays = section.interfaces, buffers.packets, buffers.refused, buffers.not_ip
        done = Walk(*_walk(address, size, at, section.big_endian, *arrays))
        if done.status != AT_BLOCK:
            return done
        end, status = _take_block(section, window, done.next)
        return done._replace(next=end, status=status)

    corrupt = "a block's lengths or header are not plausible"
    try:
        yield from read_capture(file, context, windows, (windows.first(), 0), walk, "block", corrupt)
    finally:
        if section.unsupported:
            context.note(f"{unsupported(section.unsupported)}; these packets are skipped", file.name)


FORMAT = Format("pcapng", sniff, read)
