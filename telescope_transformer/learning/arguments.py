"""Options of a training run: defaults, overridden by a recipe, overridden by the command line."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from telescope_transformer.errors import TrainingError, reason
from telescope_transformer.files import data_folder

RECIPES = "training/recipes"


def option(text: str, choices: Sequence[str] = ()) -> dict[str, Any]:
    """Metadata of a field: its help text, and its allowed values if they are few."""
    return {"help": text, "choices": choices}


@dataclass(frozen=True)
class TrainingArguments:
    """Options of a run, without its paths. The defaults are those of the paper (arXiv 2606.04733).

    Raises:
        TrainingError: if a value is out of range; the message names the option and the value.
    """

    model: dict[str, Any] = field(
        default_factory=dict, metadata=option("fields of TelescopeConfig that differ from its defaults")
    )
    objective: str = field(default="nt_xent", metadata=option("name of the training objective"))
    objective_options: dict[str, Any] = field(default_factory=dict, metadata=option("options of the objective"))
    steps: int = field(default=150_000, metadata=option("number of training steps"))
    batch_pairs: int = field(default=512, metadata=option("positive pairs in a step, over all processes"))
    chunk_pairs: int = field(
        default=0, metadata=option("pairs in memory at a time, by gradient caching; 0 holds the whole batch")
    )
    alpha: float = field(
        default=0.5, metadata=option("sources are drawn with probability proportional to (records)^alpha")
    )
    min_records: int = field(default=8, metadata=option("fewest records in a window"))
    max_records: int = field(default=128, metadata=option("most records in a window"))
    lengths: str = field(
        default="uniform", metadata=option("distribution of window lengths", ("uniform", "log_uniform"))
    )
    sibling_pairs: float = field(
        default=0.0, metadata=option("share of pairs that join two sources of one /24 (IPv6: /48)")
    )
    cut_steps: float = field(
        default=0.0, metadata=option("share of steps whose second windows are cut down to fewer records")
    )
    field_dropout: dict[str, float] = field(
        default_factory=dict, metadata=option("NAME=PROBABILITY of hiding a field in a window")
    )
    jitter_steps: float = field(
        default=0.0, metadata=option("share of steps in which each window is shown at a random rate")
    )
    mix: list[float] = field(
        default_factory=list, metadata=option("relative frequency of each dataset; uniform if not given")
    )
    learning_rate: float = field(default=1e-3, metadata=option("learning rate of AdamW"))
    weight_decay: float = field(default=0.01, metadata=option("weight decay of AdamW"))
    schedule: str = field(
        default="constant", metadata=option("schedule of the learning rate", ("constant", "linear", "cosine"))
    )
    warmup_steps: int = field(default=0, metadata=option("steps over which the learning rate rises from 0"))
    max_grad_norm: float = field(default=1.0, metadata=option("largest norm of the gradient; 0 sets no limit"))
    freeze: list[str] = field(default_factory=list, metadata=option("pattern of parameter names that are not trained"))
    seed: int = field(default=0, metadata=option("seed of weights, batches and dropout"))
    workers: int = field(default=0, metadata=option("worker processes that prepare batches, per training process"))
    mixed_precision: str = field(
        default="", metadata=option("precision; the launcher decides if not given", ("", "no", "fp16", "bf16"))
    )
    attention: str = field(
        default="sdpa",
        metadata=option("attention kernel; eager is faster for short windows on a CPU", ("sdpa", "eager")),
    )
    cpu: bool = field(default=False, metadata=option("train on the CPU even if there is a GPU"))
    log_every: int = field(default=10, metadata=option("steps between lines of the log"))
    save_every: int = field(default=1000, metadata=option("steps between checkpoints"))
    keep_checkpoints: int = field(default=3, metadata=option("number of checkpoints to keep"))
    tracker: str = field(
        default="auto",
        metadata=option("a tracker that Accelerate knows by name, none, or auto: TensorBoard if it is installed"),
    )

    def __post_init__(self) -> None:
        for name in ("steps", "batch_pairs", "min_records", "log_every", "save_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, not {getattr(self, name)}")
        amounts = ("chunk_pairs", "warmup_steps", "max_grad_norm", "workers", "alpha", "weight_decay")
        for name in (*amounts, "seed"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} must not be negative, but is {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise TrainingError(f"learning_rate must be positive, not {self.learning_rate}")
        shares = {"sibling_pairs": self.sibling_pairs, "cut_steps": self.cut_steps, "jitter_steps": self.jitter_steps}
        for name, share in (shares | self.field_dropout).items():
            if not 0 <= share <= 1:
                raise TrainingError(f"{name} must be between 0 and 1, not {share}")
        if self.batch_pairs < 2:
            raise TrainingError("batch_pairs must be at least 2: a single pair has no negatives")
        if self.max_records < self.min_records:
            raise TrainingError(f"max_records {self.max_records} is less than min_records {self.min_records}")
        for entry in fields(self):
            choices = entry.metadata["choices"]
            if choices and getattr(self, entry.name) not in choices:
                raise TrainingError(f"{entry.name} must be one of {list(choices)}, not {getattr(self, entry.name)!r}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], origin: str) -> "TrainingArguments":
        """Arguments from names and values, each value converted to the type of its field.

        Args:
            origin: name of the source of the values, for error messages.

        Raises:
            TrainingError: if an option is unknown, or a value has the wrong type or is out of range.
        """
        known = {entry.name: entry for entry in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise TrainingError(f"{origin}: unknown option {unknown[0]!r}; options are {sorted(known)}")
        return cls(**{name: convert(name, value, default_of(known[name]), origin) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """All options, as plain values."""
        return asdict(self)


def default_of(entry: Field[Any]) -> Any:
    """Default value of a dataclass field."""
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def convert(name: str, value: Any, default: Any, origin: str) -> Any:
    """Convert `value` to the type of `default`. YAML and the command line give numbers such as 1e-3 as text.

    Raises:
        TrainingError: if it cannot be converted.
    """
    kind = type(default)
    fault = TrainingError(f"{origin}: {name} must be of type {kind.__name__}, not {value!r}")
    if kind is bool or isinstance(value, bool):
        if kind is not bool or str(value).lower() not in ("true", "false"):
            raise fault
        return str(value).lower() == "true"
    if kind is dict and isinstance(value, list):
        value = dict(pair.partition("=")[::2] for pair in value)
    if isinstance(default, (dict, list)):
        if not isinstance(value, kind):
            raise fault
        if name == "field_dropout":
            return {key: convert(key, share, 0.0, origin) for key, share in dict(value).items()}
        return [convert(name, share, 0.0, origin) for share in value] if name == "mix" else value
    try:
        converted = kind(value)
        number = float(value) if kind in (int, float) else 0.0
    except (TypeError, ValueError, OverflowError) as error:
        raise fault from error
    # YAML has .nan and .inf, and no option can mean either.
    if not math.isfinite(number) or (kind is int and converted != number):
        raise fault
    return converted


def read_recipe(name: str | Path) -> dict[str, Any]:
    """Options of a recipe: a YAML file, or the bare name of a shipped recipe such as `default`.

    Raises:
        TrainingError: if it is missing or not a YAML mapping.
    """
    path = Path(name)
    shipped = {recipe.stem: recipe for recipe in sorted(data_folder(RECIPES).glob("*.yaml"))}
    if not path.exists() and str(path) not in shipped:
        raise TrainingError(f"{path}: no such recipe: name a YAML file, or one of {', '.join(shipped)}")
    try:
        values = yaml.safe_load((path if path.exists() else shipped[str(path)]).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read the recipe {path}: {reason(error)}") from error
    if not isinstance(values, dict):
        raise TrainingError(f"the recipe {path} is not a mapping of options to values")
    return values


def arguments_of(recipe: str | Path | None, given: Mapping[str, Any]) -> TrainingArguments:
    """Arguments from a recipe, overridden by the options that were given."""
    values = read_recipe(recipe) if recipe else {}
    return TrainingArguments.from_mapping(values | dict(given), str(recipe or "command line"))
