"""Addresses as columns: text to numbers and back, the canonical form, and the fold of IPv6 into 32 bits.

Canonical IPv4 is a dotted quad; canonical IPv6 follows RFC 5952; an IPv4-mapped IPv6 address is the IPv4 address. Text
of decimal digits only is an IPv4 address written as an integer. Leading zeros in an octet are refused, because
programs disagree on whether they mean octal. They are accepted if every octet is padded to three digits
(`192.000.002.001`).
"""

from ipaddress import IPv6Address
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from telescope_transformer.records import address_kernels as kernels
from telescope_transformer.records.address_kernels import EMPTY, IPV4, IPV6, MALFORMED
from telescope_transformer.records.text_columns import string_array, text_view

__all__ = [
    "EMPTY",
    "IPV4",
    "IPV6",
    "MALFORMED",
    "Addresses",
    "fold_address",
    "format_addresses",
    "format_ipv4",
    "network_of",
    "parse_addresses",
    "parse_ipv4",
]


class Addresses(NamedTuple):
    """n addresses: 64-bit halves (uint64; IPv4 in `low`) and `kind` (uint8: IPV4, IPV6, EMPTY or MALFORMED)."""

    high: np.ndarray
    low: np.ndarray
    kind: np.ndarray


def parse_addresses(values: pa.Array | pa.ChunkedArray) -> Addresses:
    """Parses a column of text, or of integers (IPv4 as unsigned 32-bit numbers); a null is EMPTY.

    Never raises on a value: text that is not an address gets the kind MALFORMED.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    rows = len(values)
    high = np.zeros(rows, dtype=np.uint64)
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        valid = (numbers >= 0) & (numbers <= 0xFFFFFFFF)
        kind = np.where(valid, IPV4, MALFORMED)
        kind[~np.asarray(values.is_valid())] = EMPTY
        return Addresses(high, np.where(valid, numbers, 0).astype(np.uint64), kind.astype(np.uint8))
    low = np.zeros(rows, dtype=np.uint64)
    kind = np.zeros(rows, dtype=np.uint8)
    text = text_view(values)
    kernels.parse_addresses(text.data, text.offsets, high, low, kind)
    return Addresses(high, low, kind)


def format_addresses(addresses: Addresses) -> pa.StringArray:
    """Canonical text of n addresses; EMPTY and MALFORMED ones become empty text."""
    rows = len(addresses.kind)
    longest = 39 if (addresses.kind == IPV6).any() else 15
    out = np.empty(rows * longest + 4, dtype=np.uint8)
    offsets = np.empty(rows + 1, dtype=np.int32)
    used = kernels.format_addresses(addresses.high, addresses.low, addresses.kind, out, offsets)
    return string_array(out[:used].copy(), offsets)


def parse_ipv4(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """IPv4 addresses as uint32 (n,), 0 where malformed, and whether each value is an IPv4 address (bool, n)."""
    addresses = parse_addresses(values)
    valid = addresses.kind == IPV4
    return np.where(valid, addresses.low, np.uint64(0)).astype(np.uint32), valid


def format_ipv4(numbers: np.ndarray) -> pa.StringArray:
    """Dotted quads of uint32 addresses (n,)."""
    low = np.asarray(numbers).astype(np.uint64)
    return format_addresses(Addresses(np.zeros_like(low), low, np.full(len(low), IPV4, dtype=np.uint8)))


def network_of(address: str) -> str:
    """The network that stands for one operator: the /24 of an IPv4 address, the /48 of an IPv6 address.

    A name that is not an address, such as a pseudonym, counts as its own network.

    Args:
        address: canonical text, as every stage has it.

    Example:
        >>> network_of("192.0.2.7"), network_of("2001:db8:1:2::1"), network_of("sensor-1")
        ('192.0.2.0/24', '2001:db8:1::/48', 'sensor-1')
    """
    if ":" in address:
        try:
            return f"{IPv6Address(int(IPv6Address(address)) >> 80 << 80)}/48"
        except ValueError:
            return address
    parts = address.split(".")
    return f"{'.'.join(parts[:3])}.0/24" if len(parts) == 4 and all(map(str.isdigit, parts)) else address


def fold_address(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Addresses as uint32 (n,), so that a model sees four octets of each: IPv4 as it is, IPv6 hashed.

    The octets of an IPv6 address are 240 plus 4 hashed bits of its /32, then 8 hashed bits each of its /48, its /64
    and all of it. Addresses with a common prefix therefore share their leading octets, as in IPv4. 240.0.0.0/4 is
    reserved (RFC 1112, section 4), so a folded address never equals a public IPv4 address. Text that is not an address
    folds to 0.
    """
    addresses = parse_addresses(values)
    folded = np.zeros(len(addresses.kind), dtype=np.uint32)
    kernels.fold_addresses(addresses.high, addresses.low, addresses.kind, folded)
    return folded
