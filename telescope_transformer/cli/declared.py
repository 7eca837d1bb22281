"""Command-line options from the fields of a dataclass, so that each option is declared once."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import Field, fields
from typing import Annotated, Any

import typer

from telescope_transformer.learning.arguments import default_of


def with_options_of(settings: type, *, leave_out: Collection[str] = ()) -> Callable[[Callable[..., None]], Any]:
    """Replace the parameter `options` of a command by an option for each field of a dataclass.

    The command receives the given options as the dict `options`. The metadata of a field has its `help` and, if it has
    few values, `choices`. A list or a dict becomes a repeatable option.

    Args:
        settings: the dataclass.
        leave_out: names of fields that do not become options.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        declared = [entry for entry in fields(settings) if entry.name not in leave_out]
        names = {entry.name for entry in declared}

        def run(**values: Any) -> None:
            given = {name: value for name, value in values.items() if name in names and value not in (None, [])}
            command(**{name: value for name, value in values.items() if name not in names}, options=given)

        own = [
            part for part in inspect.signature(command, eval_str=True).parameters.values() if part.name != "options"
        ]
        parameters = [*own, *(_parameter(entry) for entry in declared)]
        run.__doc__, run.__name__ = command.__doc__, command.__name__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {part.name: part.annotation for part in parameters}
        return run

    return decorate


def _parameter(entry: Field[Any]) -> inspect.Parameter:
    default = default_of(entry)
    several = isinstance(default, (list, dict))
    text = entry.metadata["help"][0].upper() + entry.metadata["help"][1:]
    if choices := [choice for choice in entry.metadata["choices"] if choice]:
        text += f": {', '.join(choices)}"
    if not several and default != "":
        text += f" (default: {default})"
    # The default is None, so that the recipe applies if the option is not given.
    kind: Any = list[str] if several else type(default)
    annotation = Annotated[kind | None, typer.Option(help=f"{text}.")]
    return inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
