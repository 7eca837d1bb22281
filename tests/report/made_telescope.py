"""A small telescope whose profiles are known: three behaviours, hostile names, and one record outside any window."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from telescope_transformer.arrays import unit_rows
from telescope_transformer.embedding import embedding_column

HOSTILE = '</script><script>document.title="run"</script><img src=x onerror=alert(1)>'
# Monday, 4 March 2024, 00:00 UTC.
MONDAY = 1_709_510_400_000_000
HOUR = 3_600_000_000
PER_WINDOW = 8


@dataclass(frozen=True)
class Telescope:
    records: pa.Table
    windows: pa.Table


def window_rows(window: int, rng: np.random.Generator) -> dict[str, list]:
    """Cluster 0 sweeps tcp/22 upwards hourly, cluster 1 sends DNS queries to one sensor, cluster 2 pings at random."""
    cluster = window % 3
    steps = np.arange(PER_WINDOW)
    start = MONDAY + 24 * HOUR * (window // 3)
    destination = {
        0: [f"198.51.100.{10 + s}" for s in steps],
        1: ["240.0.0.7"] * PER_WINDOW,
        2: [f"203.0.113.{d}" for d in rng.integers(1, 250, PER_WINDOW)],
    }[cluster]
    return {
        "timestamp": (start + steps * HOUR).tolist(),
        "src_ip": [source_of(window)] * PER_WINDOW,
        "dst_ip": destination,
        "protocol": [(6, 17, 1)[cluster]] * PER_WINDOW,
        "src_port": [(40000, 40000, 8)[cluster]] * PER_WINDOW,
        "dst_port": [(22, 53, 0)[cluster]] * PER_WINDOW,
    }


def source_of(window: int) -> str:
    return "2001:db8:1:2::9" if window == 2 else f"192.0.2.{window + 1}"


def build_telescope(n_windows: int, rng: np.random.Generator) -> Telescope:
    rows = [window_rows(w, rng) for w in range(n_windows)]
    columns = {name: [value for row in rows for value in row[name]] for name in rows[0]}
    # This record is in no window.
    extra = {"timestamp": MONDAY, "src_ip": "192.0.2.250", "dst_ip": "198.51.100.1", "protocol": 6, "src_port": 1}
    columns = {name: [*values, extra.get(name, 80)] for name, values in columns.items()}
    types = {"timestamp": pa.int64(), "protocol": pa.uint8(), "src_port": pa.uint16(), "dst_port": pa.uint16()}
    records = pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})
    clusters = np.arange(n_windows) % 3
    centres = np.eye(3, 8)
    windows = pa.table(
        {
            "window_id": pa.array(np.arange(n_windows)),
            "source": [source_of(w) for w in range(n_windows)],
            "start": [row["timestamp"][0] for row in rows],
            "end": [row["timestamp"][-1] for row in rows],
            "n_records": pa.array([PER_WINDOW] * n_windows, pa.int32()),
            "cluster": pa.array(clusters, pa.int32()),
            "margin": pa.array(np.full(n_windows, 0.5), pa.float32()),
            "label": [None if w % 3 == 2 else HOSTILE if w % 3 else "benign <b>" for w in range(n_windows)],
            "tool": ["zmap" if w % 3 == 0 else None for w in range(n_windows)],
            "embedding": embedding_column(unit_rows(centres[clusters] + 0.1 * rng.normal(size=(n_windows, 8)))),
        }
    )
    return Telescope(records.take(pa.array(rng.permutation(len(records)))), windows)
