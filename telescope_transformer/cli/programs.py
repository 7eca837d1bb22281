"""Starts the programs of `training` and `hub_cards`, which the package never imports."""

import os
import subprocess
import sys
from collections.abc import Sequence

import typer


def run_module(module: str, arguments: Sequence[str]) -> None:
    """Run `python -m module arguments...` with this interpreter and end with its status where it fails.

    The current directory is kept off the module path, so that a user's own `training` folder is never started.

    Raises:
        typer.Exit: with the program's status, where that is not 0.
    """
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    status = subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode
    if status != 0:
        raise typer.Exit(status)
