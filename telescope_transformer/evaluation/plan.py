"""The plan of an evaluation across telescopes, in YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from telescope_transformer.errors import InputError, reason

Entry = TypeVar("Entry", "LabelFile", "Telescope", "Variant")


@dataclass(frozen=True)
class LabelFile:
    """Organisations of ranges of addresses, from a Parquet file with the columns first, last, name and list.

    Args:
        file: path relative to the data folder.
        lists: values of `list` to use; for each address, the first list that contains it is used.
    """

    file: str
    lists: Sequence[str]

    def __post_init__(self) -> None:
        _check_texts("labels", "lists", self.lists)
        if not isinstance(self.file, str):
            raise InputError(f"labels: file must be a text, not {self.file!r}")


@dataclass(frozen=True)
class Telescope:
    """A set of sensors and a period.

    Args:
        name: name in tables.
        inputs: flow-record files, relative to the data folder.
        learn: whether models are trained on it when another telescope is evaluated.
        without: telescopes that models are not trained on when this one is evaluated, because they share its sources.
        columns: record field to column.
        distinct: drop records that equal another in every field.
        most_records: most records per source, so that one flood does not outweigh all others, in whole windows of 128
            records: as many as fit, and at least one. None is no limit.
        window: records in the windows that are compared.
        labels: organisations of its sources; None uses the labels of the records, if there are any.
    """

    name: str
    inputs: Sequence[str]
    learn: bool = True
    without: Sequence[str] = ()
    columns: Mapping[str, str] | None = None
    distinct: bool = False
    most_records: int | None = None
    window: int = 8
    labels: LabelFile | None = None

    def __post_init__(self) -> None:
        for name in ("inputs", "without"):
            _check_texts(f"telescope {self.name}", name, getattr(self, name))
        if not self.inputs:
            raise InputError(f"telescope {self.name}: inputs names no file")
        for name in ("learn", "distinct"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"telescope {self.name}: {name} must be true or false, not {getattr(self, name)!r}")
        if not isinstance(self.columns, (Mapping, type(None))):
            raise InputError(f"telescope {self.name}: columns must map fields to columns, not be {self.columns!r}")
        for name in ("window", "most_records"):
            value = getattr(self, name)
            if not (type(value) is int and value > 0) and not (name == "most_records" and value is None):
                raise InputError(f"telescope {self.name}: {name} must be a number of records, not {value!r}")


def _check_texts(owner: str, name: str, value: Any) -> None:
    """Raise InputError unless the value is a list of texts. A single text would be taken for a list of its letters."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise InputError(f"{owner}: {name} must be a list of texts, not {value!r}")


@dataclass(frozen=True)
class Variant:
    """A model to compare: trained on other telescopes, then adapted.

    Args:
        name: name in tables.
        adapt: recipe of adaptation.
        recipe: recipe of training on the other telescopes.
        checkpoint: an existing model to use instead of training one.
    """

    name: str
    adapt: str = "adapt"
    recipe: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        for name in ("adapt", "recipe", "checkpoint"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise InputError(f"model {self.name}: {name} must be a text, not {getattr(self, name)!r}")
        if (self.recipe is None) == (self.checkpoint is None):
            raise InputError(f"model {self.name} needs either a recipe or a checkpoint")


@dataclass(frozen=True)
class Plan:
    """What to evaluate.

    Args:
        telescopes: telescopes in the order of the tables.
        variants: models to compare.
    """

    telescopes: Sequence[Telescope]
    variants: Sequence[Variant]

    def __post_init__(self) -> None:
        names = [telescope.name for telescope in self.telescopes]
        if not names:
            raise InputError("a plan needs at least one telescope")
        for telescope in self.telescopes:
            unknown = [name for name in telescope.without if name not in names]
            if unknown:
                raise InputError(
                    f"telescope {telescope.name}: without names {unknown[0]!r}; the plan has {', '.join(names)}"
                )

    def others(self, telescope: Telescope) -> list[Telescope]:
        """Telescopes that models are trained on when this one is evaluated."""
        left_out = {telescope.name, *telescope.without}
        return [other for other in self.telescopes if other.learn and other.name not in left_out]


def read_plan(path: str | Path) -> Plan:
    """Read a plan: a YAML file with `telescopes` and `models`, each a mapping of names to options.

    Raises:
        InputError: if it cannot be read, or an option is unknown or missing.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {reason(error)}") from error
    if not isinstance(content, dict) or set(content) != {"telescopes", "models"}:
        raise InputError(f"{path}: a plan has `telescopes` and `models`, and nothing else")
    for kind, entries in content.items():
        wrong = [kind] if not isinstance(entries, dict) else [n for n in entries if not isinstance(entries[n], dict)]
        if wrong:
            raise InputError(f"{path}: {wrong[0]} must be a mapping of names to values")
    try:
        telescopes = [_telescope(name, options) for name, options in content["telescopes"].items()]
        variants = [_entry(Variant, "model", name, options) for name, options in content["models"].items()]
        return Plan(telescopes, variants)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _telescope(name: Any, options: Mapping[str, Any]) -> Telescope:
    labels = options.get("labels")
    if labels is not None and not isinstance(labels, Mapping):
        raise InputError(f"telescope {name}: labels must be a mapping, not {labels!r}")
    read = {} if labels is None else {"labels": _entry(LabelFile, f"telescope {name}: labels", None, labels)}
    return _entry(Telescope, "telescope", name, {**options, **read})


def _entry(kind: type[Entry], what: str, name: Any, options: Mapping[str, Any]) -> Entry:
    """An entry of a plan, whose options are the fields of `kind`; `name` is None if the entry has none."""
    where, given = (what, dict(options)) if name is None else (f"{what} {name}", {"name": name, **options})
    # Files and folders of the evaluation have this name.
    if name is not None and (not isinstance(name, str) or Path(name).name != name or name.startswith(".")):
        raise InputError(f"{where}: a name must be a text without / and without a leading dot; put numbers in quotes")
    known = [field.name for field in fields(kind) if field.name != "name"]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(f"{where}: there is no option {unknown[0]!r}; the options are {', '.join(known)}")
    needed = [field.name for field in fields(kind) if field.default is MISSING and field.name not in given]
    if needed:
        raise InputError(f"{where}: {needed[0]} is missing")
    return kind(**given)


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice, of which YAML would keep the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} occurs twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
