"""What other packages add through entry points: readers, exporters and training objectives."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from telescope_transformer.errors import TelescopeError


def load_plugins(group: str, kind: str, is_one: Callable[[Any], bool], error: type[TelescopeError]) -> dict[str, Any]:
    """Load what other packages have registered in a group of entry points.

    Args:
        group: name of the group.
        kind: what the group holds, for messages.
        is_one: whether an object is of this kind.
        error: class of the errors.

    Returns:
        The objects by the names of their entry points.

    Raises:
        TelescopeError: of the given class, if an object cannot be loaded or is not of this kind; the message names it.
    """
    found = {}
    for entry in entry_points(group=group):
        plugin = f"the {kind} {entry.name} ({entry.value})"
        try:
            loaded = entry.load()
        except Exception as cause:  # Another package can raise any exception.
            raise error(f"{plugin} cannot be loaded: {cause}") from cause
        if not is_one(loaded):
            raise error(f"{plugin} cannot be used: it is of type {type(loaded).__name__}")
        found[entry.name] = loaded
    return found
