"""New records of known sources fill the open window of their source first, then begin new windows."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from telescope_transformer.fields import WINDOW_FIELDS
from telescope_transformer.update.schema import RECORD_COLUMNS
from telescope_transformer.windows import cut_windows, record_field, record_order, source_codes


@dataclass(frozen=True)
class Extension:
    """The windows of some sources after new records were added to their open windows.

    Attributes:
        windows: all windows of the sources from their open one on, short ones too, by source and start
            (`windows.cut_windows`), with `window_id` and `open`.
        records: their records with `window_id`.
    """

    windows: pa.Table
    records: pa.Table


def extend(open_windows: pa.Table, open_records: pa.Table, new: pa.Table, window: int, next_id: int) -> Extension:
    """Cut open and new records together.

    Args:
        open_windows: `window_id`, `source` of the sources' open windows.
        open_records: their records.
        new: new flow records.
        window: most records in a window.
        next_id: the first window id that was never used.
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
    """The first window of a source keeps the id of its open one; all others are new."""
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
    """The order in which windows are cut."""
    codes, _ = source_codes(records["src_ip"])
    fields = {name: record_field(records, name) for name in WINDOW_FIELDS if name in records.column_names}
    return records.take(pa.array(record_order(codes, fields)))
