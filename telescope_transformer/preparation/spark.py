"""Preparation on a Spark cluster: executors read the inputs, Spark groups records by shard, and executors cut them.

Each executor runs the same code as a single machine: DuckDB sorts a shard within the memory limit and `cutting.Cutter`
cuts it, so the windows are the same. The driver and all executors must see the inputs, the output and the folder
beside it under the same paths, and must have this package installed.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import DatasetError
from telescope_transformer.extras import require
from telescope_transformer.fields import ANNOTATIONS
from telescope_transformer.files import read_json, write_text
from telescope_transformer.preparation.engines import sorted_by_duckdb
from telescope_transformer.preparation.settings import (
    MOST_SHARDS,
    EngineSettings,
    PreparationSettings,
    bytes_of,
    shards_for,
)
from telescope_transformer.preparation.staging import (
    STAGED_FIELDS,
    Staged,
    add_destinations,
    bucket_of,
    staged_columns,
)
from telescope_transformer.preparation.writer import ShardFile, Tally, write_shard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Annotate = Callable[[pa.Table], pa.Table]

# Spark has no unsigned integers.
_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64()}
_SCHEMA = pa.schema(
    [
        ("bucket", pa.int32()),
        ("source", pa.string()),
        ("key", pa.int64()),
        *((name, _SIGNED.get(kind, kind)) for name, kind in STAGED_FIELDS.items()),
        *((name, pa.string()) for name in ANNOTATIONS),
    ]
)
_SQL = {pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint", pa.string(): "string"}
_COLUMNS = ", ".join(f"{field.name} {_SQL[field.type]}" for field in _SCHEMA)


@contextmanager
def session_at(settings: EngineSettings, scratch: Path, name: str) -> Iterator["SparkSession"]:
    """Start a Spark session at the settings' master.

    If this process already has a session, it is used and left open.

    Raises:
        MissingExtraError: if pyspark is not installed.
        DatasetError: if Spark does not start.
    """
    sessions = require("pyspark.sql").SparkSession
    running = sessions.getActiveSession()
    if running is not None:
        yield running
        return
    memory = f"{max(512, bytes_of(settings.memory_limit) // 2**20)}m"
    options = {
        "spark.driver.memory": memory,
        "spark.executor.memory": memory,
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if settings.master.startswith("local"):
        options["spark.driver.bindAddress"] = options["spark.driver.host"] = "127.0.0.1"
        # Workers of a local master run in this Python environment unless the user names another.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = sessions.builder.master(settings.master).appName(name)
    for key, value in options.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise DatasetError(f"Spark does not start at {settings.master}: {error}") from error
    try:
        yield session
    finally:
        session.stop()


def run_tasks(session: "SparkSession", task: Callable[[int], dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Run `task(0)`, ..., `task(number - 1)` on the executors, and return their results in this order as plain values.

    Raises:
        DatasetError: if a task fails; the message gives the reason.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for at in batch.column(0).to_pylist():
                result = json.dumps(task(at))
                yield pa.RecordBatch.from_pydict({"at": [at], "result": [result]})

    frame = session.range(number, numPartitions=max(1, number)).mapInArrow(run, "at bigint, result string")
    try:
        rows = frame.collect()
    except Exception as error:
        raise DatasetError(f"a Spark task failed: {_reason(error)}") from error
    return [json.loads(row.result) for row in sorted(rows, key=lambda row: row.at)]


def stage(scan: Any, directory: Path, scratch: Path, settings: PreparationSettings, annotate: Annotate) -> Staged:
    """Read the inputs on the executors, one file per task, and write the records in buckets by source.

    Args:
        scan: a `records.RecordScan`; it receives the account of what was read.
        directory: folder of the buckets.
        scratch: folder that Spark spills to.
        settings: settings of the preparation.
        annotate: adds `label` and `tool` to flow records.

    Raises:
        InputError: if a file cannot be read.
    """
    parts = scan.parts()
    accounts = scratch / "accounts"
    accounts.mkdir()

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for at in batch.column(0).to_pylist():
                yield from _read_part(parts[at], accounts / f"{at:08d}", annotate)

    with session_at(settings.engine, scratch, "telescope prepare") as session:
        frame = session.range(len(parts), numPartitions=len(parts)).mapInArrow(read, _COLUMNS)
        try:
            frame.repartition(MOST_SHARDS, "bucket").write.partitionBy("bucket").parquet(str(directory))
        except Exception as error:
            raise DatasetError(f"reading the inputs on Spark failed: {_reason(error)}") from error
    present: set[str] = set()
    destinations: dict[int, str] = {}
    for path in sorted(accounts.glob("*.json")):
        found = read_json(path)
        scan.absorb(found["account"], pq.read_table(path.with_suffix(".parquet")))
        present.update(found["present"])
        destinations |= {int(fold): text for fold, text in found["destinations"].items()}
    return Staged(
        directory=directory,
        buckets=MOST_SHARDS,
        shards=settings.shards or shards_for(scan.counts.kept),
        records=scan.counts.kept,
        fields=[name for name in STAGED_FIELDS if name in present],
        annotations=[name for name in ANNOTATIONS if name in present],
        names={},
        destinations=destinations,
    )


def _read_part(part: Any, account: Path, annotate: Annotate) -> Iterator[pa.RecordBatch]:
    """Yield the records of one file with Spark's types, and finally write the account of what was read."""
    present: set[str] = set()
    destinations: dict[int, str] = {}
    for batch in part:
        table = annotate(pa.Table.from_batches([batch]))
        present.update(table.column_names)
        columns = staged_columns(table)
        add_destinations(destinations, table["dst_ip"], columns["dst_ip"])
        for name in ANNOTATIONS:
            columns[name] = table[name] if name in table.column_names else pa.nulls(table.num_rows, pa.string())
        columns["bucket"] = pa.array(bucket_of(columns["key"].to_numpy(), MOST_SHARDS).astype(np.int32))
        staged = pa.table({field.name: columns[field.name].cast(field.type) for field in _SCHEMA})
        yield from staged.combine_chunks().to_batches()
    pq.write_table(part.rejects, account.with_suffix(".parquet"))
    found = {"account": part.account(), "present": sorted(present), "destinations": destinations}
    write_text(account.with_suffix(".json"), json.dumps(found))


def write_shards(
    staged: Staged, directory: Path, generation: int, settings: PreparationSettings, scratch: Path
) -> tuple[list[ShardFile], Tally]:
    """Sort, cut and write the shards on the executors, one shard per task."""

    def cut_shard(shard: int) -> dict[str, Any]:
        files = [str(path) for path in staged.files(shard)]
        if not files:
            return {"files": [], "tally": asdict(Tally())}
        engine = replace(settings.engine, threads=1)
        counted = settings.windows.splits
        batches = sorted_by_duckdb(files, shard, engine, scratch / f"shard-{shard}", counted)
        written, tally = write_shard(directory, shard, generation, batches, staged, settings.windows)
        return {"files": [asdict(file) for file in written], "tally": asdict(tally)}

    files: list[ShardFile] = []
    tally = Tally()
    with session_at(settings.engine, scratch, "telescope prepare") as session:
        for found in run_tasks(session, cut_shard, staged.shards):
            files += [ShardFile(**entry) for entry in found["files"]]
            tally = tally.plus(Tally(**found["tally"]))
    return files, tally


def _reason(error: Exception) -> str:
    """The last line of the error that a worker raised, without Spark's own traceback around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("telescope_transformer.errors.")]
    return own[0].partition(": ")[2] if own else (lines[0] if lines else type(error).__name__)
