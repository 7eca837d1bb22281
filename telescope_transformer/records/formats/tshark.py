"""Tables that tshark prints (-T fields -E header=y -e frame.time_epoch -e ip.src ...; wireshark.org, tshark(1))."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.ports import without_ports
from telescope_transformer.records.schema import PORT_PROTOCOLS

_WITH_PORTS = pa.array([str(number).encode() for number in PORT_PROTOCOLS], pa.binary())


def _first_value(column: pa.Array) -> pa.Array:
    """The first of several values; `-E occurrence=a` puts commas between them."""
    parts = pc.split_pattern(column.cast(pa.string()), ",", max_splits=1)
    return pc.list_element(pc.if_else(pc.is_valid(parts), parts, pa.scalar([""])), 0).cast(pa.binary())


def _are_ip(raw: Raw) -> np.ndarray:
    """Rows with an address; tshark leaves the fields of non-IP packets empty."""
    return np.asarray(pc.greater(pc.binary_length(raw["src_ip"].fill_null(b"")), 0))


def _completed(raw: Raw) -> Raw:
    """The first value of each field. Ports beside ICMP or a tunnel are those of the packet inside."""
    first = {field: column if field == "timestamp" else _first_value(column) for field, column in raw.items()}
    protocol = first["protocol"]
    told = pc.match_substring_regex(protocol, r"^(?i:\d+|icmp|icmpv6)$")
    return without_ports(first, pc.and_not(told, pc.is_in(protocol, value_set=_WITH_PORTS)))


FORMAT = table_format(
    KnownTable(
        "tshark",
        {
            "timestamp": ["frame.time_epoch", "frame.time_utc", "frame.time"],
            "src_ip": ["ip.src", "ipv6.src"],
            "dst_ip": ["ip.dst", "ipv6.dst"],
            "protocol": ["ip.proto", "ipv6.nxt", "_ws.col.protocol", "_ws.col.Protocol"],
            "src_port": ["tcp.srcport", "udp.srcport", "sctp.srcport", "dccp.srcport"],
            "dst_port": ["tcp.dstport", "udp.dstport", "sctp.dstport", "dccp.dstport"],
            "icmp_type": ["icmp.type", "icmpv6.type"],
            "icmp_code": ["icmp.code", "icmpv6.code"],
            "ttl": ["ip.ttl", "ipv6.hlim"],
            "tcp_flags": ["tcp.flags"],
            "ip_id": ["ip.id"],
            "tcp_seq": ["tcp.seq_raw"],
            "bytes": ["ip.len"],
        },
        keep=_are_ip,
        complete=_completed,
    )
)
