"""Labels of addresses by prefix: the longest prefix that contains an address gives its label.

The prefixes of each address family are cut into disjoint intervals, so that one binary search finds all entries for an
address, however deep the prefixes nest.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from telescope_transformer.arrays import with_column
from telescope_transformer.fields import DAY
from telescope_transformer.labels.malicious import is_malicious
from telescope_transformer.labels.periods import REACH_DAYS, Period
from telescope_transformer.records.addresses import IPV4, IPV6, parse_addresses
from telescope_transformer.words import EPOCH, counted

# The lower 64 bits of an IPv6 address.
_HALF = 0xFFFFFFFFFFFFFFFF
# Makes days before 1970 positive. 64-bit times in microseconds span fewer days than this.
_DAY_OFFSET = 1 << 30


class Prefix(NamedTuple):
    """An IPv4 or IPv6 prefix, given by its first and last address."""

    version: int
    first: int
    last: int

    def __str__(self) -> str:
        kind = ipaddress.IPv4Network if self.version == 4 else ipaddress.IPv6Network
        bits = 32 if self.version == 4 else 128
        return str(kind((self.first, bits - (self.last - self.first).bit_length())))


class Entry(NamedTuple):
    """One entry of a list: a prefix, its label, and the period in which it is valid (None for always)."""

    prefix: Prefix
    label: str
    period: Period | None = None


class Claim(NamedTuple):
    """What a list says about an address: a label and its period (None for always)."""

    period: Period | None
    label: str


class Tie(NamedTuple):
    """A prefix that occurs in several lists for the same period, and their labels in alphabetical order."""

    prefix: str
    labels: tuple[str, ...]

    @property
    def is_contested(self) -> bool:
        """Whether some of the labels name a malicious group and others do not."""
        return len({is_malicious(label) for label in self.labels}) > 1


def _label_of(labels: Collection[str]) -> str:
    """The label of a prefix that has several: the first by name, but malicious groups come before known scanners.

    A block list must not leave out a botnet because another list says that the addresses belong to a scanner. If both
    occur, the label names both, so that the report and the exports show that the lists disagree.
    """
    malicious = sorted(label for label in labels if is_malicious(label))
    others = sorted(label for label in labels if not is_malicious(label))
    return f"{malicious[0]} (also {others[0]})" if malicious and others else (malicious or others)[0]


class Intervals(NamedTuple):
    """Disjoint intervals in ascending order: the halves of their first addresses (uint64), and codes (int32).

    An interval ends where the next begins; the code -1 stands for addresses that are in no range.
    """

    high: np.ndarray
    low: np.ndarray
    code: np.ndarray

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int, int]]) -> "Intervals":
        """Cut ranges (first address, last address, code), sorted by `outer_first`, into intervals.

        Where ranges overlap, the one that begins last counts. Of nested ranges, this is the innermost.
        """
        starts, codes = [0], [-1]
        open_ranges: list[tuple[int, int]] = []

        def begin(start: int, code: int) -> None:
            if starts[-1] == start:
                codes[-1] = code
            else:
                starts.append(start)
                codes.append(code)

        def close_before(start: int) -> None:
            while open_ranges and open_ranges[-1][0] < start:
                last, _ = open_ranges.pop()
                while open_ranges and open_ranges[-1][0] <= last:
                    open_ranges.pop()
                begin(last + 1, open_ranges[-1][1] if open_ranges else -1)

        for first, last, code in ranges:
            close_before(first)
            begin(first, code)
            open_ranges.append((last, code))
        close_before(1 << 129)
        high = np.array([min(start >> 64, _HALF) for start in starts], dtype=np.uint64)
        low = np.array([start & _HALF for start in starts], dtype=np.uint64)
        # An interval that starts at 2**128 or above contains no addresses.
        inside = np.array([start < 1 << 128 for start in starts])
        return cls(high[inside], low[inside], np.array(codes, dtype=np.int32)[inside])


def outer_first(bounds: tuple[int, ...]) -> tuple[int, int]:
    """A sort key of ranges, given as first address, last address and anything else."""
    return bounds[0], -bounds[1]


def codes_at(addresses: pa.Array | pa.ChunkedArray, intervals: Mapping[int, Intervals]) -> np.ndarray:
    """The code of the interval that contains each of n addresses, int32 (n,); -1 for malformed addresses.

    Args:
        addresses: column of length n, as text or, for IPv4, integers.
        intervals: by IP version.
    """
    parsed = parse_addresses(addresses)
    codes = np.full(len(parsed.kind), -1, dtype=np.int32)
    for version, of_version in intervals.items():
        _search(parsed.high, parsed.low, *of_version, parsed.kind == version, codes)
    return codes


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
    """Fills `out` (int32) where `chosen` with the code of the interval that contains each address."""
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

    Attributes:
        names: the labels in alphabetical order.
        ties: prefixes with several labels.
        prefix_count: number of different pairs of a prefix and a period.
        notes: messages about list entries that were skipped.
        span: the first and last day of all dated entries; None if there are none.
    """

    names: list[str]
    ties: list[Tie]
    prefix_count: int
    notes: list[str]
    span: Period | None
    # The claims of each code. An address may have claims for several periods; within a period, the longest prefix
    # comes first.
    _claims: list[tuple[Claim, ...]]
    _intervals: dict[int, Intervals]

    @classmethod
    def from_entries(cls, entries: Iterable[Entry], notes: Sequence[str] = ()) -> "PrefixLabels":
        """Build the join from entries in any order."""
        labels_of: dict[tuple[Prefix, Period | None], set[str]] = defaultdict(set)
        for prefix, label, period in entries:
            labels_of[prefix, period].add(label)
        chosen = {key: _label_of(labels) for key, labels in labels_of.items()}
        names = sorted({*chosen.values(), *(label for labels in labels_of.values() for label in labels)})
        ties = [Tie(str(key[0]), tuple(sorted(labels))) for key, labels in labels_of.items() if len(labels) > 1]
        own: dict[Prefix, list[Claim]] = defaultdict(list)
        for (prefix, period), label in chosen.items():
            own[prefix].append(Claim(period, label))
        codes: dict[tuple[Claim, ...], int] = {}
        intervals = {version: Intervals.of(_coded(own, version, codes)) for version in (IPV4, IPV6)}
        periods = [period for _, period in labels_of if period is not None]
        span = Period(min(one.first for one in periods), max(one.last for one in periods)) if periods else None
        return cls(names, sorted(ties), len(labels_of), list(notes), span, list(codes), intervals)

    def summary(self) -> str:
        """What was read, in lines of text: prefixes, labels, dates, ties and skipped entries."""
        lines = [f"{counted(self.prefix_count, 'prefix', 'prefixes')} of {counted(len(self.names), 'label')}"]
        if self.span:
            first, last = (EPOCH + timedelta(days=day) for day in self.span)
            lines.append(f"dated entries from {first} to {last} label records up to {REACH_DAYS} days from their date")
        for is_contested, winner in ((False, "the alphabetically first label"), (True, "the malicious group")):
            found = [tie for tie in self.ties if tie.is_contested == is_contested]
            if found:
                subject = "1 prefix is" if len(found) == 1 else f"{len(found):,} prefixes are"
                example = f"{found[0].prefix}: {', '.join(found[0].labels)}"
                lines.append(f"{subject} in several lists: {winner} counts ({example})")
        return "\n".join([*lines, *self.notes])

    def label(self, addresses: pa.Array | pa.ChunkedArray, days: np.ndarray | None = None) -> pa.Array:
        """The label of each address as a string column, null if it has none.

        Args:
            addresses: column of length n, as text or, for IPv4, integers.
            days: day of each record since 1970, int64 (n,). A dated entry labels records within `REACH_DAYS` of its
                period, and the nearest period wins. If no period is that near, an undated entry labels the record.
                With None, only undated entries count.
        """
        place = {name: index for index, name in enumerate(self.names)}
        undated = [next((place[one.label] for one in claims if one.period is None), -1) for claims in self._claims]
        codes = codes_at(addresses, self._intervals).astype(np.int64)
        # Code -1 stands for an address without a prefix; as an index, it selects the last value.
        found = np.array([*undated, -1], dtype=np.int32)[codes]
        if days is not None and self.span is not None:
            has_dates = np.array([*(any(one.period for one in claims) for claims in self._claims), False])
            rows = np.flatnonzero(has_dates[codes])
            # Even many rows have few distinct pairs of a code and a day.
            pairs, pair_of_row = np.unique(codes[rows] << 32 | (days[rows] + _DAY_OFFSET), return_inverse=True)
            nearest = [
                _nearest(self._claims[pair >> 32], (pair & 0xFFFFFFFF) - _DAY_OFFSET) for pair in pairs.tolist()
            ]
            dated = np.array([-1 if label is None else place[label] for label in nearest], dtype=np.int32)
            chosen = dated[pair_of_row]
            found[rows] = np.where(chosen >= 0, chosen, found[rows])
        indices = pa.array(found, mask=found < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(self.names, pa.string())).dictionary_decode()


def _coded(
    own: dict[Prefix, list[Claim]], version: int, codes: dict[tuple[Claim, ...], int]
) -> Iterator[tuple[int, int, int]]:
    """First and last address of each prefix, outer before inner, and the code of all claims that apply inside it.

    Args:
        own: the claims of each prefix.
        version: IP version of the wanted prefixes.
        codes: code of each tuple of claims; new tuples are added.
    """
    enclosing: list[tuple[int, tuple[Claim, ...]]] = []
    for prefix in sorted((one for one in own if one.version == version), key=lambda one: outer_first(one[1:])):
        while enclosing and enclosing[-1][0] < prefix.first:
            enclosing.pop()
        periods = {claim.period for claim in own[prefix]}
        outer = enclosing[-1][1] if enclosing else ()
        claims = (*sorted(own[prefix], key=str), *(claim for claim in outer if claim.period not in periods))
        enclosing.append((prefix.last, claims))
        yield prefix.first, prefix.last, codes.setdefault(claims, len(codes))


def _nearest(claims: Sequence[Claim], day: int) -> str | None:
    """The label of the dated claim that is nearest to a day.

    Among equally near claims, the shortest period wins, then the longest prefix.
    """
    near = [
        (claim.period.distance(day), claim.period.last - claim.period.first, order, claim.label)
        for order, claim in enumerate(claims)
        if claim.period and claim.period.distance(day) <= REACH_DAYS
    ]
    return min(near)[-1] if near else None


def label_records(table: pa.Table, labels: PrefixLabels, address: str = "src_ip") -> pa.Table:
    """`table` with `label` set from the column `address` and, if there is one, the column `timestamp` (us).

    Labels of the input are kept where no prefix matches.
    """
    days = table["timestamp"].to_numpy() // DAY if "timestamp" in table.column_names else None
    return annotated(table, "label", labels.label(table[address], days))


def annotated(table: pa.Table, name: str, found: pa.Array) -> pa.Table:
    """The table with a column of the values that were found, and those of the input where none was found."""
    return with_column(table, name, pc.coalesce(found, table[name]) if name in table.column_names else found)
