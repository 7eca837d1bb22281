"""Settings of a preparation: those that define the dataset, and those that only decide how it is computed."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from telescope_transformer.errors import DatasetError
from telescope_transformer.windows import MIN_RECORDS, WINDOW, check_window

# Number of buckets that records are staged in while their number is unknown. A shard is a union of adjacent buckets.
MOST_SHARDS = 256
# A shard of this size is sorted in about 500 MB.
RECORDS_PER_SHARD = 2_000_000
# Sorting two million records (`staging.FLUSH_RECORDS`) takes at most this many bytes.
MEMORY_OF_ONE_FLUSH = 10**9
# No machine has more, and DuckDB counts bytes in 64 bits.
MOST_BYTES = 10**18
ENGINES = ("duckdb", "spark")
SPLITS = ("train", "unseen_sequences", "validation", "unseen_sources")
# Folder of the windows of a dataset without splits.
WHOLE = "windows"


@dataclass(frozen=True)
class WindowSettings:
    """Settings that define the windows; an append must agree with them.

    Args:
        window: largest number of records in a window.
        min_records: windows with fewer records are dropped.
        session_gap: a pause of more than this many seconds may end a window (`windows.cut`); None cuts by count alone.
        splits: cut for training, into the folders of `SPLITS`: the first 80 % in time of each training source are
            `train` and the rest `unseen_sequences`; `validation` and `unseen_sources` are other sources.
        seed: seed of the hash that splits the sources.
    """

    window: int = WINDOW
    min_records: int = MIN_RECORDS
    session_gap: float | None = None
    splits: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_window(self.window, self.min_records, self.session_gap)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that windows are written to."""
        return SPLITS if self.splits else (WHOLE,)


@dataclass(frozen=True)
class EngineSettings:
    """Settings of the computation, which do not change the result.

    Args:
        engine: "duckdb" (in this process, spills to disk) or "spark".
        master: address of Spark, for example "local[2]" or "spark://host:7077".
        memory_limit: memory for DuckDB, or for Spark's driver and executors, for example "4GB".
        threads: threads of DuckDB; None uses all processors.
    """

    engine: str = "duckdb"
    master: str = "local[*]"
    memory_limit: str = "4GB"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise DatasetError(f"unknown engine {self.engine!r}; engines are {', '.join(ENGINES)}")
        bytes_of(self.memory_limit)

    @property
    def sorts_in_memory(self) -> bool:
        """Whether records that fit into memory are sorted there, without files on disk."""
        return self.engine == "duckdb" and bytes_of(self.memory_limit) >= MEMORY_OF_ONE_FLUSH


@dataclass(frozen=True)
class PreparationSettings:
    """All settings of `prepare`.

    Args:
        windows: settings that define the windows.
        engine: settings of the computation.
        shards: number of shards, a power of two up to `MOST_SHARDS`; None chooses it by the number of records.
        labels: folder of scanner lists that label the sources.
    """

    windows: WindowSettings = field(default_factory=WindowSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    shards: int | None = None
    labels: Path | None = None

    def __post_init__(self) -> None:
        if self.shards is not None and (not 1 <= self.shards <= MOST_SHARDS or self.shards & (self.shards - 1)):
            raise DatasetError(f"shards: {self.shards} is not a power of two from 1 to {MOST_SHARDS}")


def shards_for(records: int) -> int:
    """The power of two that keeps shards at about `RECORDS_PER_SHARD` records."""
    shards = 1
    while shards < MOST_SHARDS and records > shards * RECORDS_PER_SHARD:
        shards *= 2
    return shards


def bytes_of(size: str) -> int:
    """Parse a size such as "4GB" or "512 MiB" into bytes.

    Raises:
        DatasetError: if the text is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])(i?)b\s*", size, re.IGNORECASE)
    base = 1024 if match and match[3] else 1000
    found = int(float(match[1]) * base ** ("kmgt".index(match[2].lower()) + 1)) if match else 0
    if not 0 < found <= MOST_BYTES:
        raise DatasetError(f"memory limit {size!r} is not a size such as 4GB")
    return found
