"""Simulated flow records as Arrow tables, record batches, or a Parquet file of any size."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError
from telescope_transformer.fields import DAY
from telescope_transformer.files import replacing
from telescope_transformer.records.addresses import format_ipv4
from telescope_transformer.records.schema import FLOW_SCHEMA, TCP
from telescope_transformer.simulation.emission import Emitter
from telescope_transformer.simulation.population import Population, draw_population

# 1 January 2024, 00:00 UTC.
START = 1_704_067_200_000_000
# Our choices, to bound memory: the table of sources, the records generated at a time, and a Parquet row group.
MOST_SOURCES = 2_000_000
MOST_RECORDS = 1_000_000
# A hundred years, so that all times are before 2124.
MOST_DAYS = 36_525
_RECORDS_PER_SLICE = 2**21
_ROW_GROUP = 2**20
_DICTIONARY_COLUMNS = ("src_ip", "dst_ip", "label")
_TCP_ONLY = ("tcp_flags", "tcp_seq")


@dataclass(frozen=True)
class SimulationSettings:
    """A synthetic telescope.

    Args:
        sources: number of sources.
        seed: the same seed gives the same records.
        records_per_source: mean over all sources; the distribution has a heavy tail.
        days: duration of the recording.
        telescope: the IPv4 network that is recorded, /8 or smaller; the default is part of the range that RFC 2544
            reserves for benchmarks.

    Raises:
        InputError: if a value is out of its range.
    """

    sources: int = 2000
    seed: int = 0
    records_per_source: float = 100.0
    days: float = 7.0
    telescope: str = "198.18.0.0/16"

    def __post_init__(self) -> None:
        if not 1 <= self.sources <= MOST_SOURCES:
            raise InputError(f"sources: {self.sources} is not between 1 and {MOST_SOURCES}")
        for name, most in (("records_per_source", MOST_RECORDS), ("days", MOST_DAYS)):
            if not 0 < getattr(self, name) <= most:
                raise InputError(f"{name}: {getattr(self, name)} is not above 0 and at most {most:,}")
        if self.days * DAY < self.sources:
            raise InputError(f"days: {self.days} is shorter than a microsecond for each of {self.sources} sources")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed} is negative")
        if self.network.prefixlen < 8:
            raise InputError(f"telescope: {self.telescope} is larger than a /8")

    @property
    def network(self) -> IPv4Network:
        try:
            return IPv4Network(self.telescope)
        except ValueError as error:
            raise InputError(f"telescope: {self.telescope} is not an IPv4 network: {error}") from error

    @property
    def slices(self) -> int:
        """The number of time slices, which are generated and written one after another to limit memory."""
        return max(1, round(self.sources * self.records_per_source / _RECORDS_PER_SLICE))


def simulate(
    sources: int = 2000,
    seed: int = 0,
    *,
    records_per_source: float = 100.0,
    days: float = 7.0,
    telescope: str = "198.18.0.0/16",
) -> pa.Table:
    """Simulate a telescope; the parameters are those of `SimulationSettings`.

    Returns:
        Flow records (`records.schema.FLOW_SCHEMA`) in time order; `label` is the actor of the source.
    """
    settings = SimulationSettings(sources, seed, records_per_source, days, telescope)
    table = pa.Table.from_batches(simulate_batches(settings)).sort_by("timestamp")
    return table.cast(pa.schema([FLOW_SCHEMA.field(name) for name in table.schema.names]))


def simulate_batches(settings: SimulationSettings) -> Iterator[pa.RecordBatch]:
    """Yield slices of time, each in time order; text columns are dictionary-encoded."""
    duration = int(settings.days * DAY)
    population = draw_population(
        settings.sources, settings.seed, settings.records_per_source, settings.network, START, duration
    )
    emitter, names = Emitter(population), _Names(population)
    edges = START + (np.arange(settings.slices + 1) * duration) // settings.slices
    for start, stop in pairwise(edges.tolist()):
        yield names.batch(emitter.emit(start, stop))


def write_simulation(path: str | Path, settings: SimulationSettings) -> int:
    """Write the records as a Parquet file, in time order across row groups; returns their number.

    The file gets its name only when it is complete.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    batches = simulate_batches(settings)
    first = next(batches)
    # The default size of a dictionary page is too small for the addresses of a large telescope.
    with (
        replacing(path) as partial,
        pq.ParquetWriter(
            partial,
            first.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=list(_DICTIONARY_COLUMNS),
            dictionary_pagesize_limit=2**26,
            store_schema=False,
        ) as writer,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        # One slice is written while the next is generated.
        writing: Future[None] = pool.submit(writer.write_batch, first, _ROW_GROUP)
        rows: int = first.num_rows
        for batch in batches:
            writing.result()
            writing = pool.submit(writer.write_batch, batch, _ROW_GROUP)
            rows += batch.num_rows
        writing.result()
    return rows


class _Names:
    """The text of sources, destinations and actors, built once and shared by all batches."""

    def __init__(self, population: Population):
        self._sources = format_ipv4(population.sources["address"])
        self._targets = format_ipv4(population.targets)
        self._base = population.targets[0]
        self._actors = pa.array(population.actors, pa.string())
        self._actor_of = population.sources["actor"]

    def batch(self, records: np.ndarray) -> pa.RecordBatch:
        source = np.ascontiguousarray(records["source"])
        target = (records["dst_ip"] - self._base).astype(np.int32)
        columns: dict[str, pa.Array] = {
            "timestamp": pa.array(np.ascontiguousarray(records["timestamp"])),
            "src_ip": _dictionary(source, self._sources),
            "dst_ip": _dictionary(target, self._targets),
        }
        not_tcp = records["protocol"] != TCP
        for name in ("protocol", "src_port", "dst_port", "ttl", "tcp_flags", "ip_id", "tcp_seq"):
            mask = not_tcp if name in _TCP_ONLY else None
            columns[name] = pa.array(np.ascontiguousarray(records[name]), mask=mask)
        columns["label"] = _dictionary(self._actor_of[source], self._actors)
        return pa.RecordBatch.from_pydict(columns)


def _dictionary(codes: np.ndarray, names: pa.Array) -> pa.DictionaryArray:
    """A column of `names[codes]` whose dictionary holds only the names that occur."""
    used = np.zeros(len(names), dtype=bool)
    used[codes] = True
    new_codes = np.cumsum(used, dtype=np.int32) - 1
    return pa.DictionaryArray.from_arrays(pa.array(new_codes[codes], pa.int32()), names.filter(pa.array(used)))
