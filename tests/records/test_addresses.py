"""Addresses against the standard library: parsing, canonical text, integers, and the fold of IPv6."""

import ipaddress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telescope_transformer.records.addresses import (
    IPV4,
    IPV6,
    MALFORMED,
    fold_address,
    format_addresses,
    format_ipv4,
    network_of,
    parse_addresses,
    parse_ipv4,
)
from telescope_transformer.records.sensors import ABSENT_DESTINATION, SensorNames, hashed_address, is_sensor_name

# Masking produces runs of zero groups, for which RFC 5952 defines the canonical text.
sparse_6 = st.builds(
    lambda value, mask: ipaddress.IPv6Address(value & mask),
    st.integers(0, 2**128 - 1),
    st.lists(st.sampled_from(["0000", "ffff", "000f"]), min_size=8, max_size=8).map(
        lambda parts: int("".join(parts), 16)
    ),
)


def canonical(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def canonical_addresses(values: pa.Array | pa.ChunkedArray) -> tuple[pa.StringArray, np.ndarray]:
    """Canonical text of addresses, and whether each value is one (bool, n)."""
    addresses = parse_addresses(values)
    return format_addresses(addresses), np.isin(addresses.kind, (IPV4, IPV6))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.ip_addresses(), sparse_6), max_size=20))
def test_every_form_of_an_address_becomes_its_canonical_text(
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    forms = [form for one in addresses for form in (str(one), one.exploded, one.exploded.upper(), f" {one}\t")]
    text, valid = canonical_addresses(pa.array(forms, pa.string()))
    assert valid.all()
    assert text.to_pylist() == [canonical(one) for one in addresses for _ in range(4)]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text(alphabet="0123456789abcdefABCDEF:.g ", max_size=45))
def test_addresses_that_ipaddress_refuses_are_refused(text: str) -> None:
    stripped = text.strip(" ")
    try:
        expected: str | None = canonical(ipaddress.ip_address(stripped))
    except ValueError:
        expected = None
    if stripped.isdigit() and int(stripped) < 2**32 and len(stripped) <= 10:
        expected = str(ipaddress.IPv4Address(int(stripped)))
    found, valid = canonical_addresses(pa.array([text]))
    assert (found[0].as_py() if valid[0] else None) == expected


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_ipv4_numbers_round_trip(numbers: list[int]) -> None:
    column = format_ipv4(np.array(numbers, dtype=np.uint32))
    assert column.to_pylist() == [str(ipaddress.IPv4Address(number)) for number in numbers]
    found, valid = parse_ipv4(column)
    assert valid.all()
    assert found.tolist() == numbers


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_every_arrow_type_in_slices_and_chunks(kind: pa.DataType) -> None:
    column = pa.array(["x", "192.0.2.1", None, "2001:db8::1"]).cast(kind)
    chunks = pa.chunked_array([column.slice(1), column.slice(0, 1)])
    text, valid = canonical_addresses(chunks)
    assert text.to_pylist() == ["192.0.2.1", "", "2001:db8::1", ""]
    assert valid.tolist() == [True, False, True, False]


def test_integers_up_to_32_bits_are_ipv4_addresses() -> None:
    parsed = parse_addresses(pa.array([0, 2**32 - 1, 2**32, -1]))
    assert parsed.kind.tolist() == [IPV4, IPV4, MALFORMED, MALFORMED]


def test_folded_ipv6_shares_octets_as_its_prefixes_do() -> None:
    texts = ["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1", "2001:db8:2:1::1", "192.0.2.1", "x"]
    folded = fold_address(pa.array(texts))
    octets = folded.view(np.uint8).reshape(-1, 4)[:, ::-1].tolist()
    assert octets[0][:3] == octets[1][:3]
    assert octets[0][:2] == octets[2][:2]
    assert octets[0][:1] == octets[3][:1]
    assert len({tuple(one) for one in octets[:4]}) == 4
    assert all(one[0] >= 240 for one in octets[:4])
    assert octets[4:] == [[192, 0, 2, 1], [0, 0, 0, 0]]
    # Trained models depend on the fold, so it must never change.
    assert folded[0] == 4_190_362_432


def test_sensor_names_that_hash_alike_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    real = hashed_address
    monkeypatch.setattr(
        "telescope_transformer.records.sensors.hashed_address",
        lambda name, attempt=0: ABSENT_DESTINATION + 5 if attempt == 0 else real(name, attempt),
    )
    sensors = SensorNames()
    assert sensors.number("a") != sensors.number("b")
    assert sensors.number("b") == sensors.number("b")
    assert sensors.collisions == ["b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sensor-1", True),
        ("cafe", True),
        ("300.1.2.3", False),
        ("::x", False),
        ("a\nb", False),
        ("x" * 300, False),
        ("True", False),
        ("203.0\xff113.1", False),
        ("10.号", False),
        ("10号", True),
    ],
)
def test_a_misspelt_address_is_not_taken_for_a_sensor_name(text: str, expected: bool) -> None:
    assert is_sensor_name(text) is expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.ip_addresses(), sparse_6))
def test_networks_agree_with_ipaddress(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    text = canonical(address)
    expected = ipaddress.ip_network(f"{text}/{48 if ':' in text else 24}", strict=False)
    assert ipaddress.ip_network(network_of(text)) == expected


@pytest.mark.parametrize("name", ["sensor-1", "a.b.c.d", "not:an:address", "", "1.2.3"])
def test_a_text_that_is_no_address_is_its_own_network(name: str) -> None:
    assert network_of(name) == name
