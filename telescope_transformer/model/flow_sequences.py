"""The forms in which sequences of flow records come: records, columns, Arrow tables, data frames and datasets."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .configuration_telescope import FIELD_SIZES
from .flow_fields import column_of

try:
    import pyarrow as pa
except ImportError:  # Not needed for records that are dictionaries.
    pa = None

# Names that a tokenizer reads.
RECORD_NAMES = {*FIELD_SIZES, "dst_ip", "timestamp", "inter_arrival"}
# Names with at least this difflib ratio count as misspelt: "dport" and "dst_port" have 0.77, "dst" and "dst_ip" 0.67,
# but "src_asn" and "src_port" 0.53.
ALIKE = 0.6
# Common names of the destination, which are not like "dst_ip". "dst_adress" has 0.95 with one of them, but "duration"
# 0.63 with "destination".
DESTINATION_NAMES = ("daddr", "dst_addr", "dst_address", "dest_addr", "destination", "destination_ip")
ALIKE_DESTINATION = 0.8


def as_sequences(records: Any) -> Any:
    """One sequence or several, in a form that can be read more than once.

    Returns:
        A list, a dictionary of columns or an Arrow table. Generators, arrays and datasets become lists, and tables
        with a row per sequence (as `datasets` returns the rows of a prepared dataset) lists of dictionaries of
        columns.

    Raises:
        TypeError: if `records` cannot be a sequence.
    """
    records = as_table(records)
    if _is_arrow(records):
        nested = any(_is_list(column.type) for column in records.schema if column.name in RECORD_NAMES)
        return records.to_pylist() if nested else records
    if isinstance(records, Mapping):
        nested = any(_is_nested(values) for name, values in records.items() if name in RECORD_NAMES)
        return records_of(records) if nested else records
    if isinstance(records, (str, list, tuple)):
        return records
    if isinstance(records, Iterable):
        return list(records)
    # The datasets of PyTorch define no iterator.
    if hasattr(records, "__len__") and hasattr(records, "__getitem__"):
        return [records[place] for place in range(len(records))]
    raise TypeError(f"records must be a sequence of records or several, not {type(records).__name__}")


def as_table(sequence: Any) -> Any:
    """A data frame as an Arrow table; other sequences are returned unchanged."""
    return pa.table(sequence) if _is_frame(sequence) else sequence


def is_sequence(records: Any) -> bool:
    """Whether `records` is one sequence of flow records, not a list of sequences."""
    if isinstance(records, Mapping) or _is_arrow(records) or _is_frame(records):
        return True
    first = next(iter(records), None)
    # A record may have a list, such as tags, under another name.
    return isinstance(first, Mapping) and not any(_is_column(first[name]) for name in RECORD_NAMES & first.keys())


def is_single(value: Any) -> bool:
    """Whether this is one value and not a column; arrays and tensors without axes are single values."""
    return isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or getattr(value, "shape", None) == ()


def _is_column(value: Any) -> bool:
    return not is_single(value) and not isinstance(value, Mapping)


def records_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """A dictionary of columns as a list of records. Single values of names that are no fields are left out.

    Raises:
        TypeError: if a field has a single value.
        ValueError: if the columns differ in length.
    """
    single = {name: values for name, values in columns.items() if is_single(values)}
    for name, value in single.items():
        # The rows of a prepared dataset also have the source and the number of records of the window.
        if name in RECORD_NAMES or len(single) == len(columns):
            several = [other for other in columns if other not in single and other in RECORD_NAMES]
            advice = f" as {several[0]} is" if several else ": put a record into a list"
            raise TypeError(f"{name} is one value, {value!r}, not a column of values{advice}")
    columns = {name: values for name, values in columns.items() if name not in single}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of one sequence must have one length, not {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_names(sequence: Any, fields: Sequence[str]) -> None:
    """Refuse a sequence that lacks a field and has another name that looks like a misspelling of it.

    Args:
        sequence: a list of records, a dictionary of columns, or an Arrow table.
        fields: the fields of a token.

    Raises:
        TypeError: if `sequence` has another type.
        ValueError: names the missing field and the likely misspelling, or a column that occurs twice.
    """
    if hasattr(sequence, "column_names"):
        names = set(sequence.column_names)
        if twice := [name for name in names if list(sequence.column_names).count(name) > 1]:
            raise ValueError(f"the table has two columns {twice[0]!r}")
    elif isinstance(sequence, Mapping):
        names = set(sequence)
    else:
        names = {name for record in _records(sequence) for name in record}
    wanted = {column_of(name) for name in fields}
    if names.isdisjoint(("timestamp", "inter_arrival")):
        wanted.add("timestamp")
    # Other fields of a flow record, which this model does not read, are not misspellings.
    odd = sorted(str(name) for name in names - wanted - {*FIELD_SIZES, "src_ip", "timestamp", "inter_arrival"})
    for name in odd if wanted - names else ():
        found = difflib.get_close_matches(name, wanted - names, n=1, cutoff=ALIKE)
        if not found and "dst_ip" in wanted - names:
            near = difflib.get_close_matches(name, DESTINATION_NAMES, n=1, cutoff=ALIKE_DESTINATION)
            found = ["dst_ip"] if near else []
        if found:
            raise ValueError(f"records have a field {name!r} and none called {found[0]!r}: rename it")


def _records(sequence: Any) -> Iterator[Mapping[str, Any]]:
    """The records of a list of records."""
    for record in sequence if isinstance(sequence, Iterable) else [sequence]:
        if not isinstance(record, Mapping):
            raise TypeError(f"a record must be a dictionary from field to value, not {type(record).__name__}")
        yield record


def _is_frame(sequence: Any) -> bool:
    """Whether this is a data frame: it exports Arrow data and has columns, but is not an Arrow table."""
    has_columns = hasattr(sequence, "columns") or hasattr(sequence, "schema")
    return hasattr(sequence, "__arrow_c_stream__") and has_columns and not hasattr(sequence, "column_names")


def _is_arrow(records: Any) -> bool:
    """Whether this is an Arrow table; the datasets of `datasets` have column names, too, but no schema."""
    return hasattr(records, "column_names") and hasattr(records, "schema")


def _is_list(kind: "pa.DataType") -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_nested(values: Any) -> bool:
    """Whether a column has a list, or a row of an array or tensor, for each row."""
    return _is_column(values) and _is_column(next(iter(values), None))
