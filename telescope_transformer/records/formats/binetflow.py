"""Argus binetflow: the comma-separated bidirectional flows of `ra`, as the CTU data sets have them.

A record is what the source sent: `SrcPkts` and `SrcBytes`. Flows of protocols that do not run over IP are skipped.
Argus writes the first two bytes of an ICMP header as a hexadecimal source port, the code in its upper byte.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.formats.text_tables import Raw, TextTable, table_format
from telescope_transformer.records.text import VALID, parse_integers, text_view

_NOT_IP = pa.array([b"arp", b"rarp", b"llc", b"stp", b"lldp", b"loop", b"ether", b"man", b"cdp", b"aoe"], pa.binary())
# Argus names these by what it finds inside; they are UDP.
_OVER_UDP = pa.array([b"rtp", b"rtcp", b"udt"], pa.binary())
_ICMP = pa.array([b"icmp", b"ipv6-icmp", b"icmp6"], pa.binary())


def _protocol(raw: Mapping[str, pa.Array]) -> pa.Array:
    return pc.ascii_lower(raw["protocol"].cast(pa.string())).cast(pa.binary())


def _over_ip(raw: Mapping[str, pa.Array]) -> np.ndarray:
    return np.asarray(pc.invert(pc.is_in(_protocol(raw), value_set=_NOT_IP)))


def _completed(raw: Raw) -> Raw:
    """Type and code of the ICMP rows, whose second "port" is an identifier; UDP for what runs over it."""
    protocol = _protocol(raw)
    icmp = pc.is_in(protocol, value_set=_ICMP)
    numbers, status = parse_integers(text_view(raw["src_port"]))
    absent = ~(np.asarray(icmp) & (status == VALID))
    blank, udp = pa.scalar(b"", pa.binary()), pc.is_in(protocol, value_set=_OVER_UDP)
    return raw | {
        "protocol": pc.if_else(udp, pa.scalar(b"udp"), protocol),
        "src_port": pc.if_else(icmp, blank, raw["src_port"]),
        "dst_port": pc.if_else(icmp, blank, raw["dst_port"]),
        "icmp_type": pa.array(numbers & 0xFF, pa.int64(), mask=absent),
        "icmp_code": pa.array(numbers >> 8, pa.int64(), mask=absent),
    }


TABLE = TextTable(
    "binetflow",
    {
        "timestamp": ["StartTime"],
        "protocol": ["Proto"],
        "src_ip": ["SrcAddr"],
        "src_port": ["Sport"],
        "dst_ip": ["DstAddr"],
        "dst_port": ["Dport"],
        "packets": ["SrcPkts"],
        "bytes": ["SrcBytes"],
        "label": ["Label"],
    },
    marks=("StartTime", "SrcAddr", "DstAddr", "Sport"),
    keep=_over_ip,
    complete=_completed,
)
FORMAT = table_format(TABLE)
