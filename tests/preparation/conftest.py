"""A small simulated recording, prepared once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from telescope_transformer.preparation import EngineSettings, PreparationSettings, WindowSettings, prepare
from telescope_transformer.records import scan_records
from telescope_transformer.simulation import simulate

WINDOW = WindowSettings(window=32, min_records=4, splits=True, seed=5)
SETTINGS = PreparationSettings(WINDOW, EngineSettings(threads=1, memory_limit="1GB"), shards=4)


def write_records(path: Path, records: pa.Table) -> Path:
    pq.write_table(records, path)
    return path


def prepare_files(output: Path, *files: Path, settings: PreparationSettings = SETTINGS, **options: bool):
    return prepare(scan_records(list(files)), output, settings, **options)


@pytest.fixture(scope="session")
def records() -> pa.Table:
    return simulate(120, seed=4, records_per_source=40)


@pytest.fixture(scope="session")
def recording(records, tmp_path_factory) -> Path:
    return write_records(tmp_path_factory.mktemp("recording") / "flows.parquet", records)


@pytest.fixture(scope="session")
def dataset(recording, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("prepared") / "dataset"
    prepare_files(output, recording)
    return output
