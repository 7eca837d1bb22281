"""Models to evaluate, as the command line names them. Importing this is quick."""

from dataclasses import dataclass

from telescope_transformer.errors import InputError
from telescope_transformer.hub import SHIPPED


@dataclass(frozen=True)
class ModelArgument:
    """A model to evaluate.

    Args:
        name: name in the tables.
        split: the split that it was trained on; None evaluates it on every split.
        place: directory or Hub id; None is the shipped checkpoint.
    """

    name: str
    split: int | None
    place: str | None


def model_argument(text: str) -> ModelArgument:
    """Parse NAME@SPLIT=MODEL, NAME=MODEL or MODEL; `shipped` is the shipped checkpoint.

    Raises:
        InputError: if the split is not a number.
    """
    label, equals, place = text.rpartition("=")
    if not equals:
        label = "model" if place == SHIPPED else place.rstrip("/").rpartition("/")[2]
    name, at, split = label.partition("@")
    if at and not split.isdigit():
        raise InputError(f"the split of model {text!r} must be a number, not {split!r}")
    return ModelArgument(name, int(split) if at else None, None if place == SHIPPED else place)
