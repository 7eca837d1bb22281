"""Cases that failed once, from the shared folder: readers, hostile files, exports and the Hugging Face ecosystem."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.records import read_records

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


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in an empty folder, without writing beside it."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True, check=False
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
