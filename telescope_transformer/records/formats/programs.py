"""Text tables of flow programs that need little code: SiLK, yaf, pmacct, nProbe, tshark, CICFlowMeter, zmap, DShield.

Each entry says which columns hold which field. Common tables need no entry: `csv.py` finds columns by their names.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.formats.text_tables import Raw, TextTable, table_format
from telescope_transformer.records.lines import as_utf8

# rwcut (https://tools.netsa.cert.org/silk/rwcut.html): ICMP type and code are one number in dPort, or iType and iCode.
SILK = TextTable(
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
        "tcp_flags": ["initialFlags", "flags"],
        "icmp_type": ["iType"],
        "icmp_code": ["iCode"],
    },
    marks=("sIP", "sTime"),
)

# yafscii --tabular --print-header (https://tools.netsa.cert.org/yaf/yafscii.html); ICMP is in dp, as in NetFlow.
YAF = TextTable(
    "yaf",
    {
        "timestamp": ["start-time"],
        "src_ip": ["sip"],
        "dst_ip": ["dip"],
        "protocol": ["proto"],
        "src_port": ["sp"],
        "dst_port": ["dp"],
        "packets": ["pkt"],
        "bytes": ["oct"],
        "tcp_flags": ["iflags"],
        "tcp_seq": ["isn"],
    },
    marks=("start-time", "sip", "dip"),
    delimiters=b"|",
)

# pmacct's print plugin (CONFIG-KEYS, print_output: csv); without timestamp_start the time is that of the time bin.
PMACCT = TextTable(
    "pmacct",
    {
        "timestamp": ["TIMESTAMP_START", "TIMESTAMP_MIN", "STAMP_INSERTED"],
        "src_ip": ["SRC_IP"],
        "dst_ip": ["DST_IP"],
        "protocol": ["PROTOCOL"],
        "src_port": ["SRC_PORT"],
        "dst_port": ["DST_PORT"],
        "packets": ["PACKETS"],
        "bytes": ["BYTES"],
        "tcp_flags": ["TCP_FLAGS"],
    },
    marks=("SRC_IP", "DST_IP", "PROTOCOL", "PACKETS"),
)

_NO_ADDRESS = pa.array([b"0.0.0.0", b"::"], pa.binary())


def _nprobe_completed(raw: Raw) -> Raw:
    """Addresses of the version that a flow has, and ICMP by its number of type and code."""
    nothing = pa.scalar(None, pa.binary())
    for field in ("src_ip", "dst_ip"):
        if f"{field}6" in raw:
            four = pc.if_else(pc.is_in(raw[field], value_set=_NO_ADDRESS), nothing, raw[field])
            raw = raw | {field: pc.coalesce(four, raw[f"{field}6"])}
    if "icmp" in raw:
        icmp = pc.is_in(raw["protocol"], value_set=pa.array([b"1", b"58", b"icmp", b"ICMP"], pa.binary()))
        raw = raw | {
            "src_port": pc.if_else(icmp, pa.scalar(b"0"), raw["src_port"]),
            "dst_port": pc.if_else(icmp, raw["icmp"], raw["dst_port"]),
        }
    return {field: column for field, column in raw.items() if field not in ("src_ip6", "dst_ip6", "icmp")}


# nProbe's dump files (-P with --dump-format t or -T); names of its template, https://www.ntop.org/guides/nprobe.
NPROBE = TextTable(
    "nprobe",
    {
        "timestamp": ["FLOW_START_MICROSECONDS", "FLOW_START_MILLISECONDS", "FLOW_START_SEC", "FIRST_SWITCHED"],
        "src_ip": ["IPV4_SRC_ADDR"],
        "src_ip6": ["IPV6_SRC_ADDR"],
        "dst_ip": ["IPV4_DST_ADDR"],
        "dst_ip6": ["IPV6_DST_ADDR"],
        "protocol": ["PROTOCOL"],
        "src_port": ["L4_SRC_PORT"],
        "dst_port": ["L4_DST_PORT"],
        "packets": ["IN_PKTS"],
        "bytes": ["IN_BYTES"],
        "tcp_flags": ["TCP_FLAGS"],
        "icmp": ["ICMP_TYPE"],
    },
    marks=("L4_SRC_PORT", "L4_DST_PORT", "PROTOCOL"),
    complete=_nprobe_completed,
)


def _first_value(column: pa.Array) -> pa.Array:
    """What stands before the comma that `-E occurrence=a` puts between values."""
    parts = pc.split_pattern(column.cast(pa.string()), ",", max_splits=1)
    return pc.list_element(pc.if_else(pc.is_valid(parts), parts, pa.scalar([""])), 0).cast(pa.binary())


# tshark -T fields -E header=y -e frame.time_epoch -e ip.src ... (https://www.wireshark.org/docs/man-pages/tshark.html).
TSHARK = TextTable(
    "tshark",
    {
        "timestamp": ["frame.time_epoch", "frame.time"],
        "src_ip": ["ip.src", "ipv6.src"],
        "dst_ip": ["ip.dst", "ipv6.dst"],
        "protocol": ["ip.proto", "ipv6.nxt"],
        "src_port": ["tcp.srcport", "udp.srcport", "sctp.srcport", "dccp.srcport"],
        "dst_port": ["tcp.dstport", "udp.dstport", "sctp.dstport", "dccp.dstport"],
        "icmp_type": ["icmp.type", "icmpv6.type"],
        "icmp_code": ["icmp.code", "icmpv6.code"],
        "ttl": ["ip.ttl", "ipv6.hlim"],
        "tcp_flags": ["tcp.flags"],
        "ip_id": ["ip.id"],
        "tcp_seq": ["tcp.seq_raw"],
        "bytes": ["ip.len"],
    },
    marks=("ip.src",),
    delimiters=b"\t,;|",
    complete=lambda raw: {
        field: column if field == "timestamp" else _first_value(column) for field, column in raw.items()
    },
)

# CICFlowMeter (github.com/ahlashkari/CICFlowMeter) and the data sets made with it: dates begin with the day.
CICFLOWMETER = TextTable(
    "cicflowmeter",
    {
        "timestamp": ["Timestamp"],
        "src_ip": ["Src IP", "Source IP", "Source_IP", "src_ip"],
        "dst_ip": ["Dst IP", "Destination IP", "Destination_IP", "dst_ip"],
        "protocol": ["Protocol"],
        "src_port": ["Src Port", "Source Port", "Source_Port", "src_port"],
        "dst_port": ["Dst Port", "Destination Port", "Destination_Port", "dst_port"],
        "packets": ["Total Fwd Packet", "Tot Fwd Pkts", "Total Fwd Packets"],
        "bytes": ["Total Length of Fwd Packet", "TotLen Fwd Pkts", "Total Length of Fwd Packets"],
        "label": ["Label"],
    },
    marks=("Flow ID", "Timestamp", "Protocol"),
    day_first=True,
    note="dates of CICFlowMeter begin with the day, and its times are taken as UTC",
)

# zmap -O csv -f saddr,daddr,sport,dport,timestamp_ts,...: the answers to a scan, as they came. TCP unless said.
ZMAP = TextTable(
    "zmap",
    {
        "timestamp": ["timestamp_ts", "timestamp_str", "timestamp-ts", "timestamp-str"],
        "src_ip": ["saddr"],
        "dst_ip": ["daddr"],
        "protocol": ["protocol"],
        "src_port": ["sport"],
        "dst_port": ["dport"],
        "ttl": ["ttl"],
        "ip_id": ["ipid"],
        "tcp_seq": ["seqnum"],
        "icmp_type": ["icmp_type"],
        "icmp_code": ["icmp_code"],
    },
    marks=("saddr", "classification"),
    note="results of a scan, not traffic of a telescope: sources are the hosts that answered",
    constants={"protocol": "tcp"},
)

# DShield's format of firewall reports (https://www.dshield.org/specs.html): tabs, no header.
DSHIELD = TextTable(
    "dshield",
    {
        "timestamp": ["timestamp"],
        "src_ip": ["src_ip"],
        "dst_ip": ["dst_ip"],
        "protocol": ["protocol"],
        "src_port": ["src_port"],
        "dst_port": ["dst_port"],
        "packets": ["packets"],
        "tcp_flags": ["tcp_flags"],
    },
    delimiters=b"\t",
    names=("timestamp", "author", "packets", "src_ip", "src_port", "dst_ip", "dst_port", "protocol", "tcp_flags"),
)

_DSHIELD_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:?\d\d\t\d+\t\d+\t[0-9a-fA-F.:]+\t")


def sniff_dshield(head: bytes) -> bool:
    """Whether the first line of a head that is no comment is a report in DShield's format."""
    lines = (line for line in as_utf8(head).split(b"\n", 30) if line.strip() and not line.startswith(b"#"))
    return _DSHIELD_LINE.match(next(lines, b"")) is not None


FORMATS = [
    *(table_format(table) for table in (SILK, YAF, PMACCT, NPROBE, TSHARK, CICFLOWMETER, ZMAP)),
    table_format(DSHIELD, sniff_dshield),
]
