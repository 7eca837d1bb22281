"""The clock of the solvers. It stands still while Numba compiles, so that a limit of time is spent on solving."""

import time

from numba.core import event

# Kernels are compiled at their first use on a machine, and kept on disk. All of them take about a minute.
_compilation = event.TimingListener()
event.register("numba:compile", _compilation)


def now() -> float:
    """Seconds since an arbitrary moment, without those that Numba took to compile kernels in this process."""
    return time.monotonic() - (_compilation.duration if _compilation.done else 0.0)
