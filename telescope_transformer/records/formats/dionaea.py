"""JSON logs of Dionaea's handlers log_json and hpfeeds: connections that Dionaea accepted or rejected.

T-Pot calls the destination `dest_ip`. Outgoing connections and the sockets on which Dionaea listens are skipped. Some
services report a client as `connect`, as if the connection went out.
Fields: modules/python/dionaea/log_json.py and hpfeeds.py of github.com/DinoTools/dionaea.
"""

from collections.abc import Mapping
from typing import Any

from telescope_transformer.records.json_records import Dialect
from telescope_transformer.records.raw_records import first_values

_INCOMING = ("accept", "reject")
# handle_established in sip/__init__.py and upnp/upnp.py; TftpServerHandler in tftp.py. The client of a SipCall already
# has a SipSession.
_REPORTED_AS_CONNECT = ("SipSession", "upnpd", "TftpServerHandler")

# The names of log_json, T-Pot and hpfeeds.
_COLUMNS = {
    "timestamp": ["timestamp", "@timestamp"],
    "src_ip": ["src_ip", "remote_host"],
    "dst_ip": ["dst_ip", "dest_ip", "local_host", "sensor"],
    "src_port": ["src_port", "remote_port"],
    "dst_port": ["dst_port", "dest_port", "local_port"],
}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether an object is a connection that Dionaea logged with log_json or hpfeeds."""
    connection = record.get("connection")
    return (isinstance(connection, dict) and "transport" in connection) or "connection_transport" in record


def fields(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of an incoming connection; None for other connections."""
    # hpfeeds writes `connection_type` in place of `"connection": {"type": ...}`.
    connection = record.get("connection")
    if not isinstance(connection, dict):
        connection = {name.removeprefix("connection_"): value for name, value in record.items()}
    kind, transport = connection.get("type"), connection.get("transport")
    if kind not in _INCOMING and not (kind == "connect" and connection.get("protocol") in _REPORTED_AS_CONNECT):
        return None
    # TLS runs over TCP. On an IPv6 socket, Dionaea writes IPv4 addresses as ::ffff:192.0.2.1; they are read as IPv4.
    return first_values(record, _COLUMNS) | {"protocol": "tcp" if transport == "tls" else transport}


DIALECT = Dialect("dionaea", matches, fields)
