"""Shared code of pcap and pcapng: reads a capture in windows, and turns packets into chunks of flow records."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.records.context import ReadContext
from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.flows import FlowTable, as_bytes, to_batch
from telescope_transformer.records.packets import PACKET, REASONS
from telescope_transformer.records.rejects import REJECTS_SCHEMA, rejects_table
from telescope_transformer.records.validation import Chunk
from telescope_transformer.words import counted

PACKETS_PER_WALK = 1 << 16
WINDOW_BYTES = 16 << 20
LONGEST_PACKET = 1 << 18
"""Bytes. No capture program stores more of a packet (this is tcpdump's limit), so a larger length is corrupt."""

REFUSED = np.dtype([("at", np.int64), ("why", np.uint8)], align=True)

# Why a walk ended.
NEEDS_BYTES, FULL, AT_BLOCK, CORRUPT = range(4)


class Window(NamedTuple):
    """Part of a capture: its bytes, the offset of the first byte, and whether the capture ends with it."""

    data: np.ndarray
    base: int
    final: bool


class Walk(NamedTuple):
    """What a compiled walk did: records, skipped and refused packets, the next offset, and why it ended."""

    records: int
    skipped: int
    refused: int
    next: int
    status: int


class Windows:
    """Reads a capture window by window; each window begins with the bytes that the last walk left over.

    The last window ends at the end of the file, or where decompression fails; `damage` then says where. The file is
    read and not mapped into memory, because the process would be killed if another program truncated a mapped file
    (logrotate's copytruncate).
    """

    def __init__(self, file: InputFile) -> None:
        self._blocks = file.blocks()
        self._ended = False
        self.damage: DamagedInput | None = None

    def first(self) -> Window:
        """The first window."""
        return self.after(Window(np.empty(0, dtype=np.uint8), 0, False), 0)

    def after(self, window: Window, used: int) -> Window:
        """The next window: it begins `used` bytes into `window` and goes on with more bytes of the capture."""
        parts = [window.data[used:].tobytes()]
        size = len(parts[0])
        while size < WINDOW_BYTES + len(parts[0]):
            block = self._next_block()
            if not block:
                break
            parts.append(block)
            size += len(block)
        return Window(np.frombuffer(b"".join(parts), dtype=np.uint8), window.base + used, self._ended)

    def _next_block(self) -> bytes:
        try:
            block = next(self._blocks, b"")
        except DamagedInput as damage:
            self.damage, block = damage, b""
        self._ended = not block
        return block


class PacketBuffers:
    """Output arrays of a walk: packets (PACKET), offset and reason of refused packets (REFUSED), and the number of
    non-IP packets for each EtherType."""

    def __init__(self) -> None:
        self.packets = np.empty(PACKETS_PER_WALK, dtype=PACKET)
        self.refused = np.empty(PACKETS_PER_WALK, dtype=REFUSED)
        self.not_ip = np.zeros(1 << 16, dtype=np.int64)


class Collector:
    """Turns packets that walks find into chunks: a record per packet, or flow records by the rule of `flows.py`."""

    def __init__(self, file: InputFile, context: ReadContext) -> None:
        self._file = file.name
        self._context = context
        self._table = None if context.per_packet else FlowTable(context.inactivity_seconds)
        if self._table is not None:
            context.note(
                "packets of one 5-tuple form one flow record, until more than "
                f"{context.inactivity_seconds:g} s pass without a packet"
            )

    def chunks(self, walk: Walk, buffers: PacketBuffers, base: int) -> Iterator[Chunk]:
        """The chunks that a walk completes; the first one holds the walk's refused and skipped packets."""
        if not (walk.records or walk.refused or walk.skipped):
            return
        if walk.skipped:
            self._context.count_ethertypes(buffers.not_ip)
        rejects = self._rejects(walk, buffers, base)
        packets = buffers.packets[: walk.records]
        done = [packets] if self._table is None else self._table.add(packets)
        found = np.concatenate([as_bytes(part) for part in (packets[:0], *done)]).view(PACKET)
        if len(found) or walk.refused or walk.skipped:
            yield Chunk(to_batch(found), rejects, walk.skipped)

    def finish(self) -> Iterator[Chunk]:
        """The chunks of the flow records that are open at the end of the capture."""
        if self._table is not None:
            remaining = self._table.finish()
            for start in range(0, len(remaining), PACKETS_PER_WALK):
                yield Chunk(to_batch(remaining[start : start + PACKETS_PER_WALK]))

    def _rejects(self, walk: Walk, buffers: PacketBuffers, base: int) -> pa.Table:
        if not walk.refused:
            return REJECTS_SCHEMA.empty_table()
        refused = buffers.refused[: walk.refused]
        offsets = refused["at"] + base
        reasons = [REASONS[why] for why in refused["why"].tolist()]
        return rejects_table(self._file, offsets, "packet", [None] * walk.refused, reasons)


def read_capture(
    file: InputFile,
    context: ReadContext,
    windows: Windows,
    begin: tuple[Window, int],
    walk: Callable[[Window, int, PacketBuffers], Walk],
    unit: str,
    corrupt: str,
) -> Iterator[Chunk]:
    """Flow records of a capture, or its packets; reads everything before damage, then raises DamagedInput.

    Args:
        file: the capture.
        context: the user's options.
        windows: gives the windows after the first.
        begin: the first window, and where the packets begin in it.
        walk: reads packets from an offset of a window on, until the output is full or the bytes end.
        unit: what the capture consists of, for messages.
        corrupt: what is wrong with a unit that is not plausible.
    """
    (window, at), buffers, collector = begin, PacketBuffers(), Collector(file, context)
    while True:
        done = walk(window, at, buffers)
        yield from collector.chunks(done, buffers, window.base)
        at = done.next
        if done.status == FULL:
            continue
        if done.status == CORRUPT or window.final:
            break
        window, at = windows.after(window, at), 0
    yield from collector.finish()
    left = len(window.data) - at
    if windows.damage is not None:
        raise windows.damage
    if done.status == CORRUPT:
        raise DamagedInput(file.name, window.base + at, corrupt)
    if left:
        told = f"cut off within a {unit}, {counted(left, 'byte')} before the end"
        raise DamagedInput(file.name, window.base + at, told)
