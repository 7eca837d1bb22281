"""Labelled prefixes and the join of addresses with them: the longest prefix that holds an address gives its label.

The prefixes of each address family are cut into disjoint intervals, each with the label of its longest prefix, so
that one binary search finds the label of an address however deep the prefixes nest.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from telescope_transformer.labels.periods import REACH_DAYS, Period
from telescope_transformer.records.addresses import IPV4, IPV6, parse_addresses

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HALF = 0xFFFFFFFFFFFFFFFF
# Microseconds.
_DAY = 24 * 3600 * 1_000_000


class Tie(NamedTuple):
    """One prefix that several lists claim; the first label in the order of the alphabet was taken."""

    prefix: str
    labels: tuple[str, ...]


class Intervals(NamedTuple):
    """Disjoint intervals in ascending order: the halves of their first addresses (uint64) and label codes (int32).

    An interval ends where the next begins; the code -1 stands for no label.
    """

    high: np.ndarray
    low: np.ndarray
    code: np.ndarray

    @classmethod
    def nested(cls, entries: Iterable[tuple[int, int, int]]) -> "Intervals":
        """Cut nested ranges (first address, last address, code), sorted with outer before inner, into intervals."""
        starts, codes = [0], [-1]
        open_entries: list[tuple[int, int]] = []

        def begin(start: int, code: int) -> None:
            if starts[-1] == start:
                codes[-1] = code
            else:
                starts.append(start)
                codes.append(code)

        def close_before(start: int) -> None:
            while open_entries and open_entries[-1][0] < start:
                last, _ = open_entries.pop()
                begin(last + 1, open_entries[-1][1] if open_entries else -1)

        for first, last, code in entries:
            close_before(first)
            begin(first, code)
            open_entries.append((last, code))
        close_before(1 << 129)
        high = np.array([min(start >> 64, _HALF) for start in starts], dtype=np.uint64)
        low = np.array([start & _HALF for start in starts], dtype=np.uint64)
        # An interval from 2**128 on has no addresses in it.
        inside = np.array([start < 1 << 128 for start in starts])
        return cls(high[inside], low[inside], np.array(codes, dtype=np.int32)[inside])


def search_intervals(
    high: np.ndarray, low: np.ndarray, intervals: Intervals, chosen: np.ndarray, out: np.ndarray
) -> None:
    """Put the code of the interval that holds each chosen address into `out`.

    Args:
        high, low: (n,) uint64, the halves of the addresses.
        intervals: of the addresses' family.
        chosen: (n,) bool, which addresses to look up.
        out: (n,) int32, written to where chosen.
    """
    _search(high, low, *intervals, chosen, out)


@njit(cache=True, nogil=True)
def _search(
    high: np.ndarray,
    low: np.ndarray,
    starts_high: np.ndarray,
    starts_low: np.ndarray,
    codes: np.ndarray,
    chosen: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fills `out` (int32) where `chosen` with the code of the interval that holds each address."""
    for row in range(len(out)):
        if not chosen[row]:
            continue
        first, count = 0, len(codes)
        while count > 1:
            half = count // 2
            middle = first + half
            above = high[row] > starts_high[middle]
            if above or (high[row] == starts_high[middle] and low[row] >= starts_low[middle]):
                first = middle
                count -= half
            else:
                count = half
        out[row] = codes[first]


@dataclass
class PrefixLabels:
    """Labels of prefixes of both families.

    `names` are the labels in the order of their codes, `ties` the prefixes that several labels claim, `notes` tell of
    list entries that were passed over, and `dated` holds the entries that a list gives for a period only.
    """

    names: list[str]
    ties: list[Tie]
    prefix_count: int
    notes: list[str] = field(default_factory=list)
    dated: list[tuple[Period, "PrefixLabels"]] = field(default_factory=list, repr=False)
    _four: Intervals = field(default=Intervals.nested([]), repr=False)
    _six: Intervals = field(default=Intervals.nested([]), repr=False)

    @classmethod
    def from_entries(cls, entries: Iterable[tuple[Network, str]], notes: Iterable[str] = ()) -> "PrefixLabels":
        """Builds the join from (prefix, label) pairs in any order."""
        claims: dict[Network, set[str]] = defaultdict(set)
        for network, label in entries:
            claims[network].add(label)
        names = sorted({label for labels in claims.values() for label in labels})
        codes = {name: code for code, name in enumerate(names)}
        by_version: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
        ties = []
        # Outer prefixes before inner ones: ascending by first address, then by length.
        for network in sorted(claims, key=lambda one: (one.version, int(one.network_address), one.prefixlen)):
            labels = sorted(claims[network])
            if len(labels) > 1:
                ties.append(Tie(str(network), tuple(labels)))
            bounds = int(network.network_address), int(network.broadcast_address)
            by_version[network.version].append((*bounds, codes[labels[0]]))
        four, six = (Intervals.nested(by_version[version]) for version in (4, 6))
        return cls(names, ties, len(claims), list(notes), _four=four, _six=six)

    def summary(self) -> str:
        """What was read, in lines of text: prefixes, labels, ties and what was passed over."""
        every = [self, *(labels for _, labels in self.dated)]
        names = {name for labels in every for name in labels.names}
        lines = [f"{sum(labels.prefix_count for labels in every):,} prefixes of {len(names):,} labels"]
        if self.dated:
            lines[0] += f", {sum(labels.prefix_count for _, labels in self.dated):,} of them dated"
        if self.ties:
            first = self.ties[0]
            lines.append(
                f"{len(self.ties):,} prefixes are in several lists and go to the first by name "
                f"({first.prefix}: {', '.join(first.labels)})"
            )
        return "\n".join([*lines, *self.notes])

    def codes(self, addresses: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """The index into `names` of each of n addresses (int32), -1 for no label or no address."""
        parsed = parse_addresses(addresses)
        found = np.full(len(parsed.kind), -1, dtype=np.int32)
        for kind, intervals in ((IPV4, self._four), (IPV6, self._six)):
            search_intervals(parsed.high, parsed.low, intervals, parsed.kind == kind, found)
        return found

    def label(self, addresses: pa.Array | pa.ChunkedArray) -> pa.Array:
        """The label of each address as a string column, null where there is none."""
        codes = self.codes(addresses)
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes < 0), pa.array(self.names, pa.string())
        ).dictionary_decode()


def label_records(table: pa.Table, labels: PrefixLabels, address: str = "src_ip") -> pa.Table:
    """`table` with `label` set from the column `address`; a label of the input stays where no prefix matches.

    A dated entry labels records within `REACH_DAYS` of its period, the nearest one first; where none does, an entry
    without date labels them.
    """
    found = pa.chunked_array([labels.label(chunk) for chunk in table.column(address).chunks], pa.string())
    if labels.dated and table.num_rows and "timestamp" in table.column_names:
        found = pc.coalesce(_dated_labels(table, labels, address), found)
    index = table.schema.get_field_index("label")
    if index < 0:
        return table.append_column(pa.field("label", pa.string()), found)
    return table.set_column(index, pa.field("label", pa.string()), pc.coalesce(found, table.column(index)))


def _dated_labels(table: pa.Table, labels: PrefixLabels, address: str) -> pa.ChunkedArray:
    """The label of each record by the dated list that is nearest to its day, null where none is near."""
    encoded = pc.dictionary_encode(table[address].cast(pa.string()).combine_chunks())
    code = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    day = table["timestamp"].to_numpy() // _DAY
    distance = np.full(table.num_rows, REACH_DAYS + 1, dtype=np.int64)
    names: dict[str, int] = {}
    answer = np.full(table.num_rows, -1, dtype=np.int32)
    for period, lists in labels.dated:
        if period.first - REACH_DAYS > day.max() or period.last + REACH_DAYS < day.min():
            continue
        known = np.append(lists.codes(encoded.dictionary), np.int32(-1))
        rows = np.flatnonzero(known[code] >= 0)
        away = np.maximum(np.maximum(period.first - day[rows], day[rows] - period.last), 0)
        nearer = away < distance[rows]
        rows = rows[nearer]
        distance[rows] = away[nearer]
        numbers = np.array([names.setdefault(name, len(names)) for name in lists.names], dtype=np.int32)
        answer[rows] = numbers[known[code[rows]]]
    indices = pa.array(answer, mask=answer < 0)
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string())).dictionary_decode()]
    )
