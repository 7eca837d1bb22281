"""Scanner lists from a folder: plain text, MISP warning lists and ipset files, told apart by content.

- Text: an address, a CIDR or a range `first-last` a line, comments behind `#`, `;` or `//`. The label is the file's
  name without `_v4` or `_v6`.
- MISP warning list (JSON with a `list`; github.com/MISP/misp-warninglists): the label is the file's name, or for a
  `list.json` its folder's. Entries that are no addresses (some lists mix in host names) are passed over and counted.
- ipset (`ipset save`): the label is the set's name; `nomatch` entries are passed over and counted.
"""

import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telescope_transformer.errors import InputError
from telescope_transformer.labels.prefixes import Network, PrefixLabels

_NO_LISTS = re.compile(r"(licen[cs]e|readme|changelog|copying)(\..*)?|.*\.md", re.IGNORECASE)
_FAMILY_SUFFIX = re.compile(r"[-_.]?(ip)?v?[46]$", re.IGNORECASE)
_COMMENT = re.compile(r"[#;].*|//.*")
_RANGE = re.compile(r"[0-9a-f.:]+\s*-\s*[0-9a-f.:]+", re.IGNORECASE)
_LONGEST_FILE = 256 << 20

Entry = tuple[Network, str]


def parse_networks(text: str) -> list[Network]:
    """The prefixes of an address, a CIDR (host bits are cleared) or a range; raises ValueError for anything else."""
    first, dash, last = text.partition("-")
    if not dash:
        return [ipaddress.ip_network(text, strict=False)]
    bounds = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
    return list(ipaddress.summarize_address_range(*bounds))  # type: ignore[type-var]


def _label_of(path: Path) -> str:
    stem = path.name.split(".")[0]
    label = _FAMILY_SUFFIX.sub("", stem)
    return path.parent.name if stem == "list" else (label or stem)


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


def _file_entries(path: Path, notes: list[str]) -> Iterator[Entry]:
    if path.stat().st_size > _LONGEST_FILE:
        raise InputError(f"{path}: longer than {_LONGEST_FILE >> 20} MiB: this is no list of addresses")
    text = path.read_bytes().decode("utf-8-sig", "replace")
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
    entries: list[Entry] = []
    for path in paths:
        found = list(_file_entries(path, notes))
        if not found:
            notes.append(f"{path}: holds no addresses")
        entries += found
    if not entries:
        raise InputError(f"{folder}: no scanner list with an address in it")
    return PrefixLabels.from_entries(entries, notes)
