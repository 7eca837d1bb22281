"""Tables that rwcut of SiLK prints (tools.netsa.cert.org/silk/rwcut.html).

ICMP type and code are in iType and iCode, or in dPort as one number.
"""

from telescope_transformer.records.known_tables import KnownTable, table_format

FORMAT = table_format(
    KnownTable(
        "silk",
        {
            "timestamp": ["sTime", "sTime+msec"],
            "src_ip": ["sIP"],
            "dst_ip": ["dIP"],
            "protocol": ["pro", "protocol"],
            "src_port": ["sPort"],
            "dst_port": ["dPort"],
            "packets": ["packets"],
            "bytes": ["bytes"],
            "tcp_flags": ["initialFlags", "initialF", "flags"],
            "icmp_type": ["iType", "iTy"],
            "icmp_code": ["iCode", "iCo"],
        },
        marks=("sIP", "dIP"),
    )
)
