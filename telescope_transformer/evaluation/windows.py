"""Windows of one length as dense arrays, with derived values for targets and baselines."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from telescope_transformer.codes import row_majorities
from telescope_transformer.errors import DatasetError
from telescope_transformer.fields import DAY, SECOND
from telescope_transformer.records.addresses import network_of

DAY_SECONDS = DAY // SECOND


@dataclass(frozen=True)
class WindowSet:
    """n windows of exactly `length` records each.

    Args:
        table: a row per window, as `windows.fixed_windows` returns it.

    Raises:
        DatasetError: if the windows differ in length, since the length could reveal the source.
    """

    table: pa.Table

    def __post_init__(self) -> None:
        lengths = np.unique(self.table["n_records"].to_numpy())
        if len(lengths) > 1:
            raise DatasetError(f"evaluation needs windows of one length, found {lengths[0]} to {lengths[-1]} records")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def length(self) -> int:
        return int(self.table["n_records"][0].as_py()) if len(self) else 0

    def field(self, name: str) -> np.ndarray | None:
        """A record field as an array (n, length); None if the records do not have it or a value is null."""
        if name not in self.table.column_names:
            return None
        values = self.table[name].combine_chunks().flatten()
        return None if values.null_count else values.to_numpy(zero_copy_only=False).reshape(len(self), -1)

    @cached_property
    def _source_texts(self) -> np.ndarray:
        return np.array(self.table["source"].to_pylist())

    @cached_property
    def source_names(self) -> np.ndarray:
        return np.unique(self._source_texts)

    @cached_property
    def sources(self) -> NDArray[np.int64]:
        """Code of each window's source, 0 to number of sources - 1, (n,)."""
        return np.searchsorted(self.source_names, self._source_texts)

    @cached_property
    def labels(self) -> np.ndarray | None:
        """Organisation of each window, (n,) of text, "" where unknown; None if no window has one."""
        if "label" not in self.table.column_names or self.table["label"].null_count == len(self):
            return None
        return np.array(self.table["label"].fill_null("").to_pylist())

    @cached_property
    def prefixes(self) -> NDArray[np.int64]:
        """Code of each window's /24 (IPv6: /48), (n,)."""
        networks = np.array([network_of(name) for name in self.source_names])
        return np.unique(networks, return_inverse=True)[1][self.sources]

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """Time of each record in seconds, (n, length)."""
        times = self.field("timestamp")
        return np.zeros((0, 0)) if times is None else times / SECOND

    @cached_property
    def services(self) -> NDArray[np.int64]:
        """Protocol and destination port of each record as one number, (n, length)."""
        protocols, ports = self.field("protocol"), self.field("dst_port")
        if protocols is None or ports is None:
            raise DatasetError("the windows carry no protocol and destination port")
        services: NDArray[np.int64] = protocols.astype(np.int64) << 16 | ports
        return services

    @cached_property
    def dominant_services(self) -> NDArray[np.int64]:
        """The most frequent service of each window, (n,); ties go to the smallest number."""
        return row_majorities(self.services)

    @cached_property
    def sensors(self) -> np.ndarray | None:
        """Destination of each record, (n, length); None if there is only one."""
        destinations = self.field("dst_ip")
        return None if destinations is None or len(np.unique(destinations)) < 2 else destinations

    def take(self, rows: np.ndarray) -> "WindowSet":
        return WindowSet(self.table.take(pa.array(rows)))


def indicator(values: np.ndarray, vocabulary: np.ndarray | None = None) -> csr_array:
    """Count how often each value occurs in each window, sparse (n, distinct values).

    Args:
        values: (n, length).
        vocabulary: sorted distinct values, one per column; None uses those of `values`.
    """
    columns_of = np.unique(values) if vocabulary is None else vocabulary
    columns = np.searchsorted(columns_of, values.ravel())
    rows = np.repeat(np.arange(len(values)), values.shape[1])
    counts = csr_array((np.ones(values.size, np.float32), (rows, columns)), shape=(len(values), len(columns_of)))
    counts.sum_duplicates()
    return counts


def labelled_windows(windows: pa.Table) -> pa.Table:
    """The windows that have a label; none if there is no such column."""
    if "label" not in windows.column_names:
        return windows.slice(0, 0)
    return windows.filter(pc.fill_null(pc.not_equal(windows["label"], ""), False))
