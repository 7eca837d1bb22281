"""Search all sources of an analysis by address, prefix, service, label or name."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import InputError
from telescope_transformer.fields import DAY
from telescope_transformer.records.addresses import IPV4, network_of, parse_addresses
from telescope_transformer.report.folder import Folder
from telescope_transformer.report.sources import without_lone_short
from telescope_transformer.words import day_text

# The most characters of a search, and the most rows and addresses of an answer.
LONGEST_QUERY = 200
MOST_ROWS = 100
MOST_MEMBERS = 1_000_000
_OCTETS = re.compile(r"(?:\d{1,3}\.){1,3}")
# "cluster 3" counts as one word, so that it does not find every cluster with a 3 in its name.
_WORD = re.compile(r"\bcluster \d+(?!\S)|\S+")
_HALF = (1 << 64) - 1
# IP version, first address, last address.
Range = tuple[int, int, int]


class SourceSearch:
    """The sources and windows of one analysis, in an in-memory database that cannot access files."""

    def __init__(self, folder: Folder) -> None:
        self._lock = Lock()
        self._connection = duckdb.connect(config={"enable_external_access": "false"})
        self._load("sources", _source_table(folder.sources))
        self._clusters = [(profile["cluster"], who_text(profile)) for profile in folder.profiles]
        names = ["source", "cluster", "start", "end", "n_records"]
        self._load("windows", folder.windows.select(names))
        self._services = self._load_services(folder.sources)
        labels = self._rows("SELECT DISTINCT label FROM sources WHERE label IS NOT NULL")
        self._labels = [row[0] for row in labels]

    def _load_services(self, sources: pa.Table) -> list[str]:
        """Create the table of each source's services, as numbers. Returns the names of the services."""
        lists = _services_of(sources)
        names = pc.dictionary_encode(pc.list_flatten(lists))
        columns = {"id": pc.list_parent_indices(lists), "service": names.indices}
        self._load("source_services", pa.table(columns))
        services: list[str] = names.dictionary.to_pylist()
        return services

    def _load(self, name: str, table: pa.Table) -> None:
        self._connection.register("given", table)
        self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        self._connection.unregister("given")

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, list(parameters)).fetchall()

    def find(self, text: str) -> dict[str, Any]:
        """Find the sources that match a search: their number, the first of them, and their number in each cluster.

        Args:
            text: addresses, prefixes and words. A source must match one of the addresses or prefixes, if any. Each
                word must occur in one of its services, in its label, or in the text of its cluster (`who_text`).

        Raises:
            InputError: for an invalid prefix, or a search that is too long.
        """
        condition, parameters = self._condition(text)
        if condition is None:
            return {"total": 0, "rows": [], "clusters": []}
        (total,) = self._rows(f"SELECT count(*) FROM sources WHERE {condition}", parameters)[0]
        columns = "source, cluster, n_records, first_seen, last_seen, service, other_services, label"
        order = f"ORDER BY version, high, low LIMIT {MOST_ROWS}"
        rows = self._rows(f"SELECT {columns} FROM sources WHERE {condition} {order}", parameters)
        clusters = self._rows(
            f"SELECT cluster, count(*) FROM sources WHERE ({condition}) AND cluster IS NOT NULL GROUP BY cluster",
            parameters,
        )
        return {"total": total, "rows": [_row(row) for row in rows], "clusters": [list(pair) for pair in clusters]}

    def _condition(self, text: str) -> tuple[str | None, list[Any]]:
        ranges, words = parse_query(text)
        if not ranges and not words:
            return None, []
        parts: list[str] = []
        parameters: list[Any] = []
        if ranges:
            one = "(version = ? AND (high, low) >= (?, ?) AND (high, low) <= (?, ?))"
            parts.append("(" + " OR ".join([one] * len(ranges)) + ")")
            for version, first, last in ranges:
                parameters += [version, first >> 64, first & _HALF, last >> 64, last & _HALF]
        for word in words:
            asked = "SELECT id FROM source_services WHERE service IN (SELECT unnest(?))"
            parts.append(f"(id IN ({asked}) OR list_contains(?, label) OR list_contains(?, cluster))")
            parameters += [
                [number for number, text in enumerate(self._services) if has_word(text.lower(), word)],
                [label for label in self._labels if has_word(label.lower(), word)],
                [number for number, text in self._clusters if has_word(text, word)],
            ]
        return " AND ".join(parts), parameters

    def members(self, cluster: int, *, networks: bool) -> dict[str, Any]:
        """All addresses of a cluster in ascending order, or the /24 and /48 networks that contain them."""
        rows = self._rows(
            f"SELECT source FROM sources WHERE cluster = ? ORDER BY version, high, low LIMIT {MOST_MEMBERS}", [cluster]
        )
        (total,) = self._rows("SELECT count(*) FROM sources WHERE cluster = ?", [cluster])[0]
        lines = [row[0] for row in rows]
        return {"lines": list(dict.fromkeys(map(network_of, lines))) if networks else lines, "total": total}

    def period(self, first: int, last: int) -> list[list[int]]:
        """The number of records per cluster in windows that overlap these days (since 1970, inclusive)."""
        rows = self._rows(
            'SELECT cluster, sum(n_records)::BIGINT FROM windows WHERE "end" >= ? AND start < ? GROUP BY cluster',
            [first * DAY, (last + 1) * DAY],
        )
        return [list(row) for row in rows]


def who_text(profile: Mapping[str, Any]) -> str:
    """The searchable text of a whole cluster, in lower case: its name, number, tools and places."""
    parts = [str(profile.get("name") or ""), f"cluster {profile['cluster']}"]
    parts += [str(row.get("tool") or "") for row in profile.get("tools") or []]
    parts += [f"as{row.get('asn') or ''} {row.get('name') or ''}" for row in profile.get("owners") or []]
    parts += [str(row.get("country") or "") for row in profile.get("countries") or []]
    return " ".join(parts).lower()


def _source_table(sources: pa.Table) -> pa.Table:
    """The sources, with their addresses as numbers: `version`, and the two halves `high` and `low`."""
    sources = without_lone_short(sources)
    parsed = parse_addresses(sources["source"])
    names = ("source", "cluster", "n_records", "first_seen", "last_seen")
    columns = {name: sources[name] for name in names} | {"id": pa.array(np.arange(sources.num_rows))}
    for name in ("service", "label"):
        present = name in sources.column_names
        columns[name] = pc.cast(sources[name], pa.string()) if present else pa.nulls(sources.num_rows, pa.string())
    others = pc.subtract(pc.fill_null(pc.list_value_length(_services_of(sources)), 0), 1)
    columns |= {"other_services": pc.max_element_wise(others, 0)}
    columns |= {"version": pa.array(np.where(parsed.kind == IPV4, 4, 6), pa.int8())}
    columns |= {"high": pa.array(parsed.high, pa.uint64()), "low": pa.array(parsed.low, pa.uint64())}
    return pa.table(columns)


def _services_of(sources: pa.Table) -> pa.ListArray:
    """All services of each source, or only its main service if the analysis recorded no others."""
    if "services" in sources.column_names:
        return sources["services"].combine_chunks().cast(pa.list_(pa.string()))
    texts = pa.nulls(sources.num_rows, pa.string())
    if "service" in sources.column_names:
        texts = sources["service"].combine_chunks().cast(pa.string())
    return pa.ListArray.from_arrays(pa.array(np.arange(sources.num_rows + 1), pa.int32()), texts)


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    source, cluster, records, first, last, service, others, label = row
    days = {"first": day_text(first // DAY), "last": day_text(last // DAY)}
    told = {"service": service, "other_services": others, "label": label}
    return {"source": source, "cluster": cluster, "records": records, **days, **told}


def parse_query(text: str) -> tuple[list[Range], list[str]]:
    """Split a search into ranges for its addresses and prefixes, and its other words in lower case.

    Raises:
        InputError: for an invalid prefix, or a search that is too long.
    """
    if len(text) > LONGEST_QUERY:
        raise InputError(f"a search may have at most {LONGEST_QUERY} characters")
    ranges, words = [], []
    for part in _WORD.findall(text.lower()):
        found = _range(part)
        if found:
            ranges.append(found)
        else:
            words.append(part)
    return ranges, words


def _range(text: str) -> Range | None:
    """The range of an address, of a prefix, or of the first octets of an address ("192.0.2."); None for a word."""
    if _OCTETS.fullmatch(text):
        octets = text.rstrip(".").split(".")
        text = f"{'.'.join([*octets, '0', '0', '0'][:4])}/{8 * len(octets)}"
    name = text.partition("/")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InputError(f"{text} is not a prefix") from error
    return network.version, int(network.network_address), int(network.broadcast_address)


def has_word(text: str, word: str) -> bool:
    """Whether a word occurs in a text. A number at its start or end must match a whole number."""
    before = r"(?<!\d)" if word[:1].isdigit() else ""
    after = r"(?!\d)" if word[-1:].isdigit() else ""
    return re.search(before + re.escape(word) + after, text) is not None
