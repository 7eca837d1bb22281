"""The log of Windows Firewall, pfirewall.log, a table in W3C's extended log format.

Source: learn.microsoft.com, "Configure Windows Firewall logging".
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.known_tables import KnownTable, Raw, table_format


def _incoming(raw: Raw) -> np.ndarray:
    """Packets that Windows Firewall received or forwarded. INFO-EVENTS-LOST only reports that events are missing."""
    sent = pc.equal(raw["path"], pa.scalar(b"SEND"))
    lost = pc.equal(raw["action"], pa.scalar(b"INFO-EVENTS-LOST"))
    return ~np.asarray(pc.or_(sent, lost))


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
