"""Files are replaced atomically; anything that is not a regular file is never replaced."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from telescope_transformer.arrays import load_array
from telescope_transformer.errors import InputError, reason
from telescope_transformer.files import file_digest, read_json, replacing, replacing_files, write_text


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_text, args=(pipe, "content"))
    writer.start()
    assert pipe.read_text() == "content"
    writer.join()
    assert pipe.is_fifo()


@pytest.mark.parametrize("redirected", [False, True])
def test_standard_output_can_be_named(tmp_path: Path, redirected: bool) -> None:
    program = "from telescope_transformer.files import write_text; write_text('/dev/stdout', 'content')"
    command = [sys.executable, "-c", program]
    if redirected:
        with open(tmp_path / "log", "w", encoding="utf-8") as log:
            subprocess.run(command, check=True, stdout=log)
        assert (tmp_path / "log").read_text() == "content"
    else:
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "content"
    assert os.path.islink("/dev/stdout")


def test_others_write_to_the_same_standard_output(tmp_path: Path) -> None:
    program = "from telescope_transformer.files import write_text; write_text('/dev/stdout', 'content,')"
    command = f"printf before,; '{sys.executable}' -c \"{program}\"; printf after"
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        subprocess.run(["sh", "-c", command], check=True, stdout=log)
    assert (tmp_path / "log").read_text() == "before,content,after"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    for target in (tmp_path, Path("/"), Path(".")):
        with pytest.raises(InputError, match="is a folder"), replacing(target):
            pass


@pytest.mark.parametrize("name", ["missing/x", "file/x", "/proc/x"])
def test_a_target_that_cannot_be_written_is_named_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"^cannot write to {tmp_path / name}: "), replacing(tmp_path / name):
        pytest.fail("the work began")


def test_nothing_is_locked_where_there_is_no_fcntl() -> None:
    """As on Windows."""
    program = "import sys; sys.modules['fcntl'] = None\nfrom telescope_transformer.files import lock\nlock(0)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("old")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")

    def fill_the_disk() -> None:
        with replacing_files(tmp_path, last="one") as partial:
            (partial / "one").write_text("new")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=f"cannot write to {tmp_path}: No space left"):
        fill_the_disk()
    assert (tmp_path / "one").read_text() == "old"
    with replacing_files(tmp_path, last="one") as partial:
        for name in ("one", "link"):
            (partial / name).write_text("new")
    assert (tmp_path / "one").read_text() == (tmp_path / "real" / "file").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "link", "real"}


def test_a_file_of_a_set_is_not_moved_into_a_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()

    def write() -> None:
        with replacing_files(tmp_path, last="one") as partial:
            for name in ("one", "two"):
                (partial / name).touch()

    with pytest.raises(InputError, match="two is a folder"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["two"]


def test_an_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def fill_the_disk() -> None:
        with replacing(tmp_path / "flows.parquet"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"cannot write to .*flows\.parquet: No space left"):
        fill_the_disk()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["No space left on device", "Error writing bytes to file. Detail: [errno 28] No space left on device"]
)
def test_the_reason_of_an_error_is_that_of_the_file_system(text: str) -> None:
    assert reason(OSError(errno.ENOSPC, text)) == "No space left on device"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_error_of_a_full_device_names_it() -> None:
    with (
        pytest.raises(InputError, match="cannot write to /dev/full: No space left"),
        replacing("/dev/full") as partial,
    ):
        partial.write_text("x")


@pytest.mark.parametrize("read", [read_json, file_digest, load_array])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)


def test_json_that_is_nested_too_deeply_is_not_json(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep.json")
