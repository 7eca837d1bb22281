"""Windows: the flow records of each source in time order, cut into consecutive pieces.

`Windows` holds a row per window and, separately, the records of all windows. Sources and records are in the order of
`record_order`, so that the order of the input rows does not matter.

As an Arrow table (`Windows.to_table`, `cut_windows`) a window is a row with `source`, `start`, `end` (int64
microseconds UTC), `n_records`, a list column per record field, and its majority `label` and `tool` where records have
them. Destinations are folded to 32 bits (`records.addresses.fold_address`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from telescope_transformer.arrays import offsets_of, positions_in_equal_runs, positions_in_runs
from telescope_transformer.codes import majority_codes, sorted_codes, texts_of_codes
from telescope_transformer.errors import DatasetError
from telescope_transformer.fields import ANNOTATIONS, WINDOW_FIELDS
from telescope_transformer.record_order import record_order, source_codes
from telescope_transformer.records.addresses import fold_address

# The paper's longest window (Section 6) and shortest one.
WINDOW = 128
MIN_RECORDS = 8
# Arrow's list offsets have 32 bits, so a list column with more elements has several chunks.
LARGEST_CHUNK = 2**31 - 1


@dataclass(frozen=True)
class LeftOut:
    """Counts of what the cut dropped because it had fewer than `min_records` records.

    `sources` counts the sources without any window.
    """

    records: int = 0
    windows: int = 0
    sources: int = 0

    def __add__(self, other: "LeftOut") -> "LeftOut":
        return LeftOut(self.records + other.records, self.windows + other.windows, self.sources + other.sources)


@dataclass(frozen=True)
class Windows:
    """Windows and their records.

    Attributes:
        table: a row per window: `source`, `start`, `end`, `n_records`, and `label`, `tool` where records have them.
        records: the records of all windows end to end, with those columns of `fields.WINDOW_FIELDS` that the input
            had.
        offsets: int64 (n + 1,); the records of window i are `offsets[i]:offsets[i + 1]`.
        left_out: what the cut dropped.
    """

    table: pa.Table
    records: pa.Table
    offsets: np.ndarray
    left_out: LeftOut = field(default_factory=LeftOut)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_records(self) -> np.ndarray:
        """Number of records in each window (n,)."""
        return np.diff(self.offsets)

    @property
    def window_of_record(self) -> np.ndarray:
        """Index of the window that each record belongs to (n_records,)."""
        return np.repeat(np.arange(len(self)), self.n_records)

    def take(self, rows: np.ndarray) -> "Windows":
        """Select windows by row, in the given order; a row may be repeated."""
        sizes = self.n_records[rows]
        offsets = offsets_of(sizes)
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return Windows(self.table.take(pa.array(rows)), self.records.take(pa.array(places)), offsets)

    def slice(self, begin: int, end: int) -> "Windows":
        """The windows `begin:end` as a view, without a copy."""
        offsets = self.offsets[begin : end + 1]
        records = self.records.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        return Windows(self.table.slice(begin, end - begin), records, offsets - offsets[0])

    def to_table(self) -> pa.Table:
        """Convert to a table with a row per window and a list column per record field."""
        table = self.table
        for name in self.records.column_names:
            table = table.append_column(name, list_column(self.records[name], self.offsets))
        annotations = [name for name in ANNOTATIONS if name in self.table.column_names]
        order = [name for name in table.column_names if name not in annotations]
        return table.select([*order, *annotations])

    @classmethod
    def from_table(cls, table: pa.Table) -> "Windows":
        """Convert a table with list columns; records are not copied if the table is one chunk.

        Raises:
            DatasetError: if a required column is absent, or the lists of a row differ in length.
        """
        missing = {"source", "start", "end", "n_records", "timestamp"} - set(table.column_names)
        if missing:
            raise DatasetError(f"a table of windows has no column {sorted(missing)[0]!r}")
        sizes = table["n_records"].to_numpy().astype(np.int64)
        offsets = offsets_of(sizes)
        names = [name for name in WINDOW_FIELDS if name in table.column_names]
        for name in names:
            lengths = pc.list_value_length(table[name]).to_numpy()
            if not np.array_equal(lengths, sizes):
                row = int(np.argmax(lengths != sizes))
                raise DatasetError(f"window {row}: n_records is {sizes[row]}, {name} has {lengths[row]} values")
        records = pa.table({name: _flat(table[name]) for name in names})
        return cls(table.drop_columns(names), records, offsets)


def concat_windows(parts: Sequence[Windows]) -> Windows:
    """Concatenate windows that have the same columns."""
    offsets = [np.zeros(1, dtype=np.int64)]
    for part in parts:
        offsets.append(part.offsets[1:] + offsets[-1][-1])
    return Windows(
        pa.concat_tables([part.table for part in parts]),
        pa.concat_tables([part.records for part in parts]),
        np.concatenate(offsets),
        sum((part.left_out for part in parts), LeftOut()),
    )


def list_column(values: pa.Array | pa.ChunkedArray, offsets: np.ndarray) -> pa.ChunkedArray:
    """Pack flat values into lists, in as many chunks as the 32-bit offsets of Arrow's lists require.

    Args:
        values: (n_values,).
        offsets: int64 (n + 1,); list i holds `values[offsets[i]:offsets[i + 1]]`.
    """
    chunks = []
    for begin, end in _chunks(offsets, LARGEST_CHUNK):
        first, last = int(offsets[begin]), int(offsets[end])
        part = _whole(values.slice(first, last - first))
        chunks.append(pa.ListArray.from_arrays(pa.array(offsets[begin : end + 1] - first, pa.int32()), part))
    return pa.chunked_array(chunks, pa.list_(values.type))


def _chunks(offsets: np.ndarray, largest: int) -> Iterator[tuple[int, int]]:
    """Split rows into ranges with at most `largest` values each, but at least one row."""
    begin, n = 0, len(offsets) - 1
    while begin < n:
        end = int(np.searchsorted(offsets, offsets[begin] + largest, side="right")) - 1
        end = min(n, max(end, begin + 1))
        yield begin, end
        begin = end


def cut(
    records: pa.Table, *, window: int = WINDOW, min_records: int = MIN_RECORDS, session_gap: float | None = None
) -> Windows:
    """Cut the records of each source, in time order, into consecutive windows.

    Args:
        records: flow records (`fields.FLOW_SCHEMA`); `dst_ip` is text, or already folded to uint32.
        window: largest number of records in a window.
        min_records: windows with fewer records are dropped.
        session_gap: a pause of more than this many seconds begins a new window, if the window so far and the rest of
            the source have at least `min_records` records each; None cuts by count alone.

    Raises:
        DatasetError: if `window` or `min_records` is less than 1, `min_records` exceeds `window`, or the gap is not a
            positive number.
    """
    check_window(window, min_records, session_gap)
    codes, sources = source_codes(records["src_ip"])
    present = set(records.schema.names)
    fields = {name: record_field(records, name) for name in WINDOW_FIELDS if name in present}
    texts = {name: sorted_codes(records[name]) for name in ANNOTATIONS if name in present}
    order = record_order(codes, fields)
    flat = pa.table({name: values.take(pa.array(order)) for name, values in fields.items()})
    annotations = {name: (numbers[order], names) for name, (numbers, names) in texts.items()}
    return cut_sorted(codes[order], sources, flat, annotations, window, min_records, session_gap)[0]


def cut_sorted(
    codes: np.ndarray,
    sources: pa.Array,
    records: pa.Table,
    annotations: dict[str, tuple[np.ndarray, pa.Array]],
    window: int,
    min_records: int,
    session_gap: float | None = None,
) -> tuple[Windows, np.ndarray]:
    """Cut records that are already in order.

    Args:
        codes: (n_records,) runs of equal numbers; a window never crosses from one run into the next.
        sources: text of each code.
        records: (n_records,) columns of `WINDOW_FIELDS`, each run in time order.
        annotations: for each annotation, text numbers (n_records,), -1 for none, and the sorted texts.
        window: as for `cut`.
        min_records: as for `cut`.
        session_gap: as for `cut`.

    Returns:
        The windows, and the code of each window's run (n,).
    """
    starts = window_starts(codes, records["timestamp"].to_numpy(), window, min_records, session_gap)
    bounds = np.append(starts, len(codes))
    sizes = np.diff(bounds)
    kept = sizes >= min_records
    owners = codes[starts]
    lost = LeftOut(
        records=int(sizes[~kept].sum()),
        windows=int((~kept).sum()),
        sources=len(np.unique(owners)) - len(np.unique(owners[kept])),
    )
    if not kept.all():
        places = np.flatnonzero(np.repeat(kept, sizes))
        records = records.take(pa.array(places))
        annotations = {name: (numbers[places], names) for name, (numbers, names) in annotations.items()}
    offsets = offsets_of(sizes[kept])
    texts = {
        name: texts_of_codes(names, majority_codes(numbers, offsets)) for name, (numbers, names) in annotations.items()
    }
    source = sources.take(pa.array(owners[kept]))
    found = build_windows(source, offsets, records, texts)
    return Windows(found.table, found.records, found.offsets, lost), owners[kept]


def window_starts(
    codes: np.ndarray, times: np.ndarray, window: int, min_records: int, session_gap: float | None
) -> np.ndarray:
    """Positions where windows begin (n_windows,), including too short windows; arguments as for `cut_sorted`."""
    return _window_starts(codes, times, window, min_records, -1 if session_gap is None else round(session_gap * 1e6))


def cut_windows(
    table: pa.Table, *, window: int = WINDOW, min_records: int = MIN_RECORDS, session_gap: float | None = None
) -> pa.Table:
    """Run `cut` and return a table with a row per window and a list column per record field."""
    return cut(table, window=window, min_records=min_records, session_gap=session_gap).to_table()


def build_windows(
    source: pa.Array, offsets: np.ndarray, records: pa.Table, annotations: dict[str, pa.Array]
) -> Windows:
    """Build windows from flat columns.

    Args:
        source: (n,) text.
        offsets: int64 (n + 1,); the records of window i are `offsets[i]:offsets[i + 1]`.
        records: (n_records,) columns of `WINDOW_FIELDS`; `timestamp` is required.
        annotations: (n,) text columns.
    """
    times = records["timestamp"].to_numpy()
    columns: dict[str, pa.Array] = {
        "source": source,
        "start": pa.array(times[offsets[:-1]], pa.int64()),
        "end": pa.array(times[offsets[1:] - 1], pa.int64()),
        "n_records": pa.array(np.diff(offsets), pa.int32()),
    }
    return Windows(pa.table(columns | annotations), records, offsets.astype(np.int64))


def assemble_windows(
    source: pa.Array, offsets: np.ndarray, fields: dict[str, pa.Array], annotations: dict[str, pa.Array]
) -> pa.Table:
    """Run `build_windows` and return a table with a list column per record field."""
    return build_windows(source, offsets, pa.table(fields), annotations).to_table()


def check_window(window: int, min_records: int, session_gap: float | None = None) -> None:
    """Raise DatasetError unless these are whole numbers, 1 <= min_records <= window, and the gap None or positive."""
    for name, value in (("window", window), ("min_records", min_records)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise DatasetError(f"{name} must be a whole number of records, not {value!r}")
    if session_gap is not None and not isinstance(session_gap, (int, float)):
        raise DatasetError(f"the session gap must be a number of seconds, not {session_gap!r}")
    if not 1 <= min_records <= window:
        raise DatasetError(
            f"a window needs 1 <= min_records <= window, got min_records={min_records}, window={window}"
        )
    # A thousand years: no longer gap occurs, and its microseconds would overflow int64.
    if session_gap is not None and not 0 < session_gap < 3.2e10:
        raise DatasetError(f"the session gap must be more than 0 and less than 3.2e10 seconds, not {session_gap}")


def fixed_windows(windows: pa.Table, length: int, *, max_per_source: int | None = None, seed: int = 0) -> pa.Table:
    """Cut windows again into consecutive windows of exactly `length` records; a shorter rest is dropped.

    Args:
        windows: windows of any length. The windows of a source are next to each other.
        length: records in each window of the result.
        max_per_source: largest number of windows of a source, drawn at random.
        seed: seed of that draw.

    Raises:
        DatasetError: if `length` is less than 1.
    """
    check_window(length, 1)
    whole = Windows.from_table(windows)
    pieces = whole.n_records // length
    rows = np.repeat(np.arange(len(whole)), pieces)
    piece = positions_in_runs(pieces)
    if max_per_source is not None:
        codes, _ = source_codes(windows["source"])
        keys = np.random.default_rng(seed).random(len(rows))
        order = np.lexsort((keys, codes[rows]))
        rank = positions_in_equal_runs(codes[rows][order])
        chosen = np.sort(order[rank < max_per_source])
        rows, piece = rows[chosen], piece[chosen]
    begins = whole.offsets[:-1][rows] + piece * length
    records = whole.records.take(pa.array((begins[:, None] + np.arange(length)).ravel()))
    head = whole.table.take(pa.array(rows, pa.int64()))
    annotations = {name: head[name] for name in ANNOTATIONS if name in head.column_names}
    return build_windows(head["source"], np.arange(len(rows) + 1) * length, records, annotations).to_table()


def record_field(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Convert a field of flow records to its type in windows, by chunk because text may exceed 2 GiB."""
    column, kind = table[name], WINDOW_FIELDS[name]
    if name == "dst_ip" and not pa.types.is_integer(column.type):
        return pa.chunked_array([pa.array(fold_address(chunk), kind) for chunk in column.chunks], kind)
    return column.cast(kind)


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


@njit(cache=True, nogil=True)
def _window_starts(codes: np.ndarray, times: np.ndarray, window: int, min_records: int, gap: int) -> np.ndarray:
    """Positions where windows begin (n_windows,), in sorted records; a negative gap cuts by count."""
    starts = np.empty(len(codes), dtype=np.int64)
    found, begin, end = 0, 0, 0
    for i in range(len(codes)):
        if i == end:
            while end < len(codes) and codes[end] == codes[i]:
                end += 1
            begins = True
        elif i - begin == window:
            begins = True
        else:
            pause = gap >= 0 and times[i] - times[i - 1] > gap
            begins = pause and i - begin >= min_records and end - i >= min_records
        if begins:
            begin = i
            starts[found] = i
            found += 1
    return starts[:found].copy()
