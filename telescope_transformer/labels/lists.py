"""Reads scanner lists from a folder: plain text, MISP warning lists, ipset files and tables, recognised by content.

- Text: an address, a CIDR or a range `first-last` per line, with comments after `#`, `;` or `//`. The label is the
  name of the file without `_v4` or `_v6`.
- MISP warning list (JSON with a `list`; github.com/MISP/misp-warninglists): the label is the name of the file, or of
  its folder for a `list.json`. Some lists mix in host names. These entries are skipped and counted.
- ipset (`ipset save`): the label is the name of the set; `nomatch` entries are skipped and counted.
- Table (CSV or Parquet) with the columns `name`, either `prefix` or `first` and `last`, and optionally `period`.

A date says when the entries were valid. It stands at the end of the name of a file or folder (`censys_2024-03.txt`,
`2024-03-14/censys.txt`) or in the column `period`; see `labels.periods`.

Lists in a folder named `malicious` list malicious groups, and their labels say so; see `labels.malicious`.
"""

import csv
import io
import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from telescope_transformer.errors import InputError
from telescope_transformer.labels.malicious import MALICIOUS, malicious_label
from telescope_transformer.labels.periods import Period, parse_period, period_of_name
from telescope_transformer.labels.prefixes import Entry, Prefix, PrefixLabels
from telescope_transformer.records.text_blocks import as_utf8
from telescope_transformer.words import counted, one_line

_NO_LISTS = re.compile(r"(licen[cs]e|readme|changelog|copying)(\..*)?|.*\.md", re.IGNORECASE)
_FAMILY_SUFFIX = re.compile(r"[-_.]?(ip)?v?[46]$", re.IGNORECASE)
_COMMENT = re.compile(r"[#;].*|//.*")
_RANGE = re.compile(r"[0-9a-f.:]+\s*-\s*[0-9a-f.:]+", re.IGNORECASE)
# Ten times the largest public lists (FireHOL's lists of whole countries).
_LONGEST_FILE = 256 << 20
# The header of a CSV table.
_TABLE_HEADER = re.compile(r"(?=.*\bname\b).*\b(prefix|first)\b.*", re.IGNORECASE)
# The first bytes of a Parquet file.
_PARQUET = b"PAR1"


def parse_prefixes(text: str) -> list[Prefix]:
    """The prefixes of an address, a CIDR (host bits are cleared) or a range `first-last`.

    Raises:
        ValueError: for anything else.
    """
    first, dash, last = text.partition("-")
    if dash:
        return _range_prefixes(first.strip(), last.strip())
    network = ipaddress.ip_network(text, strict=False)
    return [Prefix(network.version, int(network.network_address), int(network.broadcast_address))]


def _range_prefixes(first: str | int, last: str | int) -> list[Prefix]:
    """The prefixes between two addresses, given as text or, for IPv4, as integers."""
    bounds = ipaddress.ip_address(first), ipaddress.ip_address(last)
    if bounds[0] == bounds[1]:
        return [Prefix(bounds[0].version, int(bounds[0]), int(bounds[0]))]
    networks = ipaddress.summarize_address_range(*bounds)
    return [Prefix(one.version, int(one.network_address), int(one.broadcast_address)) for one in networks]


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


def _is_among_malicious(path: Path, root: Path) -> bool:
    """Whether the file is in a folder named `malicious`: the root itself or one below it."""
    folder = root.resolve() if root.is_dir() else root.resolve().parent
    names = (folder.name, *path.resolve().parent.relative_to(folder).parts)
    return MALICIOUS in map(str.lower, names)


def _text_entries(path: Path, text: str, period: Period | None) -> Iterator[Entry]:
    label = _label_of(path)
    for number, line in enumerate(text.splitlines(), start=1):
        entry = _COMMENT.sub("", line).strip()
        if not entry:
            continue
        address = entry if _RANGE.fullmatch(entry) else entry.split()[0]
        yield from (Entry(prefix, label, period) for prefix in _line_prefixes(path, number, entry, address))


def _line_prefixes(path: Path, number: int, entry: str, address: str) -> list[Prefix]:
    try:
        return parse_prefixes(address)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: line {number}: {entry[:100]!r} is not an address, CIDR or range") from error


def _misp_entries(path: Path, content: Any, period: Period | None, notes: list[str]) -> Iterator[Entry]:
    if not isinstance(content, dict) or not isinstance(content.get("list"), list):
        raise InputError(f"{path}: JSON, but not a MISP warning list: it has no `list`")
    label, skipped = _label_of(path), 0
    for entry in content["list"]:
        try:
            yield from (Entry(prefix, label, period) for prefix in parse_prefixes(str(entry)))
        except (ValueError, TypeError):
            skipped += 1
    if skipped:
        notes.append(f"{path}: skipped {counted(skipped, 'entry', 'entries')} other than addresses")


def _ipset_entries(path: Path, text: str, period: Period | None, notes: list[str]) -> Iterator[Entry]:
    skipped = 0
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) < 3 or words[0] not in ("add", "-A"):
            continue
        if "nomatch" in words[3:]:
            skipped += 1
            continue
        # An entry of a set with several dimensions separates them by commas: address,port.
        prefixes = _line_prefixes(path, number, words[2], words[2].split(",")[0])
        yield from (Entry(prefix, words[1], period) for prefix in prefixes)
    if skipped:
        notes.append(f"{path}: skipped {counted(skipped, '`nomatch` entry', '`nomatch` entries')}")


def table_entries(path: Path, table: pa.Table) -> Iterator[Entry]:
    """The entries of a table, in which each row says who had a prefix or range, and when.

    Args:
        path: the file to name in errors.
        table: the columns `name`, either `prefix` or `first` and `last`, and optionally `period`; addresses are text
            or, for IPv4, integers.

    Raises:
        InputError: for a missing column, or a wrong value with its row.
    """
    columns = {name.lower(): table[name].to_pylist() for name in table.column_names}
    bounds = ["prefix"] if "prefix" in columns else ["first", "last"]
    missing = {"name", *bounds} - set(columns)
    if missing:
        raise InputError(f"{path}: the table of scanner lists has no column {', '.join(sorted(missing))}")
    columns.setdefault("period", [None] * table.num_rows)
    rows = zip(*(columns[name] for name in (*bounds, "name", "period")), strict=True)
    for number, (*ends, name, period) in enumerate(rows, start=1):
        try:
            if not name:
                raise ValueError("no name")
            prefixes = _range_prefixes(*ends) if len(ends) == 2 else parse_prefixes(str(ends[0]))
            held = parse_period(str(period)) if period else None
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: row {number}: {error}") from error
        yield from (Entry(prefix, str(name), held) for prefix in prefixes)


def _file_entries(path: Path, root: Path, notes: list[str]) -> Iterator[Entry]:
    if path.stat().st_size > _LONGEST_FILE:
        raise InputError(f"{path}: longer than {_LONGEST_FILE >> 20} MiB: this is not a list of addresses")
    content = path.read_bytes()
    if content.startswith(_PARQUET):
        try:
            yield from table_entries(path, pq.read_table(io.BytesIO(content)))
        except pa.ArrowException as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
        return
    text = as_utf8(content).decode()
    if _TABLE_HEADER.fullmatch(text.partition("\n")[0].strip()):
        try:
            rows = list(csv.DictReader(io.StringIO(text)))
        except csv.Error as error:
            raise InputError(f"{path}: cannot be read as CSV: {error}") from error
        if rows:
            yield from table_entries(path, pa.Table.from_pylist(rows))
        return
    yield from _list_entries(path, text, _period_of(path, root), notes)


def _list_entries(path: Path, text: str, period: Period | None, notes: list[str]) -> Iterator[Entry]:
    start = text.lstrip()
    if start.startswith("{"):
        try:
            content = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: incomplete or invalid JSON: {error}") from error
        except RecursionError as error:
            raise InputError(f"{path}: JSON that is nested too deeply") from error
        yield from _misp_entries(path, content, period, notes)
    elif re.match(r"(create|add|-N|-A) \S+ ", start):
        yield from _ipset_entries(path, text, period, notes)
    else:
        yield from _text_entries(path, text, period)


def read_labels(folder: str | Path) -> PrefixLabels:
    """Read all lists below `folder`, or one file.

    Licences, read-me files and hidden files are left out.

    Raises:
        InputError: for a folder without lists, lists without entries, or an invalid entry with its line.
    """
    root = Path(folder)
    if not root.exists():
        raise InputError(f"{folder}: no such folder of scanner lists")
    candidates = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    paths = [path for path in candidates if path.name[0] not in "._" and not _NO_LISTS.fullmatch(path.name)]
    notes: list[str] = []
    entries: list[Entry] = []
    for path in paths:
        before = len(entries)
        malicious = _is_among_malicious(path, root)
        for entry in _file_entries(path, root, notes):
            label = one_line(entry.label)
            entries.append(entry._replace(label=malicious_label(label) if malicious else label))
        if len(entries) == before:
            notes.append(f"{path}: holds no addresses")
    if not entries:
        raise InputError(f"{folder}: no scanner list with an address in it")
    return PrefixLabels.from_entries(entries, notes)
