"""Flow records as Arrow tables, and the protocols that readers distinguish; `fields` lists the fields."""

import pyarrow as pa

from telescope_transformer.fields import FLOW_SCHEMA, OPTIONAL_FIELDS, REQUIRED_FIELDS

__all__ = ["FLOW_SCHEMA", "OPTIONAL_FIELDS", "REQUIRED_FIELDS", "align", "flow_schema"]

ICMP, TCP, UDP, GRE, ICMPV6 = 1, 6, 17, 47, 58
UNKNOWN_ICMP_TYPE = 65_535
"""The source port of an ICMP record whose type is not known; types are 0 to 255 (RFC 792)."""

PORT_PROTOCOLS = (TCP, UDP, 33, 132, 136)
"""Protocols whose header begins with a source and a destination port: TCP, UDP, DCCP, SCTP, UDP-Lite."""


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
