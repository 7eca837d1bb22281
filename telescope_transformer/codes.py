"""Texts and services as integer codes, and the codes that a window or a source has most often."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.schema import ICMP, ICMPV6


def service_codes(records: pa.Table) -> np.ndarray:
    """One int32 per record: protocol and destination port, or for ICMP the type, which is stored as source port."""
    columns: list[np.ndarray] = [records[name].to_numpy() for name in ("protocol", "src_port", "dst_port")]
    protocol, src_port, dst_port = columns[0].astype(np.int32), *columns[1:]
    is_icmp = (protocol == ICMP) | (protocol == ICMPV6)
    port = np.where(is_icmp, src_port, dst_port).astype(np.int32)
    return (protocol << 16) | port


def dictionary_codes(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Number the texts of a column, -1 for null, without joining chunks; returns the numbers and distinct texts."""
    column = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return np.zeros(0, dtype=np.int64), pa.array([], pa.string())
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return np.concatenate(codes), encoded.chunk(0).dictionary.cast(pa.string())


def majority(values: pa.Array | pa.ChunkedArray, offsets: np.ndarray) -> pa.Array:
    """The most frequent value of each window; null if all are null. Ties go to the first value in text order.

    Args:
        values: (n_records,) text.
        offsets: (n_windows + 1,); the records of window i are `offsets[i]:offsets[i + 1]`.
    """
    codes, names = sorted_codes(values)
    return texts_of_codes(names, majority_codes(codes, offsets))


def sorted_codes(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Encode texts as numbers that sort like the texts, -1 for null; returns the numbers and the sorted texts."""
    encoded, names = dictionary_codes(values)
    order = pc.sort_indices(names).to_numpy()
    rank = np.full(len(order) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded], names.take(pa.array(order))


def texts_of_codes(names: pa.Array, codes: pa.Array) -> pa.Array:
    """The text of each code; null for a null code or if there are no texts."""
    return names.take(codes) if len(names) else pa.nulls(len(codes), pa.string())


def majority_codes(codes: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """`majority` of integer codes, where negative codes count as null and the smaller code wins a tie."""
    n_windows = len(offsets) - 1
    window_of = np.repeat(np.arange(n_windows), np.diff(offsets))
    present = codes >= 0
    width = int(codes.max(initial=0)) + 1
    pairs, counts = np.unique(window_of[present] * width + codes[present], return_counts=True)
    # The most frequent code of a window comes first. np.unique sorts the codes, so a stable sort keeps ties in order.
    order = np.lexsort((-counts, pairs // width))
    windows, first = np.unique((pairs // width)[order], return_index=True)
    winners = np.full(n_windows, -1, dtype=np.int64)
    winners[windows] = (pairs % width)[order][first]
    return pa.array(winners, mask=winners < 0)


def row_majorities(codes: np.ndarray) -> np.ndarray:
    """The most frequent code of each row (n, length), for rows of a few dozen codes; the smaller code wins a tie."""
    ordered = np.sort(codes, axis=1)
    counts = (ordered[:, :, None] == ordered[:, None, :]).sum(axis=2)
    return np.take_along_axis(ordered, counts.argmax(axis=1)[:, None], axis=1)[:, 0]


def distinct_codes(owners: np.ndarray, codes: np.ndarray, n_owners: int) -> pa.ListArray:
    """The distinct codes of each owner as a list column of int32, the most frequent first.

    Args:
        owners: (n,) 0..n_owners-1.
        codes: (n,) from 0 on; the smaller code wins a tie.
        n_owners: number of lists.
    """
    keys, counts = np.unique(owners.astype(np.int64) << 32 | codes.astype(np.int64), return_counts=True)
    return code_lists(keys[np.lexsort((keys, -counts, keys >> 32))], n_owners)


def code_lists(keys: np.ndarray, n_owners: int) -> pa.ListArray:
    """A list column of int32 codes, a list per owner.

    Args:
        keys: (n,) int64, the owner (0..n_owners-1) in the high 32 bits and the code in the low ones, ordered by owner.
        n_owners: number of lists.
    """
    offsets = np.searchsorted(keys >> 32, np.arange(n_owners + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(keys & 0xFFFFFFFF, pa.int32()))
