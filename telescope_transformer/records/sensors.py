"""Gives each sensor name a stable pseudo-address in 240.0.0.0/4.

Honeypot data often name a sensor instead of giving its address. The block is reserved (RFC 1112, section 4), so it
contains no real address.
"""

import hashlib
import ipaddress
import re

from telescope_transformer.errors import FlowRecordError
from telescope_transformer.records.nulls import is_null

ABSENT_DESTINATION = 0xF0000000
"""240.0.0.0, the destination of every record whose input has no destination column."""

# 240.0.0.0/4, which is reserved (RFC 1112, section 4) and never routed.
_BLOCK, _LOW_28_BITS = 0xF0000000, 0x0FFFFFFF
# Of a host name, in characters (RFC 1035, section 2.3.4, less the length bytes).
_LONGEST_NAME = 253
# An address with a typing error: three or four numbers with dots, some of them hidden (192.0.x.x), a hexadecimal
# number, a number that a spreadsheet has rounded (3.22E+09), or numbers and dots with a damaged byte. A host name that
# begins with an address does not match, because a domain follows.
_MISSPELT_ADDRESS = re.compile(
    r"\[?(?:0x[0-9a-f]+|\d+(?:\.\d+)?e\+?\d+|\d+\.\d+\.\d+(?:\.[^.]*)?\.?|(?:\d+|x+|\*+)(?:\.(?:\d+|x+|\*+)){3}"
    r"|\d+\.[\d.]*[^\x00-\x7f][\d.]*)\]?",
    re.IGNORECASE,
)


def hashed_address(name: str, attempt: int = 0) -> int:
    """The first 28 bits of BLAKE2b of `name` as an address in 240.0.0.0/4; an `attempt` above 0 gives alternatives."""
    salted = name if attempt == 0 else f"{name}\0{attempt}"
    digest = hashlib.blake2b(salted.encode("utf-8", "surrogateescape")).digest()
    return _BLOCK | int.from_bytes(digest[:4], "big") >> 4


def is_sensor_name(text: str) -> bool:
    """Whether `text` is a plausible name, and neither a missing value, a truth value nor a misspelt address."""
    return (
        0 < len(text) <= _LONGEST_NAME
        and text.isprintable()
        and ":" not in text
        and "/" not in text
        and any(character.isalpha() for character in text)
        and not is_null(text)
        and text.lower() not in ("true", "false")
        and not _MISSPELT_ADDRESS.fullmatch(text)
    )


class SensorNames:
    """The names seen so far and their pseudo-addresses.

    If two names have the same hash, the later one takes another hash that is free, and `collisions` lists it.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._taken: set[int] = {ABSENT_DESTINATION, _BLOCK | _LOW_28_BITS}
        self.collisions: list[str] = []

    def number(self, name: str) -> int:
        """The pseudo-address of `name` as a 32-bit number; raises FlowRecordError if no free one is found."""
        if name in self._numbers:
            return self._numbers[name]
        for attempt in range(1000):
            number = hashed_address(name, attempt)
            if number not in self._taken:
                if attempt:
                    self.collisions.append(name)
                self._numbers[name] = number
                self._taken.add(number)
                return number
        raise FlowRecordError(f"no free pseudo-address for the sensor name {name!r}: too many names")

    def addresses(self) -> dict[str, str]:
        """Each name with its pseudo-address as text, in the order of the names."""
        return {name: str(ipaddress.IPv4Address(self._numbers[name])) for name in sorted(self._numbers)}
