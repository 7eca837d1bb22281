"""Measure the packets per second of the capture readers, and of dpkt on the same capture.

Run: python tests/benchmarks/pcap.py [--packets 4000000] [--output FILE.json]

A capture of TCP SYNs of 54 bytes, from 50,000 sources to one /16, is written to a temporary folder and is therefore in
the page cache. Each side reads it once before it is timed, so that compiling and loading the kernels does not count.
Rates are packets per second of processor time on one core, the best of several rounds, since other work on the machine
can only slow them down.

- walk: the compiled walk over the headers, which fills arrays of packets;
- per_packet: the walk, and Arrow batches with one flow record per packet and addresses as text;
- flows: the same with the packets of a 5-tuple merged into one record (here nearly every packet has its own 5-tuple);
- dpkt: dpkt's reader and its Ethernet, IP and TCP objects, with the same fields, without tables.
"""

import argparse
import io
import json
import platform
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import dpkt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from measuring import best_seconds

from telescope_transformer.records import scan_records
from telescope_transformer.records.capture import FULL, PacketBuffers
from telescope_transformer.records.formats.pcap import walk_packets

RESULTS = Path(__file__).parent / "results" / "pcap.json"
FRAME, PACKET_HEADER, FILE_HEADER = 54, 16, 24
DPKT_PACKETS = 100_000


def write_capture(path: Path, packets: int) -> None:
    """Write `packets` SYNs with random ports and sequence numbers, about 100,000 a second."""
    random = np.random.default_rng(0)
    records = np.zeros((packets, PACKET_HEADER + FRAME), dtype=np.uint8)
    times = 1_700_000_000_000_000 + np.cumsum(random.integers(0, 20, packets))
    records[:, 0:4] = (times // 1_000_000).astype("<u4").view(np.uint8).reshape(packets, 4)
    records[:, 4:8] = (times % 1_000_000).astype("<u4").view(np.uint8).reshape(packets, 4)
    records[:, 8] = records[:, 12] = FRAME
    frame = records[:, PACKET_HEADER:]
    frame[:, 12] = 0x08
    ip = frame[:, 14:]
    ip[:, 0], ip[:, 3], ip[:, 8], ip[:, 9] = 0x45, 40, 64, 6
    ip[:, 4:6] = random.integers(0, 256, (packets, 2))
    sources = random.integers(0, 256, (50_000, 4))
    ip[:, 12:16] = sources[random.integers(0, len(sources), packets)]
    ip[:, 16], ip[:, 17] = 198, 18
    ip[:, 18:28] = random.integers(0, 256, (packets, 10))
    ip[:, 32], ip[:, 33] = 0x50, 0x02
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    path.write_bytes(header + records.tobytes())


def walk_headers(path: Path) -> int:
    """Run only the compiled walk; returns the number of packets found."""
    data, buffers = np.memmap(path, dtype=np.uint8, mode="r"), PacketBuffers()
    at, found, status, layout = FILE_HEADER, 0, FULL, (0xA1B2C3D4, False, 1, 16, 1)
    while status == FULL:
        records, _, _, at, status = walk_packets(
            data.ctypes.data, len(data), at, layout, buffers.packets, buffers.refused, buffers.not_ip
        )
        found += records
    return found


def read_to_arrow(path: Path, per_packet: bool) -> int:
    """Run the whole reader as a user calls it; returns the number of packets in its batches."""
    scan = scan_records([path], per_packet=per_packet)
    return sum(pc.sum(batch.column("packets")).as_py() for batch in scan)


def read_with_dpkt(path: Path) -> int:
    """Read the same fields with dpkt; returns the number of packets found."""
    content = path.read_bytes()[: FILE_HEADER + DPKT_PACKETS * (PACKET_HEADER + FRAME)]
    fields = []
    for moment, frame in dpkt.pcap.Reader(io.BytesIO(content)):
        ip = dpkt.ethernet.Ethernet(frame).data
        tcp = ip.data
        fields.append((moment, ip.src, ip.dst, ip.p, tcp.sport, tcp.dport, ip.ttl, tcp.flags, ip.id, tcp.seq, ip.len))
    return len(fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    pa.set_cpu_count(1)
    results: dict[str, object] = {
        "machine": {"processor": platform.processor() or platform.machine(), "python": platform.python_version()},
        "packets": options.packets,
        "unit": "packets per second of processor time, one core, best round",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "syn.pcap"
        write_capture(path, options.packets)
        sides: dict[str, Callable[[], int]] = {
            "walk": lambda: walk_headers(path),
            "per_packet": lambda: read_to_arrow(path, per_packet=True),
            "flows": lambda: read_to_arrow(path, per_packet=False),
            "dpkt": lambda: read_with_dpkt(path),
        }
        for name, work in sides.items():
            found, seconds = best_seconds(work, options.rounds if name != "dpkt" else 1)
            expected = DPKT_PACKETS if name == "dpkt" else options.packets
            if found != min(expected, options.packets):
                raise SystemExit(f"{name} found {found} packets of {expected}")
            results[name] = round(found / seconds)
            print(f"{name:>10}: {found / seconds / 1e6:8.2f} million packets a second")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
