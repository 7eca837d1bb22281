"""Tables and JSON of tshark (-T fields -E header=y -e frame.time_epoch -e ip.src ...; wireshark.org, tshark(1)).

JSON has the layers of a packet in `layers`, with the same names of fields (-T json), or with `_` in place of dots
(-T ek).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.formats.any_json import by_alias
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.ports import without_icmp_ports
from telescope_transformer.records.protocols import IPV6_EXTENSIONS

# Layers that tell the protocol of a packet if the field of its IP header does not.
_TRANSPORTS = {"tcp": b"6", "udp": b"17", "sctp": b"132", "dccp": b"33", "icmpv6": b"58"}
_EXTENSIONS = pa.array([number.encode() for number in IPV6_EXTENSIONS], pa.binary())
_NOTHING = pa.scalar(None, pa.binary())


def _first_value(column: pa.Array) -> pa.Array:
    """The first of several values; `-E occurrence=a` puts commas between them."""
    parts = pc.split_pattern(column.cast(pa.string()), ",", max_splits=1)
    return pc.list_element(pc.if_else(pc.is_valid(parts), parts, pa.scalar([""])), 0).cast(pa.binary())


def _are_ip(raw: Raw) -> np.ndarray:
    """Rows with an address; tshark leaves the fields of non-IP packets empty."""
    return np.asarray(pc.greater(pc.binary_length(raw["src_ip"].fill_null(b"")), 0))


def _protocol(first: Raw) -> pa.Array:
    """The protocols; of IPv6 extension headers and names (of applications, or of IP), those of the layer above."""
    protocol, sources = first["protocol"], first["src_ip"].cast(pa.string())
    is_extension = pc.and_(pc.is_in(protocol, value_set=_EXTENSIONS), pc.match_substring(sources, ":"))
    is_told = pc.and_not(pc.match_substring_regex(protocol, r"^(?i:\d+|icmp|icmpv6)$"), is_extension)
    is_none = pc.or_(is_extension, pc.match_substring_regex(protocol, r"^(?i:ipv[46])$"))
    layers = [
        pc.if_else(pc.greater(pc.binary_length(first[layer]), 0), pa.scalar(number), _NOTHING)
        for layer, number in _TRANSPORTS.items()
        if layer in first
    ]
    return pc.if_else(is_told, protocol, pc.coalesce(*layers, pc.if_else(is_none, _NOTHING, protocol)))


def _completed(raw: Raw) -> Raw:
    """The first value of each field, and the transport protocol. Ports beside ICMP are those of the packet inside."""
    first = {field: column if field == "timestamp" else _first_value(column) for field, column in raw.items()}
    return without_icmp_ports(first | {"protocol": _protocol(first)})


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
            **{layer: [f"{layer}.srcport", f"{layer}.dstport", f"{layer}.type"] for layer in _TRANSPORTS},
        },
        keep=_are_ip,
        complete=_completed,
    )
)


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a packet."""
    return isinstance(record.get("layers"), dict)


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a packet; None if it is not IP. The layer above an IPv6 extension header is the protocol."""
    found = by_alias(record)
    if found is not None and found["protocol"] in IPV6_EXTENSIONS and ":" in str(found["src_ip"]):
        # A layer is called `tcp`, or with -e `tcp.srcport` or `tcp_srcport`.
        names = {name.replace("_", ".").partition(".")[0] for name in record["layers"]}
        found["protocol"] = next((name for name in _TRANSPORTS if name in names), None)
    return found


JSON_DIALECT = Dialect(
    "tshark-json", matches, fields, absent="packets without named addresses: write -T json or -T ek"
)
