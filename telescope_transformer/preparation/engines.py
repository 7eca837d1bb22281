"""The engines that sort staged records: NumPy if they fit into memory, else DuckDB, which spills to disk.

Each yields the records of a shard in the order of `staging.ORDER`, and `cutting.Cutter` turns them into windows.
`spark` does the same on the executors of a cluster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation.cutting import OF_SOURCE
from telescope_transformer.preparation.settings import EngineSettings
from telescope_transformer.preparation.staging import ORDER, STAGED_FIELDS, Staged, bucket_of
from telescope_transformer.record_order import record_order, source_codes

# Records per batch of sorted records: tens of megabytes.
BATCH_RECORDS = 2**20


def sorted_shards(
    staged: Staged, settings: EngineSettings, scratch: Path, *, counted: bool
) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """Yield each shard that has records, with its sorted records in batches.

    Args:
        staged: the staged records.
        settings: settings of DuckDB.
        scratch: folder that DuckDB spills to.
        counted: whether to add the column `cutting.OF_SOURCE`.
    """
    if staged.table is not None:
        yield from _in_memory(staged, staged.table, counted)
        return
    for shard in range(staged.shards):
        files = [str(path) for path in staged.files(shard)]
        if files:
            yield shard, sorted_by_duckdb(files, shard, settings, scratch, counted)


def _in_memory(staged: Staged, table: pa.Table, counted: bool) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    codes, _ = source_codes(table["source"])
    order = record_order(codes, {name: table[name] for name in STAGED_FIELDS})
    ordered = table.take(pa.array(order))
    if counted:
        ordered = ordered.append_column(OF_SOURCE, pa.array(np.bincount(codes)[codes[order]]))
    shards = bucket_of(ordered["key"].to_numpy(), staged.shards)
    for shard in np.unique(shards).tolist():
        begin, end = np.searchsorted(shards, [shard, shard + 1]).tolist()
        yield shard, iter([ordered.slice(begin, end - begin)])


def sorted_by_duckdb(
    files: list[str], shard: int, settings: EngineSettings, scratch: Path, counted: bool
) -> Iterator[pa.Table]:
    """Yield the records of a shard's files in the order of `staging.ORDER`, in batches.

    Raises:
        DatasetError: if DuckDB does not start with these settings, or runs out of memory or disk space.
    """
    import duckdb

    options: dict[str, Any] = {"memory_limit": settings.memory_limit, "temp_directory": str(scratch)}
    if settings.threads is not None:
        options["threads"] = settings.threads
    columns = "*" + (f", count(*) OVER (PARTITION BY source) AS {OF_SOURCE}" if counted else "")
    keys = ", ".join(f"{name} NULLS FIRST" for name in ORDER)
    try:
        connection = duckdb.connect(config=options)
    except duckdb.Error as error:
        raise DatasetError(f"DuckDB does not start with {options}: {error}") from error
    # One connection per shard, so that its memory is freed before the next shard.
    with connection:
        try:
            connection.execute("SET preserve_insertion_order = false")
            records = connection.sql(
                f"SELECT {columns} FROM read_parquet($files, hive_partitioning = false) "
                f"WHERE length(source) > 0 AND timestamp IS NOT NULL ORDER BY {keys}",
                params={"files": files},
            )
            for batch in records.to_arrow_reader(BATCH_RECORDS):
                yield pa.Table.from_batches([batch])
        except duckdb.OutOfMemoryException as error:
            raise DatasetError(
                f"shard {shard} does not fit into {settings.memory_limit}: use more shards or more memory"
            ) from error
        except (duckdb.Error, pa.ArrowException) as error:
            # Such as a full disk.
            raise DatasetError(f"shard {shard} cannot be sorted: {str(error).splitlines()[0]}") from error
