"""Finds who announces an address: its autonomous system, the system's name and the country, from the user's files.

It reads MMDB files (MaxMind, IPinfo and DB-IP use different fields), tables of iptoasn.com (TSV of first and last
address, AS number, country, name), and CSV of `prefix,name`. With several files, a field comes from the first that
has it.
"""

import csv
import gzip
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from telescope_transformer.errors import InputError, reason
from telescope_transformer.extras import require
from telescope_transformer.labels.prefixes import Intervals, codes_at, outer_first
from telescope_transformer.records.addresses import IPV4, IPV6
from telescope_transformer.words import one_line

# The metadata of an MMDB file begins with this mark in its last 128 KiB ("MaxMind DB File Format Specification", 2.0).
_MMDB_MARK = b"\xab\xcd\xefMaxMind.com"
_MMDB_TAIL = 128 * 1024
# The first two bytes of a gzip file (RFC 1952, section 2.3.1).
_GZIP_MARK = b"\x1f\x8b"
# Names come from outside and go into pages and lists, so they are cut. Few registered names are longer.
_LONGEST_NAME = 120


class Owner(NamedTuple):
    """Who announces an address; None for what no file says."""

    asn: int | None = None
    name: str | None = None
    country: str | None = None


class _Table(Protocol):
    def find(self, addresses: Sequence[str]) -> list[Owner]: ...


class Owners:
    """Any number of tables; each field comes from the first table that has it."""

    def __init__(self, tables: Sequence[_Table]) -> None:
        self._tables = tables

    def __bool__(self) -> bool:
        """Whether there is at least one table."""
        return bool(self._tables)

    def find(self, addresses: Sequence[str]) -> list[Owner]:
        """The owner of each address, in order."""
        answer = [Owner()] * len(addresses)
        for table in self._tables:
            found = table.find(addresses)
            answer = [
                Owner(mine.asn or theirs.asn, mine.name or theirs.name, mine.country or theirs.country)
                for mine, theirs in zip(answer, found, strict=True)
            ]
        return answer


def read_owners(paths: Sequence[str | Path] | str | Path | Owners) -> Owners:
    """Read tables of owners; the kind of each is recognised by its content. Tables that are already read are returned
    as they are.

    Raises:
        InputError: for a file that cannot be read or is of no known kind; for a text table, with row and value.
    """
    if isinstance(paths, Owners):
        return paths
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return Owners([_read(Path(path)) for path in files])


def _read(path: Path) -> _Table:
    try:
        with path.open("rb") as file:
            start = file.read(2)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _MMDB_TAIL))
            if _MMDB_MARK in file.read():
                return _Mmdb(path)
        with (gzip.open if start == _GZIP_MARK else open)(path, "rt", encoding="utf-8", newline="") as text:
            lines = text.readlines()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"cannot read the table of networks {path}: {reason(error)}") from error
    try:
        return _Ranges(list(_tsv_ranges(path, lines) if lines and "\t" in lines[0] else _csv_ranges(path, lines)))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error


class _Mmdb:
    def __init__(self, path: Path) -> None:
        library = require("maxminddb")
        self._damaged = library.InvalidDatabaseError
        try:
            self._reader = library.open_database(path)
        except (OSError, ValueError, self._damaged) as error:
            raise InputError(f"{path}: not a readable MMDB file: {reason(error)}") from error
        self._path = path

    def find(self, addresses: Sequence[str]) -> list[Owner]:
        answer = []
        for address in addresses:
            try:
                found = self._reader.get(address)
            except self._damaged as error:
                raise InputError(f"{self._path}: damaged at {address}: {error}") from error
            except ValueError:
                # A file with only IPv4 addresses cannot look up an IPv6 address.
                found = None
            answer.append(_owner_of(found) if isinstance(found, Mapping) else Owner())
        return answer


def _owner_of(found: Mapping[str, Any]) -> Owner:
    """Reads the fields that the providers document.

    - MaxMind GeoLite2 and DB-IP Lite: `autonomous_system_number` and `autonomous_system_organization` in the ASN file,
      `country.iso_code` in the Country and City files. DB-IP's ISP files have the former under `traits`.
    - IPinfo Lite: `asn`, `as_name`, `country_code`. In its older files, `name` and `country` instead.
    """
    traits = found.get("traits")
    found = {**traits, **found} if isinstance(traits, Mapping) else found
    number = found.get("autonomous_system_number", found.get("asn"))
    name = found.get("autonomous_system_organization") or found.get("as_name") or found.get("name")
    country = found.get("country_code") or found.get("country")
    if isinstance(country, Mapping):
        country = country.get("iso_code")
    return Owner(_as_number(number), _name(name), _country(country))


def _as_number(value: Any) -> int | None:
    digits = re.fullmatch(r"(?:AS)?(\d{1,10})", str(value).strip(), re.IGNORECASE)
    return int(digits[1]) or None if digits else None


def _name(value: Any) -> str | None:
    return one_line(str(value))[:_LONGEST_NAME] or None if value else None


def _country(value: Any) -> str | None:
    text = str(value).strip().upper() if value else ""
    return text if re.fullmatch(r"[A-Z]{2}", text) else None


class _Ranges:
    """Ranges of addresses with owners; of the ranges that contain an address, the one that begins last counts."""

    def __init__(self, ranges: list[tuple[int, int, int, Owner]]) -> None:
        owners = {owner: code for code, owner in enumerate(dict.fromkeys(row[3] for row in ranges))}
        self._owners = [*owners, Owner()]
        self._intervals = {}
        for version in (IPV4, IPV6):
            coded = [(first, last, owners[owner]) for kind, first, last, owner in ranges if kind == version]
            self._intervals[version] = Intervals.of(sorted(coded, key=outer_first))

    def find(self, addresses: Sequence[str]) -> list[Owner]:
        codes = codes_at(pa.array(addresses, pa.string()), self._intervals)
        return [self._owners[code] for code in codes.tolist()]


def _tsv_ranges(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, int, int, Owner]]:
    """iptoasn.com: first address, last address, AS number, country, name; or the same without AS number and name."""
    for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
        if not row:
            continue
        if len(row) not in (3, 5):
            raise InputError(f"{path}, row {number}: expected first, last, AS number, country and name, not {row!r}")
        first, last = (_address(path, number, text) for text in row[:2])
        if first.version != last.version or int(first) > int(last):
            raise InputError(f"{path}, row {number}: {row[0]!r} to {row[1]!r} is not a range of addresses")
        owner = Owner(None, None, _country(row[2])) if len(row) == 3 else _row_owner(*row[2:])
        if owner != Owner():
            yield first.version, int(first), int(last), owner


def _row_owner(asn: str, country: str, name: str) -> Owner:
    number = _as_number(asn)
    # AS 0 stands for addresses that are not routed.
    return Owner(number, _name(name) if number else None, _country(country))


def _address(path: Path, number: int, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(int(text) if text.isdecimal() else text)
    except ValueError as error:
        raise InputError(f"{path}, row {number}: {text!r} is not an address") from error


def _csv_ranges(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, int, int, Owner]]:
    """`prefix,name`, with or without a header of these names; a name may begin with its AS number."""
    for number, row in enumerate(csv.reader(lines), start=1):
        if not row or (number == 1 and row[0].strip().lower() == "prefix"):
            continue
        if len(row) != 2:
            raise InputError(
                f"{path}, row {number}: expected prefix,name but found {len(row)} values: {','.join(row)!r}"
            )
        prefix, name = row[0].strip(), row[1].strip()
        try:
            network = ipaddress.ip_network(prefix, strict=False)
        except ValueError as error:
            raise InputError(f"{path}, row {number}: {prefix!r} is not a prefix") from error
        numbered = re.match(r"AS(\d{1,10})\b[\s:-]*", name)
        owner = Owner(int(numbered[1]), _name(name[numbered.end() :])) if numbered else Owner(None, _name(name))
        yield network.version, int(network.network_address), int(network.broadcast_address), owner
