"""`telescope`: registers every command and turns the package's own errors into a message and an exit status."""

import os
import sys
from importlib import import_module

# Progress bars of the libraries would hide our own; a user's setting wins.
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import typer

from telescope_transformer import __version__
from telescope_transformer.errors import TelescopeError

COMMANDS = (
    "analyze",
    "demo",
    "simulate",
    "prepare",
    "embed",
    "cluster",
    "calibrate",
    "update",
    "watch",
    "export",
    "serve",
    "train",
    "evaluate",
    "push",
)

app = typer.Typer(
    name="telescope",
    help="Which sources in network-telescope traffic belong together, and how sure that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def show_version(value: bool) -> None:
    if value:
        typer.echo(f"telescope {__version__}")
        raise typer.Exit


@app.callback()
def telescope(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Print the version."),
) -> None:
    """Which sources in network-telescope traffic belong together, and how sure that is."""


for _name in COMMANDS:
    app.command(_name)(getattr(import_module(f"telescope_transformer.cli.{_name}"), _name))


def main() -> None:
    """Run the command line; exit 1 with `error: <message>` on any error of the package's own or of a file system."""
    try:
        app()
    except (TelescopeError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
