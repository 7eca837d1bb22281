"""DShield's format of firewall reports: values between tabs, without a header; the TCP flags may be left out.

Format: https://www.dshield.org/specs.html.
"""

import re
from collections.abc import Iterator

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.log_lines import Fields, has_records, read_lines
from telescope_transformer.records.validation import Chunk

_REPORT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:?\d\d\t")
_NAMES = ("timestamp", "author", "packets", "src_ip", "src_port", "dst_ip", "dst_port", "protocol", "tcp_flags")


def _fields(line: str) -> Fields | None:
    if _REPORT.match(line) is None:
        return None
    values = line.split("\t")
    if len(values) not in (len(_NAMES) - 1, len(_NAMES)):
        return {}
    fields = dict(zip(_NAMES, [*values, ""], strict=False))
    del fields["author"]
    return fields


def sniff(head: bytes) -> bool:
    """Whether one of the first lines is a report."""
    return has_records(head, lambda line: _fields(line) or None)


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of reports."""
    yield from read_lines(file, context, _fields, ("packets", "tcp_flags"))


FORMAT = Format("dshield", sniff, read)
