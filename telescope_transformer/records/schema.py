"""Flow records as Arrow tables, and the protocols that readers tell apart; `fields` lists the fields."""

import pyarrow as pa

from telescope_transformer.fields import FLOW_SCHEMA, OPTIONAL_FIELDS, REQUIRED_FIELDS

__all__ = ["FLOW_SCHEMA", "OPTIONAL_FIELDS", "REQUIRED_FIELDS", "align", "flow_schema"]

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
