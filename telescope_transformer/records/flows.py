"""Turns packets into flow records.

The rule: a flow record begins with the first packet of a 5-tuple (source, destination, protocol, both ports, in this
direction) and takes from it the time, TTL, IP id, TCP flags and sequence number. Later packets of the 5-tuple add to
`packets` and `bytes`. A packet that comes more than the inactivity time after the last one begins a new record. Flow
records do not cross the end of a file.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from telescope_transformer.records.addresses import IPV4, Addresses, format_addresses
from telescope_transformer.records.packets import PACKET, Record
from telescope_transformer.records.schema import flow_schema

# The number of slots must be a power of two.
_FIRST_LIMIT = 1 << 17
# Space for this many flows is reserved at the start. Unused memory costs only address space, whereas moving flows to a
# larger array costs more time than finding them.
_RESERVED = 1 << 22
_GROWTH = 4
_LOOKAHEAD = 256
_TAG = np.uint64(0xFFFFFFFF00000000)
CAPTURE_SCHEMA = flow_schema({"ttl", "tcp_flags", "ip_id", "tcp_seq", "packets", "bytes"})


@njit(cache=True, nogil=True)
def _hash(packet: Record) -> np.uint64:
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    ports = (np.uint64(packet.src_port) << np.uint64(24)) | (np.uint64(packet.dst_port) << np.uint64(8))
    value: np.uint64 = (packet.src_low ^ (packet.src_high * np.uint64(0xC2B2AE3D27D4EB4F))) * multiplier
    value ^= value >> np.uint64(32)
    value = (value ^ packet.dst_low ^ (packet.dst_high * np.uint64(0x165667B19E3779F9))) * multiplier
    value ^= value >> np.uint64(29)
    value = (value ^ ports ^ np.uint64(packet.protocol)) * multiplier
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _same_tuple(one: Record, other: Record) -> bool:
    return bool(
        one.src_low == other.src_low
        and one.dst_low == other.dst_low
        and one.src_port == other.src_port
        and one.dst_port == other.dst_port
        and one.protocol == other.protocol
        and one.kind == other.kind
        and one.src_high == other.src_high
        and one.dst_high == other.dst_high
    )


@njit(cache=True, nogil=True)
def _aggregate(
    packets: np.ndarray, start: int, flows: np.ndarray, count: int, slots: np.ndarray, timeout: int
) -> tuple[int, int]:
    """Adds packets to flows until either array ends; returns the numbers of packets done and of flows.

    A slot holds the upper half of a 5-tuple's hash and the index of its latest flow plus one; 0 is a free slot.
    """
    mask = np.uint64(len(slots) - 1)
    hashes = np.empty(_LOOKAHEAD, dtype=np.uint64)
    entries = np.empty(_LOOKAHEAD, dtype=np.uint64)
    for base in range(start, len(packets), _LOOKAHEAD):
        stop = min(base + _LOOKAHEAD, len(packets))
        # Slots are scattered in memory: touching those of several packets first lets the processor fetch them at once.
        for index in range(base, stop):
            hashes[index - base] = _hash(packets[index])
            entries[index - base] = slots[hashes[index - base] & mask]
        for done in range(base, stop):
            packet = packets[done]
            slot, known = _find(packet, hashes[done - base], flows, slots)
            if known >= 0 and packet.timestamp - flows[known].last <= timeout:
                flow = flows[known]
                flow.packets += np.uint32(1)
                flow.bytes += packet.bytes
                flow.last = max(flow.last, packet.timestamp)
                continue
            if count == len(flows):
                return done, count
            flows[count] = packet
            count += 1
            slots[slot] = (hashes[done - base] & _TAG) | np.uint64(count)
    return len(packets), count


@njit(cache=True, nogil=True)
def _find(packet: Record, hashed: np.uint64, flows: np.ndarray, slots: np.ndarray) -> tuple[np.uint64, int]:
    """The slot of a packet's 5-tuple, taken or free, and the index of its latest flow, -1 if there is none."""
    mask = np.uint64(len(slots) - 1)
    slot = hashed & mask
    while slots[slot] != 0:
        entry = slots[slot]
        if (entry & _TAG) == (hashed & _TAG):
            index = int(entry & ~_TAG) - 1
            if _same_tuple(flows[index], packet):
                return slot, index
        slot = (slot + np.uint64(1)) & mask
    return slot, -1


@njit(cache=True, nogil=True)
def _index_flows(flows: np.ndarray, count: int, slots: np.ndarray) -> None:
    """Enters the first `count` flows into empty slots; if a 5-tuple has several flows, the last one stays."""
    for index in range(count):
        hashed = _hash(flows[index])
        slot, _ = _find(flows[index], hashed, flows, slots)
        slots[slot] = (hashed & _TAG) | np.uint64(index + 1)


def as_bytes(records: np.ndarray) -> np.ndarray:
    """PACKET records (n,) as opaque bytes, which NumPy copies as a whole instead of field by field."""
    return records.view(f"V{PACKET.itemsize}")


class FlowTable:
    """Open flow records of one capture; memory grows with the 5-tuples seen within one inactivity time."""

    def __init__(self, inactivity_seconds: float) -> None:
        self._timeout = round(inactivity_seconds * 1_000_000)
        self._flows = np.empty(_RESERVED, dtype=PACKET)
        self._slots = np.zeros(2 * _FIRST_LIMIT, dtype=np.uint64)
        self._limit = _FIRST_LIMIT
        self._count = 0
        self._now = 0

    def add(self, packets: np.ndarray) -> list[np.ndarray]:
        """Adds packets (PACKET, n) in the order of the capture, and returns the flow records that they ended."""
        ended: list[np.ndarray] = []
        done = 0
        while done < len(packets):
            start = done
            # Never more flows than half the slots, so that a search always ends at a free one.
            flows = self._flows[: self._limit]
            done, self._count = _aggregate(packets, start, flows, self._count, self._slots, self._timeout)
            self._now = max(self._now, int(packets["timestamp"][start:done].max(initial=0)))
            if done < len(packets):
                ended.append(self._make_room())
        return ended

    def finish(self) -> np.ndarray:
        """All flow records still open, in the order of their first packets."""
        remaining = self._flows[: self._count]
        self._count = 0
        return remaining

    def _make_room(self) -> np.ndarray:
        """Removes the flows that can no longer go on if they fill half of the table; otherwise enlarges the table."""
        flows = self._flows[: self._count]
        over = flows["last"] < self._now - self._timeout
        ended = flows[:0]
        if 2 * int(over.sum()) >= len(over):
            ended, going_on = as_bytes(flows)[over].view(PACKET), as_bytes(flows)[~over]
            self._count = len(going_on)
            as_bytes(self._flows)[: self._count] = going_on
            self._slots[:] = 0
        else:
            fits = self._limit < len(self._flows)
            self._limit = min(_GROWTH * self._limit, len(self._flows)) if fits else _GROWTH * self._limit
            self._slots = np.zeros(2 * self._limit, dtype=np.uint64)
            if not fits:
                self._flows = np.empty(self._limit, dtype=PACKET)
                as_bytes(self._flows)[: self._count] = as_bytes(flows)
        _index_flows(self._flows, self._count, self._slots)
        return ended


def to_batch(records: np.ndarray) -> pa.RecordBatch:
    """Packets or flow records (PACKET, n) as a batch of CAPTURE_SCHEMA; null if the protocol lacks the field."""

    def text(end: str) -> pa.StringArray:
        high, low = (np.ascontiguousarray(records[f"{end}_{half}"]) for half in ("high", "low"))
        return format_addresses(Addresses(high, low, np.ascontiguousarray(records["kind"])))

    not_tcp = records["has_tcp"] == 0
    absent = {"tcp_flags": not_tcp, "tcp_seq": not_tcp, "ip_id": records["kind"] != IPV4}
    columns = [
        text(field.name[:3])
        if field.name in ("src_ip", "dst_ip")
        else pa.array(np.ascontiguousarray(records[field.name]), field.type, mask=absent.get(field.name))
        for field in CAPTURE_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CAPTURE_SCHEMA)
