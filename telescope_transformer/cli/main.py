"""`telescope`: registers the commands, reads defaults, and reports errors as a message and an exit status."""

import atexit
import gc
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from telescope_transformer import __version__
from telescope_transformer.cli.configuration import configuration_file, read_defaults, unknown_variables, variables
from telescope_transformer.cli.options import origin
from telescope_transformer.cli.shared import check_kind, check_number, options_of, with_shared_options
from telescope_transformer.errors import TelescopeError
from telescope_transformer.extras import missing_extra
from telescope_transformer.progress import error_line, printable, say

# New objects between two searches for garbage. With Python's default of 700, it searches 1,100 times while the
# libraries of an analysis are imported, which takes 0.3 to 0.7 of 4.7 s and finds next to nothing. This number takes
# no more memory.
OBJECTS_A_COLLECTION = 50_000

COMMANDS = (
    "analyze",
    "demo",
    "simulate",
    "prepare",
    "embed",
    "cluster",
    "report",
    "calibrate",
    "update",
    "watch",
    "export",
    "compare",
    "serve",
    "train",
    "adapt",
    "evaluate",
    "push",
    "onnx",
)
EPILOG = (
    "Exit status: 0 success; 1 an input, a file or a result is at fault, and stderr says which; 2 wrong usage; "
    "130 interrupted; 143 ended by SIGTERM. Defaults of options are read from telescope.toml in the current folder "
    "and from TELESCOPE_* variables."
)

app = typer.Typer(
    name="telescope",
    help="Which sources in network-telescope traffic belong together, and how sure that is.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def show_version(value: bool) -> None:
    if value:
        typer.echo(f"telescope {__version__}")
        raise typer.Exit


@app.callback()
def telescope(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with defaults of options; default: telescope.toml in this folder."),
    ] = None,
) -> None:
    """Which sources in network-telescope traffic belong together, and how sure that is."""
    options = {name: options_of(run) for name, run in RUN.items()}
    context.default_map = read_defaults(options, config)
    command = str(context.invoked_subcommand)
    # Not an error, because another program may own the variable.
    for variable in unknown_variables(command, options.get(command, ())):
        say(f"the variable {variable} has no effect: {command} has no such option")


class Command(TyperCommand):
    """A command that says where a wrong value is from if it is not from the command line."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        try:
            left = super().parse_args(ctx, args)
            for parameter in self.params:
                name = parameter.name or ""
                check_number(parameter, ctx.params.get(name))
                if origin(ctx, name) == "DEFAULT_MAP":
                    check_kind(parameter, (ctx.default_map or {}).get(name))
            return left
        except typer.BadParameter as error:
            name = getattr(error.param, "name", None) or ""
            source = origin(ctx, name)
            if source == "DEFAULT_MAP":
                error.message += f" (in {configuration_file(ctx.find_root().params['config'])})"
            elif source == "ENVIRONMENT":
                given = [variable for variable in variables(str(ctx.info_name), name) if os.environ.get(variable)]
                error.message += f" (in the variable {given[0]})"
            raise


def _with_options(name: str) -> Callable[..., None]:
    command: Callable[..., None] = getattr(import_module(f"telescope_transformer.cli.{name}"), name)
    return with_shared_options(command)


RUN = {name: _with_options(name) for name in COMMANDS}
for _name, _run in RUN.items():
    app.command(_name, cls=Command)(_run)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that temporary files are removed.

    Without this, they would be left behind, and a container, whose first process has no default actions, would not
    even end. A library that a signal interrupts may raise an error of its own, such as DuckDB during a query. The
    block then ends with the status of the signal all the same.
    """
    received: list[int] = []

    def end(number: int, frame: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def raise_again(lost: Any) -> None:
        # A destructor, or a callback from C such as that of numba's cache, cannot raise: Python drops its exception.
        if received and lost.exc_type in (KeyboardInterrupt, SystemExit):
            threading.Timer(0.01, signal.raise_signal, [received[-1]]).start()
        else:
            former_hook(lost)

    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Python allows handlers in the main thread only, and `nohup` lets programs ignore SIGHUP.
    is_main = threading.current_thread() is threading.main_thread()
    former = {number: signal.getsignal(number) for number in signals if is_main}
    taken = [number for number in former if former[number] in (signal.SIG_DFL, signal.default_int_handler)]
    for number in taken:
        signal.signal(number, end)
    former_hook, sys.unraisablehook = sys.unraisablehook, raise_again
    try:
        yield
    except BaseException as error:
        succeeded = isinstance(error, SystemExit) and not error.code
        if received and not succeeded:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        sys.unraisablehook = former_hook
        for number in taken:
            signal.signal(number, former[number])


def open_standard_streams() -> None:
    """Connect closed standard streams to nothing, and let none of them refuse a character.

    Otherwise the first message would fail, and the next file that is opened would get what libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # kept open
    for stream in (sys.stdout, sys.stderr):
        # A name in another alphabet, or a file name that is not text, would end a command after its work.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Errors of the package or the file system print `error: <message>` and exit with 1."""
    gc.set_threshold(OBJECTS_A_COLLECTION)
    # At its end, Python would search the objects of all modules for cycles several times: 1.5 s after an analysis.
    atexit.register(gc.freeze)
    open_standard_streams()
    # The progress bars of `datasets` would hide ours, unless the user wants them.
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # Arrow's own allocator keeps 50 to 100 MB of freed memory. The C library's, at the same speed, gives it back.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    given = sys.argv[1:] if arguments is None else list(arguments)
    # As a path, an empty value would be the current folder. It mostly comes from a shell variable that is not set.
    empty = [index for index, each in enumerate(given) if not each or re.fullmatch("--[a-z-]+=", each)]
    if empty:
        place = "".join(given[empty[0] - 1 : empty[0]]) if not given[empty[0]] else given[empty[0]]
        sys.stderr.write(f"error: an argument is empty: the one after {printable(place)!r}\n")
        sys.exit(2)
    try:
        os.getcwd()
    except FileNotFoundError:
        # Libraries end the process while they are loaded, and no message would name a file.
        sys.stderr.write("error: the current folder was deleted: change to another one\n")
        sys.exit(1)
    try:
        with ending_in_order():
            app(given, prog_name="telescope")
    except BrokenPipeError:
        # The reader of stdout, such as `head`, has closed it. Without this, Python would report another error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        sys.stderr.write(error_line(missing))
        sys.exit(1)
    except MemoryError:
        sys.stderr.write("error: there is not enough memory\n")
        sys.exit(1)
    except (TelescopeError, OSError) as error:
        sys.stderr.write(error_line(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
