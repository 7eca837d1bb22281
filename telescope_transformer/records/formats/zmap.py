"""Results of a scan by ZMap, as CSV or JSON: one record per answer.

The protocol follows from `classification`, whose values differ between the probe modules of ZMap (src/probe_modules of
github.com/zmap/zmap). `zmap -O csv -f saddr,daddr,sport,dport,classification,timestamp_ts` writes all required fields.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from telescope_transformer.records.formats.text_tables import Raw, TextTable, table_format
from telescope_transformer.records.json_records import Dialect

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


def _protocol(classification: str) -> str:
    return _PROTOCOLS.get(classification.lower(), classification)


def _completed(raw: Raw) -> Raw:
    """Derive the protocol from the classification. ICMP has no ports, so drop the classification from `dst_port`."""
    classes = [value.decode("utf-8", "replace") if value else "" for value in raw["protocol"].to_pylist()]
    ports = [None if value and not value.isdigit() else value for value in raw["dst_port"].to_pylist()]
    protocols = [_protocol(name).encode() for name in classes]
    return raw | {"protocol": pa.array(protocols, pa.binary()), "dst_port": pa.array(ports, pa.binary())}


FORMAT = table_format(
    TextTable("zmap", _COLUMNS, marks=("saddr", "classification"), note=_NOTE, complete=_completed),
)


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an answer to ZMap."""
    return "saddr" in record and "classification" in record


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of an answer."""
    found = {
        field: next((record[name] for name in names if record.get(name) is not None), None)
        for field, names in _COLUMNS.items()
    }
    return found | {"protocol": _protocol(str(found["protocol"])), "dst_port": record.get("dport")}


DIALECT = Dialect("zmap-json", matches, fields, note=_NOTE)
