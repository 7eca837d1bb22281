"""The join of addresses with prefixes, compared with a plain search for the longest prefix."""

import ipaddress

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from telescope_transformer.labels import Entry, Prefix, PrefixLabels, label_records

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(version: int, address: int, length: int) -> Network:
    bits = 32 if version == 4 else 128
    # The upper bits have few distinct values, so that prefixes are nested or equal.
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    return kind(((address << (bits - 6)) % (1 << bits) | address, min(length, bits)), strict=False)


def labels_of(*entries: tuple[Network, str]) -> PrefixLabels:
    return PrefixLabels.from_entries(
        Entry(Prefix(one.version, int(one.network_address), int(one.broadcast_address)), label)
        for one, label in entries
    )


networks = st.builds(network, st.sampled_from([4, 6]), st.integers(0, 63), st.integers(0, 128))
entries = st.lists(st.tuples(networks, st.sampled_from("abc")), max_size=30)


def longest_match(entries: list[tuple[Network, str]], text: str) -> str | None:
    address = ipaddress.ip_address(text)
    matching = [(one.prefixlen, label) for one, label in entries if address in one]
    longest = max((length for length, _ in matching), default=None)
    return min((label for length, label in matching if length == longest), default=None)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(entries)
def test_the_longest_prefix_wins(entries: list[tuple[Network, str]]) -> None:
    labels = labels_of(*entries)
    edges = {int(bound) for one, _ in entries for bound in (one[0], one[-1])}
    numbers = sorted({edge + step for edge in edges | {0} for step in (-1, 0, 1)})
    texts = [str(ipaddress.IPv4Address(one)) for one in numbers if 0 <= one < 1 << 32]
    six = [ipaddress.IPv6Address(one) for one in numbers if 0 <= one < 1 << 128]
    texts += [str(one) for one in six if one.ipv4_mapped is None]
    assert labels.label(pa.array(texts, pa.string())).to_pylist() == [longest_match(entries, one) for one in texts]


def test_ties_are_reported_and_the_first_label_wins() -> None:
    prefix = ipaddress.ip_network("192.0.2.0/24")
    labels = labels_of((prefix, "b"), (prefix, "a"), (ipaddress.ip_network("192.0.2.0/25"), "c"))
    assert labels.ties == [("192.0.2.0/24", ("a", "b"))]
    assert (
        "1 prefix is in several lists: the alphabetically first label counts (192.0.2.0/24: a, b)" in labels.summary()
    )
    assert labels.label(pa.array(["192.0.2.1", "192.0.2.200", "x", None])).to_pylist() == ["c", "a", None, None]


def test_records_keep_their_own_label_where_no_prefix_matches() -> None:
    labels = labels_of((ipaddress.ip_network("192.0.2.0/24"), "acme"))
    table = pa.table({"src_ip": pa.chunked_array([["192.0.2.1"], ["198.51.100.1"]])})
    assert label_records(table, labels).column("label").to_pylist() == ["acme", None]
    labelled = table.append_column("label", pa.array(["malicious", "malicious"]))
    assert label_records(labelled, labels).column("label").to_pylist() == ["acme", "malicious"]
    assert label_records(table.slice(0, 0), labels).column("label").to_pylist() == []
