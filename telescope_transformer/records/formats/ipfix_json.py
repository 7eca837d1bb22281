"""Flows as JSON of yaf with super_mediator, IPFIXcol2, nProbe, pmacct and nfdump.

super_mediator and IPFIXcol2 use the element names of IPFIX (IPFIXcol2 with `iana:` before them), nProbe those of
NetFlow version 9; pmacct and nfdump use others. If a record holds the ICMP type and code as one number
(`icmpTypeCodeIPv4`, nProbe's `ICMP_TYPE`), that number is type * 256 + code, as in the destination port of NetFlow.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.schema import ICMP, ICMPV6


def _first(record: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of several elements that is not empty."""
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def _is_icmp(fields: Mapping[str, Any]) -> bool:
    return str(fields["protocol"]).lower() in (str(ICMP), str(ICMPV6), "icmp", "ipv6-icmp", "icmp6", "icmpv6")


def _with_icmp(fields: dict[str, Any], type_and_code: Any) -> dict[str, Any]:
    """For ICMP flows, the fields with the number of type and code instead of the ports."""
    if _is_icmp(fields) and type_and_code is not None:
        fields |= {"src_port": "0", "dst_port": type_and_code}
    return fields


def _inner(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flow itself, which super_mediator wraps in `flows`, by the plain names of its elements."""
    flows = record.get("flows")
    if "@type" in record:
        return {name.removeprefix("iana:"): value for name, value in record.items()}
    return flows if isinstance(flows, dict) else record


def matches_ipfix(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of super_mediator or another program that uses the element names of IPFIX."""
    inner = _inner(record)
    return "sourceIPv4Address" in inner or "sourceIPv6Address" in inner


def ipfix_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields by their IPFIX elements (IANA's registry of IPFIX)."""
    flow = _inner(record)
    times = ("flowStartMilliseconds", "flowStartMicroseconds", "flowStartNanoseconds", "flowStartSeconds")
    fields = {
        "timestamp": _first(flow, *times),
        "src_ip": _first(flow, "sourceIPv4Address", "sourceIPv6Address"),
        "dst_ip": _first(flow, "destinationIPv4Address", "destinationIPv6Address"),
        "protocol": flow.get("protocolIdentifier"),
        "src_port": flow.get("sourceTransportPort"),
        "dst_port": flow.get("destinationTransportPort"),
        "packets": _first(flow, "packetDeltaCount", "packetTotalCount"),
        "bytes": _first(flow, "octetDeltaCount", "octetTotalCount"),
        "ttl": _first(flow, "ipTTL", "minimumTTL"),
        "tcp_flags": _first(flow, "initialTCPFlags", "tcpControlBits"),
        "tcp_seq": flow.get("tcpSequenceNumber"),
        "icmp_type": _first(flow, "icmpTypeIPv4", "icmpTypeIPv6"),
        "icmp_code": _first(flow, "icmpCodeIPv4", "icmpCodeIPv6"),
    }
    return _with_icmp(fields, _first(flow, "icmpTypeCodeIPv4", "icmpTypeCodeIPv6"))


IPFIX_DIALECT = Dialect("ipfix-json", matches_ipfix, ipfix_fields)

# Numbers of NetFlow version 9 elements (RFC 3954, section 8). nProbe writes these unless run with --json-labels.
_ELEMENTS = {
    "IN_BYTES": "1",
    "IN_PKTS": "2",
    "PROTOCOL": "4",
    "TCP_FLAGS": "6",
    "L4_SRC_PORT": "7",
    "IPV4_SRC_ADDR": "8",
    "L4_DST_PORT": "11",
    "IPV4_DST_ADDR": "12",
    "FIRST_SWITCHED": "22",
    "IPV6_SRC_ADDR": "27",
    "IPV6_DST_ADDR": "28",
    "ICMP_TYPE": "32",
    "FLOW_START_SEC": "150",
    "FLOW_START_MILLISECONDS": "152",
    "FLOW_START_MICROSECONDS": "154",
}
_NO_ADDRESS = (None, "", "0.0.0.0", "::")


def _element(record: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of several elements, by name or by number, that is not empty, 0.0.0.0 or ::."""
    found = (record.get(name, record.get(_ELEMENTS[name])) for name in names)
    return next((value for value in found if value not in _NO_ADDRESS), None)


def matches_nprobe(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of nProbe."""
    named = "L4_DST_PORT" in record and "PROTOCOL" in record
    return named or ({"4", "7", "11"} <= set(record) and ("8" in record or "27" in record))


def nprobe_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields by their NetFlow elements. Addresses of the IP version that is not used are 0.0.0.0 or ::."""
    times = ("FLOW_START_MICROSECONDS", "FLOW_START_MILLISECONDS", "FLOW_START_SEC", "FIRST_SWITCHED")
    fields = {
        "timestamp": _element(record, *times),
        "src_ip": _element(record, "IPV4_SRC_ADDR", "IPV6_SRC_ADDR"),
        "dst_ip": _element(record, "IPV4_DST_ADDR", "IPV6_DST_ADDR"),
        "protocol": _element(record, "PROTOCOL"),
        "src_port": _element(record, "L4_SRC_PORT"),
        "dst_port": _element(record, "L4_DST_PORT"),
        "packets": _element(record, "IN_PKTS"),
        "bytes": _element(record, "IN_BYTES"),
        "tcp_flags": _element(record, "TCP_FLAGS"),
    }
    return _with_icmp(fields, _element(record, "ICMP_TYPE"))


NPROBE_DIALECT = Dialect("nprobe-json", matches_nprobe, nprobe_fields)


def matches_pmacct(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of pmacct's print, Kafka or AMQP plugin."""
    return "ip_src" in record and "ip_dst" in record and "ip_proto" in record


def pmacct_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields by pmacct's names. Without the primitive timestamp_start, the time is that of the time bin."""
    fields = {
        "timestamp": _first(record, "timestamp_start", "timestamp_min", "timestamp_arrival", "stamp_inserted"),
        "src_ip": record["ip_src"],
        "dst_ip": record["ip_dst"],
        "protocol": record.get("ip_proto"),
        "src_port": record.get("port_src"),
        "dst_port": record.get("port_dst"),
        "packets": record.get("packets"),
        "bytes": record.get("bytes"),
        "tcp_flags": record.get("tcp_flags"),
    }
    # It has no ICMP type and writes 0 for both ports, which would mean an echo reply.
    is_unknown = _is_icmp(fields) and str(fields["src_port"]) == str(fields["dst_port"]) == "0"
    return fields | {"src_port": None, "dst_port": None} if is_unknown else fields


PMACCT_DIALECT = Dialect("pmacct-json", matches_pmacct, pmacct_fields)


def matches_nfdump(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of `nfdump -o json`."""
    return "src4_addr" in record or "src6_addr" in record


def nfdump_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields by nfdump's names. Events have their time in `t_event`; updates and ends are not new flows."""
    is_event = record.get("type") == "EVENT"
    if is_event and record.get("event") in ("DELETE", "UPDATE"):
        return None
    return {
        "timestamp": record.get("t_event" if is_event else "first"),
        "src_ip": _first(record, "src4_addr", "src6_addr"),
        "dst_ip": _first(record, "dst4_addr", "dst6_addr"),
        "protocol": record.get("proto"),
        "src_port": record.get("src_port"),
        "dst_port": record.get("dst_port"),
        "packets": record.get("in_packets"),
        "bytes": record.get("in_bytes"),
        "tcp_flags": record.get("tcp_flags"),
        "icmp_type": record.get("icmp_type"),
        "icmp_code": record.get("icmp_code"),
    }


NFDUMP_DIALECT = Dialect(
    "nfdump-json", matches_nfdump, nfdump_fields, note="times of an nfdump export without a zone are taken as UTC"
)
