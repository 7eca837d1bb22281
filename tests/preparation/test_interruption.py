"""A killed preparation leaves the earlier dataset or none, and the next run is not affected."""

import os
import signal
import subprocess
import sys
import time

import pyarrow.compute as pc
import pytest

from telescope_transformer.errors import DatasetError
from telescope_transformer.preparation import load_split, read_manifest

from .conftest import prepare_files, write_records

# Prepares, announces the named step and then sleeps, waiting to be killed.
_SCRIPT = """
import sys, time
from pathlib import Path
from telescope_transformer.preparation import dataset
sys.path.insert(0, {tests!r})
from preparation.conftest import prepare_files

def stop(*args, **kwargs):
    original(*args, **kwargs)
    Path({marker!r}).touch()
    time.sleep(600)

original = getattr(dataset, {step!r})
setattr(dataset, {step!r}, stop)
prepare_files(Path({output!r}), Path({flows!r}), append={append})
"""


def kill_at(step, tmp_path, output, flows, *, append):
    """Run a preparation in another process, wait until it reaches `step`, and kill it."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    marker = tmp_path / "reached"
    script = _SCRIPT.format(
        tests=tests, marker=str(marker), step=step, output=str(output), flows=str(flows), append=append
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while not marker.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marker.exists()
    with pytest.raises(DatasetError, match="another process"):
        prepare_files(output, flows, append=append)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_preparation_leaves_no_dataset(recording, tmp_path):
    output = tmp_path / "dataset"
    kill_at("_write_shards", tmp_path, output, recording, append=False)
    with pytest.raises(DatasetError, match="is not a prepared dataset"):
        read_manifest(output)
    prepare_files(output, recording)
    assert load_split(output, "train").num_rows > 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_killed_append_leaves_the_dataset_unchanged(records, tmp_path):
    first = write_records(tmp_path / "first.parquet", records.slice(0, 2000))
    second = write_records(tmp_path / "second.parquet", records.slice(2000))
    output = tmp_path / "dataset"
    before = prepare_files(output, first)
    windows = load_split(output, "train")
    kill_at("write_shard", tmp_path, output, second, append=True)
    assert read_manifest(output) == before
    assert load_split(output, "train").equals(windows)
    manifest = prepare_files(output, second, append=True)
    files = {str(path.relative_to(output)) for path in output.rglob("*shard-*.parquet")}
    assert files == {*(file.path for file in manifest.files), *manifest.source_files}
    sources = load_split(output, "train")["source"]
    assert pc.count_distinct(sources).as_py() >= pc.count_distinct(windows["source"]).as_py()


def test_a_planted_link_is_refused_and_its_target_is_kept(recording, tmp_path):
    victim = tmp_path / "victim" / "photos"
    victim.mkdir(parents=True)
    (victim / "a.txt").write_text("x")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / ".D.preparing").symlink_to(tmp_path / "victim")
    with pytest.raises(DatasetError, match="is a link"):
        prepare_files(shared / "D", recording)
    assert (victim / "a.txt").read_text() == "x"
