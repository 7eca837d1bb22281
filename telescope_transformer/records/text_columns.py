"""Arrow text columns as flat NumPy buffers, so that compiled kernels parse them without a Python object per value."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

MISSING, VALID, INVALID = 0, 1, 2
"""Status of a value after a parsing kernel: empty or null, parsed, or not parseable."""


class TextView(NamedTuple):
    """The bytes of all values in one buffer; value i is `data[offsets[i]:offsets[i + 1]]`, a null is empty."""

    data: np.ndarray
    offsets: np.ndarray


def text_view(values: pa.Array | pa.ChunkedArray) -> TextView:
    """Views a string or binary column (dictionary-encoded too) as uint8 bytes and int64 offsets (n + 1)."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    values = values.cast(pa.large_binary())
    if values.null_count:
        values = pc.fill_null(values, b"")
    _, offsets, data = values.buffers()
    if len(values) == 0:
        return TextView(np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64))
    window = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    content = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.empty(0, dtype=np.uint8)
    return TextView(content, window)


def string_array(data: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """A string column from UTF-8 bytes and offsets (n + 1)."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32, copy=False)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


@njit(cache=True, nogil=True)
def trim(data: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """Bounds of a value without the surrounding spaces and tabs, and then without surrounding quotes."""
    while start < stop and (data[start] == 32 or data[start] == 9):
        start += 1
    while stop > start and (data[stop - 1] == 32 or data[stop - 1] == 9 or data[stop - 1] == 13):
        stop -= 1
    if stop - start >= 2 and data[start] == data[stop - 1] and (data[start] == 34 or data[start] == 39):
        return start + 1, stop - 1
    return start, stop


@njit(cache=True, nogil=True)
def digits_at(data: np.ndarray, start: int, stop: int, limit: int) -> tuple[int, int]:
    """Value and count of the decimal digits at `start`, at most `limit` of them."""
    value = 0
    count = 0
    while start + count < stop and count < limit and 48 <= data[start + count] <= 57:
        value = value * 10 + (data[start + count] - 48)
        count += 1
    return value, count


@njit(cache=True, nogil=True)
def _hexadecimal(data: np.ndarray, start: int, stop: int) -> tuple[int, bool]:
    value = 0
    if stop - start < 1 or stop - start > 15:
        return 0, False
    for position in range(start, stop):
        byte = data[position] | 32
        if 48 <= data[position] <= 57:
            value = value * 16 + (data[position] - 48)
        elif 97 <= byte <= 102:
            value = value * 16 + (byte - 87)
        else:
            return 0, False
    return value, True


@njit(cache=True, nogil=True)
def _integers(data: np.ndarray, offsets: np.ndarray, values: np.ndarray, status: np.ndarray) -> None:
    for row in range(len(offsets) - 1):
        start, stop = trim(data, offsets[row], offsets[row + 1])
        if start == stop:
            continue
        status[row] = INVALID
        if stop - start > 2 and data[start] == 48 and (data[start + 1] | 32) == 120:
            values[row], valid = _hexadecimal(data, start + 2, stop)
            if valid:
                status[row] = VALID
            continue
        value, count = digits_at(data, start, stop, 18)
        position = start + count
        # Before three digits, a comma separates thousands, and in most of Europe so does a point.
        is_mark = position < stop and (data[position] == 44 or data[position] == 46)
        has_three = position + 4 == stop and 0 < value < 1000
        if count > 0 and is_mark and not has_three and (data[position] == 46 or position + 4 > stop):
            position += 1
            while position < stop and data[position] == 48:
                position += 1
        if count > 0 and position == stop:
            values[row] = value
            status[row] = VALID


def parse_integers(text: TextView) -> tuple[np.ndarray, np.ndarray]:
    """Parses non-negative integers: decimal of at most 18 digits, `0x` hexadecimal, or with a fraction of zeros.

    `80.0` and `80,0` are 80; `80,000` and `80.000` are refused here, because three digits after a comma or point may
    be thousands.

    Returns int64 values (n,) and uint8 status (n,), one of MISSING, VALID and INVALID.
    """
    rows = len(text.offsets) - 1
    values = np.zeros(rows, dtype=np.int64)
    status = np.zeros(rows, dtype=np.uint8)
    _integers(text.data, text.offsets, values, status)
    return values, status
