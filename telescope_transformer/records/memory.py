"""Unaligned numbers read straight from memory, for the compiled walk over packets.

With numba, each access to an array element costs an index check and reference counts, which make a packet 20 times
slower (91 ns against 4 ns). These functions take plain addresses instead. They check nothing: a caller must compare
each address with the end of its buffer first, and keep the buffer alive. They work only within numba functions.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _loader(name: str, bits: int, big_endian: bool) -> Any:
    result = types.uint64 if bits == 64 else types.int64

    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.IntType(bits)
            value = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
            if big_endian and bits > 8:
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return result(types.int64), generate

    load.__name__ = load.__qualname__ = name
    load.__doc__ = f"The {'big' if big_endian else 'little'}-endian {bits}-bit number at an address."
    return intrinsic(load)


# The processors that numba compiles for are little-endian.
byte_at = _loader("byte_at", 8, False)
big16 = _loader("big16", 16, True)
big32 = _loader("big32", 32, True)
big64 = _loader("big64", 64, True)
little16 = _loader("little16", 16, False)
little32 = _loader("little32", 32, False)
