"""Compiled parsing and writing of IPv4 and IPv6 text; `addresses.py` is their interface on Arrow columns.

An address is three numbers: `high` and `low` (the two 64-bit halves; an IPv4 address is in `low`) and `kind`.
"""

import numpy as np
from numba import njit

from telescope_transformer.records.text_columns import trim

EMPTY, IPV4, IPV6, MALFORMED = 0, 4, 6, 255


@njit(cache=True, nogil=True)
def _parse_dotted(data: np.ndarray, start: int, stop: int) -> int:
    """Parses a dotted quad; -1 if malformed. Leading zeros are accepted only if all octets have three digits."""
    padded = stop - start == 15
    value = 0
    octets = 0
    position = start
    while position < stop:
        octet = 0
        digits = 0
        while position < stop and 48 <= data[position] <= 57 and digits < 4:
            octet = octet * 10 + (data[position] - 48)
            digits += 1
            position += 1
        if (
            digits == 0
            or octet > 255
            or (digits > 1 and data[position - digits] == 48 and not (padded and digits == 3))
        ):
            return -1
        value = value * 256 + octet
        octets += 1
        if position == stop:
            return value if octets == 4 else -1
        if data[position] != 46 or octets == 4:
            return -1
        position += 1
    return -1


@njit(cache=True, nogil=True)
def _parse_whole(data: np.ndarray, start: int, stop: int) -> int:
    """Parses an IPv4 address written as one decimal integer; -1 if malformed."""
    if stop - start > 10:
        return -1
    value = 0
    for position in range(start, stop):
        if data[position] < 48 or data[position] > 57:
            return -1
        value = value * 10 + (data[position] - 48)
    return value if value <= 4294967295 else -1


@njit(cache=True, nogil=True)
def _push_group(high: np.uint64, low: np.uint64, group: int) -> tuple[np.uint64, np.uint64]:
    """Shifts the 128-bit number (high, low) left by 16 bits and puts `group` into the lowest 16."""
    shift = np.uint64(16)
    return (high << shift) | (low >> np.uint64(48)), (low << shift) | np.uint64(group)


@njit(cache=True, nogil=True)
def _hex_group(data: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """Value and length of the hexadecimal digits at `start`; reads up to five, to notice groups that are too long."""
    value = 0
    count = 0
    while start + count < stop and count < 5:
        byte = data[start + count]
        if 48 <= byte <= 57:
            value = value * 16 + (byte - 48)
        elif 97 <= (byte | 32) <= 102:
            value = value * 16 + ((byte | 32) - 87)
        else:
            break
        count += 1
    return value, count


@njit(cache=True, nogil=True)
def _parse_colons(data: np.ndarray, start: int, stop: int) -> tuple[np.uint64, np.uint64, bool]:
    """Parses IPv6 text (RFC 4291, section 2.2, all three forms) into its halves; also returns whether it is valid."""
    high, low = np.uint64(0), np.uint64(0)
    groups = 0
    elided_at = -1
    position = start
    if stop - start >= 2 and data[start] == 58 and data[start + 1] == 58:
        elided_at = 0
        position = start + 2
    while position < stop:
        group, count = _hex_group(data, position, stop)
        after = position + count
        if after < stop and data[after] == 46:
            embedded = _parse_dotted(data, position, stop)
            if embedded < 0 or groups > 6:
                return high, low, False
            high, low = _push_group(high, low, embedded >> 16)
            high, low = _push_group(high, low, embedded & 65535)
            groups += 2
            break
        if count == 0 or count > 4 or groups == 8:
            return high, low, False
        high, low = _push_group(high, low, group)
        groups += 1
        position = after
        if position == stop:
            break
        if data[position] != 58 or position + 1 == stop:
            return high, low, False
        position += 1
        if data[position] == 58:
            if elided_at >= 0:
                return high, low, False
            elided_at = groups
            position += 1
    if elided_at < 0:
        return high, low, groups == 8
    return _spread(high, low, groups, elided_at)


@njit(cache=True, nogil=True)
def _spread(high: np.uint64, low: np.uint64, groups: int, elided_at: int) -> tuple[np.uint64, np.uint64, bool]:
    """Inserts the zero groups that `::` stands for, after the first `elided_at` of `groups` groups."""
    if groups > 7:
        return high, low, False
    parts = np.zeros(8, dtype=np.uint16)
    for index in range(groups):
        bits = 16 * (groups - 1 - index)
        word = (high >> np.uint64(bits - 64)) if bits >= 64 else (low >> np.uint64(bits))
        target = index if index < elided_at else index + 8 - groups
        parts[target] = np.uint16(word & np.uint64(65535))
    high, low = np.uint64(0), np.uint64(0)
    for index in range(8):
        high, low = _push_group(high, low, parts[index])
    return high, low, True


@njit(cache=True, nogil=True)
def _bare(data: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """Bounds of an address without surrounding brackets, a zone (`%eth0`) or a full prefix length (`/32`, `/128`)."""
    if stop - start > 2 and data[start] == 91 and data[stop - 1] == 93:
        start += 1
        stop -= 1
    for position in range(start, stop):
        # RFC 4007, section 11: the zone of a link-local address is meaningful only on the machine itself.
        if data[position] == 37 and position > start:
            return start, position
    if stop - start > 4 and data[stop - 3] == 47 and data[stop - 2] == 51 and data[stop - 1] == 50:
        for position in range(start, stop - 3):
            if data[position] == 58:
                return start, stop
        return start, stop - 3
    long = stop - start > 5 and data[stop - 4] == 47
    if long and data[stop - 3] == 49 and data[stop - 2] == 50 and data[stop - 1] == 56:
        return start, stop - 4
    return start, stop


@njit(cache=True, nogil=True)
def parse_addresses(
    data: np.ndarray, offsets: np.ndarray, high: np.ndarray, low: np.ndarray, kind: np.ndarray
) -> None:
    """Fills `high`, `low` (uint64) and `kind` (uint8) from text; IPv4-mapped IPv6 becomes IPv4."""
    for row in range(len(offsets) - 1):
        start, stop = trim(data, offsets[row], offsets[row + 1])
        if start == stop:
            kind[row] = EMPTY
            continue
        kind[row] = MALFORMED
        start, stop = _bare(data, start, stop)
        dots = False
        colons = False
        for position in range(start, stop):
            dots |= data[position] == 46
            colons |= data[position] == 58
        if colons:
            upper, lower, valid = _parse_colons(data, start, stop)
            if not valid:
                continue
            kind[row] = IPV6
            if upper == 0 and (lower >> np.uint64(32)) == 65535:
                kind[row] = IPV4
                lower &= np.uint64(4294967295)
            high[row] = upper
            low[row] = lower
            continue
        value = _parse_dotted(data, start, stop) if dots else _parse_whole(data, start, stop)
        if value >= 0:
            kind[row] = IPV4
            low[row] = np.uint64(value)


# The text of each octet and a dot, padded to four bytes, so that four plain stores write it.
_OCTET_TEXT = np.array([list(f"{octet}.".encode().ljust(4)) for octet in range(256)], dtype=np.uint8)
_OCTET_LENGTH = np.array([len(str(octet)) + 1 for octet in range(256)], dtype=np.uint8)


@njit(cache=True, nogil=True)
def _write_dotted(out: np.ndarray, position: int, value: np.uint64) -> int:
    """Writes a dotted quad; may overwrite up to four bytes after its end."""
    for index in range(4):
        octet = (int(value) >> (24 - 8 * index)) & 255
        for place in range(4):
            out[position + place] = _OCTET_TEXT[octet, place]
        position += int(_OCTET_LENGTH[octet])
    return position - 1


@njit(cache=True, nogil=True)
def _longest_zeros(high: np.uint64, low: np.uint64) -> tuple[int, int]:
    """Start and length of the first longest run of zero groups; length 0 unless there are two (RFC 5952, 4.2)."""
    best_start, best_length = -1, 1
    start, length = 0, 0
    for index in range(8):
        word = high if index < 4 else low
        if (word >> np.uint64(48 - 16 * (index % 4))) & np.uint64(65535) == 0:
            if length == 0:
                start = index
            length += 1
            if length > best_length:
                best_start, best_length = start, length
        else:
            length = 0
    return best_start, best_length if best_start >= 0 else 0


@njit(cache=True, nogil=True)
def _write_colons(out: np.ndarray, position: int, high: np.uint64, low: np.uint64) -> int:
    zeros_start, zeros_length = _longest_zeros(high, low)
    index = 0
    while index < 8:
        if index == zeros_start:
            out[position] = 58
            out[position + 1] = 58
            position += 2
            index += zeros_length
            continue
        if index > 0 and index != zeros_start + zeros_length:
            out[position] = 58
            position += 1
        word = high if index < 4 else low
        group = int((word >> np.uint64(48 - 16 * (index % 4))) & np.uint64(65535))
        started = False
        for shift in (12, 8, 4, 0):
            digit = (group >> shift) & 15
            if digit or started or shift == 0:
                out[position] = 48 + digit if digit < 10 else 87 + digit
                position += 1
                started = True
        index += 1
    return position


@njit(cache=True, nogil=True)
def format_addresses(high: np.ndarray, low: np.ndarray, kind: np.ndarray, out: np.ndarray, offsets: np.ndarray) -> int:
    """Writes canonical text into `out` and `offsets` (n + 1), empty for other kinds; returns the bytes used."""
    position = 0
    for row in range(len(kind)):
        offsets[row] = position
        if kind[row] == IPV4:
            position = _write_dotted(out, position, low[row])
        elif kind[row] == IPV6:
            position = _write_colons(out, position, high[row], low[row])
    offsets[len(kind)] = position
    return position


@njit(cache=True, nogil=True)
def _mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def fold_addresses(high: np.ndarray, low: np.ndarray, kind: np.ndarray, out: np.ndarray) -> None:
    """Fills `out` (uint32): IPv4 as it is, IPv6 hashed prefix by prefix, 0 for anything else."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    for row in range(len(kind)):
        if kind[row] == IPV4:
            out[row] = np.uint32(low[row])
        elif kind[row] == IPV6:
            upper = high[row]
            per_32 = _mix((upper >> np.uint64(32)) + golden) >> np.uint64(60)
            per_48 = _mix((upper >> np.uint64(16)) + np.uint64(2) * golden) >> np.uint64(56)
            per_64 = _mix(upper + np.uint64(3) * golden)
            per_128 = _mix(low[row] ^ per_64) >> np.uint64(56)
            per_64 = per_64 >> np.uint64(56)
            octets = (np.uint64(240) | per_32) << np.uint64(24)
            out[row] = np.uint32(octets | (per_48 << np.uint64(16)) | (per_64 << np.uint64(8)) | per_128)
        else:
            out[row] = np.uint32(0)
