"""Compiled emission of the flow records that the sources of a population send within one slice of time.

Random numbers are hashes of a source's key and a counter, so a slice of time does not depend on earlier slices.
"""

from typing import Any

import numpy as np
from numba import njit

from telescope_transformer.fields import SECOND
from telescope_transformer.records.schema import TCP
from telescope_transformer.simulation.behaviours import (
    BACKSCATTER,
    MASSCAN,
    MISCONFIGURATION,
    RESEARCH,
    SLOW,
    WORM,
    ZMAP,
)
from telescope_transformer.simulation.orders import mix
from telescope_transformer.simulation.population import PACKETS_PER_TRY, Population

RECORD_DTYPE = np.dtype(
    [
        ("timestamp", "i8"), ("source", "i4"), ("dst_ip", "u4"), ("tcp_seq", "u4"), ("src_port", "u2"),
        ("dst_port", "u2"), ("ip_id", "u2"), ("protocol", "u1"), ("ttl", "u1"), ("tcp_flags", "u1"),
    ]
)  # fmt: skip
WALK_DTYPE = np.dtype([("position", "u8"), ("address", "u4")])

# TCP flags (RFC 9293), and the IP id of all probes of ZMap (its packet.c).
SYN, SYN_ACK, RST_ACK = 0x02, 0x12, 0x14
ZMAP_IP_ID = 54321


class Emitter:
    """Emits the records of a population slice by slice."""

    def __init__(self, population: Population):
        self._population = population
        n_targets = len(population.targets)
        self._walks = np.empty((len(population.walks), n_targets), dtype=WALK_DTYPE)
        for row, walk in zip(self._walks, population.walks, strict=True):
            row["position"], row["address"] = walk.positions, walk.addresses
        sources = population.sources
        # Contiguous copies, because every slice reads these columns completely.
        self._begin, self._end, self._rate = (np.ascontiguousarray(sources[name]) for name in ("begin", "end", "rate"))
        self._lengths = np.array([walk.length for walk in population.walks], dtype=np.uint64)

    def emit(self, start: int, stop: int) -> np.ndarray:
        """Generate records (n,) of `RECORD_DTYPE` with start <= timestamp < stop, in time order.

        Retransmissions of a try that began before `stop` belong to the same slice and may be some seconds later.
        """
        overlap = np.minimum(self._end, stop) - np.maximum(self._begin, start)
        expected = float(np.maximum(overlap, 0) @ self._rate)
        out = np.empty(int(expected * 1.2) + 1024, dtype=RECORD_DTYPE)
        needed = self._run(start, stop, out)
        if needed > len(out):
            out = np.empty(needed, dtype=RECORD_DTYPE)
            needed = self._run(start, stop, out)
        out = out[:needed]
        return out[np.argsort(np.ascontiguousarray(out["timestamp"]), kind="stable")]

    def _run(self, start: int, stop: int, out: np.ndarray) -> int:
        population = self._population
        return _emit(
            population.sources,
            population.ports,
            self._walks,
            self._lengths,
            np.array([start, stop]),
            population.targets,
            out,
        )


@njit(cache=True, nogil=True)
def _emit(
    sources: Any,
    ports: np.ndarray,
    walks: np.ndarray,
    lengths: np.ndarray,
    bounds: np.ndarray,
    targets: np.ndarray,
    out: np.ndarray,
) -> int:
    """Write the records that fit into `out`, and return how many records there are."""
    n = 0
    for i in range(len(sources)):
        source = sources[i]
        low, high = max(bounds[0], source.begin), min(bounds[1], source.end)
        if low >= high:
            continue
        if source.kind == MISCONFIGURATION:
            n = _emit_tries(source, i, ports, low, high, out, n)
        elif source.kind in (WORM, BACKSCATTER):
            n = _emit_poisson(source, i, ports, targets, low, high, out, n)
        else:
            n = _emit_walk(source, i, ports, walks[source.walk], lengths[source.walk], low, high, out, n)
    return n


@njit(cache=True, nogil=True)
def _emit_walk(
    source: Any,
    i: int,
    ports: np.ndarray,
    walk: Any,
    length: np.uint64,
    low: np.int64,
    high: np.int64,
    out: np.ndarray,
    n: int,
) -> int:
    """Write the hits of a walk between two times; each full pass of the source's span is one scan."""
    span, origin = np.int64(source.span), np.int64(source.origin)
    cycle = np.int64(length)
    first_step, last_step = (low - source.begin) * source.speed, (high - source.begin) * source.speed
    for scan in range(int(first_step // span), int(last_step // span) + 1):
        begin = max(first_step - scan * span, 0.0)
        end = min(last_step - scan * span, float(span))
        index = _first_at_least(walk, (origin + np.int64(np.ceil(begin))) % cycle)
        for _ in range(len(walk)):
            if index == len(walk):
                index = 0
            offset = (np.int64(walk[index].position) - origin) % cycle
            if offset < begin or offset >= end:
                break
            nonce = mix(source.key ^ mix(np.uint64(offset) + np.uint64(scan) * length))
            # The choice of the actor's source that takes this step must not depend on the key of the source.
            owner = mix(walk[index].position + np.uint64(scan) * length) % np.uint64(source.shards)
            if source.kind != SLOW or owner == np.uint64(source.shard):
                time = source.begin + np.int64((scan * span + offset) / source.speed)
                choice = np.uint64(scan) if source.kind == ZMAP else nonce >> np.uint64(8)
                n = _write(source, i, ports, min(max(time, low), high - 1), walk[index].address, nonce, choice, out, n)
            index += 1
    return n


@njit(cache=True, nogil=True)
def _first_at_least(walk: Any, position: np.int64) -> int:
    low, high = 0, len(walk)
    while low < high:
        middle = (low + high) // 2
        if np.int64(walk[middle].position) < position:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _emit_poisson(
    source: Any, i: int, ports: np.ndarray, targets: np.ndarray, low: int, high: int, out: np.ndarray, n: int
) -> int:
    """Write independent, uniformly chosen destinations at the times of a Poisson process."""
    state = mix(source.key ^ np.uint64(low))
    time = float(low)
    while True:
        state = mix(state)
        uniform = (float(state >> np.uint64(11)) + 0.5) / 9007199254740992.0
        time -= np.log(uniform) / source.rate
        if time >= high:
            return n
        nonce = mix(state ^ np.uint64(0xA5A5A5A5))
        target = targets[(nonce >> np.uint64(20)) % np.uint64(len(targets))]
        n = _write(source, i, ports, np.int64(time), target, nonce, nonce >> np.uint64(8), out, n)


@njit(cache=True, nogil=True)
def _emit_tries(source: Any, i: int, ports: np.ndarray, low: int, high: int, out: np.ndarray, n: int) -> int:
    """Write tries of one destination at a fixed period, retransmitted after 1 s and 3 s (RFC 6298, section 5)."""
    first = -((source.begin - low) // source.period)
    for attempt in range(first, (high - 1 - source.begin) // source.period + 1):
        time = source.begin + attempt * source.period
        for packet in range(PACKETS_PER_TRY):
            nonce = mix(source.key + np.uint64(attempt * PACKETS_PER_TRY + packet))
            jitter = np.int64(nonce % np.uint64(20_000))
            late = time + ((1 << packet) - 1) * SECOND + jitter
            n = _write(source, i, ports, late, source.target, nonce, np.uint64(attempt), out, n)
    return n


@njit(cache=True, nogil=True)
def _write(
    source: Any,
    i: int,
    ports: np.ndarray,
    time: np.int64,
    target: int,
    nonce: np.uint64,
    choice: np.uint64,
    out: np.ndarray,
    n: int,
) -> int:
    """Write one record, with the header values that its tool sets."""
    if n >= len(out):
        return n + 1
    port = ports[source.first_port + np.int64(choice % np.uint64(source.ports))]
    protocol, kind = port >> np.uint32(16), source.kind
    record = out[n]
    record.timestamp, record.source, record.dst_ip = time, i, target
    record.protocol, record.ttl = protocol, source.ttl
    record.dst_port, record.src_port = port & np.uint32(0xFFFF), source.src_port
    record.tcp_flags, record.tcp_seq = SYN, np.uint32(nonce >> np.uint64(32))
    record.ip_id = np.uint16(nonce >> np.uint64(16))
    if kind in (ZMAP, RESEARCH):
        record.ip_id = ZMAP_IP_ID
        record.src_port = np.uint16(np.uint64(32768) + nonce % np.uint64(28233))
    elif kind == MASSCAN:
        record.ip_id = np.uint16((target ^ record.dst_port ^ record.tcp_seq) & np.uint32(0xFFFF))
    elif kind == WORM:
        record.tcp_seq = target
    elif kind == SLOW:
        record.src_port = np.uint16(np.uint64(1024) + nonce % np.uint64(64511))
    elif kind == BACKSCATTER:
        record.src_port = record.dst_port
        record.dst_port = np.uint16(np.uint64(1024) + nonce % np.uint64(64511))
        record.tcp_flags = RST_ACK if nonce & np.uint64(3) == 0 else SYN_ACK
    elif kind == MISCONFIGURATION:
        # A network stack that counts its packets.
        record.ip_id = np.uint16(source.src_port + (time // SECOND) % 65521)
    if protocol != TCP:
        record.tcp_flags, record.tcp_seq = 0, 0
    return n + 1
