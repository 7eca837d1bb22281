"""Flows of pmacct's print plugin as a table (CONFIG-KEYS, print_output: csv), and as JSON of its print, Kafka or AMQP
plugin. Without the primitive timestamp_start, the time is that of the time bin."""

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.ports import are_icmp, without_ports
from telescope_transformer.records.raw_records import first_values

# The names of the table, and those of JSON.
_COLUMNS = {
    "timestamp": [
        *("TIMESTAMP_START", "TIMESTAMP_MIN", "TIMESTAMP_ARRIVAL", "STAMP_INSERTED"),
        *("timestamp_start", "timestamp_min", "timestamp_arrival", "stamp_inserted"),
    ],
    "src_ip": ["SRC_IP", "ip_src"],
    "dst_ip": ["DST_IP", "ip_dst"],
    "protocol": ["PROTOCOL", "ip_proto"],
    "src_port": ["SRC_PORT", "port_src"],
    "dst_port": ["DST_PORT", "port_dst"],
    "packets": ["PACKETS", "packets"],
    "bytes": ["BYTES", "bytes"],
    "tcp_flags": ["TCP_FLAGS", "tcp_flags"],
}


def _completed(raw: Raw) -> Raw:
    """The type of ICMP is not known: pmacct has none and writes 0 for both ports, which would mean an echo reply."""
    if not {"src_port", "dst_port"} <= raw.keys():
        return raw
    zero = pc.and_(pc.equal(raw["src_port"], b"0"), pc.equal(raw["dst_port"], b"0"))
    return without_ports(raw, pc.and_(zero, are_icmp(raw["protocol"])))


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of pmacct."""
    return "ip_src" in record and "ip_dst" in record and "ip_proto" in record


FORMAT = table_format(
    KnownTable("pmacct", _COLUMNS, marks=("SRC_IP", "DST_IP", "PROTOCOL", "PACKETS"), complete=_completed)
)
DIALECT = Dialect("pmacct-json", matches, lambda record: first_values(record, _COLUMNS), complete=_completed)
