"""Windows: the flow records of one source in time order, cut into consecutive sequences.

A table of windows has a row per window: `source`, `start`, `end` (int64 microseconds UTC), `n_records`, one list
column per record field (all lists of a row have `n_records` elements), and the window's majority `label` and `tool`
where the records carry them.  Destinations are folded to 32 bits (`records.addresses.fold_address`).
"""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import DatasetError
from telescope_transformer.records.addresses import fold_address

WINDOW = 128
MIN_RECORDS = 8
# The record fields that a window carries, and the Arrow type of their elements.
WINDOW_FIELDS: dict[str, pa.DataType] = {
    "timestamp": pa.int64(),
    "dst_ip": pa.uint32(),
    "src_port": pa.uint16(),
    "dst_port": pa.uint16(),
    "protocol": pa.uint8(),
    "ttl": pa.uint8(),
    "tcp_flags": pa.uint8(),
    "ip_id": pa.uint16(),
    "tcp_seq": pa.uint32(),
    "packets": pa.uint32(),
    "bytes": pa.uint64(),
}
# Text that travels beside a window and never enters training or clustering.
ANNOTATIONS = ("label", "tool")

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
TRAIN_PART = 0.8

_LEFT_OUT_KEY = b"telescope.left_out"


@dataclass(frozen=True)
class LeftOut:
    """What the cut left out for having fewer than `min_records` records.

    `sources` counts the sources of which no window at all was kept.
    """

    records: int = 0
    windows: int = 0
    sources: int = 0


def cut_windows(table: pa.Table, *, window: int = WINDOW, min_records: int = MIN_RECORDS) -> pa.Table:
    """Cuts the records of each source, in time order, into consecutive windows of at most `window` records.

    Records of one source and one timestamp keep the order that they have in `table`.  Rows are sorted by source (as
    text) and start.  `left_out(windows)` tells what was left out.

    Args:
        table: flow records (`records.schema.FLOW_SCHEMA`); `dst_ip` is text, or already folded to uint32.
        window: the most records in a window.
        min_records: windows with fewer records are left out.

    Raises:
        DatasetError: if `window` or `min_records` is less than 1, or `min_records` exceeds `window`.
    """
    check_window(window, min_records)
    source_codes, sources = _encode_sorted(table["src_ip"])
    timestamps = table["timestamp"].to_numpy()
    order = np.lexsort((timestamps, source_codes))
    sizes, owners = _window_sizes(source_codes[order], window)

    kept = sizes >= min_records
    kept_records = np.repeat(kept, sizes)
    indices = pa.array(order[kept_records])
    offsets = np.concatenate(([0], np.cumsum(sizes[kept]))).astype(np.int32)
    lost = LeftOut(
        records=int(sizes[~kept].sum()),
        windows=int((~kept).sum()),
        sources=len(sources) - len(np.unique(owners[kept])),
    )

    fields = {
        name: _field(table, name, kind).take(indices)
        for name, kind in WINDOW_FIELDS.items()
        if name in table.schema.names
    }
    annotations = {
        name: majority(table[name].take(indices), offsets) for name in ANNOTATIONS if name in table.schema.names
    }
    return assemble_windows(sources.take(pa.array(owners[kept])), offsets, fields, annotations, lost)


def assemble_windows(
    source: pa.Array,
    offsets: np.ndarray,
    fields: dict[str, pa.Array],
    annotations: dict[str, pa.Array],
    lost: LeftOut | None = None,
) -> pa.Table:
    """Builds the table of windows from flat columns.

    Args:
        source: (n_windows,) text.
        offsets: (n_windows + 1,) int32; the records of window i are `offsets[i]:offsets[i + 1]`.
        fields: flat record columns, each (n_records,), of the types in `WINDOW_FIELDS`; `timestamp` is required.
        annotations: (n_windows,) text columns.
        lost: what was left out; nothing if absent.
    """
    times = fields["timestamp"].to_numpy(zero_copy_only=False)
    first, last = offsets[:-1], offsets[1:] - 1
    columns: dict[str, pa.Array] = {
        "source": source,
        "start": pa.array(times[first], pa.int64()),
        "end": pa.array(times[last], pa.int64()),
        "n_records": pa.array(np.diff(offsets), pa.int32()),
    }
    list_offsets = pa.array(offsets, pa.int32())
    for name, values in fields.items():
        columns[name] = pa.ListArray.from_arrays(list_offsets, values)
    columns.update(annotations)
    table = pa.table(columns)
    return with_left_out(table, lost or LeftOut())


def check_window(window: int, min_records: int) -> None:
    """Raises DatasetError unless 1 <= min_records <= window."""
    if not 1 <= min_records <= window:
        raise DatasetError(
            f"a window needs 1 <= min_records <= window, got min_records={min_records}, window={window}"
        )


def left_out(windows: pa.Table) -> LeftOut:
    """What `cut_windows` left out of this table."""
    counts = (windows.schema.metadata or {}).get(_LEFT_OUT_KEY)
    return LeftOut(*(int(count) for count in counts.split())) if counts else LeftOut()


def with_left_out(windows: pa.Table, lost: LeftOut) -> pa.Table:
    """The same windows, with the counts of what was left out in the schema's metadata."""
    counts = " ".join(str(count) for count in asdict(lost).values())
    return windows.replace_schema_metadata({**(windows.schema.metadata or {}), _LEFT_OUT_KEY: counts.encode()})


def majority(values: pa.Array | pa.ChunkedArray, offsets: np.ndarray) -> pa.Array:
    """The most frequent value of each window; of equally frequent ones the first as text; null where all are null.

    Args:
        values: (n_records,) text.
        offsets: (n_windows + 1,); the records of window i are `offsets[i]:offsets[i + 1]`.
    """
    codes, names = _encode_sorted(values)
    return names.take(majority_codes(codes, offsets)) if len(names) else pa.nulls(len(offsets) - 1, pa.string())


def majority_codes(codes: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """`majority` of integer codes, where negative codes count as null and the smaller code wins a tie."""
    n_windows = len(offsets) - 1
    window_of = np.repeat(np.arange(n_windows), np.diff(offsets))
    present = codes >= 0
    width = int(codes.max(initial=0)) + 1
    pairs, counts = np.unique(window_of[present] * width + codes[present], return_counts=True)
    # Within a window the most frequent comes first; np.unique has the codes ascending, and the sort is stable.
    order = np.lexsort((-counts, pairs // width))
    windows, first = np.unique((pairs // width)[order], return_index=True)
    winners = np.full(n_windows, -1, dtype=np.int64)
    winners[windows] = (pairs % width)[order][first]
    return pa.array(winners, mask=winners < 0)


def split_of_source(source: str, seed: int = 0) -> str:
    """The split of a source: "test" (20 %), "validation" (10 %) or "train" (70 %).

    The hash of the seed and the source's canonical text decides alone, so adding data never moves a source.  It is MD5
    because DuckDB and Spark both have it, which lets `preparation` state the same rule as an expression.
    """
    digest = source_digest(source, seed)
    test, validation = split_thresholds()
    if digest < test:
        return "test"
    return "validation" if digest < validation else "train"


def source_digest(source: str, seed: int) -> str:
    """The first eight hexadecimal digits of the MD5 of "seed:source"."""
    return hashlib.md5(f"{seed}:{source}".encode(), usedforsecurity=False).hexdigest()[:8]


def split_thresholds() -> tuple[str, str]:
    """Digests below the first are test sources, below the second validation sources."""
    return f"{round(TEST_SHARE * 2**32):08x}", f"{round((TEST_SHARE + VALIDATION_SHARE) * 2**32):08x}"


def fixed_windows(windows: pa.Table, length: int, *, max_per_source: int | None = None, seed: int = 0) -> pa.Table:
    """Recuts windows into consecutive ones of exactly `length` records; a rest that is shorter is dropped.

    Args:
        windows: windows of any length, sorted by source.
        length: records in each window of the result.
        max_per_source: at most so many windows of a source, drawn at random.
        seed: of that draw.

    Raises:
        DatasetError: if `length` is less than 1.
    """
    check_window(length, 1)
    offsets, sizes = _offsets(windows)
    pieces = sizes // length
    rows = np.repeat(np.arange(windows.num_rows), pieces)
    piece = np.arange(len(rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    if max_per_source is not None:
        codes, _ = _encode_sorted(windows["source"])
        keys = np.random.default_rng(seed).random(len(rows))
        order = np.lexsort((keys, codes[rows]))
        rank = _position_in_run(codes[rows][order])
        chosen = np.sort(order[rank < max_per_source])
        rows, piece = rows[chosen], piece[chosen]
    return _slices(windows, rows, offsets[rows] + piece * length, length)


def _slices(windows: pa.Table, rows: np.ndarray, begins: np.ndarray, length: int) -> pa.Table:
    """Windows of `length` records that begin at flat positions `begins` of the windows `rows`."""
    take = pa.array((begins[:, None] + np.arange(length)).ravel())
    offsets = (np.arange(len(rows) + 1) * length).astype(np.int32)
    names = windows.schema.names
    fields = {name: pc.list_flatten(_whole(windows[name])).take(take) for name in WINDOW_FIELDS if name in names}
    row_indices = pa.array(rows, pa.int64())
    annotations = {name: _whole(windows[name]).take(row_indices) for name in ANNOTATIONS if name in names}
    return assemble_windows(_whole(windows["source"]).take(row_indices), offsets, fields, annotations)


def _window_sizes(source_codes: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Size and source code of each window of records that are sorted by source code."""
    starts = np.flatnonzero(_position_in_run(source_codes) % window == 0)
    return np.diff(np.append(starts, len(source_codes))), source_codes[starts]


def _position_in_run(values: np.ndarray) -> np.ndarray:
    """The position of each element in its run of equal neighbours."""
    new_run = np.ones(len(values), dtype=bool)
    new_run[1:] = values[1:] != values[:-1]
    begins = np.flatnonzero(new_run)
    return np.arange(len(values)) - np.repeat(begins, np.diff(np.append(begins, len(values))))


def _encode_sorted(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Codes of a text column whose dictionary is sorted, so that comparing codes compares texts; null is -1."""
    encoded = _whole(values).dictionary_encode()
    names = encoded.dictionary.cast(pa.string())
    order = pc.sort_indices(names).to_numpy()
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return rank[codes], names.take(pa.array(order))


def _field(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    column = _whole(table[name])
    if name == "dst_ip" and not pa.types.is_integer(column.type):
        return pa.array(fold_address(column), kind)
    return column.cast(kind)


def _offsets(windows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    sizes = windows["n_records"].to_numpy().astype(np.int64)
    return np.concatenate(([0], np.cumsum(sizes)))[:-1], sizes


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
