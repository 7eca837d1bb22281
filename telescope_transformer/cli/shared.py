"""Options that every command has, groups of options, and environment variables for options."""

import inspect
import logging
import math
import re
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo

from telescope_transformer.cli.configuration import variables
from telescope_transformer.progress import set_quiet
from telescope_transformer.splits import LARGEST_SEED

Command = Callable[..., None]
# Times are counted in microseconds in 64 bits, which end at 9.2e12 seconds. No option means as much.
LARGEST_NUMBER = 10**12


class LogLevel(StrEnum):
    """Levels of messages in the log, from most to fewest."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors only: no messages, no progress bars.")
]
Level = Annotated[
    LogLevel | None, typer.Option("--log-level", help="Also print log messages of this level and above to stderr.")
]


def with_shared_options(command: Command) -> Command:
    """Add --quiet, --log-level and a variable for each option; see `configuration.variables`.

    A parameter whose type is a dataclass, such as `options.Reading`, becomes an option for each of its fields, so that
    commands share a group of options by naming it.
    """

    @wraps(command)
    def run(*args: Any, quiet: bool = False, log_level: LogLevel | None = None, **options: Any) -> None:
        set_quiet(quiet)
        if log_level is not None:
            logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
            logging.getLogger("telescope_transformer").setLevel(log_level.upper())
        for name, group in groups.items():
            options[name] = group(**{entry.name: options.pop(entry.name) for entry in fields(group)})
        command(*args, **options)

    # Click prints a paragraph that begins with a backspace line by line, so that examples can be copied.
    run.__doc__ = re.sub(r"\n( *)Example: ", r"\n\1\b\n\1Example: ", command.__doc__ or "", count=1)
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    keyword = inspect.Parameter.KEYWORD_ONLY
    for each in inspect.signature(command).parameters.values():
        # Typer passes everything by name. Keyword-only parameters may have and lack defaults in any order.
        if each.name in groups:
            group = get_type_hints(groups[each.name], include_extras=True)
            parameters += [
                inspect.Parameter(entry.name, keyword, default=entry.default, annotation=group[entry.name])
                for entry in fields(groups[each.name])
            ]
        else:
            parameters.append(each.replace(kind=keyword, annotation=hints[each.name]))
    parameters += [
        inspect.Parameter("quiet", keyword, default=False, annotation=Quiet),
        inspect.Parameter("log_level", keyword, default=None, annotation=Level),
    ]
    parameters = [
        each.replace(annotation=_with_variables(each.annotation, command.__name__, each.name)) for each in parameters
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
    return run


def check_number(parameter: Any, value: Any) -> None:
    """Refuse numbers that no option can mean: nan, inf, huge ones, and seeds that random generators do not take.

    Raises:
        typer.BadParameter: names the parameter and the value; the command ends with status 2.
    """
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(each, float) and not math.isfinite(each):
            raise typer.BadParameter(f"{each} is not a finite number", param=parameter)
        if isinstance(each, (int, float)) and abs(each) > LARGEST_NUMBER:
            raise typer.BadParameter(f"{each} is not between -1e12 and 1e12", param=parameter)
    if parameter.name == "seed" and isinstance(value, int) and not 0 <= value <= LARGEST_SEED:
        raise typer.BadParameter(f"{value} is not between 0 and {LARGEST_SEED}", param=parameter)


def check_kind(parameter: Any, value: Any) -> None:
    """Refuse values of TOML that would silently become another kind: `output = true` is no folder called True.

    Raises:
        typer.BadParameter: names the parameter and the value; the command ends with status 2.
    """
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, date | time) or (isinstance(each, bool) and not parameter.is_flag):
            told = str(each).lower()
            raise typer.BadParameter(f"{told} is neither text nor a number; put text in quotes", param=parameter)


def options_of(command: Command) -> dict[str, bool]:
    """Names of a command's options, and whether each can be given several times."""
    hints = get_type_hints(command, include_extras=True)
    return {
        name: _is_list(get_args(hint)[0])
        for name, hint in hints.items()
        if get_origin(hint) is Annotated and any(isinstance(each, OptionInfo) for each in get_args(hint)[1:])
    }


def _with_variables(hint: Any, command: str, option: str) -> Any:
    if get_origin(hint) is not Annotated:
        return hint
    kind, *metadata = get_args(hint)
    for place, each in enumerate(metadata):
        if isinstance(each, OptionInfo) and each.envvar is None:
            # Several commands may share the declaration, but each has its own variables.
            metadata[place] = copy(each)
            metadata[place].envvar = variables(command, option)
            metadata[place].show_envvar = False
    return Annotated[(kind, *metadata)]


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list or any(get_origin(part) is list for part in get_args(kind))
