"""A small prepared dataset whose sources have distinct habits that can be learned."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.fields import WINDOW_FIELDS
from telescope_transformer.preparation import Manifest
from telescope_transformer.preparation.manifest import write_manifest
from telescope_transformer.preparation.writer import ShardFile
from telescope_transformer.windows import cut_windows

N_SOURCES = 40


def make_records(seed: int = 0) -> pa.Table:
    """Flow records of `N_SOURCES` sources, each with its own port, destinations and pace."""
    random = np.random.default_rng(seed)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("timestamp", "src", "dst", "dst_port", "protocol")}
    for source in range(N_SOURCES):
        count = int(random.integers(40, 200))
        columns["timestamp"].append(np.cumsum(random.exponential(10.0 ** (3 + source % 5), count)).astype(np.int64))
        columns["src"].append(np.full(count, source))
        columns["dst"].append(random.integers(0, 256, count))
        columns["dst_port"].append(random.choice([22, 23, 80, 443, 8080, 1000 + source], count))
        columns["protocol"].append(random.choice([6, 17], count, p=[0.9, 0.1]))
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    return pa.table(
        {
            "timestamp": flat["timestamp"],
            "src_ip": [f"192.0.2.{source}" for source in flat["src"]],
            "dst_ip": [f"198.51.100.{octet}" for octet in flat["dst"]],
            "protocol": flat["protocol"].astype(np.uint8),
            "src_port": np.full(len(flat["src"]), 40_000, dtype=np.uint16),
            "dst_port": flat["dst_port"].astype(np.uint16),
        }
    )


def write_dataset(folder: Path, seed: int = 0) -> Path:
    """Write the records as a prepared dataset of two shards."""
    windows = cut_windows(make_records(seed), window=64)
    (folder / "train").mkdir(parents=True)
    shard_of = np.array([int(source.rpartition(".")[2]) % 2 for source in windows["source"].to_pylist()])
    files = []
    for shard in range(2):
        part, path = windows.filter(pa.array(shard_of == shard)), f"train/shard-{shard:05d}.parquet"
        pq.write_table(part, folder / path)
        records = int(part["n_records"].to_numpy().sum())
        files.append(ShardFile(path, "train", shard, part.num_rows, records, N_SOURCES // 2))
    fields = [name for name in WINDOW_FIELDS if name in windows.column_names]
    write_manifest(folder, Manifest(64, 8, 0, 2, fields, [], files, []))
    return folder
