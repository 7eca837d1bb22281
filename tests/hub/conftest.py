"""A Hub on loopback for each test, used by the package in this process and by stock clients in theirs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import WRITE_TOKEN, HubServer

# Logs of clients must not depend on the terminal, and each test uses one thread.
PLAIN = {"NO_COLOR": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
WITHOUT_PACKAGE = """
import sys


class WithoutPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("telescope_transformer", "training", "hub_cards"):
            raise ModuleNotFoundError(f"No module named {name!r}")


sys.meta_path.insert(0, WithoutPackage())
"""


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A prepared dataset with 1, 2, 3 and 4 windows of two records in its splits."""
    from telescope_transformer.preparation import SPLITS
    from telescope_transformer.preparation.manifest import COUNTS, Ingest, Manifest, write_manifest
    from telescope_transformer.preparation.writer import ShardFile, window_schema

    folder = tmp_path / "prepared"
    fields, files = ["timestamp", "dst_port"], []
    for number, split in enumerate(SPLITS, start=1):
        rows = [
            {"source": f"192.0.2.{row}", "start": row, "end": row + 5, "n_records": 2, "label": None}
            | {"timestamp": [row, row + 5], "dst_port": [22, 443]}
            for row in range(number)
        ]
        files.append(ShardFile(f"{split}/shard-00000.parquet", split, 0, number, 2 * number, number))
        (folder / split).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, window_schema(fields, ["label"])), folder / files[-1].path)
    inputs = [{"file": "/home/somebody/flows|2024.csv", "format": "csv", "bytes": 9, "digest": "00"}]
    counts = dict.fromkeys(COUNTS, 0) | {"read": 22, "kept": 20, "rejected": 2}
    ingest = Ingest(0, "duckdb", inputs, counts, "rejects.parquet", 1.0)
    write_manifest(folder, Manifest(64, 2, 5, 1, fields, ["label"], files, [ingest], has_splits=True))
    return folder


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as served:
        yield served


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the seconds of each sleep, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.fixture
def client(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> HubServer:
    """Point this process's client at the Hub, for code that reads the endpoint when it is called."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # Small chunks, because a broken download continues after the last complete one.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    return hub


@pytest.fixture
def in_process_of_its_own(hub: HubServer, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run Python code in a process whose stock clients use this Hub; returns the last printed line, parsed as JSON."""

    def run(code: str, *, package: bool = True, home: str = "home", token: str | None = WRITE_TOKEN) -> dict[str, Any]:
        environment = os.environ | PLAIN | hub.environment(tmp_path / home, token)
        environment = {key: value for key, value in environment.items() if key != "HF_TOKEN" or token}
        source = code if package else WITHOUT_PACKAGE + code
        done = subprocess.run(
            [sys.executable, "-c", source], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}

    return run
