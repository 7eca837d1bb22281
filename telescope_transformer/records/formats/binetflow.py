"""Argus binetflow: the comma-separated bidirectional flows of `ra`, as the CTU data sets have them.

A record is what the source sent: `SrcPkts` and `SrcBytes`. Flows of protocols that do not run over IP are skipped.
Argus writes the first two bytes of an ICMP header as a hexadecimal source port, the code in its upper byte.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.errors import InputError
from telescope_transformer.records.context import Format, ReadContext
from telescope_transformer.records.delimited import Layout, column_names, header_line, raw_batches
from telescope_transformer.records.files import InputFile, LineStream
from telescope_transformer.records.text import VALID, parse_integers, text_view
from telescope_transformer.records.validation import Chunk, validate

_COLUMNS = {
    "timestamp": "StartTime",
    "protocol": "Proto",
    "src_ip": "SrcAddr",
    "src_port": "Sport",
    "dst_ip": "DstAddr",
    "dst_port": "Dport",
    "packets": "SrcPkts",
    "bytes": "SrcBytes",
    "label": "Label",
}
_OPTIONAL = {"packets", "bytes", "label"}
_NOT_IP = pa.array([b"arp", b"rarp", b"llc", b"stp", b"lldp", b"loop", b"ether", b"man", b"cdp", b"aoe"], pa.binary())
# Argus names these by what it finds inside; they are UDP.
_OVER_UDP = pa.array([b"rtp", b"rtcp", b"udt"], pa.binary())
_ICMP = pa.array([b"icmp", b"ipv6-icmp", b"icmp6"], pa.binary())


def sniff(head: bytes) -> bool:
    """Whether the first line names the columns of `ra`."""
    line = header_line(head)
    return line.startswith(b"StartTime,") and b",SrcAddr," in line and b",DstAddr," in line


def _split_icmp(ports: pa.Array, protocol: pa.Array) -> dict[str, pa.Array]:
    """Type and code of the ICMP rows, null in the others."""
    numbers, status = parse_integers(text_view(ports))
    absent = ~(np.asarray(pc.is_in(protocol, value_set=_ICMP)) & (status == VALID))
    return {
        "icmp_type": pa.array(numbers & 0xFF, pa.int64(), mask=absent),
        "icmp_code": pa.array(numbers >> 8, pa.int64(), mask=absent),
    }


def read(file: InputFile, context: ReadContext) -> Iterator[Chunk]:
    """Flow records of a binetflow file."""
    names = column_names(file.head, ",")
    missing = [column for field, column in _COLUMNS.items() if column not in names and field not in _OPTIONAL]
    if missing:
        raise InputError(f"{file.path}: a binetflow file without the column {', '.join(missing)}")
    columns = {field: column for field, column in _COLUMNS.items() if column in names}
    stream = LineStream(file.blocks(), str(file.path))
    for batch, rows, malformed in raw_batches(stream, Layout(), list(columns.values()), str(file.path)):
        protocol = pc.ascii_lower(batch.column("Proto").cast(pa.string())).cast(pa.binary())
        over_ip = pc.invert(pc.is_in(protocol, value_set=_NOT_IP))
        raw = {field: batch.column(column) for field, column in columns.items()}
        udp = pc.is_in(protocol, value_set=_OVER_UDP)
        raw["protocol"] = pc.if_else(udp, pa.scalar(b"udp"), protocol)
        raw |= _split_icmp(raw["src_port"], protocol)
        # The second "port" of ICMP is its identifier.
        portless = pc.is_in(protocol, value_set=_ICMP)
        raw["dst_port"] = pc.if_else(portless, pa.scalar(b""), raw["dst_port"])
        raw["src_port"] = pc.if_else(portless, pa.scalar(b""), raw["src_port"])
        kept = {field: column.filter(over_ip) for field, column in raw.items()}
        mask = np.asarray(over_ip)
        chunk = validate(kept, rows[mask], str(file.path), context.sensors)
        yield Chunk(chunk.batch, pa.concat_tables([chunk.rejects, malformed]), skipped=int(len(mask) - mask.sum()))


FORMAT = Format("binetflow", sniff, read)
