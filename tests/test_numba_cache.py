"""The package can be imported if nothing is writable, and trusts no cache that another user may have created."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from telescope_transformer import numba_cache

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("given", [{}, {"NUMBA_CACHE_DIR": "/proc/none"}], ids=["none named", "a read-only one named"])
def test_kernels_run_without_a_home_and_with_a_package_that_cannot_be_written(
    tmp_path: Path, given: dict[str, str]
) -> None:
    """The folders are refused by name, because root can write everywhere."""
    program = (
        "import pathlib, tempfile\n"
        "make = tempfile.TemporaryFile\n"
        "def refuse(*args, dir=None, **named):\n"
        "    if dir is not None and 'telescope_transformer' in str(dir): raise OSError('read-only')\n"
        "    return make(*args, dir=dir, **named)\n"
        "tempfile.TemporaryFile = refuse\n"
        "from telescope_transformer.records.text_columns import trim\n"
        "import numpy, os\n"
        "assert trim(numpy.frombuffer(b' a ', dtype=numpy.uint8), 0, 3) == (1, 2)\n"
        "print(os.environ['NUMBA_CACHE_DIR'])\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/none", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment |= given
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    (folder,) = tmp_path.iterdir()
    assert done.stdout.strip() == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"telescope-transformer-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert numba_cache._private_folder() != str(planted)
    planted.rmdir()
    planted.symlink_to(tmp_path)
    assert numba_cache._private_folder() != str(planted)
