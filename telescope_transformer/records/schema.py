"""The schema of a flow record, stated once: every reader produces it and every later stage consumes it."""

import pyarrow as pa

REQUIRED_FIELDS = ("timestamp", "src_ip", "dst_ip", "protocol", "src_port", "dst_port")
"""Present in every table of flow records, never null."""

OPTIONAL_FIELDS = ("ttl", "tcp_flags", "ip_id", "tcp_seq", "packets", "bytes", "label", "tool")
"""Nullable, and absent from a table when no input has them."""

FLOW_SCHEMA = pa.schema(
    [
        pa.field("timestamp", pa.int64(), nullable=False, metadata={"unit": "microseconds since 1970, UTC"}),
        pa.field("src_ip", pa.string(), nullable=False),
        pa.field("dst_ip", pa.string(), nullable=False),
        pa.field("protocol", pa.uint8(), nullable=False),
        pa.field("src_port", pa.uint16(), nullable=False, metadata={"icmp": "type"}),
        pa.field("dst_port", pa.uint16(), nullable=False, metadata={"icmp": "code"}),
        pa.field("ttl", pa.uint8()),
        pa.field("tcp_flags", pa.uint8()),
        pa.field("ip_id", pa.uint16()),
        pa.field("tcp_seq", pa.uint32()),
        pa.field("packets", pa.uint32()),
        pa.field("bytes", pa.uint64()),
        pa.field("label", pa.string()),
        pa.field("tool", pa.string()),
    ]
)

ICMP, TCP, UDP, GRE, ICMPV6 = 1, 6, 17, 47, 58
UNKNOWN_ICMP_TYPE = 65_535
"""The source port of an ICMP record whose type is not known; types are 0 to 255 (RFC 792)."""

PORT_PROTOCOLS = (TCP, UDP, 33, 132, 136)
"""Protocols whose header begins with a source and a destination port: TCP, UDP, DCCP, SCTP, UDP-Lite."""

# Assigned Internet Protocol Numbers (IANA), the names that flow exporters write.
PROTOCOL_NAMES = {
    "hopopt": 0,
    "icmp": ICMP,
    "icmp4": ICMP,
    "igmp": 2,
    "ipip": 4,
    "ipencap": 4,
    "ip-in-ip": 4,
    "tcp": TCP,
    "egp": 8,
    "igp": 9,
    "udp": UDP,
    "dccp": 33,
    "ipv6": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "gre": GRE,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": ICMPV6,
    "icmpv6": ICMPV6,
    "icmp6": ICMPV6,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "eigrp": 88,
    "ospf": 89,
    "ospfigp": 89,
    "pim": 103,
    "vrrp": 112,
    "l2tp": 115,
    "sctp": 132,
    "udplite": 136,
    "udp-lite": 136,
}


def flow_schema(present: set[str] | frozenset[str]) -> pa.Schema:
    """The flow schema with every required field and those optional fields that are in `present`."""
    return pa.schema([field for field in FLOW_SCHEMA if field.name in REQUIRED_FIELDS or field.name in present])


def align(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with exactly the columns of `schema`; optional columns that it lacks are null."""
    columns = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
