"""Whole analyses of simulated telescopes of growing size, each as a process of its own.

Run: python tests/benchmarks/scale.py --sources 2000 --records 90 --sources 20000 --records 25

Writes tests/benchmarks/results/scale.json: for every size the time by the clock, the processor time, the peak of
memory, the size of the page and of `clusters.json`, and what the clustering said. Runs of other sizes that the file
holds stay. On a machine that does other work too, only the processor time compares. A million sources take an hour
and some 10 GB of disk.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from measuring import measured
from sklearn.metrics import adjusted_rand_score

RESULTS = Path(__file__).parent / "results" / "scale.json"
TELESCOPE = [sys.executable, "-m", "telescope_transformer.cli.main"]


def run(sources: int, records: int, folder: Path, memory_limit: str) -> dict[str, Any]:
    """Simulate, analyse and look at what came out."""
    flows, output, work = folder / "flows.parquet", folder / "out", folder / "work"
    # As many records in the mean; a source has its own number.
    simulate = ["simulate", "--output", str(flows), "--sources", str(sources), "--records-per-source", str(records)]
    subprocess.run([*TELESCOPE, *simulate], check=True)
    analyze = ["analyze", str(flows), "--output", str(output), "--work", str(work), "--memory-limit", memory_limit]
    result: dict[str, Any] = {"sources": sources, "records_per_source": records}
    result["records"] = pq.read_metadata(flows).num_rows
    result["analyze"] = measured([*TELESCOPE, *analyze])
    result["again"] = measured([*TELESCOPE, *analyze])
    summary = json.loads((output / "clusters.json").read_text())
    table = pq.read_table(output / "sources.parquet")
    placed = table.filter(table["cluster"].is_valid())
    truth, found = (placed[name].to_numpy(zero_copy_only=False) for name in ("label", "cluster"))
    return result | {
        "windows": summary["counts"]["windows"],
        "page_mb": round((output / "report.html").stat().st_size / 1e6, 2),
        "clusters_json_mb": round((output / "clusters.json").stat().st_size / 1e6, 2),
        "solution": {name: summary["solution"][name] for name in ("n_clusters", "gap", "n_solved", "assigned_share")},
        "ari": round(float(adjusted_rand_score(truth, found)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, action="append", help="of a run; repeatable, with --records")
    parser.add_argument("--records", type=int, action="append", help="of each source of a run, in the mean")
    parser.add_argument("--directory", type=Path, help="for the data; a temporary one by default")
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = json.loads(arguments.output.read_text()) if arguments.output.is_file() else {}
    for sources, records in zip(arguments.sources or [2000], arguments.records or [90], strict=True):
        folder = Path(tempfile.mkdtemp(prefix="scale-", dir=arguments.directory))
        try:
            found = run(sources, records, folder, arguments.memory_limit)
        finally:
            shutil.rmtree(folder)
        found["machine"] = {
            "processors": os.cpu_count(),
            "load_average": round(os.getloadavg()[1], 1),
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
        results[f"{sources} x {records}"] = found
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")
        json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
