"""Windows to evaluate on, from flow-record files or from a prepared dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.evaluation.protocol import PARTS, Split, at_most, recurring
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.preparation import load_split
from telescope_transformer.records import read_records
from telescope_transformer.windows import cut_windows, fixed_windows


def is_prepared(inputs: Sequence[str | Path]) -> bool:
    """Whether the only input is the directory of a prepared dataset."""
    return len(inputs) == 1 and (Path(inputs[0]) / "manifest.json").is_file()


def read_windows(
    inputs: Sequence[str | Path], length: int, *, columns: Mapping[str, str] | None = None, distinct: bool = False
) -> pa.Table:
    """Windows of `length` records of flow-record files.

    Args:
        distinct: drop records that equal another in every field, for loggers that write some records twice.

    Raises:
        InputError: if a file cannot be read, or no record was kept.
    """
    flow = read_records(inputs, columns=columns)
    table = flow.table
    if not table.num_rows:
        raise InputError(f"no flow record was kept: there is nothing to evaluate; {flow.summary()}")
    if distinct:
        table = distinct_records(table)
    return cut_windows(table, window=length, min_records=length)


def distinct_records(table: pa.Table) -> pa.Table:
    """Drop records that equal another in every field."""
    # With threads, the order of the rows would differ from run to run.
    return table.group_by(table.column_names, use_threads=False).aggregate([])


def read_split(dataset: str | Path, length: int) -> Split:
    """The split of a prepared dataset, its windows recut to `length` records.

    Raises:
        DatasetError: if there is no complete prepared dataset.
    """
    parts = {}
    for name in PARTS:
        table = load_split(dataset, name).sort_by([("source", "ascending"), ("start", "ascending")])
        table = recurring(fixed_windows(table, length))[0]
        parts[name] = WindowSet(table if name == "train" else at_most(table, seed=0))
    return Split(**parts).checked()
