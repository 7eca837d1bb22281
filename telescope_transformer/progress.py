"""Messages and progress bars on stderr. Bars appear on a terminal only, and quiet commands show neither."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from telescope_transformer.errors import reason

# Takes a message about the progress of a task.
Say = Callable[[str], None]

# Set by the command line before any work begins.
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Switch messages and progress bars of this process off or on."""
    global _quiet
    _quiet = quiet


def printable(text: str) -> str:
    """Remove control characters, because labels and file names are untrusted input."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def error_line(error: object) -> str:
    """The line that stderr shows for an error. No name in it can begin a line that looks like another message."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        # Without the number of the error, which says nothing to a user.
        text = reason(error) if error.filename is None else f"{error.filename}: {reason(error)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ends = [" " if line.endswith((".", ":", ";", ",")) else "; " for line in lines]
    joined = "".join(part for pair in zip(lines, ends, strict=True) for part in pair)
    return f"error: {printable(joined.rstrip('; ') if lines else text)}\n"


def say(message: str) -> None:
    """Print a message to stderr, unless the command is quiet. stdout is for results."""
    if not _quiet:
        _print(message)


def say_nothing(message: str) -> None:
    """The default `Say` of functions, so that library calls print nothing."""


def say_error(error: object) -> None:
    """Print an error that does not end the command to stderr, as `error: <message>`, even if the command is quiet."""
    sys.stderr.write(error_line(error))
    sys.stderr.flush()


def _print(message: str) -> None:
    sys.stderr.write(f"{printable(message)}\n")
    sys.stderr.flush()


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    unit: str,
    description: str,
    total: int | None = None,
    done: int = 0,
    show: bool | None = None,
) -> Any:
    """A progress bar of tqdm.

    Args:
        iterable: what to iterate over; None if the caller calls the bar's `update`.
        unit: name of a step, such as "window".
        description: text in front of the bar.
        total: number of steps, if the iterable has no length.
        done: steps that were done earlier, when a run continues.
        show: whether to show the bar; None shows it if stderr is a terminal, so that logs have no control characters.
            Quiet commands show none.
    """
    from tqdm import tqdm

    disable = True if _quiet else None if show is None else not show
    return tqdm(iterable, total=total, initial=done, unit=unit, desc=description, disable=disable)
