"""What a training run is told: defaults, then a recipe, then options of the command line."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from telescope_transformer.errors import TrainingError

RECIPES = Path(__file__).parent / "recipes"


def explained(text: str, choices: Sequence[str] = ()) -> dict[str, Any]:
    """A field's help text, and its allowed values."""
    return {"help": text, "choices": choices}


@dataclass(frozen=True)
class TrainingArguments:
    """Every option of a run but its paths; the defaults are the paper's (arXiv 2606.04733).

    Raises:
        TrainingError: where a value is out of its range, naming the option and the value.
    """

    model: dict[str, Any] = field(
        default_factory=dict, metadata=explained("fields of TelescopeConfig that differ from its defaults")
    )
    steps: int = field(default=150_000, metadata=explained("training steps"))
    batch_pairs: int = field(default=512, metadata=explained("pairs of a step, over all processes"))
    chunk_pairs: int = field(
        default=0, metadata=explained("pairs in memory at a time, by gradient caching; 0 is all of a process's")
    )
    alpha: float = field(
        default=0.5, metadata=explained("sources are drawn with probability proportional to (records)^alpha")
    )
    min_records: int = field(default=8, metadata=explained("shortest window"))
    max_records: int = field(default=128, metadata=explained("longest window"))
    lengths: str = field(
        default="uniform",
        metadata=explained("distribution of the windows' length", ("uniform", "log_uniform")),
    )
    same_length: bool = field(default=True, metadata=explained("whether both windows of a pair have one length"))
    sibling_pairs: float = field(
        default=0.0, metadata=explained("share of the pairs that are of two sources of one /24 (IPv6: /48)")
    )
    ignore_siblings: bool = field(
        default=False, metadata=explained("whether sources of one /24 (IPv6: /48) are no negatives of each other")
    )
    shared_negatives: float = field(
        default=0.0, metadata=explained("weight of a loss that tells each pair from the negatives of all anchors")
    )
    thinning: float = field(
        default=0.0, metadata=explained("share of the steps whose windows show some records of longer stretches only")
    )
    field_dropout: dict[str, float] = field(
        default_factory=dict, metadata=explained("probability that a window is shown without a field, by its name")
    )
    invention: float = field(
        default=0.0, metadata=explained("share of the steps that invent fields and services which all datasets lack")
    )
    mix: list[float] = field(
        default_factory=list, metadata=explained("how often each of several datasets comes; empty: all alike")
    )
    learning_rate: float = field(default=1e-3, metadata=explained("of AdamW"))
    weight_decay: float = field(default=0.01, metadata=explained("of AdamW"))
    schedule: str = field(
        default="constant", metadata=explained("of the learning rate", ("constant", "linear", "cosine"))
    )
    warmup_steps: int = field(default=0, metadata=explained("steps in which the learning rate rises from 0"))
    max_grad_norm: float = field(
        default=1.0, metadata=explained("gradients are scaled down to this norm; 0 leaves them")
    )
    learning_rates: dict[str, float] = field(
        default_factory=dict, metadata=explained("learning rates of the parameters that match a pattern")
    )
    freeze: list[str] = field(default_factory=list, metadata=explained("patterns of parameters that are not trained"))
    max_loss: float = field(
        default=0.0, metadata=explained("loss that stops the run; 0 is three times that of guessing")
    )
    seed: int = field(default=0, metadata=explained("of weights, batches and dropout"))
    workers: int = field(default=0, metadata=explained("processes that prepare batches, for each training process"))
    mixed_precision: str = field(
        default="", metadata=explained("no, fp16 or bf16; the launcher's if empty", ("", "no", "fp16", "bf16"))
    )
    attention: str = field(
        default="sdpa",
        metadata=explained("how attention is computed; eager is faster for short windows on a CPU", ("sdpa", "eager")),
    )
    cpu: bool = field(default=False, metadata=explained("train on the CPU even where there is a GPU"))
    num_processes: int = field(
        default=0,
        metadata=explained("processes that must have started, or the run stops; 0 is those the launcher names"),
    )
    log_every: int = field(default=10, metadata=explained("steps between lines of the log"))
    save_every: int = field(default=1000, metadata=explained("steps between checkpoints"))
    keep_checkpoints: int = field(default=3, metadata=explained("checkpoints that are kept"))
    tracker: str = field(
        default="tensorboard", metadata=explained("any tracker of Accelerate by name; none tracks nothing")
    )

    def __post_init__(self) -> None:
        positive = ("steps", "batch_pairs", "min_records", "log_every", "save_every", "keep_checkpoints")
        for name in positive:
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, not {getattr(self, name)}")
        natural = ("chunk_pairs", "warmup_steps", "max_grad_norm", "workers", "num_processes", "alpha", "max_loss")
        for name in (*natural, "learning_rate", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} must not be negative, but is {getattr(self, name)}")
        shares = {name: getattr(self, name) for name in ("sibling_pairs", "shared_negatives", "thinning", "invention")}
        for name, share in (shares | self.field_dropout).items():
            if not 0 <= share <= 1:
                raise TrainingError(f"{name} must be between 0 and 1, not {share}")
        if self.batch_pairs < 2:
            raise TrainingError("batch_pairs must be at least 2: one pair has no negatives")
        if self.max_records < self.min_records:
            raise TrainingError(f"max_records {self.max_records} is less than min_records {self.min_records}")
        for entry in fields(self):
            choices = entry.metadata["choices"]
            if choices and getattr(self, entry.name) not in choices:
                raise TrainingError(f"{entry.name} must be one of {list(choices)}, not {getattr(self, entry.name)!r}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], origin: str) -> "TrainingArguments":
        """Arguments from names and values, each value brought to its field's type.

        Args:
            origin: what an error calls the place that the values come from.
        """
        known = {entry.name: entry for entry in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise TrainingError(f"{origin}: unknown option {unknown[0]!r}; options are {sorted(known)}")
        return cls(**{name: convert(name, value, default_of(known[name]), origin) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """All options, as plain values."""
        return asdict(self)


def default_of(entry: Any) -> Any:
    """Default value of a dataclass field."""
    return entry.default if entry.default is not MISSING else entry.default_factory()


def convert(name: str, value: Any, default: Any, origin: str) -> Any:
    """`value` as the type of `default`: YAML reads 1e-3 as text, and the command line everything."""
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
        if name in ("learning_rates", "field_dropout"):
            return {key: convert(key, rate, 0.0, origin) for key, rate in dict(value).items()}
        return [convert(name, share, 0.0, origin) for share in value] if name == "mix" else value
    try:
        converted = kind(value)
    except (TypeError, ValueError) as error:
        raise fault from error
    if kind is int and converted != float(value):
        raise fault
    return converted


def read_recipe(path: Path) -> dict[str, Any]:
    """Options of a recipe, a YAML file; a bare name such as `tiny` is one of those beside this module.

    Raises:
        TrainingError: where it is missing, or not a mapping in YAML.
    """
    shipped = RECIPES / f"{path}.yaml"
    try:
        values = yaml.safe_load((shipped if not path.exists() and shipped.is_file() else path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read the recipe {path}: {error}") from error
    if not isinstance(values, dict):
        raise TrainingError(f"the recipe {path} is not a mapping of options to values")
    return values


def parser() -> argparse.ArgumentParser:
    """The command line: paths, and an option for each field of `TrainingArguments` but `model`."""
    command = argparse.ArgumentParser(
        prog="training.train",
        description="Train or fine-tune a telescope model on a prepared dataset.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument(
        "--dataset", type=Path, nargs="+", required=True, help="directories that `telescope prepare` wrote"
    )
    command.add_argument("--output", type=Path, required=True, help="directory of the model, checkpoints and logs")
    command.add_argument("--config", type=Path, help="recipe: a YAML file of options, or the name of a shipped one")
    command.add_argument("--model", dest="start_from", help="directory or Hub id of the model to start from")
    command.add_argument("--revision", help="revision of that model on the Hub")
    command.add_argument("--split", default="train", help="split of the datasets; all is all of them")
    command.add_argument("--cache", type=Path, help="directory of the encoded records; OUTPUT/cache if not given")
    for entry in fields(TrainingArguments):
        if entry.name == "model":
            continue
        default = default_of(entry)
        many: dict[str, Any] = {"nargs": "*"} if isinstance(default, (list, dict)) else {}
        if isinstance(default, bool):
            many = {"nargs": "?", "const": "true"}
        shown = f"{entry.metadata['help']} (default: {default})"
        name = "--" + entry.name.replace("_", "-")
        command.add_argument(name, dest=entry.name, default=argparse.SUPPRESS, help=shown.replace("%", "%%"), **many)
    return command


def arguments_of(parsed: argparse.Namespace) -> TrainingArguments:
    """Recipe and options together; an option overrides the recipe."""
    values = read_recipe(parsed.config) if parsed.config else {}
    given = {entry.name for entry in fields(TrainingArguments)} - {"model"}
    values |= {name: value for name, value in vars(parsed).items() if name in given}
    return TrainingArguments.from_mapping(values, str(parsed.config or "command line"))
