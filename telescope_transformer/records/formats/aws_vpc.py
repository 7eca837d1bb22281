"""Flow logs of an AWS VPC: text with blanks between the values, with a header line or in the default format without.

Format: docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html. Rows whose status is NODATA or SKIPDATA are no
flows. A flow log does not tell the ICMP type: both ports are 0 there, and the type is taken as not known. Of packets
that pass an intermediate layer `pkt_srcaddr` and `pkt_dstaddr` are the true ends.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.files import InputFile
from telescope_transformer.records.formats.text_tables import Raw, TextTable, read_table
from telescope_transformer.records.lines import as_utf8
from telescope_transformer.records.validation import Chunk

_COLUMNS = {
    "timestamp": ["start"],
    "src_ip": ["pkt-srcaddr", "pkt_srcaddr", "srcaddr"],
    "dst_ip": ["pkt-dstaddr", "pkt_dstaddr", "dstaddr"],
    "protocol": ["protocol"],
    "src_port": ["srcport"],
    "dst_port": ["dstport"],
    "packets": ["packets"],
    "bytes": ["bytes"],
    "tcp_flags": ["tcp-flags", "tcp_flags"],
    "_status": ["log-status", "log_status"],
}
_DEFAULT_NAMES = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets"),
    *("bytes", "start", "end", "action", "log-status"),
)
_DEFAULT_LINE = re.compile(rb"2 \d{12} eni-\w+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \d+ \d+ \S+ (?:OK|NODATA|SKIPDATA)\s*$")
_NO_FLOWS = pa.array([b"NODATA", b"SKIPDATA"], pa.binary())
_ICMP = pa.array([b"1", b"58"], pa.binary())


def _are_flows(raw: Mapping[str, pa.Array]) -> np.ndarray:
    if "_status" not in raw:
        return np.ones(len(raw["src_ip"]), dtype=bool)
    return ~np.asarray(pc.is_in(raw["_status"], value_set=_NO_FLOWS))


def _without_icmp_type(raw: Raw) -> Raw:
    icmp = pc.is_in(raw["protocol"], value_set=_ICMP)
    nothing = pa.scalar(None, pa.binary())
    return raw | {name: pc.if_else(icmp, nothing, raw[name]) for name in ("src_port", "dst_port") if name in raw}


_WITH_HEADER = TextTable(
    "aws-vpc",
    _COLUMNS,
    marks=("srcaddr", "dstaddr", "start"),
    keep=_are_flows,
    complete=_without_icmp_type,
)
_WITHOUT_HEADER = TextTable(
    "aws-vpc",
    _COLUMNS,
    names=_DEFAULT_NAMES,
    delimiters=b"",
    keep=_are_flows,
    complete=_without_icmp_type,
)


def _has_no_header(head: bytes) -> bool:
    return _DEFAULT_LINE.match(as_utf8(head).lstrip().split(b"\n", 1)[0]) is not None


def sniff(head: bytes) -> bool:
    """Whether the first line is a flow log's header, or a record in the default format."""
    first = as_utf8(head).lstrip().split(b"\n", 1)[0].split()
    return {b"srcaddr", b"dstaddr", b"start"} <= set(first) or _has_no_header(head)


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a flow log."""
    yield from read_table(_WITHOUT_HEADER if _has_no_header(file.head) else _WITH_HEADER, file, context)


FORMAT = Format("aws-vpc", sniff, read)
