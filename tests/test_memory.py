"""Freed memory goes back to the operating system."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from telescope_transformer.memory import release_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

# Small blocks come from the heap; the last one keeps the heap from shrinking by itself.
blocks = [np.ones(10_000, dtype=np.uint8) for _ in range(10_000)]
full = resident()
last = blocks.pop()
del blocks
kept = resident()
release_memory()
print(full - resident(), full - kept)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the GNU C library")
def test_memory_that_was_freed_is_returned_though_later_memory_is_in_use():
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    returned, without = (int(value) for value in found.stdout.split())
    assert returned > 80e6 > without
