"""Compare every packet of the captures in a folder, field by field, between the capture readers and tshark.

Run: python -m tests.benchmarks.captures DIR [--limit BYTES] [--show 3]

A packet agrees if all fields are equal: time, addresses, protocol, ports (for ICMP, type and code), TTL, IP id, TCP
flags, sequence number and length. If one side cannot read a capture, the capture is listed with the error message. For
corpora see docs/how-to/formats.md.
"""

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telescope_transformer.errors import TelescopeError
from telescope_transformer.records import read_records
from telescope_transformer.records.schema import ICMP, ICMPV6, PORT_PROTOCOLS, TCP

FIELDS = (
    *("frame.time_epoch", "ip.src", "ip.dst", "ip.proto", "ip.ttl", "ip.id", "ip.len", "ip.frag_offset"),
    *("ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.nxt", "ipv6.plen"),
    *("tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "udp.srcport", "udp.dstport"),
    *("sctp.srcport", "sctp.dstport", "dccp.srcport", "dccp.dstport", "icmp.type", "icmp.code"),
    *("icmpv6.type", "icmpv6.code"),
)
PORT_FIELDS = {6: "tcp", 17: "udp", 132: "sctp", 33: "dccp", 136: "udp"}
LONGEST_SECONDS = 120


def by_tshark(path: Path) -> Iterator[tuple[Any, ...]]:
    """The IP packets of a capture; behind IPv6 extension headers, only time and addresses.

    Raises CalledProcessError if tshark fails.
    """
    command = ["tshark", "-n", "-r", str(path), "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    command += ["-T", "fields", "-E", "occurrence=f", "-Y", "ip or ipv6"]
    command += [part for field in FIELDS for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST_SECONDS)
    for line in done.stdout.splitlines():
        values = dict(zip(FIELDS, line.split("\t"), strict=True))
        yield _four(values) if values["ip.src"] else _six(values)


def _number(text: str) -> int:
    return int(text, 0) if text else 0


def _micros(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0"))


def _transport(values: dict[str, str], protocol: int, first: bool) -> tuple[Any, ...]:
    """Ports, flags and sequence number; a fragment after the first has none."""
    if not first:
        return 0, 0, None, None
    if protocol in (ICMP, ICMPV6):
        name = "icmp" if protocol == ICMP else "icmpv6"
        return _number(values[f"{name}.type"]), _number(values[f"{name}.code"]), None, None
    if protocol not in PORT_PROTOCOLS:
        return 0, 0, None, None
    name = PORT_FIELDS[protocol]
    ports = _number(values[f"{name}.srcport"]), _number(values[f"{name}.dstport"])
    if protocol != TCP or not values["tcp.flags"]:
        return *ports, None, None
    return *ports, _number(values["tcp.flags"]) & 0xFF, _number(values["tcp.seq_raw"])


def _four(values: dict[str, str]) -> tuple[Any, ...]:
    protocol, first = _number(values["ip.proto"]), _number(values["ip.frag_offset"]) == 0
    head = _micros(values["frame.time_epoch"]), values["ip.src"], values["ip.dst"], protocol
    numbers = _number(values["ip.ttl"]), _number(values["ip.id"]), _number(values["ip.len"])
    return *head, *_transport(values, protocol, first), *numbers


def _six(values: dict[str, str]) -> tuple[Any, ...]:
    """Behind extension headers, only time and addresses: tshark does not give the last protocol as one field."""
    protocol = _number(values["ipv6.nxt"])
    ends = _micros(values["frame.time_epoch"]), values["ipv6.src"], values["ipv6.dst"]
    if protocol in (0, 43, 44, 51, 60, 135):
        return ends
    head = *ends, protocol
    numbers = _number(values["ipv6.hlim"]), None, 40 + _number(values["ipv6.plen"])
    return *head, *_transport(values, protocol, True), *numbers


NAMES = ("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port", "tcp_flags", "tcp_seq")
NAMES += ("ttl", "ip_id", "bytes")


def by_reader(path: Path) -> Iterator[tuple[Any, ...]]:
    """The packets of a capture as flow records; raises TelescopeError if it cannot be read."""
    for row in read_records(path, per_packet=True).table.to_pylist():
        yield tuple(row.get(name) for name in NAMES)


def compare(path: Path, show: int) -> tuple[str, Counter[str]]:
    """A line of the table, and the counts of packets."""
    try:
        theirs = Counter(by_tshark(path))
    except (subprocess.SubprocessError, ValueError) as error:
        complaint = getattr(error, "stderr", None) or str(error)
        return f"tshark: {complaint.strip().splitlines()[-1][:80]}", Counter(unread=1)
    try:
        partly = {packet for packet in theirs if len(packet) == 3}
        ours = Counter(packet[:3] if packet[:3] in partly else packet for packet in by_reader(path))
    except TelescopeError as error:
        kind = "nothing for either" if not theirs else f"{theirs.total()} packets for tshark"
        return f"{kind}: {str(error)[-100:]}", Counter(unread=1, missed=theirs.total())
    agreed, missed, extra = ours & theirs, theirs - ours, ours - theirs
    for sign, packets in (("-", missed), ("+", extra)):
        for packet in list(packets)[:show]:
            print(f"    {sign} {packet}")
    counts = Counter(agreed=agreed.total(), missed=missed.total(), extra=extra.total())
    return f"{agreed.total():>8,} agree {missed.total():>6,} only tshark {extra.total():>6,} only ours", counts


def main() -> int:
    """Print the table; returns 1 if a packet differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=20_000_000, help="Skip captures of more bytes than this.")
    parser.add_argument("--show", type=int, default=0, help="Packets that differ, to show of each capture.")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    found = sorted(arguments.folder.rglob("*"))
    paths = [path for path in found if path.suffix in (".pcap", ".pcapng", ".cap", ".trace")]
    for path in paths:
        if path.stat().st_size <= arguments.limit:
            line, counts = compare(path, arguments.show)
            total += counts
            print(f"{path.relative_to(arguments.folder)!s:60} {line}", flush=True)
    print(f"{len(paths):,} captures: " + ", ".join(f"{total[name]:,} {name}" for name in sorted(total)))
    return 1 if total["missed"] or total["extra"] else 0


if __name__ == "__main__":
    sys.exit(main())
