"""Measure the time to label addresses by the longest of many nested prefixes, and to recognise the tools of records.

Run: python tests/benchmarks/labels.py [--addresses 10000000] [--prefixes 50000] [--output FILE.json]

Prefixes are random, from /8 to /32, so that they nest. Addresses are random text, and the time includes parsing them.
Times are processor time on one core, the best of several rounds after an untimed one.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measuring import best_seconds

from telescope_transformer.labels import Entry, Prefix, PrefixLabels, tool_fingerprints
from telescope_transformer.records.addresses import format_ipv4

RESULTS = Path(__file__).parent / "results" / "labels.json"
ROUNDS = 3


def make_prefixes(count: int, random: np.random.Generator) -> list[Entry]:
    """`count` distinct random prefixes of 100 organisations."""
    found: dict[Prefix, str] = {}
    while len(found) < count:
        address, length = int(random.integers(0, 2**32)), int(random.integers(8, 33))
        first = address >> (32 - length) << (32 - length)
        found[Prefix(4, first, first + 2 ** (32 - length) - 1)] = f"organisation-{address % 100}"
    return [Entry(*item) for item in found.items()]


def make_table(rows: int, random: np.random.Generator) -> pa.Table:
    """TCP SYNs with random headers, from 100,000 sources."""
    sources = random.integers(0, 2**32, 100_000, dtype=np.uint32)
    return pa.table(
        {
            "src_ip": format_ipv4(sources[random.integers(0, len(sources), rows)]),
            "dst_ip": format_ipv4(random.integers(0, 2**32, rows, dtype=np.uint32)),
            "protocol": np.full(rows, 6, dtype=np.uint8),
            "src_port": random.integers(0, 65_536, rows).astype(np.uint16),
            "dst_port": random.integers(0, 65_536, rows).astype(np.uint16),
            "tcp_flags": np.full(rows, 2, dtype=np.uint8),
            "ip_id": random.integers(0, 65_536, rows).astype(np.uint16),
            "tcp_seq": random.integers(0, 2**32, rows, dtype=np.uint32),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--addresses", type=int, default=10_000_000)
    parser.add_argument("--prefixes", type=int, default=50_000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    pa.set_cpu_count(1)
    random = np.random.default_rng(0)
    prefixes = make_prefixes(options.prefixes, random)
    labels = PrefixLabels.from_entries(prefixes)
    addresses = format_ipv4(random.integers(0, 2**32, options.addresses, dtype=np.uint32))
    table = make_table(options.addresses // 10, random)

    def seconds(work: Callable[[], Any]) -> float:
        return round(best_seconds(work, ROUNDS)[1], 3)

    results = {
        "machine": {"processor": platform.processor() or platform.machine(), "python": platform.python_version()},
        "unit": "seconds of processor time, one core, best round",
        "addresses": options.addresses,
        "prefixes": options.prefixes,
        "build": seconds(lambda: PrefixLabels.from_entries(prefixes)),
        "join": seconds(lambda: labels.label(addresses)),
        "fingerprinted_records": table.num_rows,
        "fingerprints": seconds(lambda: tool_fingerprints(table)),
    }
    print(json.dumps(results, indent=2))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
