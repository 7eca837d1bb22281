"""Argus binetflow: bidirectional flows that `ra` writes as comma-separated text, as in the CTU data sets, or with
the names that it takes (`stime`), as in Bot-IoT.

A record counts what the source sent: `SrcPkts` and `SrcBytes`. Flows of protocols that do not run over IP are skipped.
Argus writes the first two bytes of an ICMP header as a hexadecimal source port, with the code in the upper byte.
Type 4 stands for every answer without a request, such as an echo reply, so it counts as not known.
ICMPv6 has its type and code as decimal ports.
Backscatter begins with an answer, so Argus may call its receiver the source. If `SrcPkts` is 0 and `Dir` points back,
source and destination are therefore exchanged.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.ports import are_icmp, with_ends_exchanged, without_ports
from telescope_transformer.records.text_columns import VALID, parse_integers, text_view

_NOT_IP = pa.array([b"arp", b"rarp", b"llc", b"stp", b"lldp", b"loop", b"ether", b"man", b"cdp", b"aoe"], pa.binary())
# Argus recognises these protocols by their payload; all of them run over UDP.
_OVER_UDP = pa.array([b"rtp", b"rtcp", b"udt"], pa.binary())
# Source quench, which is obsolete (RFC 6633).
_ANSWER = 4


def _protocol(raw: Raw) -> pa.Array:
    return pc.ascii_lower(raw["protocol"].cast(pa.string())).cast(pa.binary())


def _over_ip(raw: Raw) -> np.ndarray:
    return np.asarray(pc.invert(pc.is_in(_protocol(raw), value_set=_NOT_IP)))


def _from_sender(raw: Raw) -> Raw:
    """Exchange source and destination where only the destination has sent packets."""
    if "direction" not in raw or "packets" not in raw:
        return raw
    back = pc.match_substring_regex(raw["direction"].cast(pa.string()), r"^\s*<[^>]*$")
    return with_ends_exchanged(raw, pc.and_(back, pc.equal(raw["packets"], pa.scalar(b"0"))))


def _completed(raw: Raw) -> Raw:
    """Set the type and code of ICMP, whose destination port is an identifier, and UDP for protocols over UDP."""
    raw = _from_sender(raw)
    protocol = _protocol(raw)
    joint = pc.or_(pc.equal(protocol, pa.scalar(b"icmp")), pc.starts_with(raw["src_port"], "0x")).fill_null(False)
    joint = pc.and_(are_icmp(raw["protocol"]), joint)
    numbers, status = parse_integers(text_view(raw["src_port"]))
    absent = ~(np.asarray(joint) & (status == VALID) & (numbers != _ANSWER))
    udp = pc.is_in(protocol, value_set=_OVER_UDP)
    return without_ports(raw, joint) | {
        "protocol": pc.if_else(udp, pa.scalar(b"udp"), protocol),
        "icmp_type": pa.array(numbers & 0xFF, pa.int64(), mask=absent),
        "icmp_code": pa.array(numbers >> 8, pa.int64(), mask=absent),
    }


TABLE = KnownTable(
    "binetflow",
    {
        "timestamp": ["StartTime", "stime"],
        "protocol": ["Proto", "proto"],
        "src_ip": ["SrcAddr", "saddr"],
        "src_port": ["Sport", "sport"],
        "dst_ip": ["DstAddr", "daddr"],
        "dst_port": ["Dport", "dport"],
        "packets": ["SrcPkts", "spkts"],
        "bytes": ["SrcBytes", "sbytes"],
        "direction": ["Dir", "dir"],
        "dst_packets": ["DstPkts", "dpkts"],
        "dst_bytes": ["DstBytes", "dbytes"],
        "label": ["Label"],
    },
    marks=("StartTime|stime", "SrcAddr|saddr", "DstAddr|daddr", "Sport|sport"),
    keep=_over_ip,
    complete=_completed,
)
FORMAT = table_format(TABLE)
