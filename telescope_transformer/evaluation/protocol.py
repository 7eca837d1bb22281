"""Splits for evaluation. Sources are split, so that no source has windows on both sides."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.arrays import positions_in_equal_runs
from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.records.addresses import network_of
from telescope_transformer.splits import TRAIN_PART, split_of_source
from telescope_transformer.windows import fixed_windows

HOLD_OUTS = ("source", "prefix", "organisation")
UNSEEN = ("unseen_sources", "unseen_sequences")
PARTS = ("train", "validation", *UNSEEN)
# Our choice: at most six pairs of a source, so that large sources do not dominate.
MAX_WINDOWS = 4
# Two thousand windows have two million pairs. More would only narrow the intervals.
MAX_SOURCES = 1_000


@dataclass(frozen=True)
class Split:
    """The windows of one split. Methods may learn from `train` only.

    The other parts have at most `MAX_WINDOWS` windows per source and `MAX_SOURCES` sources, drawn at random.
    """

    train: WindowSet
    validation: WindowSet
    unseen_sources: WindowSet
    unseen_sequences: WindowSet

    def checked(self) -> Self:
        """The split itself, after a check of its parts.

        Raises:
            DatasetError: if a part has fewer than two sources.
        """
        parts = {name: len(self.part(name).source_names) for name in PARTS}
        if min(parts.values()) < 2:
            sizes = ", ".join(f"{number} of {name}" for name, number in parts.items())
            raise DatasetError(f"sources with two windows of {self.train.length} records: {sizes}; each needs two")
        return self

    def part(self, name: str) -> WindowSet:
        """The windows of the part with this name, one of `PARTS`."""
        parts: dict[str, WindowSet] = vars(self)
        return parts[name]


def make_split(windows: pa.Table, length: int, *, seed: int = 0, hold_out: str = "source") -> Split:
    """Recut windows to one length and split them.

    Of the sources with at least two windows, 20 % are test and 10 % are validation sources, by hash. The first 80 % of
    the windows of a training source are for training, the rest are unseen sequences.

    Args:
        windows: windows of any length, grouped by source and in time order.
        length: records in each window of the result.
        seed: seed of the hash and of the draw of windows.
        hold_out: unit that is kept on one side of the split: "source", "prefix" (all sources of a /24) or
            "organisation" (all sources of an organisation, or of a /24 if it is unknown).

    Raises:
        DatasetError: if `hold_out` is none of these, or too few sources are left to compare any.
    """
    cut, codes = recurring(fixed_windows(windows, length))
    split = _split_of_rows(cut, seed, hold_out)
    # Share of its source's windows that precede each window.
    early = positions_in_equal_runs(codes) / np.bincount(codes, minlength=1)[codes] < TRAIN_PART
    chosen = {
        "train": (split == "train") & early,
        "validation": split == "validation",
        "unseen_sources": split == "test",
        "unseen_sequences": (split == "train") & ~early,
    }
    parts = {name: cut.filter(pa.array(rows)) for name, rows in chosen.items()}
    for name in parts.keys() - {"train"}:
        parts[name] = at_most(recurring(parts[name])[0], seed)
    return Split(**{name: WindowSet(table) for name, table in parts.items()}).checked()


def with_test_windows(split: Split, windows: pa.Table, length: int, *, seed: int = 0) -> Split:
    """The split with windows from other files as unseen sources, without training and validation sources.

    Raises:
        DatasetError: if fewer than two sources are left.
    """
    seen = pa.concat_arrays([part.table["source"].combine_chunks() for part in (split.train, split.validation)])
    fresh = windows.filter(pc.invert(pc.is_in(windows["source"], value_set=seen)))
    test = WindowSet(at_most(recurring(fixed_windows(fresh, length))[0], seed))
    if len(test.source_names) < 2:
        raise DatasetError(f"the test data has {len(test.source_names)} sources with two windows that were not seen")
    return replace(split, unseen_sources=test)


def recurring(windows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """The windows of sources that have at least two, with the codes of their sources, (n,), ascending.

    Args:
        windows: grouped by source.
    """
    names = np.array(windows["source"].to_pylist(), dtype=str)
    codes = np.cumsum(np.concatenate(([0], names[1:] != names[:-1]))) if len(names) else np.zeros(0, int)
    kept = np.bincount(codes, minlength=1)[codes] > 1 if len(codes) else np.zeros(0, bool)
    return windows.filter(pa.array(kept)), codes[kept]


def at_most(windows: pa.Table, seed: int) -> pa.Table:
    """At most `MAX_WINDOWS` windows per source and `MAX_SOURCES` sources, drawn at random."""
    names = np.unique(np.array(windows["source"].to_pylist(), dtype=str))
    if len(names) > MAX_SOURCES:
        drawn = np.random.default_rng(seed).choice(names, MAX_SOURCES, replace=False)
        windows = windows.filter(pc.is_in(windows["source"], value_set=pa.array(drawn)))
    if not windows.num_rows:
        return windows
    return fixed_windows(windows, windows["n_records"][0].as_py(), max_per_source=MAX_WINDOWS, seed=seed)


def units_of(sources: Iterable[str], label_of: Mapping[str, str], hold_out: str) -> dict[str, str]:
    """The unit that is split as a whole for each source: the source, its network, or its organisation if known.

    Raises:
        DatasetError: if `hold_out` is none of `HOLD_OUTS`.
    """
    if hold_out not in HOLD_OUTS:
        raise DatasetError(f"sources can be held out by {', '.join(HOLD_OUTS)}, not by {hold_out!r}")
    units = {source: source if hold_out == "source" else network_of(source) for source in sources}
    return units | (dict(label_of) if hold_out == "organisation" else {})


def _split_of_rows(windows: pa.Table, seed: int, hold_out: str) -> np.ndarray:
    sources = windows["source"].to_pylist()
    labels = windows["label"].to_pylist() if "label" in windows.column_names else [None] * len(sources)
    label_of = {source: label for source, label in zip(sources, labels, strict=True) if label}
    units = units_of(set(sources), label_of, hold_out)
    splits = {unit: split_of_source(unit, seed) for unit in set(units.values())}
    return np.array([splits[units[source]] for source in sources], dtype=str)
