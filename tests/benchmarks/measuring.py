"""Time and memory of a command, for benchmarks that run each stage as a process of its own."""

import os
import subprocess
import time
from typing import Any


def measured(command: list[str]) -> dict[str, Any]:
    """Run a command; seconds by the clock, processor seconds and peak memory of its process."""
    started = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
    }
