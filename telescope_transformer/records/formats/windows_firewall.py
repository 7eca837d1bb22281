"""The log of Windows Firewall, pfirewall.log, a table in W3C's extended log format.

Source: learn.microsoft.com, "Configure Windows Firewall logging".
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.known_tables import KnownTable, Raw, table_format

# Events that are missing, and in logs before Windows Vista outgoing connections and the ends of connections.
_NOT_INCOMING = pa.array([b"INFO-EVENTS-LOST", b"OPEN", b"CLOSE"])


def _incoming(raw: Raw) -> np.ndarray:
    """Packets that Windows Firewall received or forwarded, and connections that it accepted."""
    sent = pc.equal(raw["path"], pa.scalar(b"SEND"))
    return ~np.asarray(pc.or_(sent, pc.is_in(raw["action"], value_set=_NOT_INCOMING)))


FORMAT = table_format(
    KnownTable(
        "windows-firewall",
        {
            "date": ["date"],
            "timestamp": ["time"],
            "src_ip": ["src-ip"],
            "dst_ip": ["dst-ip"],
            "protocol": ["protocol"],
            "src_port": ["src-port"],
            "dst_port": ["dst-port"],
            "icmp_type": ["icmptype"],
            "icmp_code": ["icmpcode"],
            "tcp_flags": ["tcpflags"],
            "tcp_seq": ["tcpsyn"],
            "bytes": ["size"],
            "path": ["path"],
            "action": ["action"],
        },
        marks=("date", "src-ip", "dst-ip", "tcpflags", "action", "path"),
        keep=_incoming,
        note="Windows Firewall writes local time, which is taken as UTC",
    )
)
