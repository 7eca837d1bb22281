"""Both engines give identical windows, on simulated and on real records."""

import hashlib
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from telescope_transformer.errors import DatasetError
from telescope_transformer.labels import add_tools
from telescope_transformer.preparation import (
    SPLITS,
    EngineSettings,
    PreparationSettings,
    cutting,
    engines,
    load_split,
    prepare,
    read_manifest,
)
from telescope_transformer.preparation.settings import bytes_of
from telescope_transformer.records import scan_records
from telescope_transformer.windows import cut_windows

from .conftest import SETTINGS, WINDOW, prepare_files

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
    """Limit the JIT compiler of Java: tests end before optimised code would pay off."""
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def digest(dataset) -> str:
    """Digest of all windows of all splits, in order, independent of chunks."""
    total = hashlib.blake2b(digest_size=16)
    for split in SPLITS:
        sink = pa.BufferOutputStream()
        table = load_split(dataset, split).combine_chunks()
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
    assert read_manifest(tmp_path / "tight").counts() == read_manifest(dataset).counts()


@pytest.mark.parametrize("splits", [True, False])
def test_a_source_that_is_cut_in_pieces_has_the_same_windows(records, recording, tmp_path, monkeypatch, splits):
    windows = replace(WINDOW, splits=splits, session_gap=3600.0)
    prepare_files(tmp_path / "whole", recording, settings=replace(SETTINGS, windows=windows))
    monkeypatch.setattr(engines, "BATCH_RECORDS", 64)
    monkeypatch.setattr(cutting, "MOST_CARRIED", 100)
    settings = replace(SETTINGS, windows=windows, engine=EngineSettings(memory_limit="80MB"))
    prepare_files(tmp_path / "pieces", recording, settings=settings)
    assert load_split(tmp_path / "pieces").equals(load_split(tmp_path / "whole"))
    assert read_manifest(tmp_path / "pieces").counts() == read_manifest(tmp_path / "whole").counts()
    counts = {file.path: file.sources for file in read_manifest(tmp_path / "pieces").files}
    assert counts == {file.path: file.sources for file in read_manifest(tmp_path / "whole").files}


def test_any_number_of_shards_gives_the_windows_of_a_plain_cut_in_their_order(records, recording, tmp_path):
    for shards in (1, 8):
        settings = replace(SETTINGS, windows=replace(WINDOW, splits=False), shards=shards)
        prepare_files(tmp_path / f"{shards}", recording, settings=settings)
        found = load_split(tmp_path / f"{shards}")
        assert found.equals(cut_windows(add_tools(records), window=32, min_records=4))


@pytest.mark.parametrize(
    ("limit", "message"),
    [("1KB", "memory"), ("four", "not a size"), ("0GB", "not a size"), ("9999999TB", "not a size")],
)
def test_a_memory_limit_that_is_too_low_is_an_error(recording, tmp_path, limit, message):
    with pytest.raises(DatasetError, match=message):
        prepare_files(
            tmp_path / "dataset", recording, settings=replace(SETTINGS, engine=EngineSettings(memory_limit=limit))
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shards", [0, 3, 512])
def test_numbers_of_shards_that_would_lose_records_are_refused(shards):
    """Records are staged in 256 buckets: with 512 shards, each would hold none."""
    with pytest.raises(DatasetError, match=f"shards: {shards} is not a power of two from 1 to 256"):
        replace(SETTINGS, shards=shards)


@pytest.mark.parametrize(("limit", "size"), [("4GB", 4 * 10**9), ("512 MiB", 2**29), ("1.5kb", 1500)])
def test_sizes_are_read(limit, size):
    assert bytes_of(limit) == size
