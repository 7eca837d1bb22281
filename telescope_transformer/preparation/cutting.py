"""Cut sorted records into windows, a bounded piece at a time. Every engine uses this after sorting."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from telescope_transformer.codes import distinct_codes, majority_codes, service_codes, sorted_codes
from telescope_transformer.fields import DAY, WINDOW_FIELDS
from telescope_transformer.preparation.settings import WHOLE, WindowSettings
from telescope_transformer.splits import TRAIN_PART, split_of_source
from telescope_transformer.windows import LeftOut, Windows, cut_sorted, window_starts

# A source with more records than this is cut before all of its records are read.
MOST_CARRIED = 2**21
# Column with the number of records of each record's source, which the cut for training needs.
OF_SOURCE = "of_source"
# The training part of a source, in tenths, because whole numbers are rounded in the same way on every machine.
_TRAIN_TENTHS = round(TRAIN_PART * 10)
_FOLDER_OF = {"train": "train", "validation": "validation", "test": "unseen_sources"}


@dataclass(frozen=True)
class Piece:
    """Windows and statistics of some of the records.

    Attributes:
        folders: windows by folder.
        left_out: what the cut dropped.
        n_sources: number of sources that end in this piece.
        sources: a row per source: `source`, `n_records`, `first_seen`, `last_seen` (us), `services` (numbers of
            `codes.service_codes`, most frequent first) and its annotations. It counts all records, including those
            in no window.
        continues: whether the first source began in the previous piece.
        days: int64 (n, 3): day since 1970, records, sources.
    """

    folders: dict[str, Windows]
    left_out: LeftOut
    n_sources: int
    sources: pa.Table
    continues: bool
    days: np.ndarray


class Cutter:
    """Cuts records that arrive in the order of `staging.ORDER`.

    Args:
        settings: settings of the windows.
        fields: record fields that the windows carry.
        annotations: annotations that the windows carry, each with the texts of its numbers; None for a column of text.
    """

    def __init__(self, settings: WindowSettings, fields: list[str], annotations: dict[str, list[str] | None]):
        self._settings = settings
        self._fields = fields
        self._annotations = annotations

    def pieces(self, batches: Iterable[pa.Table]) -> Iterator[Piece]:
        """Cut whole sources as they arrive. For a very large source, cut the windows that later records cannot change.

        Args:
            batches: columns of `staging.STAGED_SCHEMA`, and `OF_SOURCE` if the settings ask for splits. A source must
                not continue in another stream.
        """
        carried: pa.Table | None = None
        cut_before, kept_before = 0, False
        for batch, last in _with_last(batches):
            records = batch if carried is None else pa.concat_tables([carried, batch])
            codes, sources = _runs(records["source"])
            number = np.arange(len(codes)) - np.searchsorted(codes, codes)
            number[codes == 0] += cut_before
            stretches = self._stretches(records, codes, number, sources)
            end, inside = self._end(records, codes, stretches, last)
            carried = records.slice(end)
            if not end:
                continue
            piece, continues = records.slice(0, end), cut_before > 0
            annotations = self._texts(piece)
            windows, owners = self._cut(piece, stretches[:end], sources, annotations)
            ended = int(codes[end - 1]) + 1 - int(inside)
            kept = np.zeros(int(codes[end - 1]) + 1, dtype=bool)
            kept[owners // 2] = True
            kept[0] |= kept_before
            lost = replace(windows.left_out, sources=int((~kept[:ended]).sum()))
            described = describe_sources(codes[:end], sources, piece, annotations)
            days = days_of(codes[:end], piece["timestamp"].to_numpy())
            yield Piece(self._by_folder(windows, owners), lost, ended, described, continues, days)
            cut_before, kept_before = (int(number[end - 1]) + 1, bool(kept[-1])) if inside else (0, False)

    def _stretches(self, records: pa.Table, codes: np.ndarray, number: np.ndarray, sources: pa.Array) -> np.ndarray:
        """Number two stretches per source that no window crosses: its training part (80 %), and the rest."""
        if not self._settings.splits:
            return 2 * codes
        total = records[OF_SOURCE].to_numpy()
        head = (total * _TRAIN_TENTHS + 9) // 10
        trains = np.array([self._folder(source) == "train" for source in sources.to_pylist()])[codes]
        divided = trains & (total - head >= self._settings.min_records)
        stretches: np.ndarray = 2 * codes + (divided & (number >= head))
        return stretches

    def _end(self, records: pa.Table, codes: np.ndarray, stretches: np.ndarray, last: bool) -> tuple[int, bool]:
        """Number of records that can be cut now, and whether this ends within a source."""
        if last:
            return len(codes), False
        begin = int(np.searchsorted(codes, codes[-1]))
        if len(codes) - begin < MOST_CARRIED:
            return begin, False
        settings = self._settings
        times = records["timestamp"].slice(begin).to_numpy()
        starts = window_starts(stretches[begin:], times, settings.window, settings.min_records, settings.session_gap)
        # The start of a window is final once `min_records` records follow it.
        known = starts[starts <= len(times) - settings.min_records]
        return begin + int(known[-1]), bool(known[-1] > 0)

    def _texts(self, records: pa.Table) -> dict[str, tuple[np.ndarray, pa.Array]]:
        """Encode annotations as numbers that sort like their texts, -1 for none, with the sorted texts."""
        annotations = {}
        for name, texts in self._annotations.items():
            if texts is None:
                annotations[name] = sorted_codes(records[name])
                continue
            # Staged numbers follow the order of the input; sorting by text makes ties independent of it.
            rank, ordered = sorted_codes(pa.array(texts, pa.string()))
            rank = np.append(rank, -1)
            annotations[name] = rank[records[name].fill_null(-1).to_numpy()], ordered
        return annotations

    def _cut(
        self,
        records: pa.Table,
        stretches: np.ndarray,
        sources: pa.Array,
        annotations: dict[str, tuple[np.ndarray, pa.Array]],
    ) -> tuple[Windows, np.ndarray]:
        fields = pa.table({name: records[name].cast(WINDOW_FIELDS[name]) for name in self._fields})
        names = sources.cast(pa.string()).take(pa.array(np.repeat(np.arange(len(sources)), 2)))
        settings = self._settings
        return cut_sorted(
            stretches, names, fields, annotations, settings.window, settings.min_records, settings.session_gap
        )

    def _by_folder(self, windows: Windows, owners: np.ndarray) -> dict[str, Windows]:
        if not self._settings.splits:
            return {WHOLE: windows} if len(windows) else {}
        folders = np.array([self._folder(source) for source in windows.table["source"].to_pylist()], dtype=object)
        folders[owners % 2 == 1] = "unseen_sequences"
        return {name: windows.take(np.flatnonzero(folders == name)) for name in dict.fromkeys(folders.tolist())}

    def _folder(self, source: str) -> str:
        return _FOLDER_OF[split_of_source(source, self._settings.seed)]


def _with_last(batches: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, bool]]:
    """Yield each non-empty batch, and whether it is the last one."""
    before = None
    for batch in batches:
        if batch.num_rows:
            if before is not None:
                yield before, False
            before = batch
    if before is not None:
        yield before, True


def _runs(sources: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Number consecutive sources 0, 1, ...; returns a number per row, and the sources."""
    encoded = sources.dictionary_encode().unify_dictionaries()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks]).astype(np.int64)
    return codes, encoded.chunk(0).dictionary


def describe_sources(
    codes: np.ndarray, sources: pa.Array, records: pa.Table, annotations: dict[str, tuple[np.ndarray, pa.Array]]
) -> pa.Table:
    """Describe each source of sorted records in a row, as in `Piece.sources`."""
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    offsets = np.append(begins, len(codes))
    times = records["timestamp"].to_numpy()
    services = service_codes(records)
    columns = {
        "source": sources.cast(pa.string()).take(pa.array(codes[begins])),
        "n_records": pa.array(np.diff(offsets), pa.int64()),
        "first_seen": pa.array(times[begins], pa.int64()),
        "last_seen": pa.array(times[offsets[1:] - 1], pa.int64()),
        "services": distinct_codes(np.repeat(np.arange(len(begins)), np.diff(offsets)), services, len(begins)),
    }
    for name, (numbers, texts) in annotations.items():
        columns[name] = (
            texts.take(majority_codes(numbers, offsets)) if len(texts) else pa.nulls(len(begins), pa.string())
        )
    return pa.table(columns)


def days_of(codes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Count records and sources per day, int64 (n, 3): day since 1970, records, sources."""
    day = times // DAY
    days, place, records = np.unique(day, return_inverse=True, return_counts=True)
    # Records are sorted by source and time, so those of one source and day are adjacent.
    first = np.append(True, (codes[1:] != codes[:-1]) | (day[1:] != day[:-1]))
    return np.column_stack([days, records, np.bincount(place[first], minlength=len(days))])
