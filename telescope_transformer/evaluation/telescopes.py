"""Telescopes of an evaluation across telescopes: their windows, and the split by networks."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telescope_transformer.arrays import positions_in_equal_runs
from telescope_transformer.errors import DatasetError, InputError, reason
from telescope_transformer.evaluation.inputs import distinct_records
from telescope_transformer.evaluation.plan import LabelFile, Telescope
from telescope_transformer.evaluation.protocol import MAX_WINDOWS, recurring
from telescope_transformer.evaluation.windows import WindowSet, labelled_windows
from telescope_transformer.files import check_regular, file_digest, replacing, text_digest
from telescope_transformer.labels import PrefixLabels, table_entries
from telescope_transformer.records import read_records
from telescope_transformer.records.addresses import network_of
from telescope_transformer.records.files import find_inputs
from telescope_transformer.splits import split_of_source
from telescope_transformer.windows import WINDOW, cut_windows, fixed_windows
from telescope_transformer.words import counted

# Most sources of the validation set and of each test set. Two thousand windows have two million pairs.
MOST_SOURCES = 500
# Our choice: fewest unseen sources with two windows. With fewer, intervals are too wide to compare methods.
FEWEST_SOURCES = 20


def fingerprint(telescope: Telescope, data: Path) -> str:
    """Eight hexadecimal digits that change with a telescope's files, and with the options of its windows.

    Raises:
        InputError: if a file cannot be read.
    """
    options = asdict(telescope)
    # These choose what is compared, and do not change the windows.
    for name in ("learn", "without", "window"):
        del options[name]
    files = [file.path for file in find_inputs([data / name for name in telescope.inputs])]
    if telescope.labels is not None:
        files.append(data / telescope.labels.file)
    try:
        content = [file_digest(path) for path in files]
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror or error}") from error
    return text_digest(json.dumps([options, content], sort_keys=True))[:8]


def windows_of(telescope: Telescope, data: Path, cache: Path) -> pa.Table:
    """All labelled windows of a telescope, of up to 128 records; read once and cached as Parquet.

    Args:
        data: folder with the files of the telescope.
        cache: folder for the Parquet files.

    Raises:
        InputError: if a file cannot be read.
    """
    path = cache / f"{telescope.name}-{fingerprint(telescope, data)}.parquet"
    if path.is_file():
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} is damaged: {reason(error)}; delete it, and it is made again") from error
    paths = [data / name for name in telescope.inputs]
    records = read_records(paths, columns=telescope.columns).table
    if telescope.distinct:
        records = distinct_records(records)
    windows = cut_windows(records, min_records=1)
    if telescope.most_records is not None:
        # Whole windows: the records of a source were sorted by the cut, and a window is not cut again.
        places = positions_in_equal_runs(windows["source"].to_numpy(zero_copy_only=False))
        windows = windows.filter(pa.array(places < max(1, telescope.most_records // WINDOW)))
    if telescope.labels is not None:
        windows = _with_labels(windows, telescope.labels, data)
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        pq.write_table(windows, partial)
    return windows


def _with_labels(windows: pa.Table, labels: LabelFile, data: Path) -> pa.Table:
    """The windows with the organisation of each source as `label`.

    The dates of the lists are ignored, because the plan names lists that fit the telescope.
    """
    path = data / labels.file
    try:
        check_regular(path)
        ranges = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a Parquet file of labels: {reason(error)}") from error
    if "list" not in ranges.column_names:
        raise InputError(f"{path}: the table of labels has no column list")
    names = pc.unique(windows["source"])
    found = pa.nulls(len(names), pa.string())
    for part in labels.lists:
        of_list = ranges.filter(pc.equal(ranges["list"], part))
        if not of_list.num_rows:
            known = ", ".join(sorted(pc.unique(ranges["list"]).drop_null().to_pylist()))
            raise InputError(f"{path}: there is no list {part!r}; it has {known}")
        entries = table_entries(path, of_list)
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
        labelled: unseen sources with a known organisation; None if there are too few, or all are of one organisation.
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
    sizes = {"to learn from": train, "to calibrate on": validation, "unseen": unseen}
    counts = {name: len(pc.unique(part["source"])) for name, part in sizes.items()}
    if min(counts.values()) < FEWEST_SOURCES:
        summary = ", ".join(f"{number} {name}" for name, number in counts.items())
        left_out = sum(side[name] != "train" and name not in fresh for name in names)
        why = f"; {counted(left_out, 'other source')} left out, since other telescopes have their networks"
        raise DatasetError(
            f"sources with two windows of {length} records: {summary}; each part needs {FEWEST_SOURCES}"
            f"{why if left_out else ''}"
        )
    drawn = {name: _drawn(part, seed) for name, part in (("validation", validation), ("sample", unseen))}
    enough = len(pc.unique(labelled["source"])) >= FEWEST_SOURCES and len(pc.unique(labelled["label"])) > 1
    known = WindowSet(_drawn(labelled, seed)) if enough else None
    return Parts(learning, WindowSet(train), WindowSet(drawn["validation"]), WindowSet(drawn["sample"]), known)


def _drawn(windows: pa.Table, seed: int) -> pa.Table:
    """At most `MAX_WINDOWS` windows of at most `MOST_SOURCES` sources, drawn at random."""
    names = pc.unique(windows["source"])
    if len(names) > MOST_SOURCES:
        rows = np.sort(np.random.default_rng(seed).choice(len(names), MOST_SOURCES, replace=False))
        windows = windows.filter(pc.is_in(windows["source"], value_set=names.take(pa.array(rows))))
    length = int(windows["n_records"][0].as_py()) if windows.num_rows else 1
    return fixed_windows(windows, length, max_per_source=MAX_WINDOWS, seed=seed)
