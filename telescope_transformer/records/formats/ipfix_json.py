"""Flows as JSON with the element names of IPFIX, such as those of yaf with super_mediator, and of IPFIXcol2.

IPFIXcol2 writes `iana:` before the names. If a record holds the ICMP type and code as one number
(`icmpTypeCodeIPv4`), that number is type * 256 + code, as in the destination port of NetFlow.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.protocols import is_icmp
from telescope_transformer.records.raw_records import first_values

# IANA's registry of IPFIX elements.
_COLUMNS = {
    "timestamp": ["flowStartMilliseconds", "flowStartMicroseconds", "flowStartNanoseconds", "flowStartSeconds"],
    "src_ip": ["sourceIPv4Address", "sourceIPv6Address"],
    "dst_ip": ["destinationIPv4Address", "destinationIPv6Address"],
    "protocol": ["protocolIdentifier"],
    "src_port": ["sourceTransportPort"],
    "dst_port": ["destinationTransportPort"],
    "packets": ["packetDeltaCount", "packetTotalCount"],
    "bytes": ["octetDeltaCount", "octetTotalCount"],
    "ttl": ["ipTTL", "minimumTTL"],
    "tcp_flags": ["initialTCPFlags", "tcpControlBits"],
    "tcp_seq": ["tcpSequenceNumber"],
    "icmp_type": ["icmpTypeIPv4", "icmpTypeIPv6"],
    "icmp_code": ["icmpCodeIPv4", "icmpCodeIPv6"],
    "icmp": ["icmpTypeCodeIPv4", "icmpTypeCodeIPv6"],
}


def _flow(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flow by the plain names of its elements."""
    return {name.removeprefix("iana:"): value for name, value in record.items()} if "@type" in record else record


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow with the element names of IPFIX."""
    flow = _flow(record)
    return "sourceIPv4Address" in flow or "sourceIPv6Address" in flow


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a flow."""
    found = first_values(_flow(record), _COLUMNS)
    if is_icmp(found["protocol"]) and found["icmp"] is not None:
        found |= {"src_port": "0", "dst_port": found["icmp"]}
    return found


DIALECT = Dialect("ipfix-json", matches, fields)
