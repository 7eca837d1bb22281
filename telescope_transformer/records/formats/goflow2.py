"""JSON of GoFlow2 (github.com/netsampler/goflow2, cmd/goflow2/mapping.yaml), which collects NetFlow, IPFIX and sFlow.

The fields have common names. By default, GoFlow2 writes the name of the ICMP type instead of its number; for sFlow,
the ports are 0, which would mean an echo reply.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.formats.any_json import by_alias
from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.protocols import protocol_number
from telescope_transformer.records.schema import ICMP, ICMPV6

# producer/proto/render.go, icmpTypeName and icmp6TypeName. Other types have an empty name.
_TYPES = {
    ICMP: {
        "EchoReply": 0,
        "DestinationUnreachable": 3,
        "Echo": 8,
        "RouterAdvertisement": 9,
        "RouterSolicitation": 10,
        "TimeExceeded": 11,
    },
    ICMPV6: {
        "DestinationUnreachable": 1,
        "PacketTooBig": 2,
        "TimeExceeded": 3,
        "EchoRequest": 128,
        "EchoReply": 129,
        "RouterSolicitation": 133,
        "RouterAdvertisement": 134,
    },
}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow with the name of an ICMP type, empty for other protocols."""
    return "icmp_name" in record and "sampler_address" in record


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a flow, with the number of the ICMP type."""
    found = by_alias(record)
    types = _TYPES.get(protocol_number(str(record.get("proto"))) or 0)
    if found is None or types is None or found.get("icmp_type") is not None:
        return found
    if str(found["dst_port"]) != "0":
        # NetFlow has type and code in the port.
        return found
    return found | {"src_port": None, "dst_port": None, "icmp_type": types.get(str(record["icmp_name"]))}


DIALECT = Dialect("goflow2", matches, fields)
