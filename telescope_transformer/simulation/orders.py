"""The orders in which scanners walk the IPv4 space, as seen from a telescope.

A telescope sees a full sweep only where the walk passes its own addresses, so a walk is stored as the sorted positions
of those addresses. Positions and a rate give the times of all hits, without stepping through the walk.

- ZMap multiplies by a generator of the group modulo 2^32 + 15 (Durumeric et al., "ZMap: Fast Internet-wide Scanning
  and Its Security Applications", USENIX Security 2013, section 4.1).  The position of an address is its discrete
  logarithm. Pohlig and Hellman's method finds it, because the group's order has only small prime factors.
- Masscan encrypts a counter with a generalised Feistel cipher (Black and Rogaway, "Ciphers with Arbitrary Finite
  Domains", CT-RSA 2002, section 5).  Our cipher has the same structure with its own round function.
- The sipscan botnet walked in reverse byte order (Dainotti et al., "Analysis of a /0 Stealth Scan from a Botnet",
  IMC 2012, section 4).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

# The smallest prime above 2^32, and a primitive root modulo it (ZMap, section 4.1).
ZMAP_PRIME = 2**32 + 15
ZMAP_ORDER = ZMAP_PRIME - 1
ZMAP_ROOT = 3
# The order of the group, as powers of primes.
_FACTORS = ((2, 1), (3, 2), (5, 1), (131, 1), (364289, 1))
IPV4_SPACE = 2**32
# Rounds of the Feistel cipher; with four it is a strong pseudorandom permutation (Luby and Rackoff 1988).
_ROUNDS = 4


@dataclass(frozen=True)
class Walk:
    """The part of one walk through the IPv4 space that a telescope of n addresses sees.

    `positions` (n,) uint64 are sorted steps of the walk below `length`; `addresses` (n,) uint32 are hit at these
    steps.
    """

    positions: np.ndarray
    addresses: np.ndarray
    length: int


def zmap_walk(addresses: np.ndarray, exponent: int) -> Walk:
    """The walk of the generator 3^exponent; `exponent` must have no factor in common with the group's order."""
    inverse = pow(exponent, -1, ZMAP_ORDER)
    logarithms = np.empty(len(addresses), dtype=np.uint64)
    _scale(_logarithms(addresses.tobytes()), np.uint64(inverse), logarithms)
    return _walk(addresses, logarithms, ZMAP_ORDER)


def zmap_exponents(rng: np.random.Generator, count: int) -> list[int]:
    """Exponents whose powers of 3 generate the whole group."""
    exponents: list[int] = []
    while len(exponents) < count:
        exponent = int(rng.integers(1, ZMAP_ORDER))
        if all(exponent % prime for prime, _ in _FACTORS):
            exponents.append(exponent)
    return exponents


def masscan_walk(addresses: np.ndarray, seed: int) -> Walk:
    """The walk of a Feistel cipher over the IPv4 space with this seed."""
    return _walk(addresses, shuffle(addresses.astype(np.uint64), IPV4_SPACE, seed), IPV4_SPACE)


def reverse_byte_walk(addresses: np.ndarray) -> Walk:
    """The walk that counts in reverse byte order: the first octet changes fastest."""
    return _walk(addresses, addresses.astype(np.uint32).byteswap().astype(np.uint64), IPV4_SPACE)


def shuffle(values: np.ndarray, size: int, seed: int) -> np.ndarray:
    """A permutation of 0 .. size - 1 at `values` (n,) uint64: Black and Rogaway's generalised Feistel cipher."""
    left = max(int(size**0.5) - 2, 2)
    right = left + 5
    while left * right < size:
        right += 1
    out = np.empty(len(values), dtype=np.uint64)
    _feistel(values, np.uint64(size), np.uint64(left), np.uint64(right), np.uint64(seed), out)
    return out


def _walk(addresses: np.ndarray, positions: np.ndarray, length: int) -> Walk:
    order = np.argsort(positions)
    return Walk(positions[order], addresses[order].astype(np.uint32), length)


@lru_cache(maxsize=4)
def _logarithms(addresses: bytes) -> np.ndarray:
    """Discrete logarithms to base 3 of uint32 addresses; address 0 stands for the group's last element."""
    elements = np.frombuffer(addresses, dtype=np.uint32).astype(np.uint64)
    elements[elements == 0] = ZMAP_ORDER
    total = np.zeros(len(elements), dtype=np.uint64)
    for prime, power in _FACTORS:
        modulus = prime**power
        cofactor = ZMAP_ORDER // modulus
        residues = _residues(elements, np.uint64(cofactor), modulus)
        # Chinese remainder theorem: the term that is 1 modulo this factor and 0 modulo the others.
        term = cofactor * pow(cofactor, -1, modulus) % ZMAP_ORDER
        scaled = np.empty_like(total)
        _scale(residues, np.uint64(term), scaled)
        total = (total + scaled) % np.uint64(ZMAP_ORDER)
    return total


def _residues(elements: np.ndarray, cofactor: np.uint64, modulus: int) -> np.ndarray:
    """The logarithms modulo one factor, looked up among all powers of a root of that order."""
    root = pow(ZMAP_ROOT, int(cofactor), ZMAP_PRIME)
    powers = np.empty(modulus, dtype=np.uint64)
    _powers(np.uint64(root), powers)
    order = np.argsort(powers)
    projected = np.empty_like(elements)
    _raise_to(elements, cofactor, projected)
    return order[np.searchsorted(powers[order], projected)].astype(np.uint64)


@njit(cache=True, nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection that scatters all 64 bits."""
    value = (value + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def _multiply(left: np.uint64, right: np.uint64, modulus: np.uint64) -> np.uint64:
    """left * right modulo a number below 2^34, in halves because the product needs more than 64 bits."""
    high = (left >> np.uint64(16)) * right % modulus
    low = (left & np.uint64(0xFFFF)) * right
    return ((high << np.uint64(16)) + low) % modulus


@njit(cache=True, nogil=True)
def _scale(values: np.ndarray, factor: np.uint64, out: np.ndarray) -> None:
    for i in range(len(values)):
        out[i] = _multiply(values[i], factor, np.uint64(ZMAP_ORDER))


@njit(cache=True, nogil=True)
def _powers(root: np.uint64, out: np.ndarray) -> None:
    value = np.uint64(1)
    for i in range(len(out)):
        out[i] = value
        value = _multiply(value, root, np.uint64(ZMAP_PRIME))


@njit(cache=True, nogil=True)
def _raise_to(values: np.ndarray, exponent: np.uint64, out: np.ndarray) -> None:
    for i in range(len(values)):
        base, left, result = values[i], exponent, np.uint64(1)
        while left:
            if left & np.uint64(1):
                result = _multiply(result, base, np.uint64(ZMAP_PRIME))
            base = _multiply(base, base, np.uint64(ZMAP_PRIME))
            left >>= np.uint64(1)
        out[i] = result


@njit(cache=True, nogil=True)
def _feistel(
    values: np.ndarray, size: np.uint64, left: np.uint64, right: np.uint64, seed: np.uint64, out: np.ndarray
) -> None:
    for i in range(len(values)):
        value = values[i]
        while True:
            low, high = value % left, value // left
            for turn in range(1, _ROUNDS + 1):
                modulus = left if turn & 1 else right
                low, high = high, (low + mix(high ^ (seed + np.uint64(turn)))) % modulus
            value = left * high + low
            # Cycle walking: the domain is a little larger than the range.
            if value < size:
                break
        out[i] = value
