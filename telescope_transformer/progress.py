"""Messages and progress bars on stderr: bars on a terminal only, and neither when a command is quiet."""

import sys
from collections.abc import Iterable
from typing import Any

# Set once by the command line, before any work begins.
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Switch messages and progress bars of this process off or on."""
    global _quiet
    _quiet = quiet


def printable(text: str) -> str:
    """Text without letters that steer a terminal: labels and file names come from elsewhere."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def say(message: str) -> None:
    """Print a message about the work to stderr; stdout is for results."""
    if not _quiet:
        sys.stderr.write(f"{printable(message)}\n")
        sys.stderr.flush()


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    unit: str,
    description: str,
    total: int | None = None,
    show: bool | None = None,
) -> Any:
    """A progress bar of tqdm.

    Args:
        iterable: what to step through; None leaves the steps to the bar's `update`.
        unit: of a step, such as "window".
        description: what is done.
        total: number of steps, if the iterable does not tell.
        show: whether to show it; None shows it if stderr is a terminal, so that logs have no control characters. A
            quiet command shows none.
    """
    from tqdm import tqdm

    disable = True if _quiet else None if show is None else not show
    return tqdm(iterable, total=total, unit=unit, desc=description, disable=disable)
