"""Results of a scan by ZMap, as CSV or JSON: one record per answer.

The protocol follows from `classification`, whose values differ between the probe modules of ZMap (src/probe_modules of
github.com/zmap/zmap). `zmap -O csv -f saddr,daddr,sport,dport,classification,timestamp_ts` writes all required fields.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.raw_records import first_values

_NOTE = "results of a scan, not traffic seen by a telescope: sources are the hosts that answered"
_PROTOCOLS = {
    **dict.fromkeys(("synack", "rst", "ack", "fin"), "tcp"),
    **dict.fromkeys(("udp", "dns", "ntp", "upnp", "quic", "sip", "snmp"), "udp"),
    **dict.fromkeys(("echoreply", "icmp", "unreach", "sourcequench", "redirect", "timxceed"), "icmp"),
}
_COLUMNS = {
    "timestamp": ["timestamp_ts", "timestamp_str", "timestamp-ts", "timestamp-str"],
    "src_ip": ["saddr"],
    "dst_ip": ["daddr"],
    "protocol": ["protocol", "classification"],
    "src_port": ["sport"],
    "dst_port": ["dport", "classification"],
    "ttl": ["ttl"],
    "ip_id": ["ipid"],
    "tcp_seq": ["seqnum"],
    "icmp_type": ["icmp_type"],
    "icmp_code": ["icmp_code"],
}


def _completed(raw: Raw) -> Raw:
    """Derive the protocol from the classification. ICMP has no ports, so drop the classification from `dst_port`."""
    classes = [value.decode("utf-8", "replace") if value else "" for value in raw["protocol"].to_pylist()]
    ports = [None if value and not value.isdigit() else value for value in raw["dst_port"].to_pylist()]
    protocols = [_PROTOCOLS.get(name.lower(), name).encode() for name in classes]
    return raw | {"protocol": pa.array(protocols, pa.binary()), "dst_port": pa.array(ports, pa.binary())}


FORMAT = table_format(
    KnownTable("zmap", _COLUMNS, marks=("saddr", "classification"), note=_NOTE, complete=_completed),
)


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an answer to ZMap."""
    return "saddr" in record and "classification" in record


DIALECT = Dialect("zmap-json", matches, lambda record: first_values(record, _COLUMNS), complete=_completed, note=_NOTE)
