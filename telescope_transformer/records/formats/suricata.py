"""Suricata eve.json: the client's direction of its `flow` events. All other events are skipped and counted.

The time is that of the flow's first packet, `flow.start`, not the time at which the event was written. `tcp_flags`
combines the flags of all packets of the client. If only the server has sent packets, it is the source. If a file has
no flow events, its `netflow` events are read, one for each direction of a flow.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.ports import from_sender

_NO_FLOWS = "alerts and other events, but no flow events: turn on `flow` under `eve-log` in suricata.yaml"


def _inner(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _hexadecimal(flags: Any) -> str | None:
    """Flags with the prefix 0x: Suricata writes hexadecimal digits without a prefix."""
    return None if flags is None else f"0x{flags}"


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is an event of Suricata."""
    # The event types of Conpot are in capitals. Logstash may replace `timestamp` by `@timestamp`.
    is_event = str(record.get("event_type", "-")).islower()
    return is_event and ("timestamp" in record or ("@timestamp" in record and "flow_id" in record))


def _tuple(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "src_ip": event.get("src_ip"),
        "dst_ip": event.get("dest_ip"),
        "protocol": event.get("proto"),
        "src_port": event.get("src_port"),
        "dst_port": event.get("dest_port"),
        "icmp_type": event.get("icmp_type"),
        "icmp_code": event.get("icmp_code"),
    }


def flow_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a flow event; None for other events."""
    if record.get("event_type") != "flow":
        return None
    flow, tcp = _inner(record.get("flow")), _inner(record.get("tcp"))
    return _tuple(record) | {
        "timestamp": flow.get("start"),
        "packets": flow.get("pkts_toserver"),
        "bytes": flow.get("bytes_toserver"),
        "dst_packets": flow.get("pkts_toclient"),
        "dst_bytes": flow.get("bytes_toclient"),
        "dst_tcp_flags": _hexadecimal(tcp.get("tcp_flags_tc")),
        "tcp_flags": _hexadecimal(tcp.get("tcp_flags_ts", tcp.get("tcp_flags"))),
    }


def netflow_fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a netflow event; None for other events."""
    if record.get("event_type") != "netflow":
        return None
    flow, tcp = _inner(record.get("netflow")), _inner(record.get("tcp"))
    return _tuple(record) | {
        "timestamp": flow.get("start", record.get("timestamp")),
        "packets": flow.get("pkts"),
        "bytes": flow.get("bytes"),
        "ttl": flow.get("max_ttl"),
        "tcp_flags": _hexadecimal(tcp.get("tcp_flags")),
    }


DIALECT = Dialect("suricata", matches, flow_fields, fallback=netflow_fields, absent=_NO_FLOWS, complete=from_sender)
