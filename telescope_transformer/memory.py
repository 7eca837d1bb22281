"""Memory that was freed goes back to the operating system."""

import ctypes
import sys

import pyarrow as pa


def release_memory() -> None:
    """Return freed memory to the operating system.

    The C library keeps what a stage frees. Embedding leaves some 200 MB of freed tensors between live ones, on top of
    which the next stage allocates its own: without this, an analysis of 20,000 sources takes 0.2 GB more at its peak.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        # A function of the GNU C library; others, such as musl, return memory by themselves.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
