"""JSON logs of Dionaea's handlers log_json and hpfeeds: connections that Dionaea accepted or rejected.

T-Pot calls the destination `dest_ip`. Outgoing connections and the sockets on which Dionaea listens are skipped. Some
services report a client as `connect`, as if the connection went out.
Fields: modules/python/dionaea/log_json.py and hpfeeds.py of github.com/DinoTools/dionaea.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect

_INCOMING = ("accept", "reject")
# handle_established in sip/__init__.py and upnp/upnp.py; TftpServerHandler in tftp.py. The client of a SipCall already
# has a SipSession.
_REPORTED_AS_CONNECT = ("SipSession", "upnpd", "TftpServerHandler")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a connection that Dionaea logged with log_json or hpfeeds."""
    connection = record.get("connection")
    return (isinstance(connection, dict) and "transport" in connection) or "connection_transport" in record


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of an incoming connection; None for other connections."""
    connection = record.get("connection")
    if isinstance(connection, dict):
        kind, transport, protocol = (connection.get(name) for name in ("type", "transport", "protocol"))
        names = ("src_ip", "src_port", "dst_ip", "dst_port")
    else:
        kind, transport, protocol = (record.get(f"connection_{name}") for name in ("type", "transport", "protocol"))
        names = ("remote_host", "remote_port", "local_host", "local_port")
    if kind not in _INCOMING and not (kind == "connect" and protocol in _REPORTED_AS_CONNECT):
        return None
    # On an IPv6 socket, Dionaea writes IPv4 addresses as ::ffff:192.0.2.1; they are read as IPv4.
    src, src_port, dst, dst_port = (record.get(name) for name in names)
    return {
        "timestamp": record.get("timestamp", record.get("@timestamp")),
        "src_ip": src,
        "dst_ip": dst or record.get("dest_ip") or record.get("sensor"),
        # TLS runs over TCP.
        "protocol": "tcp" if transport == "tls" else transport,
        "src_port": src_port,
        "dst_port": record.get("dest_port") if dst_port is None else dst_port,
    }


DIALECT = Dialect("dionaea", matches, fields)
