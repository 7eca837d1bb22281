"""Adds new records to the open windows of their sources, and starts new windows when these are full."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from telescope_transformer.fields import WINDOW_FIELDS
from telescope_transformer.record_order import record_order, source_codes
from telescope_transformer.update.schema import RECORD_COLUMNS
from telescope_transformer.windows import cut_windows, record_field


@dataclass(frozen=True)
class Extension:
    """The windows of some sources after new records were added to their open windows.

    Attributes:
        windows: the windows of the sources from the open window on, including short windows, ordered by source and
            start (`windows.cut_windows`), with the columns `window_id` and `open`.
        records: the records of these windows, with the column `window_id`.
    """

    windows: pa.Table
    records: pa.Table


def extend(open_windows: pa.Table, open_records: pa.Table, new: pa.Table, window: int, next_id: int) -> Extension:
    """Cut open and new records together.

    Args:
        open_windows: open windows of the sources, with the columns `window_id` and `source`.
        open_records: the records of the open windows.
        new: new flow records.
        window: largest number of records in a window.
        next_id: the smallest window id that was never used.
    """
    names = [name for name in RECORD_COLUMNS if name in new.column_names or name in open_records.column_names]
    both = pa.concat_tables(
        [_with_columns(open_records, names), _with_columns(new, names)], promote_options="permissive"
    )
    present = [name for name in names if both[name].null_count < both.num_rows]
    both = _in_order(both.select(present))
    windows = cut_windows(both, window=window, min_records=1)
    source = windows["source"].to_numpy(zero_copy_only=False)
    last = np.append(source[1:] != source[:-1], True)
    full = windows["n_records"].to_numpy() == window
    ids = _ids(source, open_windows, next_id)
    windows = windows.append_column("window_id", pa.array(ids)).append_column("open", pa.array(last & ~full))
    owner = np.repeat(ids, windows["n_records"].to_numpy())
    return Extension(windows, both.append_column("window_id", pa.array(owner)))


def _ids(source: np.ndarray, open_windows: pa.Table, next_id: int) -> np.ndarray:
    """Ids of windows (n,): the first window of a source keeps the id of its open window, the others get new ids."""
    known = dict(zip(open_windows["source"].to_pylist(), open_windows["window_id"].to_pylist(), strict=True))
    first = np.insert(source[1:] != source[:-1], 0, True) if len(source) else np.zeros(0, dtype=bool)
    kept = np.array([known.get(name, -1) if begins else -1 for name, begins in zip(source, first, strict=True)])
    fresh = kept < 0
    kept[fresh] = next_id + np.arange(fresh.sum())
    return kept.astype(np.int64)


def _with_columns(table: pa.Table, names: list[str]) -> pa.Table:
    columns = [table[name] if name in table.column_names else pa.nulls(table.num_rows) for name in names]
    return pa.table(columns, names=names)


def _in_order(records: pa.Table) -> pa.Table:
    """Sort records as `cut_windows` does: by source and time."""
    codes, _ = source_codes(records["src_ip"])
    fields = {name: record_field(records, name) for name in WINDOW_FIELDS if name in records.column_names}
    return records.take(pa.array(record_order(codes, fields)))
