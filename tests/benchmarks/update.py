"""Measure a running analysis day by day: its cost against solving all at once, certificate, time and state size.

Run: python tests/benchmarks/update.py marx.csv.gz
     telescope simulate --output week.parquet --sources 1000 --records-per-source 60
     python tests/benchmarks/update.py week.parquet --weeks 26 --keep-days 30 --name "26 equal weeks, --keep-days 30"

The records of each day are a file. Windows are embedded by the given checkpoint, or by the shipped one, adapted as
`telescope update` does. Writes results/update.json and keeps the results of other names.

`slope` is how much more processor time a day costs at the end than at the beginning, by a straight line fitted to all
days but the first, as a share of the mean. `slope_of_windows` is the same for the number of windows per day; compare
the two. `bytes_a_record` is the size of the state per record.
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

DAY = 86_400_000_000
PARTS = 6
RESULTS = Path(__file__).parent / "results" / "update.json"


def daily_files(path: str, folder: Path, weeks: int) -> list[Path]:
    """The records of each day as one file, in order; each further week repeats them."""
    table = read_records([path]).table
    times = table["timestamp"].to_numpy()
    place = table.column_names.index("timestamp")
    files = []
    for week in range(weeks):
        later = times + 7 * week * DAY
        shifted = table.set_column(place, "timestamp", pa.array(later))
        for number in np.unique(later // DAY):
            files.append(folder / f"{week}-{number}.parquet")
            pq.write_table(shifted.filter(pa.array(later // DAY == number)), files[-1])
    return files


def read(path: Path) -> FlowRecords:
    return read_records([path])


def take_days(
    state: State, files: list[Path], settings: AnalysisSettings, keep_days: float | None
) -> tuple[list[Step], np.ndarray]:
    """The steps of the update, and the processor seconds of each."""
    steps, clock = [], [time.process_time()]
    for file in files:
        steps += update(state, [file], read, settings, keep_days=keep_days, say=print)
        clock.append(time.process_time())
    return steps, np.array([after - before for before, after in pairwise(clock)])


def parts(steps: list[Step], seconds: np.ndarray) -> list[dict[str, Any]]:
    """The windows, processor time and certificate of each sixth of the days."""
    rows = []
    for days in np.array_split(np.arange(len(steps)), PARTS):
        windows, last = sum(steps[i].windows for i in days), steps[days[-1]]
        row = {"days": f"{days[0] + 1}-{days[-1] + 1}", "windows": windows}
        row |= {"seconds_a_day": round(float(seconds[days].mean()), 2)}
        row |= {"milliseconds_a_window": round(1000 * float(seconds[days].sum()) / max(windows, 1), 2)}
        rows.append(row | {"cost": round(last.cost, 1), "gap": round((last.cost - last.lower_bound) / last.cost, 4)})
    return rows


def slope(values: np.ndarray) -> float:
    """By how much a fitted straight line rises from the first to the last value, as a share of the mean."""
    days = np.arange(len(values))
    return round(float(np.polyfit(days, values, 1)[0] * (len(values) - 1) / values.mean()), 3)


def against_at_once(state: State, time_limit: float) -> dict[str, Any]:
    """The cost of the running clustering and that of a search over all windows at once, in units of edge weight."""
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
    parser.add_argument(
        "--weeks", type=int, default=1, help="take the records of a week so many times, as constant traffic"
    )
    parser.add_argument("--name", default="months", help="of the result")
    parser.add_argument("--no-adapt", action="store_true")
    parser.add_argument("--keep-days", type=float, help="let windows age out")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds of the search at once")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    settings = AnalysisSettings(model=given.model, adapt=not given.no_adapt)
    with tempfile.TemporaryDirectory() as folder:
        files, path = daily_files(given.records, Path(folder), given.weeks), Path(folder) / "state.duckdb"
        with State(path) as state:
            steps, seconds = take_days(state, files, settings, given.keep_days)
            windows = np.array([step.windows for step in steps], dtype=float)
            found = {"days": len(steps), "seconds": round(float(seconds.sum()), 1), "parts": parts(steps, seconds)}
            found |= {"slope": slope(seconds[1:]), "slope_of_windows": slope(windows[1:])}
            found |= {"gap": found["parts"][-1]["gap"]} | against_at_once(state, given.time_limit)
            records = state.number("SELECT sum(kept) FROM inputs")
        found |= {"records": records, "bytes_a_record": round(path.stat().st_size / records, 1)}
    results = json.loads(given.output.read_text()) if given.output.is_file() else {}
    results[given.name] = found
    print(json.dumps(found, indent=1))
    given.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
