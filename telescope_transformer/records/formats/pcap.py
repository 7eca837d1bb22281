"""pcap captures in both byte orders, in micro- or nanoseconds, plain or compressed (draft-ietf-opsawg-pcap)."""

import struct
from collections.abc import Iterator

import numpy as np
from numba import njit

from telescope_transformer.errors import InputError
from telescope_transformer.records.capture import (
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
from telescope_transformer.records.damage import DamagedInput, NotFlowRecords
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.links import LINK_TYPES, unsupported
from telescope_transformer.records.packets import NOT_IP, RECORD, number32, read_packet
from telescope_transformer.records.validation import Chunk

# Bytes before the first packet, as in the draft of the format (draft-ietf-opsawg-pcap).
_FILE_HEADER = 24
# Magic numbers, read in little-endian order: (whether the file is big-endian, fraction units per microsecond, bytes of
# a packet header). The last two belong to Kuznetzov's modified pcap, whose packet headers have 8 more bytes.
_MAGICS = {
    0xA1B2C3D4: (False, 1, 16),
    0xD4C3B2A1: (True, 1, 16),
    0xA1B23C4D: (False, 1000, 16),
    0x4D3CB2A1: (True, 1000, 16),
    0xA1B2CD34: (False, 1, 24),
    0x34CDB2A1: (True, 1, 24),
}


def sniff(head: bytes) -> bool:
    """Whether the head belongs to a pcap file."""
    return len(head) >= 4 and struct.unpack_from("<I", head)[0] in _MAGICS


@njit(cache=True, nogil=True)
def walk_packets(
    base: int,
    size: int,
    at: int,
    layout: tuple[int, bool, int, int, int],
    packets: np.ndarray,
    refused: np.ndarray,
    not_ip: np.ndarray,
) -> tuple[int, int, int, int, int]:
    """Reads packets from offset `at` of the `size` bytes at address `base` until the output is full or the bytes end.

    `layout` comes from `_read_header`. Returns the fields of `Walk`.
    """
    magic, big_endian, per_microsecond, header, link_type = layout
    records, skipped, odd = 0, 0, 0
    while True:
        if records + odd == len(packets):
            return records, skipped, odd, at, FULL
        if at + header > size:
            return records, skipped, odd, at, NEEDS_BYTES
        captured = number32(base + at + 8, big_endian)
        if captured == 0 and number32(base + at, big_endian) == magic:
            # The header of a capture that was joined to this one with cat.
            if at + _FILE_HEADER > size:
                return records, skipped, odd, at, NEEDS_BYTES
            if number32(base + at + 20, big_endian) & 0xFFFF != link_type:
                return records, skipped, odd, at, CORRUPT
            at += _FILE_HEADER
            continue
        if captured > LONGEST_PACKET:
            return records, skipped, odd, at, CORRUPT
        start = at + header
        if start + captured > size:
            return records, skipped, odd, at, NEEDS_BYTES
        fraction = number32(base + at + 4, big_endian) // per_microsecond
        micros = number32(base + at, big_endian) * 1_000_000 + fraction if fraction < 1_000_000 else -1
        found = read_packet(base + start, base + start + captured, link_type, micros, packets, records)
        if found == RECORD:
            records += 1
        elif found == NOT_IP:
            not_ip[packets[records].ip_id] += 1
            skipped += 1
        else:
            refused[odd].at = at
            refused[odd].why = found
            odd += 1
        at = start + captured


def _read_header(file: InputFile, data: np.ndarray) -> tuple[int, bool, int, int, int]:
    """The magic number, whether the file is big-endian, its fraction units per microsecond, bytes of a packet header,
    and link type.

    Raises InputError for an unknown magic number, NotFlowRecords for a link type that cannot be read, and
    DamagedInput if the header is cut off.
    """
    header = data[:_FILE_HEADER].tobytes()
    if not sniff(header):
        raise InputError(f"{file.name}: not a pcap file")
    if len(header) < _FILE_HEADER:
        raise DamagedInput(file.name, len(header), "cut off within the file header")
    big_endian, per_microsecond, packet_header = _MAGICS[struct.unpack_from("<I", header)[0]]
    # The upper bits of the field describe frame check sequences, not the link type.
    order = ">I" if big_endian else "<I"
    magic, link_type = struct.unpack_from(order, header)[0], struct.unpack_from(order, header, 20)[0] & 0xFFFF
    if link_type not in LINK_TYPES:
        raise NotFlowRecords(file.name, unsupported([link_type]))
    return magic, big_endian, per_microsecond, packet_header, link_type


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a capture, or its packets; see `read_capture`."""
    windows = Windows(file)
    first = windows.first()
    layout = _read_header(file, first.data)

    def walk(window: Window, at: int, buffers: PacketBuffers) -> Walk:
        address, size = window.data.ctypes.data, len(window.data)
        return Walk(*walk_packets(address, size, at, layout, buffers.packets, buffers.refused, buffers.not_ip))

    corrupt = f"a packet claims more than {LONGEST_PACKET} bytes, or another capture with another link type begins"
    yield from read_capture(file, context, windows, (first, _FILE_HEADER), walk, "packet", corrupt)


FORMAT = Format("pcap", sniff, read)
