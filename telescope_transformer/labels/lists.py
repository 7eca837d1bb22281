"""Scanner lists from a folder: plain text, MISP warning lists and ipset files, told apart by content.

- Text: an address, a CIDR or a range `first-last` a line, comments behind `#`, `;` or `//`. The label is the file's
  name without `_v4` or `_v6`.
- MISP warning list (JSON with a `list`; github.com/MISP/misp-warninglists): the label is the file's name, or for a
  `list.json` its folder's. Entries that are no addresses (some lists mix in host names) are passed over and counted.
- ipset (`ipset save`): the label is the set's name; `nomatch` entries are passed over and counted.
- A table (CSV or Parquet) with a header: `name`, `period`, and `prefix` or `first` and `last`.

A date at the end of a file's or a folder's name (`censys_2024-03.txt`, `2024-03-14/censys.txt`) or in the column
`period` says when the entries held: `labels.periods`.
"""

import csv
import io
import ipaddress
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError
from telescope_transformer.labels.periods import Period, parse_period, period_of_name
from telescope_transformer.labels.prefixes import Network, PrefixLabels

_NO_LISTS = re.compile(r"(licen[cs]e|readme|changelog|copying)(\..*)?|.*\.md", re.IGNORECASE)
_FAMILY_SUFFIX = re.compile(r"[-_.]?(ip)?v?[46]$", re.IGNORECASE)
_COMMENT = re.compile(r"[#;].*|//.*")
_RANGE = re.compile(r"[0-9a-f.:]+\s*-\s*[0-9a-f.:]+", re.IGNORECASE)
_LONGEST_FILE = 256 << 20

# Columns of a table of dated entries, and the first bytes of a Parquet file.
_TABLE_HEADER = re.compile(r"(?=.*\bname\b)(?=.*\bperiod\b).*\b(prefix|first)\b.*", re.IGNORECASE)
_PARQUET = b"PAR1"

Entry = tuple[Network, str]
Dated = tuple[Entry, Period | None]


def parse_networks(text: str) -> list[Network]:
    """The prefixes of an address, a CIDR (host bits are cleared) or a range; raises ValueError for anything else."""
    first, dash, last = text.partition("-")
    if not dash:
        return [ipaddress.ip_network(text, strict=False)]
    bounds = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
    return list(ipaddress.summarize_address_range(*bounds))  # type: ignore[type-var]


def _label_of(path: Path) -> str:
    stem = path.name.split(".")[0]
    named = path.parent.name if stem == "list" else stem
    label = period_of_name(_FAMILY_SUFFIX.sub("", named))[0]
    return _FAMILY_SUFFIX.sub("", label) or named


def _period_of(path: Path, root: Path) -> Period | None:
    """The date at the end of the file's name, or of the nearest folder below the root."""
    for name in (_FAMILY_SUFFIX.sub("", path.name.split(".")[0]), *(one.name for one in path.parents)):
        found = period_of_name(f"list_{name}")[1] or period_of_name(name)[1]
        if found or name == root.name:
            return found
    return None


def _text_entries(path: Path, text: str) -> Iterator[Entry]:
    label = _label_of(path)
    for number, line in enumerate(text.splitlines(), start=1):
        entry = _COMMENT.sub("", line).strip()
        if not entry:
            continue
        try:
            networks = parse_networks(entry if _RANGE.fullmatch(entry) else entry.split()[0])
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: line {number}: {entry[:100]!r} is no address, CIDR or range") from error
        yield from ((network, label) for network in networks)


def _misp_entries(path: Path, content: Any, notes: list[str]) -> Iterator[Entry]:
    if not isinstance(content, dict) or not isinstance(content.get("list"), list):
        raise InputError(f"{path}: JSON, but not a MISP warning list: it has no `list`")
    passed_over = 0
    for entry in content["list"]:
        try:
            yield from ((network, _label_of(path)) for network in parse_networks(str(entry)))
        except (ValueError, TypeError):
            passed_over += 1
    if passed_over:
        notes.append(f"{path}: {passed_over} entries are no addresses and were passed over")


def _ipset_entries(path: Path, text: str, notes: list[str]) -> Iterator[Entry]:
    passed_over = 0
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) < 3 or words[0] not in ("add", "-A"):
            continue
        if "nomatch" in words[3:]:
            passed_over += 1
            continue
        try:
            # Sets of several dimensions (address,port) separate them by commas.
            networks = parse_networks(words[2].split(",")[0])
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: line {number}: {words[2][:100]!r} is no address, CIDR or range") from error
        yield from ((network, words[1]) for network in networks)
    if passed_over:
        notes.append(f"{path}: {passed_over} `nomatch` entries were passed over")


def _table_entries(path: Path, table: pa.Table) -> Iterator[Dated]:
    """A row each: who had a prefix or a range, and when."""
    columns = {name.lower(): table[name].to_pylist() for name in table.column_names}
    bounds = ["prefix"] if "prefix" in columns else ["first", "last"]
    missing = {"name", "period", *bounds} - set(columns)
    if missing:
        raise InputError(f"{path}: a table of dated lists has no column {', '.join(sorted(missing))}")
    rows = zip(*(columns[name] for name in (*bounds, "name", "period")), strict=True)
    for number, (*ends, name, period) in enumerate(rows, start=1):
        try:
            networks = (
                parse_networks("-".join(str(ipaddress.ip_address(end)) for end in ends[:2]))
                if ends[1:]
                else (parse_networks(str(ends[0])))
            )
            held = parse_period(str(period)) if period else None
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: row {number}: {error}") from error
        yield from (((network, str(name)), held) for network in networks)


def _file_entries(path: Path, root: Path, notes: list[str]) -> Iterator[Dated]:
    if path.stat().st_size > _LONGEST_FILE:
        raise InputError(f"{path}: longer than {_LONGEST_FILE >> 20} MiB: this is no list of addresses")
    content = path.read_bytes()
    if content.startswith(_PARQUET):
        try:
            yield from _table_entries(path, pq.read_table(io.BytesIO(content)))
        except pa.ArrowException as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
        return
    text = content.decode("utf-8-sig", "replace")
    if _TABLE_HEADER.fullmatch(text.partition("\n")[0].strip()):
        rows = list(csv.DictReader(io.StringIO(text)))
        yield from _table_entries(path, pa.Table.from_pylist(rows) if rows else pa.table({}))
        return
    period = _period_of(path, root)
    yield from ((entry, period) for entry in _plain_entries(path, text, notes))


def _plain_entries(path: Path, text: str, notes: list[str]) -> Iterator[Entry]:
    start = text.lstrip()
    if start.startswith("{"):
        try:
            content = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: not whole JSON: {error}") from error
        yield from _misp_entries(path, content, notes)
    elif re.match(r"(create|add|-N|-A) \S+ ", start):
        yield from _ipset_entries(path, text, notes)
    else:
        yield from _text_entries(path, text)


def read_labels(folder: str | Path) -> PrefixLabels:
    """Reads all lists below `folder` (or one file); licences, read-me files and hidden files are left out.

    Raises InputError for a folder without lists, a list without entries, and an entry that is none, with its line.
    """
    root = Path(folder)
    if not root.exists():
        raise InputError(f"{folder}: no such folder of scanner lists")
    candidates = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    paths = [path for path in candidates if path.name[0] not in "._" and not _NO_LISTS.fullmatch(path.name)]
    notes: list[str] = []
    entries: dict[Period | None, list[Entry]] = defaultdict(list)
    for path in paths:
        n_found = 0
        for entry, period in _file_entries(path, root, notes):
            entries[period].append(entry)
            n_found += 1
        if not n_found:
            notes.append(f"{path}: holds no addresses")
    if not entries:
        raise InputError(f"{folder}: no scanner list with an address in it")
    labels = PrefixLabels.from_entries(entries.pop(None, []), notes)
    dated = [(period, found) for period, found in entries.items() if period is not None]
    labels.dated = [
        (period, PrefixLabels.from_entries(found)) for period, found in sorted(dated, key=lambda one: one[0])
    ]
    return labels
