"""Kill commands at random moments and run them again until they end: the result must equal that of a whole run.

    python -m tests.fuzz.kills update prepare analyze watch train launch --kills 20 --output killed

Every command runs in a child that is forked after all libraries are loaded, so that kills hit the work itself; only
`launch` (accelerate, two processes) starts a fresh interpreter. If `analyze` is killed while it replaces an analysis,
the folder must hold a whole analysis, the old one or the new one. Counts go to `report.json` in the output folder.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import duckdb
import pyarrow.parquet as pq
import torch

import telescope_transformer.update.summary  # noqa: F401
from telescope_transformer.cli import main as commands
from telescope_transformer.cli import train
from telescope_transformer.model_files import load_model

sys.path.insert(0, str(Path(__file__).parents[1] / "update"))
sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))

from made_days import write_days
from training_runs import options

DAYS = 4
# After this many kills, a command may run to its end, and the next run begins from nothing.
KILLS_A_RUN = 4


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Attributes:
        start: starts the command with a folder to write to, and returns its process id.
        result: returns what the command has written there, for comparison.
        begin: prepares the folder.
        holds: returns what is wrong with the folder after a kill, None if nothing is.
    """

    start: Callable[[Path], int]
    result: Callable[[Path], Any]
    begin: Callable[[Path], None] = lambda folder: None
    holds: Callable[[Path], str | None] = lambda folder: None


def forked(work: Callable[[], int | None], log: Path) -> int:
    """Starts a child that does `work`; its exit status is what `work` returns, or 1 with the error in the log."""
    child = os.fork()
    if child:
        # Here too, since it may be killed before it gets there. A child that has ended has no group any more.
        with contextlib.suppress(ProcessLookupError):
            os.setpgid(child, child)
        return child
    status = 1
    try:
        os.setpgid(0, 0)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        torch.set_num_threads(1)
        status = int(work() or 0)
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def telescope(log: Path, *arguments: object) -> int:
    """Starts a `telescope` command."""
    return forked(lambda: commands.app([str(argument) for argument in arguments], standalone_mode=False), log)


def ended(child: int, after: float | None = None) -> int:
    """Waits for a child and kills its process group `after` some seconds; returns the status, negative if killed."""
    end = None if after is None else time.monotonic() + after
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() > end:
            workers = workers_of(child)
            os.killpg(child, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            # The workers of a launcher end by themselves after it; wait, so that they do not disturb the next run.
            while any(runs_on(worker) for worker in workers):
                time.sleep(0.01)
            return status
        time.sleep(0.002)


def workers_of(launcher: int) -> list[Path]:
    """The folders below /proc of the processes that a launcher has started."""
    lists = Path(f"/proc/{launcher}/task").glob("*/children")
    return [Path("/proc") / worker for found in lists for worker in found.read_text(encoding="utf-8").split()]


def runs_on(process: Path) -> bool:
    """Whether a process, given by its folder below /proc, is alive; a zombie is not."""
    try:
        return (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def tables(folder: Path) -> dict[str, str]:
    """The content of the Parquet files of a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(repr(pq.read_table(path).to_pydict()).encode()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def rows_of_state(path: Path) -> dict[str, list[str]]:
    """The rows of all tables of a running analysis, without its timings."""
    with duckdb.connect(str(path), read_only=True) as state:
        names = [name for (name,) in state.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        found = {}
        for name in sorted(names):
            rows = state.execute(f"SELECT * FROM {name}")
            kept = [place for place, column in enumerate(rows.description) if column[0] != "seconds"]
            found[name] = sorted(repr([row[place] for place in kept]) for row in rows.fetchall())
        return found


def copied(older: Path, folder: Path) -> None:
    """Copies a folder."""
    shutil.copytree(older, folder)


def all_commands(work: Path) -> dict[str, Command]:
    """The commands, with their inputs written to `work`."""
    inputs, log = work / "days", work / "log.txt"
    inputs.mkdir(parents=True, exist_ok=True)
    days = write_days(inputs, DAYS)
    dataset, older, newer = work / "dataset", work / "older", work / "newer"
    prepare = ("prepare", *days, "--min-records", 8, "--output")
    analyze = ("analyze", "--no-adapt", "--output")
    for child in (
        telescope(log, *prepare, dataset),
        telescope(log, *analyze, older, days[0]),
        telescope(log, *analyze, newer, *days[:2]),
    ):
        if ended(child):
            raise SystemExit(f"the inputs could not be made: see {log}")
    whole = [tables(older), tables(newer)]

    def is_whole(folder: Path) -> str | None:
        return None if tables(folder / "out") in whole else "neither the older analysis nor the new one"

    def launch(folder: Path) -> int:
        arguments = options(dataset, folder / "run", "--split", "all", "--tracker", "none")
        configuration = Path(__file__).parents[2] / "training" / "accelerate" / "cpu_two_processes.yaml"
        command = ["accelerate.commands.launch", "--config_file", str(configuration)]
        command += ["-m", "telescope_transformer.learning", *arguments]
        with open(log, "ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *command], stdout=output, stderr=output, process_group=0
            ).pid

    def weights(folder: Path) -> bytes:
        return (folder / "run" / "model.safetensors").read_bytes()

    return {
        "prepare": Command(
            lambda folder: telescope(log, *prepare, folder / "dataset"), lambda folder: tables(folder / "dataset")
        ),
        "update": Command(
            lambda folder: telescope(log, "update", *days, "--state", folder / "state.duckdb", "--no-adapt"),
            lambda folder: rows_of_state(folder / "state.duckdb"),
        ),
        "watch": Command(
            lambda folder: telescope(
                *(log, "watch", inputs, "--state", folder / "state.duckdb", "--no-adapt", "--once", "--interval", 0.05)
            ),
            lambda folder: rows_of_state(folder / "state.duckdb"),
        ),
        "analyze": Command(
            lambda folder: telescope(log, *analyze, folder / "out", *days[:2]),
            lambda folder: tables(folder / "out"),
            begin=lambda folder: copied(older, folder / "out"),
            holds=is_whole,
        ),
        "train": Command(
            lambda folder: forked(lambda: train.main(options(dataset, folder / "run", "--split", "all")), log), weights
        ),
        "launch": Command(launch, weights),
    }


def campaign(name: str, command: Command, kills: int, work: Path, rng: random.Random) -> dict[str, Any]:
    """Kills a command `kills` times; returns how often it was killed, how often it ended, and what was wrong."""

    def fresh() -> Path:
        shutil.rmtree(work / name, ignore_errors=True)
        (work / name).mkdir(parents=True)
        command.begin(work / name)
        return work / name

    wrong: list[str] = []
    started, processor = time.monotonic(), sum(os.times()[2:4])
    folder = fresh()
    if ended(command.start(folder)):
        return {"kills": 0, "wrong": ["the whole run failed"]}
    seconds, expected = time.monotonic() - started, command.result(folder)
    done = runs = 0
    while done < kills:
        folder, status, killed = fresh(), -1, 0
        while status < 0:
            killing = killed < KILLS_A_RUN and done < kills
            status = ended(command.start(folder), rng.uniform(0, seconds) if killing else None)
            if status < 0:
                killed, done = killed + 1, done + 1
                if problem := command.holds(folder):
                    wrong.append(f"after kill {done}: {problem}")
        runs += 1
        if status:
            wrong.append(f"run {runs} ended with {status} after {killed} kills")
        elif command.result(folder) != expected:
            wrong.append(f"run {runs} has another result after {killed} kills")
    used = round(sum(os.times()[2:4]) - processor)
    return {"kills": done, "runs": runs, "processor_seconds": used, "wrong": wrong}


def main() -> int:
    """Runs the campaigns; returns 1 if anything was wrong."""
    names = ("prepare", "update", "watch", "analyze", "train", "launch")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="+", choices=names)
    parser.add_argument("--kills", type=int, default=20, help="Of each command.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("killed"))
    arguments = parser.parse_args()
    load_model(None)
    known = all_commands(arguments.output.resolve())
    report: dict[str, Any] = {}
    for name in arguments.commands:
        rng = random.Random(f"{arguments.seed}/{name}")
        report[name] = campaign(name, known[name], arguments.kills, arguments.output.resolve(), rng)
        print(name, json.dumps(report[name]), flush=True)
        (arguments.output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return 1 if any(found["wrong"] for found in report.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
