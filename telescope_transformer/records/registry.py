"""The formats that can be read, and which of them a file is, by its content and never by its name."""

from telescope_transformer.errors import InputError
from telescope_transformer.records.context import Format
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.formats import (
    binetflow,
    csv,
    flowtuple,
    nfdump,
    parquet,
    pcap,
    pcapng,
    suricata,
    zeek,
)

# Binary formats first, then text with marks of its own, and CSV, which nearly any text passes for, last.
FORMATS: dict[str, Format] = {
    found.name: found
    for found in (
        parquet.FORMAT,
        pcap.FORMAT,
        pcapng.FORMAT,
        flowtuple.FORMAT,
        nfdump.BINARY_FORMAT,
        zeek.TEXT_FORMAT,
        zeek.JSON_FORMAT,
        suricata.FORMAT,
        binetflow.FORMAT,
        nfdump.CSV_FORMAT,
        csv.FORMAT,
    )
}


def format_names() -> list[str]:
    """The names that `format` takes, `auto` first."""
    return ["auto", *FORMATS]


def find_format(file: InputFile, name: str = "auto") -> Format:
    """The format called `name`, or with `auto` the one that the file's first bytes are of.

    Raises InputError if the file is empty or of no known format, or the name is unknown.
    """
    if name != "auto":
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}; formats are {', '.join(format_names())}")
        return FORMATS[name]
    found = next((candidate for candidate in FORMATS.values() if candidate.sniff(file.head)), None)
    if found is None:
        raise InputError(f"{file.path}: of no format that can be read ({', '.join(FORMATS)})")
    return found
