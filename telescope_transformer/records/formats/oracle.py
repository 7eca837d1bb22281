"""Flow logs of a network in Oracle's cloud, from Logging or from a search in it (which wraps them in `logContent`).

Format: docs.oracle.com/iaas/Content/Logging/Reference/details_for_vcn_flow_logs.htm. The time is that of the start of
the flow. As in AWS's logs, the ICMP type is not given, and records with the status NODATA or SKIPDATA are not flows.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.ports import without_icmp_ports
from telescope_transformer.records.raw_records import first_values

_OF_FLOWS = frozenset(("sourceAddress", "startTime", "status"))
_TYPE = "com.oraclecloud.vcn.flowlogs."
_COLUMNS = {
    "timestamp": ["startTime"],
    "src_ip": ["sourceAddress"],
    "dst_ip": ["destinationAddress"],
    "protocol": ["protocol"],
    "src_port": ["sourcePort"],
    "dst_port": ["destinationPort"],
    "packets": ["packets"],
    "bytes": ["bytesOut"],
}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a flow, without the entry around it, or an entry without a flow."""
    return record.keys() >= _OF_FLOWS or str(record.get("type")).startswith(_TYPE)


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a flow; None for a period without flows."""
    return first_values(record, _COLUMNS) if "sourceAddress" in record else None


DIALECT = Dialect("oracle-vcn", matches, fields, complete=without_icmp_ports)
