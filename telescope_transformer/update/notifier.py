"""Runs a command that the user chose when there are new clusters. It runs directly, never through a shell."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from telescope_transformer.errors import InputError, reason
from telescope_transformer.progress import Say
from telescope_transformer.update.state import State

# Seconds that the command may take, because no file is read in the meantime. Our choice: a mail or a webhook takes
# less.
PATIENCE = 60.0
# Keys of the state: the numbers of the reported clusters, and the lines of clusters whose report failed. These lines
# are kept because the clusters may no longer count as new when the next file arrives.
REPORTED = "reported"
FAILED = "report failed"


class Notifier:
    """Reports new clusters to a command, each cluster only once, even if the watch is restarted.

    Args:
        command: program and arguments. They are split as in a shell, but no shell runs them.
        say_error: prints why the command failed; the watch continues.

    Raises:
        InputError: if the command cannot be split, or is empty.
    """

    def __init__(self, command: str, *, say_error: Say) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise InputError(f"--on-new {command!r}: {error}") from error
        if not self._arguments:
            raise InputError("--on-new is empty")
        self._say_error = say_error

    def notify(self, lines: Sequence[Mapping[str, Any]], state: State) -> None:
        """Send the clusters that have not been reported yet to the command, as a JSON list on its standard input.

        If the command fails, they are reported again the next time.

        Args:
            lines: lines of all new clusters, from `report.first_screen.news_lines`.
            state: stores which clusters have been reported.
        """
        reported = set(state.stored(REPORTED, []))
        known = [*state.stored(FAILED, []), *lines]
        fresh = list({line["cluster"]: line for line in known if line["cluster"] not in reported}.values())
        if not fresh:
            return
        # The lines count as failed until the command has succeeded, so they survive if this process is killed.
        state.set(FAILED, json.dumps(fresh))
        try:
            ended = subprocess.run(self._arguments, input=json.dumps(fresh), text=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._say_error(f"{self._arguments[0]}: {reason(error)}")
            return
        if ended.returncode:
            self._say_error(f"{self._arguments[0]} ended with status {ended.returncode}")
            return
        reported |= {line["cluster"] for line in fresh}
        state.set(REPORTED, json.dumps(sorted(reported)))
        state.set(FAILED, "[]")
