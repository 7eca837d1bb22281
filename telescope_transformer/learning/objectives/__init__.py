"""Training objectives, one class per file of this folder.

To add one, add a module with a frozen dataclass that has a class attribute `name` and a method `loss`; its fields are
its options. Other packages register objectives as entry points of the group `telescope_transformer.objectives`. A
recipe selects an objective with `objective: NAME` and sets its options with `objective_options`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch

from telescope_transformer.errors import TrainingError
from telescope_transformer.plugins import load_plugins

ENTRY_POINTS = "telescope_transformer.objectives"


@dataclass(frozen=True)
class PairFacts:
    """What an objective gets, besides the embeddings, for the n pairs of this process.

    Args:
        sources: (n,) integers, the source of each pair.
        networks: (n,) integers, the /24 (IPv6: /48) of each pair's source.
        temperature: temperature from the model's configuration.
    """

    sources: torch.Tensor
    networks: torch.Tensor
    temperature: float


@runtime_checkable
class Objective(Protocol):
    """A training objective. The fields of the implementing dataclass are its options."""

    name: ClassVar[str]

    def loss(self, embeddings: torch.Tensor, pairs: PairFacts) -> torch.Tensor:
        """The loss of this process's pairs, a scalar. Data parallelism averages it over processes.

        Args:
            embeddings: (2n, d) of unit length: the first window of each pair, then the second of each.
            pairs: sources and networks of the n pairs, and the temperature.
        """
        ...


def find_objectives() -> dict[str, type]:
    """Classes of all objectives by name, from this folder and from entry points.

    Raises:
        TrainingError: if an objective of another package cannot be loaded.
    """
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    here = [value for module in modules for value in vars(module).values() if _defined_in(value, module.__name__)]
    others = load_plugins(ENTRY_POINTS, "training objective", _is_objective, TrainingError)
    return {found.name: found for found in [*here, *others.values()]}


def make_objective(name: str, options: Mapping[str, Any]) -> Objective:
    """Create the objective of the given name with its options.

    Raises:
        TrainingError: if the name or an option is unknown, or a value is invalid.
    """
    found = find_objectives()
    if name not in found:
        raise TrainingError(f"objective must be one of {sorted(found)}, not {name!r}")
    known = [entry.name for entry in fields(found[name])]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TrainingError(f"objective {name} has no option {unknown[0]!r}; its options are {known}")
    try:
        made: Objective = found[name](**options)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"objective {name}: {error}") from error
    return made


def _defined_in(value: Any, module: str) -> bool:
    return _is_objective(value) and value.__module__ == module


def _is_objective(value: Any) -> bool:
    return isinstance(value, type) and is_dataclass(value) and hasattr(value, "name") and hasattr(value, "loss")
