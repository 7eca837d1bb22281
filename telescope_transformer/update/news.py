"""A command of the user's that is told of new clusters; it is started directly, never by a shell."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from telescope_transformer.analysis.settings import Say
from telescope_transformer.errors import InputError

# Seconds that the command may take: the watch waits for it.
PATIENCE = 60.0


class NewsTeller:
    """Tells a command of clusters that are new, each once.

    Args:
        command: program and arguments, split as a shell would split them, but run by none.
        say: told when the command fails; the watch goes on.

    Raises:
        InputError: if the command cannot be split, or is empty.
    """

    def __init__(self, command: str, *, say: Say) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise InputError(f"--on-new {command!r}: {error}") from error
        if not self._arguments:
            raise InputError("--on-new is empty")
        self._say = say
        self._told: set[int] = set()

    def tell(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Give the new clusters that were not told before to the command, as a JSON list on its standard input."""
        fresh = [line for line in lines if line["cluster"] not in self._told]
        if not fresh:
            return
        self._told |= {line["cluster"] for line in fresh}
        try:
            ended = subprocess.run(self._arguments, input=json.dumps(fresh), text=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._say(f"error: {self._arguments[0]}: {error}")
            return
        if ended.returncode:
            self._say(f"error: {self._arguments[0]} ended with status {ended.returncode}")
