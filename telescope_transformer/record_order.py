"""The order of records: by source, then by time, then by their other fields.

Sources are ordered by a hash of their text, and records of one source with equal times by their other fields, so that
the order of the input rows does not matter. Shards are ranges of that hash, so reading them one after the other gives
the order of the whole dataset.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from telescope_transformer.codes import dictionary_codes
from telescope_transformer.fields import TIE_ORDER

# Bits of the hash that orders sources. It fits into a signed 64-bit integer, because Java has no unsigned integers.
KEY_BITS = 63


def source_codes(sources: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Number the sources in the order of windows; returns a number per record and the text of each number.

    Args:
        sources: (n_records,) text without nulls, of any size, because no text is copied.
    """
    encoded, names = dictionary_codes(sources)
    order = np.lexsort((pc.sort_indices(pc.sort_indices(names)).to_numpy(), source_keys(names)))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded], names.take(pa.array(order))


def source_keys(sources: pa.Array) -> np.ndarray:
    """Hash each source's text to int64 (n,), from 0 to 2**KEY_BITS - 1.

    The hash is FNV-1a with a final mix. Its high bits choose the shard.
    """
    text = sources.cast(pa.large_string())
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    data = text.buffers()[2]
    letters = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    out = np.empty(len(text), dtype=np.int64)
    _hash_texts(offsets, letters, out)
    return out


def record_order(codes: np.ndarray, fields: dict[str, pa.Array]) -> np.ndarray:
    """Row order by source, then time, then the other fields, so that the order of the input rows does not matter.

    Args:
        codes: (n,) number of each record's source.
        fields: (n,) columns of `WINDOW_FIELDS`.
    """
    times = fields["timestamp"].to_numpy(zero_copy_only=False)
    order = np.lexsort((times, codes))
    codes, times = codes[order], times[order]
    same = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    if not same.any():
        return order
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    group = np.cumsum(np.insert(~same, 0, True))[tied]
    rows = order[tied]
    keys = [_sort_key(fields[name].take(pa.array(rows))) for name in reversed(TIE_ORDER) if name in fields]
    order[tied] = rows[np.lexsort((*keys, group))]
    return order


def _sort_key(values: pa.Array) -> np.ndarray:
    """Numbers that sort like the values, null first."""
    numbers = values.cast(pa.int64()).fill_null(-1) if values.null_count else values
    key: np.ndarray = numbers.to_numpy(zero_copy_only=False)
    return key


@njit(cache=True, nogil=True)
def _hash_texts(offsets: np.ndarray, text: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        # FNV-1a's 64-bit basis and prime, then a multiplication (Knuth's golden ratio) that mixes the high bits.
        value = np.uint64(14695981039346656037)
        for j in range(offsets[i], offsets[i + 1]):
            value = (value ^ np.uint64(text[j])) * np.uint64(1099511628211)
        value ^= value >> np.uint64(32)
        value *= np.uint64(0x9E3779B97F4A7C15)
        out[i] = np.int64((value ^ (value >> np.uint64(29))) >> np.uint64(1))
