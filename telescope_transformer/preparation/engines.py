"""The engines that evaluate the preparation expressions: DuckDB in this process, or Spark.

Both are given the same staged records and yield, shard by shard, the same rows.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation.expressions import tally_of, windows_of
from telescope_transformer.preparation.settings import EngineSettings, WindowSettings
from telescope_transformer.preparation.staging import Staged


class Tally(NamedTuple):
    """Counts over staged records: all sources, and the windows and sources left out for being too short."""

    sources: int = 0
    windows_left_out: int = 0
    sources_left_out: int = 0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*(left + right for left, right in zip(self, other, strict=True)))


class ShardWindows(NamedTuple):
    """The windows of a shard as an engine gives them, in no order; `expressions.windows_of` names the columns."""

    shard: int
    windows: pa.Table
    tally: Tally


class Engine(Protocol):
    """Evaluates the preparation expressions over staged records."""

    def shards(self, staged: Staged, settings: WindowSettings) -> Iterator[ShardWindows]: ...


class DuckDBEngine:
    """One shard after the other, each within the memory limit; what does not fit is spilled to `scratch`."""

    def __init__(self, settings: EngineSettings, scratch: Path):
        self._settings = settings
        self._scratch = scratch

    def shards(self, staged: Staged, settings: WindowSettings) -> Iterator[ShardWindows]:
        columns = [*staged.fields, *staged.annotations]
        for shard in range(staged.shards):
            files = [str(path) for path in staged.files(shard)]
            if not files:
                continue
            try:
                with self._connection() as connection:
                    records = connection.read_parquet(files, hive_partitioning=True)
                    windows = windows_of(records, columns, staged.shards, settings).to_pyarrow()
                    tally = Tally(*_single_row(tally_of(records, settings).to_pyarrow()))
            except duckdb.OutOfMemoryException as error:
                limit = self._settings.memory_limit
                raise DatasetError(f"shard {shard} does not fit into {limit}: more shards or memory help") from error
            yield ShardWindows(shard, windows, tally)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        # A connection for each shard gives its memory back before the next.
        options: dict[str, Any] = {"memory_limit": self._settings.memory_limit, "temp_directory": str(self._scratch)}
        if self._settings.threads is not None:
            options["threads"] = self._settings.threads
        try:
            connection = ibis.duckdb.connect(**options)
        except duckdb.Error as error:
            raise DatasetError(f"DuckDB does not start with {options}: {error}") from error
        try:
            yield connection
        finally:
            connection.disconnect()


class SparkEngine:
    """All shards at once on a Spark master, which must see `staged.directory` and `scratch`."""

    def __init__(self, settings: EngineSettings, scratch: Path):
        self._settings = settings
        self._scratch = scratch

    def shards(self, staged: Staged, settings: WindowSettings) -> Iterator[ShardWindows]:
        if not staged.records:
            return
        output = self._scratch / "spark-windows"
        columns = [*staged.fields, *staged.annotations]
        with self._session(staged.shards) as session:
            connection = ibis.pyspark.connect(session)
            records = connection.read_parquet(str(staged.directory))
            expression = windows_of(records, columns, staged.shards, settings)
            by_shard = session.sql(connection.compile(expression)).repartition(staged.shards, "shard")
            by_shard.write.partitionBy("shard").parquet(str(output))
            tally = Tally(*_single_row(tally_of(records, settings).to_pyarrow()))
        for shard in range(staged.shards):
            folder = output / f"shard={shard}"
            if folder.is_dir():
                yield ShardWindows(shard, pq.read_table(folder, partitioning=None), tally)
                # The engine counts all shards together.
                tally = Tally()
        if tally != Tally():
            yield ShardWindows(0, pa.table({}), tally)

    @contextmanager
    def _session(self, shards: int) -> Iterator[Any]:
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise DatasetError(
                "the spark engine needs the extra: pip install 'telescope-transformer[spark]'"
            ) from error
        options = {
            "spark.driver.memory": _java_size(self._settings.memory_limit),
            "spark.local.dir": str(self._scratch),
            "spark.sql.warehouse.dir": str(self._scratch / "warehouse"),
            "spark.sql.shuffle.partitions": str(max(shards, 2)),
            "spark.sql.session.timeZone": "UTC",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        if self._settings.master.startswith("local"):
            options["spark.driver.bindAddress"] = options["spark.driver.host"] = "127.0.0.1"
        builder = SparkSession.builder.master(self._settings.master).appName("telescope prepare")
        for name, value in options.items():
            builder = builder.config(name, value)
        try:
            session = builder.getOrCreate()
        except Exception as error:
            raise DatasetError(f"Spark does not start at {self._settings.master}: {error}") from error
        try:
            yield session
        finally:
            session.stop()


def create_engine(settings: EngineSettings, scratch: Path) -> Engine:
    """The engine that the settings name; `scratch` is a folder for what it spills."""
    scratch.mkdir(parents=True, exist_ok=True)
    return DuckDBEngine(settings, scratch) if settings.engine == "duckdb" else SparkEngine(settings, scratch)


def _java_size(limit: str) -> str:
    """A size as DuckDB writes it, "4GB" or "4 GiB", in Java's form: "4g"."""
    match = re.fullmatch(r"\s*(\d+)\s*([kmgt])i?b\s*", limit, re.IGNORECASE)
    if match is None:
        raise DatasetError(f"memory limit {limit!r} is no size such as 4GB")
    return match[1] + match[2].lower()


def _single_row(table: pa.Table) -> tuple[int, ...]:
    """The values of a table of one row; a sum over no rows is null."""
    return tuple(int(column[0].as_py() or 0) for column in table.columns)
