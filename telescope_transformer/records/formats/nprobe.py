"""Flows with the elements of NetFlow version 9: nProbe's dump files (-P with --dump-format t, or -T) and JSON, and
vFlow's JSON of NetFlow 9 and IPFIX (github.com/EdgeCast/vflow), which has the numbers of the elements.

Addresses of the IP version that is not used are 0.0.0.0 or ::. For ICMP, ICMP_TYPE is type * 256 + code, as in the
destination port of NetFlow. Names: ntop.org/guides/nprobe.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.known_tables import KnownTable, Raw, table_format
from telescope_transformer.records.ports import are_icmp
from telescope_transformer.records.raw_records import first_values

# After each name its number (RFC 3954, section 8), which JSON has instead unless nProbe runs with --json-labels.
_COLUMNS = {
    "timestamp": [
        *("FLOW_START_MICROSECONDS", "154", "FLOW_START_MILLISECONDS", "152"),
        *("FLOW_START_SEC", "150", "FIRST_SWITCHED", "22"),
    ],
    "src_ip": ["IPV4_SRC_ADDR", "8"],
    "src_ip6": ["IPV6_SRC_ADDR", "27"],
    "dst_ip": ["IPV4_DST_ADDR", "12"],
    "dst_ip6": ["IPV6_DST_ADDR", "28"],
    "protocol": ["PROTOCOL", "4"],
    "src_port": ["L4_SRC_PORT", "7"],
    "dst_port": ["L4_DST_PORT", "11"],
    "packets": ["IN_PKTS", "2"],
    "bytes": ["IN_BYTES", "1"],
    "tcp_flags": ["TCP_FLAGS", "6"],
    "icmp": ["ICMP_TYPE", "32"],
}
# More digits than any number of milliseconds has.
_DIGITS = 20
_NO_ADDRESS = pa.array([b"0.0.0.0", b"::"], pa.binary())


def _completed(raw: Raw) -> Raw:
    """Take the addresses of the IP version in use, and for ICMP the number of type and code instead of the ports."""
    nothing = pa.scalar(None, pa.binary())
    for field in ("src_ip", "dst_ip"):
        if f"{field}6" in raw:
            four = pc.if_else(pc.is_in(raw[field], value_set=_NO_ADDRESS), nothing, raw[field])
            raw = raw | {field: pc.coalesce(four, raw[f"{field}6"])}
    if "icmp" in raw:
        icmp = pc.and_(are_icmp(raw["protocol"]), pc.is_valid(raw["icmp"]))
        raw = raw | {
            "src_port": pc.if_else(icmp, pa.scalar(b"0"), raw["src_port"]),
            "dst_port": pc.if_else(icmp, raw["icmp"], raw["dst_port"]),
        }
    return raw


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow of nProbe."""
    named = "L4_DST_PORT" in record and "PROTOCOL" in record
    return named or ({"4", "7", "11"} <= set(record) and ("8" in record or "27" in record))


FORMAT = table_format(
    KnownTable("nprobe", _COLUMNS, marks=("L4_SRC_PORT", "L4_DST_PORT", "PROTOCOL"), complete=_completed)
)


def _numbered(elements: Any) -> dict[str, Any]:
    """The values of a flow by the numbers of IANA's elements; vFlow writes a list or an object of them."""
    if isinstance(elements, dict):
        return elements
    known = [element for element in elements if isinstance(element, dict) and not element.get("E")]
    return {str(element.get("I")): element.get("V") for element in known}


def _start(first: Any, header: Mapping[str, Any]) -> str | None:
    """The start of a flow, which vFlow gives in milliseconds since the exporter of NetFlow 9 started."""
    numbers = [str(number) for number in (header.get("UNIXSecs"), header.get("SysUpTime"), first)]
    if not all(number.isdecimal() and len(number) < _DIGITS for number in numbers):
        return None
    seconds, uptime, milliseconds = map(int, numbers)
    return str(1000 * seconds - uptime + milliseconds)


def vflow_fields(record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The flows of a message that vFlow received. If a flow gives no start, the time of its export is taken."""
    header, flows = record["Header"], []
    for values in map(_numbered, record["DataSets"]):
        found = first_values({**values, "22": _start(values.get("22"), header)}, _COLUMNS)
        found["timestamp"] = found["timestamp"] or header.get("ExportTime") or header.get("UNIXSecs")
        # Exporters also send data about themselves.
        if found["src_ip"] or found["src_ip6"]:
            flows.append(found)
    return flows or None


def _is_of_vflow(record: Mapping[str, Any]) -> bool:
    sets = record.get("DataSets")
    are_flows = isinstance(sets, list) and all(isinstance(elements, list | dict) for elements in sets)
    return are_flows and "AgentID" in record and isinstance(record.get("Header"), dict)


VFLOW_DIALECT = Dialect("vflow", _is_of_vflow, vflow_fields, complete=_completed)
DIALECT = Dialect("nprobe-json", matches, lambda record: first_values(record, _COLUMNS), complete=_completed)
