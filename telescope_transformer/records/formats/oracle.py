"""Flow logs of a network in Oracle's cloud, from Logging or from a search in it (which wraps them in `logContent`).

Format: docs.oracle.com/iaas/Content/Logging/Reference/details_for_vcn_flow_logs.htm. The time is that of the start of
the flow. As in AWS's logs, the ICMP type is not given, and records with the status NODATA or SKIPDATA are not flows.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.ports import without_icmp_ports

_TYPE = "com.oraclecloud.vcn.flowlogs."


def _event(record: Mapping[str, Any]) -> Mapping[str, Any]:
    wrapped = record.get("logContent")
    return wrapped if isinstance(wrapped, dict) else record


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a record of a flow log."""
    event = _event(record)
    return str(event.get("type")).startswith(_TYPE) and isinstance(event.get("data"), dict)


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a flow; None for a period without flows."""
    data = _event(record)["data"]
    if data.get("status") in ("NODATA", "SKIPDATA"):
        return None
    return {
        "timestamp": data.get("startTime"),
        "src_ip": data.get("sourceAddress"),
        "dst_ip": data.get("destinationAddress"),
        "protocol": data.get("protocol"),
        "src_port": data.get("sourcePort"),
        "dst_port": data.get("destinationPort"),
        "packets": data.get("packets"),
        "bytes": data.get("bytesOut"),
    }


DIALECT = Dialect("oracle-vcn", matches, fields, complete=without_icmp_ports)
