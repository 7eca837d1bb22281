"""The clock of the solvers. It stops while Numba compiles, so that a time limit is spent on solving."""

import time

from numba.core import event

# Kernels are compiled at their first use on a machine and then cached on disk. Compiling all of them takes about a
# minute.
_compilation = event.TimingListener()  # type: ignore[no-untyped-call]
event.register("numba:compile", _compilation)  # type: ignore[no-untyped-call]


def now() -> float:
    """Seconds since an arbitrary moment, minus the time that Numba took to compile kernels in this process."""
    return time.monotonic() - (_compilation.duration if _compilation.done else 0.0)
