"""Text tables that need little code, of SiLK, yaf, pmacct, nProbe, tshark, CICFlowMeter, Windows Firewall, flow-tools
and Google Cloud.

Each entry says which columns hold which field. Tables with common column names need no entry: `csv.py` reads them.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telescope_transformer.records.columnar import REPORTED_TWICE
from telescope_transformer.records.formats.text_tables import Raw, TextTable, sniffer, table_format, without_ports
from telescope_transformer.records.schema import PORT_PROTOCOLS

# rwcut (https://tools.netsa.cert.org/silk/rwcut.html). ICMP type and code are in iType and iCode, or in dPort as one
# number.
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
        "tcp_flags": ["initialFlags", "initialF", "flags"],
        "icmp_type": ["iType", "iTy"],
        "icmp_code": ["iCode", "iCo"],
    },
    marks=("sIP", "dIP"),
)


def _yaf_completed(raw: Raw) -> Raw:
    """Prefix sequence numbers with 0x: yaf writes hexadecimal digits without a prefix."""
    if "tcp_seq" in raw:
        prefix, nothing = pa.scalar(b"0x", pa.binary()), pa.scalar(b"", pa.binary())
        raw = raw | {"tcp_seq": pc.binary_join_element_wise(prefix, raw["tcp_seq"], nothing)}
    return raw


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
    complete=_yaf_completed,
)

_ICMP = pa.array([b"1", b"58", b"icmp", b"ICMP", b"ipv6-icmp"], pa.binary())


def _pmacct_completed(raw: Raw) -> Raw:
    """The type of ICMP is not known: pmacct has none and writes 0 for both ports, which would mean an echo reply."""
    if not {"src_port", "dst_port"} <= raw.keys():
        return raw
    zero = pc.and_(pc.equal(raw["src_port"], b"0"), pc.equal(raw["dst_port"], b"0"))
    return without_ports(raw, pc.and_(zero, pc.is_in(raw["protocol"], value_set=_ICMP)))


# pmacct's print plugin (CONFIG-KEYS, print_output: csv). Without timestamp_start, the time is that of the time bin.
PMACCT = TextTable(
    "pmacct",
    {
        "timestamp": ["TIMESTAMP_START", "TIMESTAMP_MIN", "TIMESTAMP_ARRIVAL", "STAMP_INSERTED"],
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
    complete=_pmacct_completed,
)

_NO_ADDRESS = pa.array([b"0.0.0.0", b"::"], pa.binary())


def _nprobe_completed(raw: Raw) -> Raw:
    """Take the addresses of the IP version in use, and for ICMP the number of type and code instead of the ports."""
    nothing = pa.scalar(None, pa.binary())
    for field in ("src_ip", "dst_ip"):
        if f"{field}6" in raw:
            four = pc.if_else(pc.is_in(raw[field], value_set=_NO_ADDRESS), nothing, raw[field])
            raw = raw | {field: pc.coalesce(four, raw[f"{field}6"])}
    if "icmp" in raw:
        icmp = pc.is_in(raw["protocol"], value_set=_ICMP)
        raw = raw | {
            "src_port": pc.if_else(icmp, pa.scalar(b"0"), raw["src_port"]),
            "dst_port": pc.if_else(icmp, raw["icmp"], raw["dst_port"]),
        }
    return {field: column for field, column in raw.items() if field not in ("src_ip6", "dst_ip6", "icmp")}


# nProbe's dump files (-P with --dump-format t or -T), with names of its template; https://www.ntop.org/guides/nprobe.
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
    """The first of several values; `-E occurrence=a` puts commas between them."""
    parts = pc.split_pattern(column.cast(pa.string()), ",", max_splits=1)
    return pc.list_element(pc.if_else(pc.is_valid(parts), parts, pa.scalar([""])), 0).cast(pa.binary())


def _are_ip(raw: Mapping[str, pa.Array]) -> np.ndarray:
    """Rows with an address; tshark leaves the fields of non-IP packets empty."""
    return np.asarray(pc.greater(pc.binary_length(raw["src_ip"].fill_null(b"")), 0))


_WITH_PORTS = pa.array([str(number).encode() for number in PORT_PROTOCOLS], pa.binary())


def _tshark_completed(raw: Raw) -> Raw:
    """The first value of each field. Ports beside ICMP or a tunnel are those of the packet inside."""
    first = {field: column if field == "timestamp" else _first_value(column) for field, column in raw.items()}
    protocol = first["protocol"]
    told = pc.match_substring_regex(protocol, r"^(?i:\d+|icmp|icmpv6)$")
    return without_ports(first, pc.and_not(told, pc.is_in(protocol, value_set=_WITH_PORTS)))


# tshark -T fields -E header=y -e frame.time_epoch -e ip.src ...
# (https://www.wireshark.org/docs/man-pages/tshark.html).
TSHARK = TextTable(
    "tshark",
    {
        "timestamp": ["frame.time_epoch", "frame.time_utc", "frame.time"],
        "src_ip": ["ip.src", "ipv6.src"],
        "dst_ip": ["ip.dst", "ipv6.dst"],
        "protocol": ["ip.proto", "ipv6.nxt", "_ws.col.protocol", "_ws.col.Protocol"],
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
    delimiters=b"\t,;|",
    keep=_are_ip,
    complete=_tshark_completed,
)

# CICFlowMeter (github.com/ahlashkari/CICFlowMeter) and data sets made with it. Dates begin with the day.
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
    note="dates of CICFlowMeter are read with the day first, and its times are taken as UTC",
)


def _incoming(raw: Mapping[str, pa.Array]) -> np.ndarray:
    """Packets that Windows Firewall received or forwarded. INFO-EVENTS-LOST only reports that events are missing."""
    sent = pc.equal(raw["_path"], pa.scalar(b"SEND"))
    lost = pc.equal(raw["_action"], pa.scalar(b"INFO-EVENTS-LOST"))
    return ~np.asarray(pc.or_(sent, lost))


# pfirewall.log (learn.microsoft.com, "Configure Windows Firewall logging"); W3C's extended log format.
WINDOWS_FIREWALL = TextTable(
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
        "_path": ["path"],
        "_action": ["action"],
    },
    marks=("date", "src-ip", "dst-ip", "tcpflags", "action", "path"),
    keep=_incoming,
    note="Windows Firewall writes local time, which is taken as UTC",
)


def _flow_tools_completed(raw: Raw) -> Raw:
    """The start of a flow in microseconds: the time of the export minus the age of the flow at that time."""
    clocks = {name: raw[name].cast(pa.string()) for name in ("timestamp", "nanoseconds", "uptime", "first")}
    # A damaged number makes the time null, so that only its row is rejected.
    numbers = {
        name: pc.if_else(pc.match_substring_regex(text, r"^\d{1,10}$"), text, None).cast(pa.int64())
        for name, text in clocks.items()
    }
    exported = pc.add(pc.multiply(numbers["timestamp"], 1_000_000), pc.divide(numbers["nanoseconds"], 1000))
    began = pc.subtract(exported, pc.multiply(pc.subtract(numbers["uptime"], numbers["first"]), 1000))
    others = {name: column for name, column in raw.items() if name not in clocks}
    return others | {"timestamp": began.cast(pa.string()).cast(pa.binary())}


# flow-export -f2 of flow-tools; ICMP is in dstport, as in NetFlow.
FLOW_TOOLS = TextTable(
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
    delimiters=b",",
    complete=_flow_tools_completed,
)

_CONNECTION = "jsonPayload.connection."
# Flow logs of Google Cloud as Logs Explorer exports them to CSV; see `json_lines.GCP_DIALECT`.
GCP = TextTable(
    "gcp-vpc-csv",
    {
        "timestamp": ["jsonPayload.start_time", "timestamp"],
        "src_ip": [f"{_CONNECTION}src_ip"],
        "dst_ip": [f"{_CONNECTION}dest_ip"],
        "protocol": [f"{_CONNECTION}protocol"],
        "src_port": [f"{_CONNECTION}src_port"],
        "dst_port": [f"{_CONNECTION}dest_port"],
        "packets": ["jsonPayload.packets_sent"],
        "bytes": ["jsonPayload.bytes_sent"],
        "_reporter": ["jsonPayload.reporter"],
    },
    marks=(f"{_CONNECTION}src_ip", "jsonPayload.reporter"),
    keep=lambda raw: ~np.asarray(pc.equal(raw["_reporter"], pa.scalar(b"SRC"))),
    note=REPORTED_TWICE,
)


def sniff_tshark(head: bytes) -> bool:
    """Whether one of the first lines names IPv4 or IPv6 fields of tshark."""
    return any(sniffer(replace(TSHARK, marks=(mark,)))(head) for mark in ("ip.src", "ipv6.src"))


FORMATS = [
    *(table_format(table) for table in (SILK, YAF, PMACCT, NPROBE, CICFLOWMETER, WINDOWS_FIREWALL, FLOW_TOOLS, GCP)),
    table_format(TSHARK, sniff_tshark),
]
