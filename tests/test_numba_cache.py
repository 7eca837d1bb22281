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


def test_kernels_that_are_older_than_another_kernel_are_compiled_again(tmp_path: Path) -> None:
    caller = (
        "from inner.called import value\nfrom numba import njit\n@njit(cache=True)\ndef outer():\n    return value()\n"
    )
    called = "from numba import njit\n@njit(cache=True)\ndef value():\n    return {}\n"
    package = tmp_path / "inner"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(caller, encoding="utf-8")
    program = (
        "import sys, pathlib\n"
        "from telescope_transformer.numba_cache import _forget_outdated\n"
        f"_forget_outdated(pathlib.Path({str(package)!r}))\n"
        "from inner.caller import outer\n"
        "print(outer(), sum(outer.stats.cache_hits.values()))\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    printed = []
    for value in (1, 1, 22):
        text = called.format(value)
        if not (package / "called.py").exists() or (package / "called.py").read_text(encoding="utf-8") != text:
            (package / "called.py").write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        printed.append(done.stdout.split())
    assert printed == [["1", "0"], ["1", "1"], ["22", "0"]]
