"""Packets to flow records, against the rule written plainly."""

import numpy as np
import pytest

from telescope_transformer.records import flows
from telescope_transformer.records.address_kernels import IPV4, IPV6
from telescope_transformer.records.packets import PACKET

SECOND = 1_000_000
TUPLE = ("src_high", "src_low", "dst_high", "dst_low", "src_port", "dst_port", "protocol", "kind")


def packets_of(rng: np.random.Generator, number: int, values: int, gap: float) -> np.ndarray:
    """Packets in the order of time, whose 5-tuples differ in each of their fields."""
    packets = np.zeros(number, dtype=PACKET)
    for name in TUPLE:
        packets[name] = rng.integers(0, values, number)
    packets["kind"] = np.where(packets["kind"] % 2, IPV6, IPV4)
    for name in ("ttl", "ip_id", "tcp_flags", "tcp_seq"):
        packets[name] = rng.integers(0, 200, number)
    packets["bytes"] = rng.integers(40, 1500, number)
    packets["packets"] = 1
    packets["timestamp"] = packets["last"] = np.cumsum(rng.exponential(gap, number) * SECOND).astype(np.int64)
    return packets


def flows_plainly(packets: np.ndarray, timeout: float) -> list[tuple]:
    """The flow records by the rule of the module, in the order of their first packets."""
    found: list[np.void] = []
    latest: dict[tuple, np.void] = {}
    for packet in packets:
        key = tuple(packet[name] for name in TUPLE)
        flow = latest.get(key)
        if flow is not None and packet["timestamp"] - flow["last"] <= timeout * SECOND:
            flow["packets"] += 1
            flow["bytes"] += packet["bytes"]
            flow["last"] = packet["timestamp"]
            continue
        latest[key] = packet.copy()
        found.append(latest[key])
    return [flow.item() for flow in found]


@pytest.mark.parametrize(
    ("values", "gap", "timeout"),
    [(1, 1.0, 1.0), (2, 0.05, 5.0), (2, 0.05, 60.0), (3, 0.01, 3.0), (50, 0.01, 0.5), (50, 0.01, 60.0)],
)
def test_flows_follow_the_rule(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, values: int, gap: float, timeout: float
) -> None:
    # The table grows, and forgets flows that have ended.
    monkeypatch.setattr(flows, "_FIRST_LIMIT", 64)
    monkeypatch.setattr(flows, "_RESERVED", 128)
    packets = packets_of(rng, 3000, values, gap)
    table = flows.FlowTable(timeout)
    parts = [part for begin in range(0, len(packets), 700) for part in table.add(packets[begin : begin + 700])]
    found = [flow for part in [*parts, table.finish()] for flow in part.tolist()]
    assert sorted(found) == sorted(flows_plainly(packets, timeout))
    assert table.finish().size == 0
    if not parts:
        assert found == flows_plainly(packets, timeout)


def test_a_silence_of_exactly_the_timeout_does_not_end_a_flow() -> None:
    packets = np.zeros(3, dtype=PACKET)
    packets["packets"], packets["kind"] = 1, IPV4
    packets["timestamp"] = packets["last"] = [0, 2 * SECOND, 4 * SECOND + 1]
    table = flows.FlowTable(2.0)
    assert table.add(packets) == []
    assert table.finish()["packets"].tolist() == [2, 1]


def test_fields_that_a_packet_lacks_are_null() -> None:
    packets = np.zeros(2, dtype=PACKET)
    packets["kind"], packets["has_tcp"] = [IPV4, IPV6], [1, 0]
    packets["src_low"], packets["dst_low"], packets["dst_port"] = 0xC0000201, 1, 443
    first, second = flows.to_batch(packets).to_pylist()
    assert (first["src_ip"], first["dst_ip"], second["dst_ip"]) == ("192.0.2.1", "0.0.0.1", "::1")
    assert (first["ip_id"], first["tcp_flags"], first["tcp_seq"], first["dst_port"]) == (0, 0, 0, 443)
    assert (second["ip_id"], second["tcp_flags"], second["tcp_seq"]) == (None, None, None)
