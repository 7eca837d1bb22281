"""Optional dependencies: imported where they are used, with a message that says how to install them."""

from importlib import import_module
from types import ModuleType

from telescope_transformer.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: its name, such as "stix2".
        extra: the extra of this package that installs it.
        purpose: what needs it, to begin the message with.

    Raises:
        MissingExtraError: when it is not installed.

    Example:
        >>> matplotlib = require("matplotlib", "train", "the plots of an evaluation")
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A module that is installed and lacks one of its own dependencies is a broken installation, not a missing one.
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {module.partition('.')[0]!r}, which is not installed: "
            f"run pip install 'telescope-transformer[{extra}]'"
        ) from None
