"""Six months day by day: the final cost against solving at once, the certificate, and what a day costs.

Run: python tests/benchmarks/update.py marx.csv.gz [--model CHECKPOINT] [--days N] [--time-limit SECONDS]

Windows are embedded by the shipped checkpoint, or the one that is given; the threshold is the calibrated one of the
first day. Writes results/update.json.
"""

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.analysis import AnalysisSettings
from telescope_transformer.correlation_clustering import CorrelationClustering
from telescope_transformer.correlation_clustering.graph import DenseGraph
from telescope_transformer.records import FlowRecords, read_records
from telescope_transformer.similarity import embedding_matrix
from telescope_transformer.update import State, Step, update

COLUMNS = {"timestamp": "datetime", "src_ip": "src", "dst_ip": "host"}
COLUMNS |= {"protocol": "proto", "src_port": "spt", "dst_port": "dpt"}
DAY = 86_400_000_000
PARTS = 6
RESULTS = Path(__file__).parent / "results" / "update.json"


def daily_files(path: str, folder: Path, n_days: int | None) -> list[Path]:
    """The records of each day as a file of its own, in order."""
    table = read_records([path], columns=COLUMNS).table
    day = table["timestamp"].to_numpy() // DAY
    files = []
    for number in np.unique(day)[:n_days]:
        files.append(folder / f"{number}.parquet")
        pq.write_table(table.filter(pa.array(day == number)), files[-1])
    return files


def read(path: Path) -> FlowRecords:
    return read_records([path])


def take_days(state: State, files: list[Path], settings: AnalysisSettings) -> tuple[list[Step], np.ndarray]:
    """The steps, and the processor seconds of each."""
    steps, clock = [], [time.process_time()]
    for file in files:
        steps += update(state, [file], read, settings)
        clock.append(time.process_time())
    return steps, np.array([after - before for before, after in pairwise(clock)])


def parts(steps: list[Step], seconds: np.ndarray) -> list[dict[str, Any]]:
    """Windows, processor time and certificate of each sixth of the days."""
    rows = []
    for days in np.array_split(np.arange(len(steps)), PARTS):
        windows, last = sum(steps[i].windows for i in days), steps[days[-1]]
        row = {"days": f"{days[0] + 1}-{days[-1] + 1}", "windows": windows}
        row |= {"seconds_a_day": round(float(seconds[days].mean()), 2)}
        row |= {"milliseconds_a_window": round(1000 * float(seconds[days].sum()) / max(windows, 1), 2)}
        rows.append(row | {"cost": round(last.cost, 1), "gap": round((last.cost - last.lower_bound) / last.cost, 4)})
    return rows


def against_at_once(state: State, time_limit: float) -> dict[str, Any]:
    """The cost of the running clustering, and that of a search of all windows at once, in units of edge weight."""
    settings = state.settings() or {}
    windows = state.query("SELECT cluster, embedding FROM windows WHERE cluster IS NOT NULL")
    vectors = embedding_matrix(windows)
    labels = np.unique(windows["cluster"].to_numpy(), return_inverse=True)[1]
    ours = settings["scale"] * DenseGraph(vectors @ vectors.T, settings["threshold"]).cost(labels)
    started = time.process_time()
    whole = CorrelationClustering(method="local_search", time_limit=time_limit, random_state=0)
    whole.fit_embeddings(vectors, settings["threshold"])
    at_once = settings["scale"] * float(whole.cost_)
    return {
        "windows": len(vectors),
        "threshold": round(settings["threshold"], 4),
        "cost": round(ours, 1),
        "cost_at_once": round(at_once, 1),
        "ratio": round(ours / at_once, 4),
        "clusters": int(labels.max()) + 1,
        "clusters_at_once": int(whole.n_clusters_),
        "seconds_at_once": round(time.process_time() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records")
    parser.add_argument("--model", help="default: the shipped checkpoint")
    parser.add_argument("--days", type=int, help="only the first so many")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds of the search at once")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    settings = AnalysisSettings(model=given.model)
    with tempfile.TemporaryDirectory() as folder:
        files = daily_files(given.records, Path(folder), given.days)
        with State(Path(folder) / "state.duckdb") as state:
            steps, seconds = take_days(state, files, settings)
            found = {"days": len(steps), "seconds": round(float(seconds.sum()), 1), "parts": parts(steps, seconds)}
            found |= {"gap": found["parts"][-1]["gap"]} | against_at_once(state, given.time_limit)
    text = json.dumps(found, indent=1)
    print(text)
    given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
