"""Make broken inputs from valid ones: change bytes, numbers and lines, and replace values by awkward text."""

import random
import struct

# Numbers at which lengths, counts and types change their meaning.
_NUMBERS: tuple[int, ...] = (0, 1, 3, 4, 7, 8, 12, 15, 16, 20, 31, 32, 127, 128, 255, 256, 65_535, 65_536, 1 << 18)
_NUMBERS += ((1 << 24) + 4, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 32) - 4)
_VALUES = (
    *(b"", b"-", b"-1", b"nan", b"inf", b"1e400", b"0x", b"0xffffffffffffff", b"9" * 20, b"1" * 400, b"::", b":::"),
    *(b"1::2::3", b"::ffff:1.2.3.4", b"1.2.3.4.5", b"256.1.1.1", b"4294967296", b"a" * 260, b"\xff\xfe", b'"', b'""'),
    *(b"\\", b"\\ud800", b"\\u0000", b"\0", b"\t", b"\r", b"\n", b"{", b"}", b"[", b"]", b"null", b"true", b"{}"),
    *(b"9999-12-31T23:59:59.999999999Z", b"2024-02-30", b"+25:00", b"20160721175056", b"42572.7", b"8.0", b"3.3"),
    *(b"#", b"#fields\tts", b"Summary", b"sep=;", b"\xc2", b"9" * 18, b"80.5", b"2048", b"\xe2\x80\xae", b"\x1b[2J"),
)
_SEPARATORS = b',\t;|: "\n'


def _change_bytes(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _change_number(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    form = rng.choice(("<I", ">I", "<H", ">H", "<Q"))
    packed = struct.pack(form, rng.choice(_NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1))
    data[at : at + len(packed)] = packed[: len(data) - at]


def _cut(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    if rng.random() < 0.5:
        del data[at:]
    else:
        del data[at : at + rng.randint(1, 200)]


def _repeat(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randint(1, 200)]
    where = rng.randrange(len(data))
    data[where:where] = piece * rng.randint(1, 3)


def _replace_value(rng: random.Random, data: bytearray) -> None:
    """Replaces the value between two separators."""
    at = rng.randrange(len(data))
    start = max(data.rfind(bytes([separator]), 0, at) for separator in _SEPARATORS) + 1
    ends = [end for separator in _SEPARATORS if (end := data.find(bytes([separator]), at)) >= 0]
    data[start : min(ends, default=len(data))] = rng.choice(_VALUES)


_ANY = (_change_bytes, _change_number, _cut, _repeat)
_TEXT = (_replace_value, _replace_value, _replace_value, _change_bytes, _cut, _repeat)


def mutated(rng: random.Random, seed: bytes, text: bool) -> bytes:
    """A broken version of `seed`, by up to four changes."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        if data:
            rng.choice(_TEXT if text else _ANY)(rng, data)
    return bytes(data)
