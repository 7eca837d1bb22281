"""Reads the names of hive partitions (`day=2024-01-01/`) as columns."""

from collections.abc import Collection, Mapping

import pyarrow as pa

from telescope_transformer.records.columns import ALIASES, plain_name, value_by_alias
from telescope_transformer.records.files import InputFile


def partition_columns(
    file: InputFile, resolved: Mapping[str, str], stored: Collection[str], rows: int
) -> dict[str, pa.Array]:
    """A constant column of `rows` values for each field that comes from a partition and not from a stored column."""
    return {
        field: pa.repeat(pa.scalar(file.partitions[column], pa.string()), rows)
        for field, column in resolved.items()
        if column not in stored and column in file.partitions
    }


def fields_of_partitions(file: InputFile, known: Collection[str], rows: int) -> dict[str, pa.Array]:
    """A constant column of `rows` values for each field that only a partition has; fields are found by common names.

    A partition without a value gives missing values.
    """
    plain = {plain_name(key): value or "" for key, value in file.partitions.items()}
    found = {field: value_by_alias(field, plain) for field in ALIASES}
    return {
        field: pa.repeat(pa.scalar(value, pa.string()), rows)
        for field, value in found.items()
        if value is not None and field not in known
    }
