"""Measure whole analyses of simulated telescopes of growing size, each command in a separate process.

Run: python tests/benchmarks/scale.py --sources 2000 --records 90 --sources 20000 --records 25 --adapt --baseline

Writes tests/benchmarks/results/scale.json and keeps the results of other sizes. For each size, it has the processor
time and the peak memory of:

- `analyze`: `telescope analyze --no-adapt`, from the file to the report;
- `again`: the same command on the same work folder, where all stages are already complete;
- `adapt` (with --adapt): `telescope analyze` with adaptation, in a separate work folder;
- `baseline` (with --baseline): TF-IDF of services and timing, clustered by Leiden at its best resolution.

`page` (with --page WINDOWS) is the size of a report of that many windows, made without an analysis.

Compare processor times: on a machine that does other work, wall time says little. A million sources take an hour and
about 10 GB of disk space.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import keep, measured, usage_of

RESULTS = Path(__file__).parent / "results" / "scale.json"
TELESCOPE = [sys.executable, "-m", "telescope_transformer.cli.main"]
# The number of records of each source's first window that the baseline sees, as in the evaluation.
BASELINE_RECORDS = 8
PAGE_DIMENSIONS = 8


def command(*arguments: str | Path) -> dict[str, Any]:
    """Run a command of the package and measure it."""
    return measured([*TELESCOPE, *map(str, arguments)])


def in_child(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run a function of this file in a fresh interpreter and measure it; the measurements include its result."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    started = time.monotonic()
    process = context.Process(target=_report, args=(sender, work, arguments))
    process.start()
    sender.close()
    found = receiver.recv()
    return usage_of(process.pid or 0, started, work.__name__) | found


def _report(sender: Any, work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    sender.send(work(*arguments))


def agreement(sources: Path) -> float:
    """ARI between the clusters of the sources and the simulated actors."""
    from sklearn.metrics import adjusted_rand_score

    table = pq.read_table(sources)
    placed = table.filter(table["cluster"].is_valid())
    truth, found = (placed[name].to_numpy(zero_copy_only=False) for name in ("label", "cluster"))
    return round(float(adjusted_rand_score(truth, found)), 4)


def analysis(flows: Path, folder: Path, memory_limit: str, *options: str) -> dict[str, Any]:
    """Analyse a file in a folder; returns the cost and the result."""
    output, work = folder / "out", folder / "work"
    found = command(
        "analyze", flows, "--output", output, "--work", work, "--memory-limit", memory_limit, "--quiet", *options
    )
    summary = json.loads((output / "clusters.json").read_text())
    solution = {name: summary["solution"][name] for name in ("n_clusters", "gap", "n_solved", "assigned_share")}
    return found | {
        "windows": summary["counts"]["windows"],
        "page_mb": round((output / "report.html").stat().st_size / 1e6, 2),
        "clusters_json_mb": round((output / "clusters.json").stat().st_size / 1e6, 2),
        "solution": solution,
        "ari": agreement(output / "sources.parquet"),
    }


def baseline(flows: Path) -> dict[str, Any]:
    """TF-IDF of services and a histogram of inter-arrival times, clustered by Leiden at its best resolution."""
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.metrics import adjusted_rand_score

    from telescope_transformer.evaluation.baselines.communities import DIMENSIONS, leiden, reduced
    from telescope_transformer.evaluation.baselines.services import tfidf, time_histogram
    from telescope_transformer.evaluation.windows import WindowSet
    from telescope_transformer.windows import cut_windows, fixed_windows

    windows = fixed_windows(
        cut_windows(pq.read_table(flows), min_records=BASELINE_RECORDS), BASELINE_RECORDS, max_per_source=1
    )
    some = WindowSet(windows)
    wide = hstack([tfidf(some.services, some.services), time_histogram(some)], format="csr")
    dimensions = min(DIMENSIONS, min(wide.shape) - 1)
    vectors = reduced(TruncatedSVD(dimensions, random_state=0).fit_transform(wide), 0)
    scores = [float(adjusted_rand_score(windows["label"].to_pylist(), labels)) for labels in leiden(vectors, 0)]
    return {"windows": windows.num_rows, "best_ari": round(max(scores), 4)}


def profiles_like() -> list[dict[str, Any]]:
    """Profiles, with names, of the actors of a small simulated telescope."""
    from telescope_transformer.analysis.description import flow_table
    from telescope_transformer.codes import sorted_codes
    from telescope_transformer.report import name_clusters, profile_clusters
    from telescope_transformer.simulation import simulate
    from telescope_transformer.windows import cut

    windows = cut(simulate(200, records_per_source=40.0), min_records=1)
    ids = np.arange(len(windows))
    table = windows.table.append_column("window_id", pa.array(ids))
    table = table.append_column("cluster", pa.array(sorted_codes(table["label"])[0], pa.int32()))
    table = table.append_column("margin", pa.array(np.zeros(len(windows), dtype=np.float32)))
    found = profile_clusters(flow_table(windows, ids, {}), table)
    name_clusters(found)
    return found


def page(n_windows: int) -> dict[str, Any]:
    """A report of the given number of windows: an eighth are alone, the others are in clusters of every size."""
    from telescope_transformer.analysis import sources_table
    from telescope_transformer.arrays import unit_rows
    from telescope_transformer.embedding import embedding_column
    from telescope_transformer.records.addresses import format_ipv4
    from telescope_transformer.report import ReportData
    from telescope_transformer.report.rendering import render_report

    rng = np.random.default_rng(0)
    n_alone = n_windows // 8
    weights = 1 / np.arange(1, max(2, n_windows // 50))
    members = rng.choice(len(weights), n_windows - n_alone, p=weights / weights.sum())
    several = np.flatnonzero(np.bincount(members) > 1)
    rank = np.searchsorted(several, members)
    kept = np.isin(members, several)
    clusters = np.concatenate([rank[kept], len(several) + np.arange(n_windows - kept.sum())])
    day = 86_400_000_000
    starts = 1_709_510_400_000_000 + rng.integers(0, 30 * day, n_windows)
    centres = rng.normal(size=(len(several), PAGE_DIMENSIONS))
    vectors = rng.normal(size=(n_windows, PAGE_DIMENSIONS))
    vectors[: kept.sum()] = 0.3 * vectors[: kept.sum()] + centres[rank[kept]]
    services = pa.array(["tcp/23", "tcp/22", "tcp/445", "udp/53", "icmp/8"])
    windows = pa.table(
        {
            "window_id": np.arange(n_windows),
            # From the start of the range for benchmarks (RFC 2544) upwards: every window has a different source.
            "source": format_ipv4((0xC6120000 + np.arange(n_windows)).astype(np.uint32)),
            "start": starts,
            "end": starts + day,
            "n_records": pa.array(rng.integers(1, 129, n_windows), pa.int32()),
            "cluster": pa.array(clusters, pa.int32()),
            "margin": pa.array(rng.normal(size=n_windows), pa.float32()),
            "embedding": embedding_column(unit_rows(vectors)),
            "service": services.take(pa.array(rng.integers(0, 5, n_windows))),
        }
    )
    like = profiles_like()
    sizes = np.bincount(clusters[clusters < len(several)]).tolist()
    profiles = [like[k % len(like)] | {"cluster": k, "n_windows": size} for k, size in enumerate(sizes)]
    html = render_report(ReportData(windows, sources_table(windows), profiles, {"cost": 1.0}))
    return {"windows": n_windows, "clusters": len(several), "page_mb": round(len(html.encode()) / 1e6, 2)}


def run(arguments: argparse.Namespace, sources: int, records: int, folder: Path) -> dict[str, Any]:
    """Simulate, analyse and evaluate the result."""
    flows = folder / "flows.parquet"
    # The mean number of records; it differs from source to source.
    command("simulate", "--output", flows, "--sources", str(sources), "--records-per-source", str(records), "--quiet")
    found: dict[str, Any] = {"sources": sources, "records_per_source": records}
    found["records"] = pq.read_metadata(flows).num_rows
    plain = folder / "plain"
    found["analyze"] = analysis(flows, plain, arguments.memory_limit, "--no-adapt")
    again = analysis(flows, plain, arguments.memory_limit, "--no-adapt")
    found["again"] = {name: again[name] for name in ("seconds", "processor_seconds", "peak_gb")}
    if arguments.adapt:
        found["adapt"] = analysis(flows, folder / "adapted", arguments.memory_limit)
        more = found["adapt"]["processor_seconds"] - found["analyze"]["processor_seconds"]
        found["adapt"]["processor_seconds_on_top"] = round(more, 1)
    if arguments.baseline:
        found["baseline"] = in_child(baseline, flows)
    return found


def machine() -> dict[str, Any]:
    """The machine that the figures were measured on."""
    return {
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, action="append", default=[], help="of a run; repeatable, as --records")
    parser.add_argument("--records", type=int, action="append", default=[], help="of each source, in the mean")
    parser.add_argument("--adapt", action="store_true", help="also analyse with adaptation")
    parser.add_argument("--baseline", action="store_true", help="also cluster TF-IDF by Leiden")
    parser.add_argument("--page", type=int, action="append", default=[], help="windows of a page; repeatable")
    parser.add_argument("--directory", type=Path, help="for the data; a temporary one by default")
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()

    def told(name: str, found: dict[str, Any]) -> None:
        keep(arguments.output, name, found | {"machine": machine()})
        print(name, json.dumps(found, indent=1), flush=True)

    for sources, records in zip(arguments.sources, arguments.records, strict=True):
        folder = Path(tempfile.mkdtemp(prefix="scale-", dir=arguments.directory))
        try:
            told(f"{sources} x {records}", run(arguments, sources, records, folder))
        finally:
            shutil.rmtree(folder)
    for windows in arguments.page:
        told(f"page of {windows} windows", in_child(page, windows))


if __name__ == "__main__":
    main()
