"""A typed decorator for compiled kernels, and a context manager that restores KeyboardInterrupt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Kernel], Kernel]:
    """Compile a function with Numba; the machine code is cached on disk, and calls release the GIL.

    `numba.njit` has no type annotations, so a type checker would lose the types of every function that it decorates.
    Numba itself ignores annotations.

    Args:
        options: further options of `numba.njit`, such as ``inline`` and ``fastmath``.

    Example:
        >>> @compiled()
        ... def double(x: float) -> float:
        ...     return 2.0 * x
        >>> double(2.0)
        4.0
    """

    def decorate(function: Kernel) -> Kernel:
        return cast(Kernel, njit(cache=True, nogil=True, **options)(function))

    return decorate


@contextmanager
def plain_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt if Ctrl-C is pressed at the start of a compiled call.

    Numba reports such an interrupt as a SystemError whose cause is the KeyboardInterrupt.
    """
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            cause = cause.__cause__ or cause.__context__
        raise
