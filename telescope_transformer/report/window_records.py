"""Finds the flow records of each window, because profiles of clusters count records, not windows."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.arrays import offsets_of, positions_in_runs
from telescope_transformer.errors import InputError

NEEDED = ("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port")


@dataclass(frozen=True)
class WindowRecords:
    """The records of all windows, sorted by source and time, and the window of each record.

    Attributes:
        table: flow records in the order of windows; records in no window are left out.
        window: int64 (n_records,), for each record the row of its window in the table of windows.
        offsets: int64 (n_windows + 1,), where each window's records begin; windows are sorted by source and start.
        order: int64 (n_windows,), rows of the table of windows in that order.
    """

    table: pa.Table
    window: np.ndarray
    offsets: np.ndarray
    order: np.ndarray


def join_records(records: pa.Table, windows: pa.Table) -> WindowRecords:
    """Find the records of each window by its source, start and number of records.

    Records of one source are sorted by time, with ties in the given order, as when the windows were cut. A window
    begins at the first record that is not before its start and that the previous window has not taken. If the records
    have a column `window_id`, it determines their windows.

    Raises:
        InputError: if a column is missing, or the windows of a source hold more records than the table has.
    """
    missing = [name for name in NEEDED if name not in records.column_names]
    if missing:
        raise InputError(f"the flow records lack the column(s) {', '.join(missing)}")
    if "window_id" in records.column_names:
        return _join_by_id(records, windows)
    names = pc.unique(windows["source"])
    source_of_record = pc.index_in(records["src_ip"], names)
    rows = np.flatnonzero(pc.is_valid(source_of_record).to_numpy(zero_copy_only=False))
    code = source_of_record.take(pa.array(rows)).to_numpy(zero_copy_only=False).astype(np.int64)
    time = records["timestamp"].to_numpy()[rows]
    by_source = np.lexsort((time, code))
    code, time, rows = code[by_source], time[by_source], rows[by_source]

    window_code = pc.index_in(windows["source"], names).to_numpy(zero_copy_only=False).astype(np.int64)
    starts, sizes = windows["start"].to_numpy(), windows["n_records"].to_numpy().astype(np.int64)
    order = np.lexsort((starts, window_code))
    begins = _first_records(code, time, window_code[order], starts[order], sizes[order])
    taken = np.repeat(begins, sizes[order]) + positions_in_runs(sizes[order])
    window = np.repeat(order, sizes[order])
    _check_sources(code, taken, window_code[window], windows)
    offsets = offsets_of(sizes[order])
    return WindowRecords(records.take(pa.array(rows[taken])), window, offsets, order)


def _join_by_id(records: pa.Table, windows: pa.Table) -> WindowRecords:
    starts = windows["start"].to_numpy()
    order = np.lexsort((starts, pc.rank(windows["source"], tiebreaker="dense").to_numpy()))
    row = pc.index_in(records["window_id"], windows["window_id"].combine_chunks())
    known = np.flatnonzero(pc.is_valid(row).to_numpy(zero_copy_only=False))
    window = row.take(pa.array(known)).to_numpy(zero_copy_only=False).astype(np.int64)
    place = np.empty(windows.num_rows, dtype=np.int64)
    place[order] = np.arange(windows.num_rows)
    by_window = np.lexsort((records["timestamp"].to_numpy()[known], place[window]))
    sizes = np.bincount(window, minlength=windows.num_rows)[order]
    offsets = offsets_of(sizes)
    return WindowRecords(records.take(pa.array(known[by_window])), window[by_window], offsets, order)


def _first_records(
    code: np.ndarray, time: np.ndarray, window_code: np.ndarray, starts: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """First record of each window: the first one not before its start, or the end of the previous window if later.

    That recurrence is a running maximum.
    """
    # Windows and records are sorted together by source and time, with windows before equal records.
    is_record = np.repeat(np.array([0, 1], np.int8), [len(starts), len(time)])
    order = np.lexsort((is_record, np.concatenate([starts, time]), np.concatenate([window_code, code])))
    records_before = np.empty(len(order), dtype=np.int64)
    records_before[order] = np.cumsum(is_record[order], dtype=np.int64)
    earliest = records_before[: len(starts)]
    before = offsets_of(sizes)[:-1]
    return np.maximum.accumulate(earliest - before) + before if len(sizes) else earliest


def _check_sources(code: np.ndarray, taken: np.ndarray, expected: np.ndarray, windows: pa.Table) -> None:
    wrong = (taken >= len(code)) | (code[np.minimum(taken, len(code) - 1)] != expected) if len(code) else taken >= 0
    if wrong.any():
        source = windows["source"][0] if not len(code) else pc.unique(windows["source"])[int(expected[wrong.argmax()])]
        raise InputError(f"source {source}: its windows hold more records than the table of flow records")
