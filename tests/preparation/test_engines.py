"""Both engines give identical windows, on simulated and on real records."""

import hashlib
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation import (
    SPLITS,
    EngineSettings,
    PreparationSettings,
    engines,
    load,
    prepare,
    read_manifest,
)
from telescope_transformer.records import scan_records

from .conftest import SETTINGS, prepare_files

HONEYPOT_COLUMNS = {
    "timestamp": "datetime",
    "src_ip": "src",
    "dst_ip": "host",
    "protocol": "proto",
    "src_port": "spt",
    "dst_port": "dpt",
}
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="the Spark engine needs Java")


@pytest.fixture
def quick_java(monkeypatch):
    """Compile little: a test's queries end before optimised code would pay."""
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def digest(dataset) -> str:
    """A digest of all windows of all splits, in order, without how they are chunked."""
    total = hashlib.blake2b(digest_size=16)
    for split in SPLITS:
        sink = pa.BufferOutputStream()
        table = load(dataset, split).combine_chunks()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        total.update(sink.getvalue())
    return total.hexdigest()


def spark(settings: PreparationSettings) -> PreparationSettings:
    return replace(settings, engine=EngineSettings("spark", master="local[1]", memory_limit="1GB"))


@needs_java
@pytest.mark.spark
@pytest.mark.usefixtures("quick_java")
def test_spark_gives_the_same_windows(recording, dataset, tmp_path):
    prepare_files(tmp_path / "spark", recording, settings=spark(SETTINGS))
    assert digest(tmp_path / "spark") == digest(dataset)
    assert read_manifest(tmp_path / "spark").counts() == read_manifest(dataset).counts()


@needs_java
@pytest.mark.spark
@pytest.mark.shared
@pytest.mark.usefixtures("quick_java")
def test_spark_gives_the_same_windows_on_real_records(shared, tmp_path):
    recording = shared / "data" / "aws-honeypot-2013" / "marx.csv.gz"
    for name, settings in (("duckdb", SETTINGS), ("spark", spark(SETTINGS))):
        prepare(scan_records([recording], columns=HONEYPOT_COLUMNS), tmp_path / name, settings)
    assert digest(tmp_path / "spark") == digest(tmp_path / "duckdb")
    assert read_manifest(tmp_path / "spark").counts() == read_manifest(tmp_path / "duckdb").counts()
    assert read_manifest(tmp_path / "duckdb").counts()["read"] == 451_581


def test_a_low_memory_limit_gives_the_same_windows(recording, dataset, tmp_path):
    tight = replace(SETTINGS, engine=EngineSettings(threads=1, memory_limit="80MB"))
    prepare_files(tmp_path / "tight", recording, settings=tight)
    assert digest(tmp_path / "tight") == digest(dataset)


@pytest.mark.parametrize(("limit", "message"), [("1KB", "memory"), ("four", "DuckDB does not start")])
def test_a_memory_limit_that_cannot_be_kept_is_an_error(recording, tmp_path, limit, message):
    tight = replace(SETTINGS, engine=EngineSettings(threads=1, memory_limit=limit))
    with pytest.raises(DatasetError, match=message):
        prepare_files(tmp_path / "dataset", recording, settings=tight)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("limit", "java"), [("4GB", "4g"), ("512 MiB", "512m")])
def test_memory_limits_reach_java_in_its_form(limit, java):
    assert engines._java_size(limit) == java
    with pytest.raises(DatasetError, match="no size"):
        engines._java_size("plenty")
