"""Tables that `flow-export -f2` of flow-tools writes. ICMP type and code are in dstport, as in NetFlow."""

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.known_tables import KnownTable, Raw, table_format


def _completed(raw: Raw) -> Raw:
    """The start of a flow in microseconds: the time of the export minus the age of the flow at that time."""
    # A damaged number makes the time null, so that only its row is rejected.
    texts = {name: raw[name].cast(pa.string()) for name in ("timestamp", "nanoseconds", "uptime", "first")}
    numbers = {
        name: pc.if_else(pc.match_substring_regex(text, r"^\d{1,10}$"), text, None).cast(pa.int64())
        for name, text in texts.items()
    }
    exported = pc.add(pc.multiply(numbers["timestamp"], 1_000_000), pc.divide(numbers["nanoseconds"], 1000))
    began = pc.subtract(exported, pc.multiply(pc.subtract(numbers["uptime"], numbers["first"]), 1000))
    return raw | {"timestamp": began.cast(pa.string()).cast(pa.binary())}


FORMAT = table_format(
    KnownTable(
        "flow-tools",
        {
            "timestamp": ["unix_secs"],
            "nanoseconds": ["unix_nsecs"],
            "uptime": ["sysuptime"],
            "first": ["first"],
            "src_ip": ["srcaddr"],
            "dst_ip": ["dstaddr"],
            "protocol": ["prot"],
            "src_port": ["srcport"],
            "dst_port": ["dstport"],
            "packets": ["dpkts"],
            "bytes": ["doctets"],
            "tcp_flags": ["tcp_flags"],
        },
        marks=("unix_secs", "unix_nsecs", "sysuptime", "first", "prot"),
        complete=_completed,
    )
)
