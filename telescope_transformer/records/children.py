"""Reads the output of another program, and ends the program if it stalls or floods its error output."""

import ctypes
import os
import selectors
import signal
import subprocess
from collections.abc import Generator, Iterator, Sequence

from telescope_transformer.records.damage import DamagedInput
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.rejects import escaped

LONGEST_SILENCE = 60.0
"""Seconds of silence after which a program is ended. Healthy programs write a megabyte in a fraction of a second."""

MOST_COMPLAINTS = 1 << 20
"""Bytes of error messages after which a program is ended; one that loops over the same damage would never stop."""

# Bytes of an error message that are shown: some lines of a terminal.
_KEPT_COMPLAINT = 500
# Bytes that are read at a time; a pipe of Linux holds 64 KiB, or 1 MiB if the other program asks for it.
_READ_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Asks the kernel to kill this process when its parent ends (only Linux can)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        return


def output_of(command: Sequence[str], file: InputFile) -> Iterator[bytes]:
    """What `command` prints, in blocks.

    Raises:
        DamagedInput: if the program fails, prints an error, prints nothing for too long, or floods its error output.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
        preexec_fn=end_with_parent,
    ) as process:
        try:
            complaint = yield from _blocks(process, file)
            status = process.wait()
        finally:
            process.kill()
    if status or complaint:
        said = escaped(" ".join(complaint.decode("utf-8", "replace").split()))
        name = os.path.basename(command[0])
        raise DamagedInput(file.name, None, f"{name} says: {said or f'exit status {status}'}")


def _blocks(process: "subprocess.Popen[bytes]", file: InputFile) -> Generator[bytes, None, bytes]:
    """Yields the output, and returns the beginning of the error messages."""
    complaint, complained = b"", 0
    with selectors.DefaultSelector() as selector:
        for stream, is_output in ((process.stdout, True), (process.stderr, False)):
            selector.register(stream, selectors.EVENT_READ, is_output)  # type: ignore[arg-type]
        while selector.get_map():
            ready = selector.select(LONGEST_SILENCE)
            if not ready:
                raise DamagedInput(file.name, None, f"no output for {LONGEST_SILENCE:g} s: the program was stopped")
            for key, _ in ready:
                block = os.read(key.fd, _READ_BYTES)
                if not block:
                    selector.unregister(key.fileobj)
                elif key.data:
                    yield block
                else:
                    complaint = (complaint + block)[:_KEPT_COMPLAINT]
                    complained += len(block)
                    if complained > MOST_COMPLAINTS:
                        raise DamagedInput(
                            file.name, None, f"the program kept printing errors and was stopped: {escaped(complaint)}"
                        )
    return complaint
