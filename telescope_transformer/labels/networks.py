"""A local table of networks by name, such as a routing table's prefixes with the names of their autonomous systems."""

import csv
import ipaddress
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from telescope_transformer.errors import InputError
from telescope_transformer.labels.prefixes import Network, PrefixLabels


def read_networks(path: str | Path) -> PrefixLabels:
    """Read a CSV of `prefix,name`, without header or with one named so.

    Raises:
        InputError: if the file cannot be read, or a row is not a prefix and a name; names the file, row and value.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the table of networks {path}: {error}") from error
    if rows and rows[0][1][0].strip().lower() == "prefix":
        rows = rows[1:]
    return PrefixLabels.from_entries(_entry(path, number, row) for number, row in rows)


def _entry(path: str | Path, number: int, row: list[str]) -> tuple[Network, str]:
    if len(row) != 2:
        raise InputError(f"{path}, row {number}: expected prefix,name but found {len(row)} values: {','.join(row)!r}")
    prefix, name = row[0].strip(), row[1].strip()
    try:
        return ipaddress.ip_network(prefix, strict=False), name
    except ValueError as error:
        raise InputError(f"{path}, row {number}: {prefix!r} is not a prefix") from error


def names_of_networks(networks: Iterable[str], names: PrefixLabels) -> dict[str, str]:
    """Name of each network (`192.0.2.0/24`), by the longest prefix that holds its first address, if there is one."""
    distinct = sorted(set(networks))
    found = names.label(pa.array([network.partition("/")[0] for network in distinct], pa.string()))
    return {network: name for network, name in zip(distinct, found.to_pylist(), strict=True) if name is not None}
