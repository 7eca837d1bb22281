"""Measure simulation, preparation, appending and loading at scale, each stage in a separate process.

Run: python tests/benchmarks/prepare.py --records 100000000 --directory /scratch

Needs about 60 bytes of disk space per record. Writes tests/benchmarks/results/prepare.json with, for every stage, the
wall time, the processor time of all its threads, and its peak memory. On a machine that also does other work, only the
processor times can be compared.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from measuring import measured

from telescope_transformer.preparation import read_blocks, read_manifest
from telescope_transformer.simulation import SimulationSettings, simulate_batches

RESULTS = Path(__file__).parent / "results" / "prepare.json"
RECORDS_PER_SOURCE = 100
DAYS = 30
DAY = 86_400_000_000
BLOCK = 16_384
TELESCOPE = [sys.executable, "-m", "telescope_transformer.cli.main"]


def with_rate(result: dict[str, Any], count: int, what: str) -> dict[str, Any]:
    result[f"{what}_per_second"] = round(count / result["seconds"])
    result[f"{what}_per_processor_second"] = round(count / result["processor_seconds"])
    return result


def write_day(path: Path, sources: int) -> int:
    """One more day of the same sources, after the end of the recording."""
    settings = SimulationSettings(
        sources, seed=0, records_per_source=RECORDS_PER_SOURCE / DAYS, days=1, telescope="198.18.0.0/15"
    )
    writer = None
    rows = 0
    for batch in simulate_batches(settings):
        table = pa.Table.from_batches([batch])
        later = pc.add(table["timestamp"], pa.scalar((DAYS + 1) * DAY, pa.int64()))
        table = table.set_column(0, "timestamp", later)
        writer = writer or pq.ParquetWriter(path, table.schema, store_schema=False)
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
    return rows


def reading_rate(dataset: Path, seconds: float = 10.0) -> dict[str, Any]:
    """Windows and records per second that are read from disk in blocks."""
    windows, records, started, processor = 0, 0, time.monotonic(), time.process_time()
    for block in read_blocks(dataset, BLOCK):
        windows += len(block)
        records += int(block.offsets[-1])
        if time.process_time() - processor > seconds:
            break
    elapsed, spent = time.monotonic() - started, time.process_time() - processor
    return {
        "windows": windows,
        "mean_records": round(records / windows, 1),
        "windows_per_second": round(windows / elapsed),
        "windows_per_processor_second": round(windows / spent),
    }


def run(records: int, directory: Path, memory_limit: str) -> dict[str, Any]:
    sources = records // RECORDS_PER_SOURCE
    flows, day, dataset = directory / "flows.parquet", directory / "day.parquet", directory / "dataset"
    simulate = [*TELESCOPE, "simulate", "--output", str(flows), "--sources", str(sources)]
    simulate += ["--days", str(DAYS), "--telescope", "198.18.0.0/15"]
    prepare = [*TELESCOPE, "prepare", "--output", str(dataset), "--memory-limit", memory_limit]
    results: dict[str, Any] = {"simulate": measured(simulate)}
    written = pq.read_metadata(flows).num_rows
    with_rate(results["simulate"], written, "records")
    results["prepare"] = with_rate(measured([*prepare, str(flows)]), written, "records")
    manifest = read_manifest(dataset)
    results["dataset"] = {
        "records": written,
        "sources": manifest.counts()["sources"],
        "shards": manifest.shards,
        "bytes": sum((dataset / file.path).stat().st_size for file in manifest.files),
    }
    results["reading"] = reading_rate(dataset)
    day_rows = write_day(day, sources)
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("shard-*.parquet")}
    results["append_a_day"] = with_rate(measured([*prepare, "--append", str(day)]), day_rows, "records")
    results["append_a_day"] |= {
        "records": day_rows,
        "share_of_the_dataset": round(day_rows / written, 4),
        "share_of_its_processor_time": round(
            results["append_a_day"]["processor_seconds"] / results["prepare"]["processor_seconds"], 4
        ),
        "files_changed": sum(path.stat().st_mtime_ns != time_ for path, time_ in before.items()),
    }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--directory", type=Path, help="for the data; a temporary one by default")
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="prepare-", dir=arguments.directory))
    try:
        results = run(arguments.records, directory, arguments.memory_limit)
    finally:
        shutil.rmtree(directory)
    results["machine"] = {
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
