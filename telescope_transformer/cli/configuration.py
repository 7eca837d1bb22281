"""Defaults of options from `telescope.toml` and from `TELESCOPE_*` variables."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from telescope_transformer.errors import InputError

FILE_NAME = "telescope.toml"
VARIABLE = "TELESCOPE_CONFIG"


def variables(command: str, option: str) -> list[str]:
    """Names of the environment variables for an option, the more specific one first.

    Example:
        >>> variables("analyze", "labels")
        ['TELESCOPE_ANALYZE_LABELS', 'TELESCOPE_LABELS']
    """
    return [f"TELESCOPE_{command}_{option}".upper(), f"TELESCOPE_{option}".upper()]


def unknown_variables(command: str, options: Iterable[str]) -> list[str]:
    """Set environment variables that are named after a command, but after none of its options.

    Example:
        >>> os.environ["TELESCOPE_ANALYZE_LABLES"] = "lists"
        >>> unknown_variables("analyze", ["labels"])
        ['TELESCOPE_ANALYZE_LABLES']
    """
    known = {variables(command, option)[0] for option in options}
    return sorted(name for name in os.environ if name.startswith(variables(command, "")[0]) and name not in known)


def configuration_file(path: Path | None) -> Path:
    """The file that defaults are read from: the given one, the one named by TELESCOPE_CONFIG, or telescope.toml."""
    return path or Path(os.environ.get(VARIABLE) or FILE_NAME)


def read_defaults(options: Mapping[str, Mapping[str, bool]], path: Path | None) -> dict[str, dict[str, Any]]:
    """Read defaults of every command from a configuration file.

    A table named after a command, such as `[analyze]`, sets options of that command. Keys outside of tables apply to
    every command with that option. A key is the name of an option without the leading dashes.

    Args:
        options: for each command its options, and whether each can be given several times.
        path: the file; None is the one named by TELESCOPE_CONFIG, or telescope.toml in the current folder.

    Returns:
        For each command, default values of its parameters.

    Raises:
        InputError: if the file is missing or wrong; the message names the file and the key or line.
    """
    place = configuration_file(path)
    try:
        # Editors on Windows may begin a file with a byte order mark, which TOML does not allow.
        content = tomllib.loads(place.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        # A link that leads nowhere is a mistake.
        if path is None and not os.environ.get(VARIABLE) and not place.is_symlink():
            return {}
        raise InputError(f"{place}: no such configuration file") from error
    except OSError as error:
        raise InputError(f"{place}: cannot read the configuration file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{place}: not valid TOML: {error}") from error
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    for table in tables:
        if table not in options:
            raise InputError(f"{place}: [{table}] is not a command; commands are {', '.join(options)}")
    defaults: dict[str, dict[str, Any]] = {name: {} for name in options}
    for key, value in content.items():
        if key not in tables:
            takers = [name for name, known in options.items() if _parameter(key) in known]
            if not takers:
                raise InputError(f"{place}: no command has an option {key!r}")
            # `--telescope` takes several prefixes in `analyze` and one in `simulate`: a list is for the former.
            fitting = [name for name in takers if _fits(value, options[name][_parameter(key)])]
            if not fitting:
                raise InputError(f"{place}: {key} takes one value, not {value!r}")
            for name in fitting:
                defaults[name][_parameter(key)] = _value(value, options[name][_parameter(key)])
    for name, entries in tables.items():
        for key, value in entries.items():
            if _parameter(key) not in options[name]:
                known = ", ".join(sorted(option.replace("_", "-") for option in options[name]))
                raise InputError(f"{place}: [{name}] has no option {key!r}; options are {known}")
            if not _fits(value, options[name][_parameter(key)]):
                raise InputError(f"{place}: [{name}] {key} takes one value, not {value!r}")
            defaults[name][_parameter(key)] = _value(value, options[name][_parameter(key)])
    return defaults


def _parameter(key: str) -> str:
    return key.replace("-", "_")


def _fits(value: Any, several: bool) -> bool:
    """Whether an option takes a value of this form: a table never, a list only if it can be given several times."""
    return not isinstance(value, dict) and (several or not isinstance(value, list))


def _value(value: Any, several: bool) -> Any:
    """Convert a value for an option: a single value becomes a list if the option takes several."""
    return [value] if several and not isinstance(value, list) else value
