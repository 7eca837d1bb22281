"""Six months day by day: the final cost against solving at once, and the cost of a day against its windows.

Run: python tests/benchmarks/update.py marx.csv.gz [--model CHECKPOINT] [--days N] [--window 128]

Without a model, windows are embedded by hashed services, destinations and inter-arrival times, which is enough for the
question asked here.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.analysis import Settings, embed
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.records import FlowRecords, read_records
from telescope_transformer.similarity import normalised
from telescope_transformer.update import State, update
from telescope_transformer.update.running import Embed
from telescope_transformer.update.state import embedding_matrix

COLUMNS = {"timestamp": "datetime", "src_ip": "src", "dst_ip": "host"}
COLUMNS |= {"protocol": "proto", "src_port": "spt", "dst_port": "dpt"}
DAY = 86_400_000_000
HASHED = 64


def by_behaviour(windows: pa.Table) -> np.ndarray:
    """Hashed counts of services, destinations and inter-arrival times in powers of two, float32 (n, 64)."""
    sizes = windows["n_records"].to_numpy()
    row = np.repeat(np.arange(len(sizes)), sizes)
    flat = {
        name: pc.list_flatten(windows[name]).to_numpy().astype(np.int64)
        for name in ("dst_port", "protocol", "dst_ip", "timestamp")
    }
    gap = np.diff(flat["timestamp"], prepend=flat["timestamp"][:1])
    gap[np.cumsum(sizes)[:-1]] = 0
    seconds = np.log2(1 + np.maximum(gap, 0) / 1e6).astype(np.int64)
    answer = np.zeros((len(sizes), HASHED))
    projections = np.random.default_rng(0).normal(size=(4096, HASHED))
    for part, weight in ((flat["dst_port"] * 256 + flat["protocol"], 1.0), (flat["dst_ip"], 0.5), (seconds, 0.5)):
        keys, counts = np.unique(np.stack([row, (part * 2654435761 % 2**32) >> 20]), axis=1, return_counts=True)
        values = np.log1p(counts)
        length = np.sqrt(np.bincount(keys[0], weights=values**2, minlength=len(sizes)))
        np.add.at(answer, keys[0], (weight * values / length[keys[0]])[:, None] * projections[keys[1]])
    return normalised(answer)


def daily_files(path: str, folder: Path, n_days: int | None) -> list[Path]:
    table = read_records([path], columns=COLUMNS).table
    day = table["timestamp"].to_numpy() // DAY
    files = []
    for number in np.unique(day)[:n_days]:
        files.append(folder / f"{number}.parquet")
        pq.write_table(table.filter(pa.array(day == number)), files[-1])
    return files


def read(path: Path) -> FlowRecords:
    return read_records([path])


def day_cost(state: State, file: Path, settings: Settings, embedder: Embed) -> tuple[int, float]:
    """Windows that a day brought or changed, and seconds of CPU."""
    started = time.process_time()
    step = update(state, [file], read, settings, embedder=embedder)[0]
    return step.windows, time.process_time() - started


def report(state: State, threshold: float, time_limit: float) -> None:
    windows = state.query("SELECT cluster, embedding FROM windows WHERE cluster IS NOT NULL")
    vectors = embedding_matrix(windows)
    labels = np.unique(windows["cluster"].to_numpy(), return_inverse=True)[1]
    ours = DenseGraph(vectors @ vectors.T, threshold).cost(labels)
    started = time.perf_counter()
    whole = CorrelationClustering(method="local_search", time_limit=time_limit, random_state=0)
    whole.fit_embeddings(vectors, threshold)
    seconds = time.perf_counter() - started
    print(f"{len(vectors):,} windows; cost day by day {ours:.1f}, at once {whole.cost_:.1f} in {seconds:.0f} s")
    print(f"day by day / at once: {ours / whole.cost_:.4f}; clusters {labels.max() + 1} / {whole.n_clusters_}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records")
    parser.add_argument("--model")
    parser.add_argument("--threshold", type=float, default=0.6)
    parser.add_argument("--days", type=int)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--time-limit", type=float, default=60.0)
    given = parser.parse_args()
    settings = Settings(model=given.model, threshold=given.threshold, window=given.window, min_records=8)
    embedder = (lambda windows: embed(windows, settings)) if given.model else by_behaviour
    with tempfile.TemporaryDirectory() as folder:
        files = daily_files(given.records, Path(folder), given.days)
        with State(Path(folder) / "state.duckdb") as state:
            started, cpu = time.perf_counter(), time.process_time()
            done = update(state, files, read, settings, embedder=embedder)
            print(
                f"{len(done)} days in {time.perf_counter() - started:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
            )
            seconds = np.array([step.seconds for step in done])
            for part in np.array_split(np.arange(len(done)), 6):
                size = sum(done[i].windows for i in part)
                print(f"days {part[0] + 1}-{part[-1] + 1}: {size} windows, {seconds[part].mean():.2f} s a day")
            report(state, given.threshold, given.time_limit)


if __name__ == "__main__":
    main()
