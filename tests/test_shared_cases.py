"""Cases that failed once, from the shared folder: readers, hostile files, exports and the Hugging Face ecosystem."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from telescope_transformer.errors import InputError, NoRecordsError
from telescope_transformer.records import read_records
from telescope_transformer.update import State

SCRIPTS = (
    "h01_half_precision.py",
    "h02_return_dict.py",
    "h03_generator_loses_one.py",
    "h04_stix_created_changes.py",
    "h05_misp_attribute_uuids_in_a_new_event.py",
    "h07_load_dataset_loses_splits.py",
    "h08_lora_on_towers.py",
    "h09_known_scanner_not_named.py",
    "h11_no_tlp_marking.py",
    "h12_order_of_rows.py",
)
NOT_DATA = (".py", ".sh", ".md")


def run(script: Path, folder: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in an empty folder, without writing beside it."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_of_the_ecosystem_ends_well(shared: Path, tmp_path: Path, script: str) -> None:
    done = run(shared / "cases" / "ecosystem" / script, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_case_of_a_reader_passes(shared: Path, tmp_path: Path) -> None:
    done = run(shared / "cases" / "readers" / "check.py", tmp_path)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert not failed
    assert " pass" in done.stdout, done.stderr


def test_a_hostile_file_is_read_or_refused(shared: Path) -> None:
    folder = shared / "cases" / "faults"
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NOT_DATA]
    kept, unnamed = 0, []
    for path in paths:
        try:
            kept += read_records([path]).counts.kept
        except InputError as error:
            unnamed += [] if path.name in str(error) else [path.name]
    assert kept
    assert not unnamed


def test_a_planted_link_deletes_nothing(shared: Path, tmp_path: Path) -> None:
    done = run(shared / "cases" / "faults" / "planted_symlink.py", tmp_path, tmp_path)
    assert "DatasetError" in done.stdout, done.stderr
    assert "victim/photos/a.txt" in done.stdout


def test_a_capture_that_is_cut_while_it_is_read_ends_no_process(shared: Path, tmp_path: Path) -> None:
    done = run(shared / "cases" / "faults" / "truncated_while_read.py", tmp_path, tmp_path)
    assert "signal None" in done.stdout, done.stderr


def test_many_interfaces_of_a_capture_take_no_time(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "interfaces.pcapng"
    done = run(shared / "cases" / "faults" / "make_pcapng_interfaces.py", tmp_path, path)
    assert done.returncode == 0, done.stderr
    begun = time.process_time()
    with pytest.raises(NoRecordsError):
        read_records([path])
    # It once took 43 s, and now takes less than 1 s.
    assert time.process_time() - begun < 10


def test_a_view_in_a_state_reads_no_file(shared: Path, tmp_path: Path) -> None:
    state, secret = tmp_path / "state.duckdb", tmp_path / "secret"
    with State(state):
        secret.write_text("a secret that must not be in a report\n")
    done = run(shared / "cases" / "faults" / "hostile_state.py", tmp_path, state, secret, tmp_path)
    assert "'rejects' is a view or macro, which a state never has" in done.stderr
    assert not (tmp_path / "hostile-out").exists()
