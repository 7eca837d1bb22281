"""Tool fingerprints on crafted records of each tool, on random ones, and on the real captures."""

import ipaddress
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from telescope_transformer.labels import add_tools, tool_fingerprints
from telescope_transformer.records import FLOW_SCHEMA, read_records

Record = dict[str, Any]
SECRET = 0x5EC2E75A


def syn(rng: np.random.Generator, **changes: Any) -> Record:
    """A SYN with random header fields."""
    record = {
        "timestamp": 0,
        "src_ip": "192.0.2.1",
        "dst_ip": str(ipaddress.IPv4Address(int(rng.integers(2**32)))),
        "protocol": 6,
        "src_port": int(rng.integers(65536)),
        "dst_port": int(rng.integers(65536)),
        "tcp_flags": 2,
        "ip_id": int(rng.integers(54_000)),
        "tcp_seq": int(rng.integers(2**32)),
    }
    return record | changes


def number(record: Record) -> int:
    return int(ipaddress.IPv4Address(record["dst_ip"]))


def zmap(rng: np.random.Generator) -> Record:
    return syn(rng, ip_id=54321)


def masscan(rng: np.random.Generator) -> Record:
    record = syn(rng)
    return record | {"ip_id": (number(record) ^ record["dst_port"] ^ record["tcp_seq"]) & 0xFFFF}


def mirai(rng: np.random.Generator) -> Record:
    record = syn(rng)
    return record | {"tcp_seq": number(record)}


def unicornscan(rng: np.random.Generator, swapped: bool = False) -> Record:
    record = syn(rng)
    address = int.from_bytes(number(record).to_bytes(4, "little" if swapped else "big"), "big")
    return record | {"tcp_seq": SECRET ^ address ^ ((record["dst_port"] << 16) + record["src_port"])}


def unicornscan_swapped(rng: np.random.Generator) -> Record:
    return unicornscan(rng, swapped=True)


def nmap(rng: np.random.Generator) -> Record:
    attempt = int(rng.integers(3))
    return syn(rng, tcp_seq=SECRET ^ (attempt << 16 | attempt))


def table_of(records: list[Record]) -> pa.Table:
    names = [name for name in FLOW_SCHEMA.names if name in records[0]]
    return pa.Table.from_pylist(records, schema=pa.schema([FLOW_SCHEMA.field(name) for name in names]))


@pytest.mark.parametrize("make", [zmap, masscan, mirai, unicornscan, unicornscan_swapped, nmap])
def test_packets_of_a_tool_are_recognised(
    rng: np.random.Generator, make: Callable[[np.random.Generator], Record]
) -> None:
    found = tool_fingerprints(table_of([make(rng) for _ in range(50)])).to_pylist()
    assert found == [make.__name__.removesuffix("_swapped")] * 50


def test_random_headers_match_no_tool(rng: np.random.Generator) -> None:
    sources = [f"192.0.2.{index % 50}" for index in range(500)]
    records = [syn(rng, src_ip=source) for source in sources]
    assert tool_fingerprints(table_of(records)).null_count == 500


def test_a_constant_sequence_number_is_not_nmap(rng: np.random.Generator) -> None:
    assert tool_fingerprints(table_of([syn(rng, tcp_seq=SECRET) for _ in range(9)])).null_count == 9


def test_each_source_is_recognised_separately(rng: np.random.Generator) -> None:
    records = [nmap(rng) | {"src_ip": "192.0.2.2"} for _ in range(9)] + [syn(rng) for _ in range(9)]
    assert tool_fingerprints(table_of(records)).to_pylist() == ["nmap"] * 9 + [None] * 9


def test_replies_and_other_protocols_have_no_tcp_marks(rng: np.random.Generator) -> None:
    reply = mirai(rng) | {"tcp_flags": 0x12}
    udp = mirai(rng) | {"protocol": 17, "tcp_flags": None}
    probe = zmap(rng) | {"protocol": 17, "tcp_flags": None, "tcp_seq": None}
    assert tool_fingerprints(table_of([reply, udp, probe])).to_pylist() == [None, None, "zmap"]


def test_records_without_header_columns_have_no_tool(rng: np.random.Generator) -> None:
    table = table_of([mirai(rng)]).drop_columns(["ip_id", "tcp_seq", "tcp_flags"])
    assert add_tools(table).column("tool").to_pylist() == [None]
    assert tool_fingerprints(table.slice(0, 0)).to_pylist() == []


def test_given_tools_are_kept_without_a_fingerprint(rng: np.random.Generator) -> None:
    table = table_of([syn(rng), mirai(rng)]).append_column("tool", pa.array(["masscan", "masscan"]))
    assert add_tools(table).column("tool").to_pylist() == ["masscan", "mirai"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("masscan_tcp_0_1000", {"masscan": 1001, None: 4}),
        ("masscan_udp_0_1000", {None: 1001}),
        ("nmap_80_vanilla", {None: 11}),
        ("slips_test7_malicious", {None: 1969}),
        ("SYNTHETIC_scapy_rawip_uqo", {None: 375}),
    ],
)
def test_real_captures(shared: Path, name: str, expected: dict[str | None, int]) -> None:
    table = read_records([shared / "fixtures/pcap" / f"{name}.pcap"], per_packet=True).table
    assert Counter(tool_fingerprints(table).to_pylist()) == expected
