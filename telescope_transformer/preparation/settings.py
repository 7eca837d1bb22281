"""The choices that make a prepared dataset what it is, and those that only decide how it is computed."""

from dataclasses import dataclass, field
from pathlib import Path

from telescope_transformer.errors import DatasetError
from telescope_transformer.windows import MIN_RECORDS, WINDOW, check_window

# Records are staged in so many buckets while their number is not known; shards are unions of buckets.
MOST_SHARDS = 256
# A shard of this size is windowed in about 2 GB of memory.
RECORDS_PER_SHARD = 2_000_000
ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class WindowSettings:
    """What the windows are; an append must agree with these.

    Args:
        window: the most records in a window.
        min_records: windows with fewer records are left out.
        seed: of the hash that splits the sources.
    """

    window: int = WINDOW
    min_records: int = MIN_RECORDS
    seed: int = 0

    def __post_init__(self) -> None:
        check_window(self.window, self.min_records)


@dataclass(frozen=True)
class EngineSettings:
    """How the windows are computed; the result is the same with every choice.

    Args:
        engine: "duckdb" (in this process, spills to disk) or "spark".
        master: of Spark, for example "local[2]" or "spark://host:7077".
        memory_limit: for DuckDB or the Spark driver, for example "4GB".
        threads: of DuckDB; all processors if absent.
    """

    engine: str = "duckdb"
    master: str = "local[*]"
    memory_limit: str = "4GB"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise DatasetError(f"unknown engine {self.engine!r}; engines are {', '.join(ENGINES)}")


@dataclass(frozen=True)
class PreparationSettings:
    """Everything that `prepare` can be told.

    Args:
        windows: what the windows are.
        engine: how they are computed.
        shards: number of shards, a power of two; by the number of records if absent.
        labels: folder of scanner lists that label the sources.
    """

    windows: WindowSettings = field(default_factory=WindowSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    shards: int | None = None
    labels: Path | None = None

    def __post_init__(self) -> None:
        if self.shards is not None and (self.shards < 1 or self.shards & (self.shards - 1)):
            raise DatasetError(f"shards: {self.shards} is not a power of two")


def shards_for(records: int) -> int:
    """The power of two that keeps shards at about `RECORDS_PER_SHARD` records."""
    shards = 1
    while shards < MOST_SHARDS and records > shards * RECORDS_PER_SHARD:
        shards *= 2
    return shards
