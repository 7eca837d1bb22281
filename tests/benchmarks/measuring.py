"""What benchmarks share: measuring a command's time and memory in a separate process, and recording results."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


def usage_of(pid: int, started: float, name: str) -> dict[str, Any]:
    """Wait for a child process; returns its wall seconds, processor seconds and peak memory."""
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{name} failed")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 2),
    }


def measured(command: list[str]) -> dict[str, Any]:
    """Run a command; returns the wall seconds, processor seconds and peak memory of its process."""
    started = time.monotonic()
    return usage_of(subprocess.Popen(command).pid, started, " ".join(command))


def best_seconds(work: Callable[[], Result], rounds: int) -> tuple[Result, float]:
    """What `work` returns, and its shortest processor time of several rounds, after an untimed one."""
    found, fastest = work(), float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        work()
        fastest = min(fastest, time.process_time() - begun)
    return found, fastest


def keep(path: Path, name: str, found: Any) -> None:
    """Record figures under a name in a file, and keep the figures of other names."""
    # Read the file again, because another part of the benchmark may have written to it in the meantime.
    recorded = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(recorded | {name: found}, indent=1) + "\n", encoding="utf-8")
