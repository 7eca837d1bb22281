"""Simulated days of flow records of a few actors, a trivial embedder, and a program that a test can kill."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.analysis import AnalysisSettings
from telescope_transformer.arrays import unit_rows
from telescope_transformer.records import FlowRecords, read_records
from telescope_transformer.update import State, update

DAY = 86_400_000_000
FIRST_DAY = 1_709_510_400_000_000
SETTINGS = AnalysisSettings(threshold=0.6, window=16, min_records=8)
PORTS = np.array([22, 23, 80, 443, 445, 1433, 3389, 5060])


def day_records(day: int, rng: np.random.Generator, n_sources: int = 24) -> pa.Table:
    """Each source belongs to one of six actors and contacts its ports; the sixth actor begins on the third day."""
    actors = np.arange(n_sources) % 6
    active = np.flatnonzero((rng.random(n_sources) < 0.7) & ((actors != 5) | (day >= 2)))
    counts = rng.integers(6, 30, len(active))
    source = np.repeat(active, counts)
    actor = actors[source]
    port = PORTS[(actor + (rng.random(len(source)) < 0.25)) % len(PORTS)]
    time = FIRST_DAY + day * DAY + rng.integers(0, DAY, len(source))
    return pa.table(
        {
            "timestamp": time,
            "src_ip": [f"192.0.2.{s + 1}" for s in source],
            "dst_ip": [f"198.51.100.{d}" for d in rng.integers(1, 255, len(source))],
            "protocol": pa.array(np.full(len(source), 6), pa.uint8()),
            "src_port": pa.array(rng.integers(1024, 65536, len(source)), pa.uint16()),
            "dst_port": pa.array(port, pa.uint16()),
        }
    ).sort_by("timestamp")


def write_days(folder: Path, n_days: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"day-{day:02d}.parquet" for day in range(n_days)]
    for day, path in enumerate(paths):
        pq.write_table(day_records(day, rng), path)
    return paths


def port_shares(windows: pa.Table) -> np.ndarray:
    """Embed a window as the share of each port among its records."""
    shares = np.zeros((windows.num_rows, len(PORTS)), dtype=np.float32)
    for row, ports in enumerate(windows["dst_port"].to_pylist()):
        shares[row] = np.bincount(np.searchsorted(PORTS, ports), minlength=len(PORTS))
    return unit_rows(shares)


def read(path: Path) -> FlowRecords:
    return read_records([path])


def run(state: Path, paths: list[Path], keep_days: float | None = None) -> None:
    with State(state) as opened:
        update(opened, paths, read, SETTINGS, keep_days=keep_days, embedder=port_shares)


if __name__ == "__main__":
    run(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
