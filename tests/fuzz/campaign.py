"""The long fuzz campaign: a million inputs in child processes, which are watched for hangs, crashes and memory growth.

    python -m tests.fuzz.campaign --inputs 1000000 --output found
    NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=found/numba python -m tests.fuzz.campaign --inputs 10000 --output found

`--seed` repeats a run. Failing inputs are written to the output folder and counted in its `report.json`.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from telescope_transformer.progress import progress_bar

from .examination import examine
from .mutation import mutated
from .seeds import seeds, text_seeds

LONGEST_SECONDS = 60.0
"""Limit of processor time for one input; a healthy input takes some milliseconds."""

COMPILE_SECONDS = 600.0
"""Limit of processor time while a child reads its first inputs, when kernels are compiled. With bounds checks,
compiling was measured to take more than a minute."""

_ASKED_EVERY = 5.0
_LONGEST_WAIT = 720
"""A child counts as hung after it has used no processor time in this many checks, one every `_ASKED_EVERY` seconds.
Checks are counted instead of seconds, so that a campaign that was paused (SIGSTOP) can go on."""

MOST_GROWTH = 512 << 20
"""Bytes by which a child may grow after its first inputs, which compile the kernels."""

_WARM_UP = 200


def _work(seed: int, first: int, last: int, folder: Path, answers: Connection) -> None:
    """Examines inputs `first` to `last`; sends the number of each input before examining it, and the finding after."""
    files, text = seeds(), text_seeds()
    path, before = folder / f"input-{os.getpid()}", 0
    for number in range(first, last):
        answers.send((number, None))
        rng = random.Random(f"{seed}/{number}")
        name = rng.choice(sorted(files))
        content = mutated(rng, files[name], name in text)
        path.write_bytes(content)
        wrong = examine(path, content, per_packet=rng.random() < 0.5)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if number - first <= _WARM_UP:
            before = peak
        elif peak - before > MOST_GROWTH:
            wrong = wrong or f"memory grew by {peak - before >> 20} MiB since input {first + _WARM_UP}"
            before = peak
        if wrong:
            (folder / f"{seed}-{number}.{name}").write_bytes(content)
            answers.send((number, f"{name}: {wrong}"))
    path.unlink(missing_ok=True)
    answers.send((last, "done"))


def _processor_seconds(process: int) -> float:
    """The processor seconds that a process has used; 0 if it has ended."""
    try:
        # In the fields after the name in brackets, the 12th and 13th are user and system time (proc(5)).
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answers(ours: Connection, process: int, limit: float) -> bool:
    """Waits for an answer; False if the child uses `limit` processor seconds without answering, or sleeps."""
    begun = _processor_seconds(process)
    for _ in range(_LONGEST_WAIT):
        if ours.poll(_ASKED_EVERY):
            return True
        if _processor_seconds(process) - begun > limit:
            break
    return ours.poll(0)


def _watch(seed: int, first: int, last: int, folder: Path, bar: Any) -> tuple[int, list[str]]:
    """Runs a child from input `first` on; returns the input to continue with, and the findings."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_work, args=(seed, first, last, folder, theirs))
    child.start()
    theirs.close()
    found: list[str] = []
    at, limit = first, COMPILE_SECONDS
    while True:
        try:
            if not _answers(ours, child.pid or 0, limit):
                child.kill()
                found.append(f"{at}: no answer within {limit:g} s of the processor")
                print(found[-1], file=sys.stderr)
                break
            at, wrong = ours.recv()
            bar.update(at - bar.n)
        except EOFError:
            child.join()
            found.append(f"{at}: the process ended with {child.exitcode}")
            break
        if at > first + _WARM_UP:
            limit = LONGEST_SECONDS
        if wrong == "done":
            child.join()
            return last, found
        if wrong:
            found.append(f"{at}: {wrong}")
            print(found[-1], file=sys.stderr)
    child.join()
    return at + 1, found


def main() -> int:
    """Runs the campaign; returns 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--output", type=Path, default=Path("fuzz-found"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    started, at, found = time.monotonic(), 0, []
    with progress_bar(total=arguments.inputs, unit="input", description="examining") as bar:
        while at < arguments.inputs:
            at, more = _watch(arguments.seed, at, arguments.inputs, arguments.output, bar)
            found += more
    report = {"seed": arguments.seed, "inputs": arguments.inputs, "seconds": round(time.monotonic() - started)}
    text = json.dumps(report | {"found": found}, indent=1)
    (arguments.output / "report.json").write_text(text + "\n")
    print(text)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
