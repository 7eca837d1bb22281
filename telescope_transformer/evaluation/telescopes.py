"""Telescopes of an evaluation across telescopes: the plan in YAML, their windows, and the split by networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from telescope_transformer.errors import DatasetError, InputError
from telescope_transformer.evaluation.inputs import distinct_records
from telescope_transformer.evaluation.protocol import MAX_WINDOWS, recurring
from telescope_transformer.evaluation.windows import WindowSet, labelled_windows
from telescope_transformer.files import replacing
from telescope_transformer.labels import PrefixLabels, table_entries
from telescope_transformer.records import read_records
from telescope_transformer.records.addresses import network_of
from telescope_transformer.splits import split_of_source
from telescope_transformer.windows import WINDOW, cut_windows, fixed_windows

# Most sources of the validation set and of each test set. Two thousand windows have two million pairs.
MOST_SOURCES = 500
# Our choice: fewest unseen sources with two windows. With fewer, intervals are too wide to compare methods.
FEWEST_SOURCES = 20


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
        most_records: most records per source, so that one flood does not outweigh all others; None is no limit.
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
        for name in ("window", "most_records"):
            value = getattr(self, name)
            if not (type(value) is int and value > 0) and not (name == "most_records" and value is None):
                raise InputError(f"telescope {self.name}: {name} must be a number of records, not {value!r}")


def _check_texts(owner: str, name: str, value: Any) -> None:
    """Raise InputError unless the value is a list of texts. A single text would be taken for a list of its letters."""
    if isinstance(value, str) or not all(isinstance(each, str) for each in value):
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
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or set(content) != {"telescopes", "models"}:
        raise InputError(f"{path}: a plan has `telescopes` and `models`, and nothing else")
    for kind, entries in content.items():
        wrong = [kind] if not isinstance(entries, dict) else [n for n in entries if not isinstance(entries[n], dict)]
        if wrong:
            raise InputError(f"{path}: {wrong[0]} must be a mapping of names to values")
    try:
        telescopes = [_telescope(name, dict(options)) for name, options in content["telescopes"].items()]
        variants = [Variant(name, **options) for name, options in content["models"].items()]
    except (TypeError, ValueError, InputError) as error:
        raise InputError(f"{path}: {error}") from error
    return Plan(telescopes, variants)


def _telescope(name: str, options: dict[str, Any]) -> Telescope:
    labels = options.pop("labels", None)
    return Telescope(name, labels=LabelFile(**labels) if labels else None, **options)


def windows_of(telescope: Telescope, data: Path, cache: Path) -> pa.Table:
    """All labelled windows of a telescope, of up to 128 records; read once and cached as Parquet.

    Args:
        data: folder with the files of the telescope.
        cache: folder for the Parquet files.

    Raises:
        InputError: if a file cannot be read.
    """
    path = cache / f"{telescope.name}.parquet"
    if path.is_file():
        return pq.read_table(path)
    paths = [data / name for name in telescope.inputs]
    records = read_records(paths, columns=telescope.columns).table
    if telescope.distinct:
        records = distinct_records(records)
    windows = cut_windows(records, min_records=1)
    if telescope.most_records is not None:
        windows = windows.filter(pa.array(_places(windows) < max(1, telescope.most_records // WINDOW)))
    if telescope.labels is not None:
        windows = _with_labels(windows, telescope.labels, data)
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        pq.write_table(windows, partial)
    return windows


def _places(windows: pa.Table) -> NDArray[np.int64]:
    """Index of each window among those of its source, for windows grouped by source."""
    names = windows["source"].to_numpy(zero_copy_only=False)
    new = np.concatenate(([True], names[1:] != names[:-1]))
    begins = np.flatnonzero(new)
    return np.arange(len(names)) - np.repeat(begins, np.diff(np.append(begins, len(names))))


def _with_labels(windows: pa.Table, labels: LabelFile, data: Path) -> pa.Table:
    """The windows with the organisation of each source as `label`.

    The dates of the lists are ignored, because the plan names lists that fit the telescope.
    """
    path = data / labels.file
    ranges = pq.read_table(path)
    names = pc.unique(windows["source"])
    found = pa.nulls(len(names), pa.string())
    for part in labels.lists:
        entries = table_entries(path, ranges.filter(pc.equal(ranges["list"], part)))
        of_part = PrefixLabels.from_entries(entry._replace(period=None) for entry in entries)
        found = pc.coalesce(found, of_part.label(names))
    column = found.take(pc.index_in(windows["source"], names))
    if "label" in windows.column_names:
        windows = windows.drop_columns(["label"])
    return windows.append_column("label", column)


def networks(windows: pa.Table) -> set[str]:
    """The /24s (IPv6: /48s) of all sources."""
    return {network_of(name) for name in pc.unique(windows["source"]).to_pylist()}


@dataclass(frozen=True)
class Parts:
    """A telescope, split by networks.

    Args:
        learning: windows of any length of the training networks.
        train: the same records as windows of one length, to count frequencies.
        validation: windows to calibrate on.
        sample: a sample of the unseen sources.
        labelled: unseen sources with a known organisation; None if there are too few.
    """

    learning: pa.Table
    train: WindowSet
    validation: WindowSet
    sample: WindowSet
    labelled: WindowSet | None


def split(windows: pa.Table, length: int, seed: int, seen: set[str]) -> Parts:
    """Split a telescope by a hash of networks: 70 % for training, 10 % for calibration, 20 % unseen.

    Args:
        windows: windows of any length.
        length: records per window in all parts except `learning`.
        seed: seed of the hash and of draws.
        seen: networks that a model has seen in training elsewhere; they are excluded from all other parts.

    Raises:
        DatasetError: if too few sources are left.
    """
    names = pc.unique(windows["source"]).to_pylist()
    side = {name: split_of_source(network_of(name), seed) for name in names}
    fresh = {name for name in names if network_of(name) not in seen}

    def of(wanted: str) -> pa.Table:
        chosen = [name for name in names if side[name] == wanted and (wanted == "train" or name in fresh)]
        return windows.filter(pc.is_in(windows["source"], value_set=pa.array(chosen, pa.string())))

    learning, unseen = of("train"), recurring(fixed_windows(of("test"), length))[0]
    train, validation = (recurring(fixed_windows(of(part), length))[0] for part in ("train", "validation"))
    labelled = labelled_windows(unseen)
    sizes = {"learned": train, "validation": validation, "unseen": unseen}
    counts = {name: len(pc.unique(part["source"])) for name, part in sizes.items()}
    if min(counts.values()) < FEWEST_SOURCES:
        summary = ", ".join(f"{number} {name}" for name, number in counts.items())
        raise DatasetError(f"sources with two windows of {length} records: {summary}; each needs {FEWEST_SOURCES}")
    drawn = {name: _drawn(part, seed) for name, part in (("validation", validation), ("sample", unseen))}
    known = WindowSet(_drawn(labelled, seed)) if len(pc.unique(labelled["source"])) >= FEWEST_SOURCES else None
    return Parts(learning, WindowSet(train), WindowSet(drawn["validation"]), WindowSet(drawn["sample"]), known)


def _drawn(windows: pa.Table, seed: int) -> pa.Table:
    """At most `MAX_WINDOWS` windows of at most `MOST_SOURCES` sources, drawn at random."""
    names = pc.unique(windows["source"])
    if len(names) > MOST_SOURCES:
        rows = np.sort(np.random.default_rng(seed).choice(len(names), MOST_SOURCES, replace=False))
        windows = windows.filter(pc.is_in(windows["source"], value_set=names.take(pa.array(rows))))
    length = int(windows["n_records"][0].as_py()) if windows.num_rows else 1
    return fixed_windows(windows, length, max_per_source=MAX_WINDOWS, seed=seed)
